import csv
import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from cryoseg_tf.data.pairs import Pair, find_pairs
from cryoseg_tf.data.preprocess import Status
from cryoseg_tf.errors import ConfigError, DataError
from cryoseg_tf.evaluation.evaluate import check_out, evaluate
from cryoseg_tf.evaluation.scores import Scores
from cryoseg_tf.evaluation.tables import objects_csv, scores_csv
from cryoseg_tf.io.atomic import sha256


def test_scores_by_hand(bright, config, four, tmp_path):
    evaluation = evaluate(bright(), four, config, tmp_path / "out")
    assert [row.name for row in evaluation.rows] == [f"images/{n}.png" for n in "abcd"]
    assert [row.foreground.dice for row in evaluation.rows] == pytest.approx([1, 1 / 2, 0, 2 / 3])
    assert [row.foreground.recall for row in evaluation.rows] == [1, 0.5, 0, 0.5]
    assert evaluation.rows[1].foreground == evaluation.rows[1].classes["cell"] == Scores(32, 32, 32)
    assert evaluation.data == tmp_path / "four"


def test_summary_has_the_fixed_shape(bright, config, four, tmp_path):
    summary = evaluate(bright(), four, config, tmp_path / "out").summary()
    assert summary.keys() == {
        "images", "metrics", "micro", "boundary", "objects", "groups", "seen_in_training", "status", "resamples",
        "calibration", "failed",
    }  # fmt: skip
    assert summary["metrics"].keys() == {"dice", "recall", "precision", "iou", "boundary_f1"}
    assert (summary["images"], summary["resamples"]) == (4, 200)
    dice = summary["metrics"]["dice"]
    assert dice["mean"] == pytest.approx((1 + 1 / 2 + 0 + 2 / 3) / 4)
    assert 0 <= dice["ci95"][0] < dice["mean"] < dice["ci95"][1] <= 1


def test_one_empty_image_is_null_throughout(bright, config, write, tmp_path):
    nothing = np.zeros((24, 24), np.uint8)
    evaluation = evaluate(bright(), write(tmp_path / "data", {"a.png": (nothing, nothing)}), config, tmp_path / "out")
    summary = evaluation.summary()
    assert summary["metrics"]["dice"] == {"mean": None, "ci95": [None, None]}
    assert summary["status"] == {"low_contrast": 1}
    json.dumps(summary, allow_nan=False)


def test_an_empty_image_leaves_the_means_as_they_are(bright, config, four, write, tmp_path):
    before = evaluate(bright(), four, config, tmp_path / "out").summary()
    nothing = np.zeros((24, 24), np.uint8)
    after = evaluate(
        bright(), write(tmp_path / "four", {"e.png": (nothing, nothing)}), config, tmp_path / "out"
    ).summary()
    assert after["images"] == 5
    assert after["metrics"] == before["metrics"]


def test_more_classes_are_scored_alone_and_as_one(bright, config, write, tmp_path):
    truth = np.zeros((24, 24), np.uint8)
    truth[:, :8], truth[:, 8:16] = 1, 2
    found = truth.copy()
    found[:12, :8] = 2  # half of the first class is taken for the second
    classes = ("background", "cell", "ice")
    evaluation = evaluate(
        bright(classes),
        write(tmp_path / "data", {"a.png": (found, truth)}),
        config.replace({"data.classes": classes}),
        tmp_path / "out",
    )
    row, summary = evaluation.rows[0], evaluation.summary()
    assert row.foreground.dice == 1
    assert row.classes == {"cell": Scores(96, 0, 96), "ice": Scores(192, 96, 0)}
    assert summary["metrics"]["dice"]["mean"] == 1
    assert summary["classes"]["cell"]["recall"] == {"mean": 0.5, "ci95": [None, None]}
    assert summary["classes"]["ice"]["precision"]["mean"] == pytest.approx(2 / 3)


def test_ignored_pixels_count_nowhere(bright, config, write, tmp_path):
    truth, found = np.zeros((2, 24, 24), np.uint8)
    truth[:, :8], found[:, :16] = 1, 1
    truth[:, 8:] = 255
    pairs = write(tmp_path / "data", {"a.png": (found, truth)})
    evaluation = evaluate(bright(), pairs, config.replace({"data.ignore": 255}), tmp_path / "out")
    assert evaluation.rows[0].foreground == Scores(8 * 24, 0, 0)


