import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from cryoseg_tf.data.pairs import Pair, find_pairs
from cryoseg_tf.data.preprocess import Status
from cryoseg_tf.errors import ConfigError, DataError, ImageError
from cryoseg_tf.evaluation.evaluate import check_out, evaluate
from cryoseg_tf.evaluation.scores import Scores
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
    assert summary.keys() == {"images", "metrics", "seen_in_training", "status", "resamples", "calibration"}
    assert summary["metrics"].keys() == {"dice", "recall", "precision", "iou"}
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
    with pytest.raises(ImageError, match="says its pixel size is 10 nm"):
        evaluate(bright(), pairs, other, tmp_path / "out")


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


def test_a_failure_leaves_the_overlays_that_were_there(bright, config, four, tmp_path):
    evaluate(bright(), four, config, tmp_path / "out")
    before = {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()}
    four[3].image.write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"d\.png"):
        evaluate(bright(), four, config, tmp_path / "out")
    assert {p: p.read_bytes() for p in (tmp_path / "out").rglob("*") if p.is_file()} == before
    assert sum(p.suffix == ".jpg" for p in before) == 4