def test_images_seen_in_training_are_known_by_content(bright, config, four, tmp_path):
    renamed = four[2].image.rename(four[2].image.with_name("other.png"))
    four[2].mask.rename(four[2].mask.with_name("other.png"))
    pairs = find_pairs(tmp_path / "four")
    evaluation = evaluate(bright(), pairs, config, tmp_path / "out", known=[sha256(renamed), "0" * 64])
    assert [row.name for row in evaluation.rows if row.seen] == ["images/other.png"]
    assert evaluation.seen == evaluation.summary()["seen_in_training"] == 1


def test_an_unknown_pixel_size_is_refused_until_it_is_given(bright, config, four, tmp_path):
    segmenter = bright(scale="pixel_size", pixel_size=10.0, pixel_size_range=(5.0, 20.0))
    with pytest.raises(DataError, match=r"a\.png does not say its pixel size.*--pixel-size"):
        evaluate(segmenter, four, config, tmp_path / "out")
    given = evaluate(segmenter, four, config.replace({"data.image_pixel_size": 10.0}), tmp_path / "out")
    assert given.summary()["status"] == {}
    assert [(row.pixel_size, row.status) for row in given.rows] == [(10.0, Status.OK)] * 4
    assert given.rows[0].foreground.dice == 1


def test_a_pixel_size_that_contradicts_the_file_is_refused(bright, config, four, tmp_path):
    pixels = np.asarray(Image.open(four[0].image))
    image = four[0].image.with_suffix(".tif")
    tifffile.imwrite(image, pixels, imagej=True, resolution=(100, 100), metadata={"unit": "um"})  # 10 nm
    pairs = [Pair("images/a.tif", image, four[0].mask)]
    same, other = (config.replace({"data.image_pixel_size": size}) for size in (10.0, 12.0))
    assert evaluate(bright(), pairs, same, tmp_path / "out").rows[0].pixel_size == 10
    with pytest.raises(DataError, match="says its pixel size is 10 nm"):
        evaluate(bright(), pairs, other, tmp_path / "out")


def test_objects_by_hand(bright, config, four, tmp_path):
    # the images' cells are found whole, by half, not at all (and a false one is), and by half
    evaluation = evaluate(bright(), four, config.replace({"data.image_pixel_size": 500.0}), tmp_path / "out")
    summary = evaluation.summary()
    counts = summary["objects"]["classes"]["cell"]
    wanted = {
        "truth": 4, "predicted": 4, "found": 3, "precision": 0.75, "f1": 0.5, "false": 1, "false_per_image": 0.25,
        "splits": 0, "merges": 0, "kinds": {},
    }  # fmt: skip
    assert {name: counts[name] for name in wanted} == wanted
    assert counts["recall"]["mean"] == 0.75
    assert counts["recall"]["ci95"][0] < 0.75 < counts["recall"]["ci95"][1]
    # four images of 12 x 12 um
    assert counts["false_per_1000_um2"] == pytest.approx(1000 / (4 * 144))
    assert {**summary["objects"], "classes": 0} == {
        "connectivity": 8, "minimum_area": 16, "separate": "none", "classes": 0
    }  # fmt: skip


def test_without_a_pixel_size_there_is_no_area(bright, config, four, tmp_path):
    evaluation = evaluate(bright(), four, config.replace({"evaluation.boundary_nm": 1e6}), tmp_path / "out")
    summary = evaluation.summary()
    assert summary["objects"]["classes"]["cell"]["false_per_1000_um2"] is None
    # nor is a tolerance in nm of any use: that in pixels counts
    assert summary["boundary"] == {"tolerance_px": 2.0, "tolerance_nm": 1e6}
    assert [row.boundary["cell"] == 1 for row in evaluation.rows] == [True, False, False, False]


def test_a_boundary_in_nm_follows_the_pixel_size(bright, config, four, tmp_path):
    # the second image's cell is 4 pixels to the right
    for nm, agree in ((39.9, False), (40, True)):
        settings = config.replace({"data.image_pixel_size": 10.0, "evaluation.boundary_nm": nm})
        evaluation = evaluate(bright(), four, settings, tmp_path / "out")
        assert (evaluation.rows[1].boundary["foreground"] == 1) == agree


def test_kinds_have_recalls_of_their_own(bright, config, four, tmp_path):
    kinds = {"a.png": [(8, 8, "round")], "b.png": [(8, 8, "round")], "c.png": [(8, 8, "flat")], "d": [(0, 0, "beside")]}
    summary = evaluate(bright(), four, config, tmp_path / "out", kinds=kinds).summary()
    of_kinds = summary["objects"]["classes"]["cell"]["kinds"]
    assert of_kinds == {
        "flat": {"objects": 1, "found": 0, "recall": 0, "ci95": [None, None]},
        "round": {"objects": 2, "found": 2, "recall": 1, "ci95": [1, 1]},
    }


def test_groups_are_drawn_whole_and_counted(bright, config, four, tmp_path):
    alone = evaluate(bright(), four, config, tmp_path / "out").summary()
    assert alone["groups"] == {"count": None, "largest": None}
    some = evaluate(bright(), four, config, tmp_path / "out", groups=["g", "g", "g", "h"]).summary()
    assert some["groups"] == {"count": 2, "largest": 3}
    assert some["metrics"]["dice"]["mean"] == pytest.approx(alone["metrics"]["dice"]["mean"])
    # (1 + 1/2 + 0) / 3 and 2/3
    assert some["metrics"]["dice"]["ci95"] == pytest.approx([0.5, 2 / 3])
    one = evaluate(bright(), four, config, tmp_path / "out", groups=["g"] * 4).summary()
    assert one["groups"] == {"count": 1, "largest": 4}
    assert one["metrics"]["dice"]["ci95"] == one["objects"]["classes"]["cell"]["recall"]["ci95"] == [None, None]


def test_pixels_pooled_and_classes_averaged(bright, config, write, tmp_path):
    truth = np.zeros((24, 24), np.uint8)
    truth[:, :8], truth[:, 8:16] = 1, 2
    found = truth.copy()
    found[:12, :8] = 2
    classes = ("background", "cell", "ice")
    evaluation = evaluate(
        bright(classes),
        write(tmp_path / "data", {"a.png": (found, truth)}),
        config.replace({"data.classes": classes}),
        tmp_path / "out",
    )
    summary = evaluation.summary()
    # recalls 1/2 and 1; pooled: of 384 pixels 288
    assert summary["macro"]["recall"]["mean"] == summary["micro"]["recall"] == 0.75
    assert summary["macro"]["precision"]["mean"] == pytest.approx((1 + 2 / 3) / 2)
    assert summary["micro"]["precision"] == 0.75
    assert summary["classes"]["cell"]["boundary_f1"]["mean"] < 1 == summary["metrics"]["boundary_f1"]["mean"]
    assert summary["objects"]["classes"].keys() == {"cell", "ice"}


def test_the_curve_is_that_of_all_images(bright, config, four, tmp_path):
    curve = evaluate(bright(), four, config, tmp_path / "out").precision_recall
    # at threshold 0 all is found: four cells of 64 pixels in four images of 24 x 24
    assert curve[0].tolist() == [0, 1, pytest.approx(64 / 576)]
    # the two thirds, half ... of the pixels that are bright
    assert curve[128].tolist() == [0.5, pytest.approx((64 + 32 + 0 + 32) / 256), pytest.approx(128 / (3 * 64 + 32))]


def test_tables_hold_each_image_and_each_object(bright, config, four, tmp_path):
    settings = config.replace({"data.image_pixel_size": 500.0})
    kinds = {"a.png": [(8, 8, "round")]}
    evaluation = evaluate(bright(), four, settings, tmp_path / "out", kinds=kinds)
    rows = list(csv.DictReader(objects_csv(evaluation).splitlines()))
    assert [(row["image"][-5], row["what"], row["kind"]) for row in rows] == [
        ("a", "found", "round"), ("b", "found", ""), ("c", "missed", ""), ("c", "false", ""), ("d", "found", ""),
    ]  # fmt: skip
    false = {name: rows[3][name] for name in ("area_px", "area_um2", "y_px", "x_px", "y_nm", "x_nm", "coverage")}
    assert false == {
        "area_px": "64", "area_um2": "16.0", "y_px": "7.5", "x_px": "17.5", "y_nm": "3750.0", "x_nm": "8750.0",
        "coverage": "",
    }  # fmt: skip
    assert float(rows[0]["diameter_nm"]) == pytest.approx(500 * 2 * np.sqrt(64 / np.pi))
    unknown = evaluate(bright(), four, config, tmp_path / "out")
    first = next(csv.DictReader(objects_csv(unknown).splitlines()))
    assert (first["area_um2"], first["diameter_nm"], first["y_nm"]) == ("", "", "")
    header, *scores = scores_csv(unknown).splitlines()
    assert header == "image,recall,precision,dice,iou,boundary_f1,status,seen_in_training"
    assert scores[0] == "images/a.png,1.0,1.0,1.0,1.0,1.0,ok,false"


def test_progress_is_told_after_each_image(bright, config, four, tmp_path):
    calls = []
    evaluate(bright(), four, config, tmp_path / "out", progress=lambda *call: calls.append(call))
    assert calls == [(i, 4, f"images/{n}.png") for i, n in enumerate("abcd", 1)]


def test_overlays_of_equal_stems_lie_apart(bright, config, four, write, tmp_path):
    pixels = np.asarray(Image.open(four[0].mask))
    for part in ("train", "test"):
        write(tmp_path / "both" / part, {"a.png": (pixels, pixels)})
    evaluation = evaluate(bright(), find_pairs(tmp_path / "both"), config, tmp_path / "out")
    overlays = {row.overlay for row in evaluation.rows}
    assert len(overlays) == 2
    assert all(Image.open(path).size == (24, 24) for path in overlays)
    assert all(Image.open(row.view).size == (24, 24) for row in evaluation.rows)


def test_other_classes_than_the_model_s_are_refused(bright, config, four, tmp_path):
    with pytest.raises(ConfigError, match="background, cell, but the model tells apart background, a"):
        evaluate(bright(("background", "a")), four, config, tmp_path / "out")


def test_nothing_to_score_is_an_error(bright, config, tmp_path):
    with pytest.raises(DataError, match="no annotated image"):
        evaluate(bright(), [], config, tmp_path / "out")


def test_a_folder_of_other_things_is_refused_before_any_work(bright, config, tmp_path):
    missing = [Pair("x.png", tmp_path / "x.png", tmp_path / "m.png")]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("precious")
    with pytest.raises(DataError, match="choose another --out"):
        evaluate(bright(), missing, config, tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("summary", ["", "[]", '{"images": 3}', '{"other": "tool"}'])
def test_a_summary_of_another_tool_is_not_ours(summary, tmp_path):
    (tmp_path / "summary.json").write_text(summary)
    with pytest.raises(DataError):
        check_out(tmp_path)


def test_a_folder_of_someone_s_own_overlays_is_refused(tmp_path):
    (tmp_path / "out" / "overlays").mkdir(parents=True)
    with pytest.raises(DataError, match="choose another --out"):
        check_out(tmp_path / "out")


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(DataError, match="choose another --out"):
        check_out(tmp_path / "out")


def test_new_empty_and_unfinished_folders_are_fine(bright, config, four, tmp_path):
    check_out(tmp_path / "new")
    (tmp_path / "empty").mkdir()
    check_out(tmp_path / "empty")
    evaluate(bright(), four, config, tmp_path / "out")
    check_out(tmp_path / "out")  # overlays, and no summary yet


def test_an_image_that_cannot_be_read_does_not_stop_the_others(bright, config, four, tmp_path):
    whole = evaluate(bright(), four, config, tmp_path / "whole")
    four[1].image.write_bytes(b"no image")
    evaluation = evaluate(bright(), four, config, tmp_path / "out")
    assert [row.name for row in evaluation.rows] == [row.name for row in whole.rows if row.name != four[1].name]
    assert evaluation.summary()["images"] == 3
    (failure,) = evaluation.summary()["failed"]
    assert failure["image"] == four[1].name
    assert str(four[1].image) in failure["error"]


def test_a_failure_leaves_the_overlays_that_were_there(bright, config, four, tmp_path):
    evaluate(bright(), four, config, tmp_path / "out")
    before = {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    for pair in four:
        pair.image.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"(?s)no image could be scored.*d\.png"):
        evaluate(bright(), four, config, tmp_path / "out")
    assert {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()} == before
    assert sum(p.suffix == ".jpg" for p in before) == 4
