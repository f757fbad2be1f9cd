"""``compare`` as people use it: a run, masks of another program, and methods, on real files."""

import csv
import json
import shutil

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def seven(make_pairs, tmp_path):
    """Images that the run was not trained with."""
    return make_pairs(tmp_path / "seven", 7, first=40)


def test_a_run_its_own_masks_and_methods(cli, trained, seven, tmp_path):
    out, masks = tmp_path / "out", tmp_path / "masks"
    assert cli("segment", trained, seven / "images", "--out", masks).exit_code == 0
    assert cli("evaluate", trained, seven, "--out", tmp_path / "report").exit_code == 0
    words = ["compare", trained, f"elsewhere={masks}", "otsu(cells=bright)", "--data", seven, "--out", out]
    result = cli(*words)
    assert result.exit_code == 0, result.stderr
    assert "run (1 of 3): 7 of 7" in result.stderr
    assert (
        "run less elsewhere: +0.000 (95% interval +0.000 to +0.000); p 1, Holm 1, rank-biserial +0.00; "
        in result.stdout
    )
    assert "better on 0, same on 7, worse on 0" in result.stdout
    assert "method otsu(cells=bright): cells=bright, smooth_px=1, offset=0\n" in result.stdout
    assert "groups: unknown" in result.stdout
    assert f"the page is {out / 'comparison.html'}" in result.stdout
    again = cli(*words, "--json")
    assert again.exit_code == 0, again.stderr
    assert "elsewhere (2 of 3) was scored before" in again.stderr
    summary = json.loads(again.stdout)
    assert summary == json.loads((out / "comparison.json").read_text("utf-8"))
    assert [entry["name"] for entry in summary["entries"]] == ["run", "elsewhere", "otsu"]
    run, elsewhere, otsu = (entry["metrics"] for entry in summary["entries"])
    assert run == elsewhere != otsu
    assert run == json.loads((tmp_path / "report" / "summary.json").read_text("utf-8"))["metrics"]
    assert [pair["p_smallest"] for pair in summary["pairs"]] == [pytest.approx(3 / 64)] * 3


def test_methods_learn_from_train_and_groups_are_tested(cli, make_pairs, seven, tmp_path):
    names = sorted(path.name for path in (seven / "images").iterdir())
    with (seven / "groups.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "group"), *zip(names, "aabbccc", strict=True)])
    train = make_pairs(tmp_path / "train", 2)
    words = [
        "compare",
        "otsu",
        "forest(trees=5, sigma_max=4)",
        "--train",
        train,
        "--data",
        seven,
        "--out",
        tmp_path / "o",
    ]
    result = cli(*words)
    assert result.exit_code == 0, result.stderr
    assert "cells=bright, smooth_px=1, offset=0; cells, offset, smooth_px chosen on 2 annotated images" in result.stdout
    assert "5 trees on scales of 1 to 4 px; trained on 2 annotated images" in result.stdout
    assert "the forest looks at images: 2 of 2" in result.stderr
    assert "groups: 3 (7 images); intervals draw whole groups" in result.stdout
    assert "from 3 groups no p-value below 0.05 is possible" in result.stdout


def test_without_train_bright_is_taken_for_cell_and_said(cli, seven, tmp_path):
    result = cli("compare", "otsu", "watershed(cells=bright)", "--data", seven, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert "bright is taken for cell: neither stated nor learned" in result.stdout
    assert "watershed(cells=bright): cells=bright, smooth_px=1\n" in result.stdout


def test_an_image_without_a_mask_is_left_out_and_said(cli, seven, tmp_path):
    shutil.copytree(seven / "masks", tmp_path / "masks")
    (tmp_path / "masks" / "x41.png").unlink()
    result = cli(
        "compare", tmp_path / "masks", "otsu(cells=bright)", "--data", seven, "--out", tmp_path / "out", "--json"
    )
    assert result.exit_code == 1
    assert f"LEFT OUT: masks: {tmp_path / 'masks'} has no mask for {seven / 'images' / 'x41.png'}" in result.stderr
    summary = json.loads(result.stdout)
    assert summary["images"] == 6
    assert [image["image"] for image in summary["left_out"]] == ["images/x41.png"]


def test_images_that_were_trained_on_are_called_out(cli, trained, tmp_path):
    data = trained.parent / "data"
    result = cli("compare", trained, "otsu(cells=bright)", "--data", data, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert "warning: trained on 6 of these images" in result.stdout
    assert "Nothing may be claimed of new images: run was trained on 6 of these images." in result.stdout


def test_numbered_objects_need_a_word(cli, seven, tmp_path):
    from scipy import ndimage

    numbered = tmp_path / "numbered"
    numbered.mkdir()
    for path in (seven / "masks").iterdir():
        labels, _ = ndimage.label(np.asarray(Image.open(path)))
        Image.fromarray(labels.astype(np.uint16)).save(numbered / path.name)
    words = ["compare", numbered, "otsu(cells=bright)", "--data", seven, "--out", tmp_path / "out"]
    refused = cli(*words)
    assert refused.exit_code == 2
    assert "if it numbers the objects, pass --instances" in refused.stderr
    result = cli(*words, "--instances")
    assert result.exit_code == 0, result.stderr
    assert "numbered  dice 1.000" in result.stdout
    assert "masks of 7 of 7 images; any label above 0 is taken for cell" in result.stdout


def test_classes_may_be_named_where_no_model_does(cli, make_pairs, seven, tmp_path):
    """Nuclei and a value for what is not annotated, in masks of two programs."""
    for path in (seven / "masks").iterdir():
        mask = np.array(Image.open(path))
        mask[:4] = 255
        Image.fromarray(mask).save(path)
    other = make_pairs(tmp_path / "other", 7, first=40) / "masks"
    words = ["compare", other, "otsu(cells=bright)", "--data", seven, "--out", tmp_path / "out"]
    assert "holds 3 different values" in cli(*words).stderr
    named = ["--set", "data.classes=[background, nucleus]", "--set", "data.ignore=255"]
    result = cli(*words, *named)
    assert result.exit_code == 0, result.stderr
    assert "masks  dice 1.000" in result.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["otsu"], "there is nothing to compare with: name two or more"),
        (["otsu", "otsu"], "two are named otsu: write NAME=otsu to name one otherwise"),
        (["otsu", "forest"], "forest learns from annotated images: pass --train DATA"),
        (["otsu", "unet"], "unet does not exist, and is no method"),
        (["otsu", "runs/unet"], "runs/unet does not exist"),
        (["otsu(cells=blue)", "watershed"], "blue is not a value"),
        (["otsu", "watershed", "--metric", "f1"], "the metric is 'f1': known are dice"),
        (["otsu", "watershed", "--set", "model.depth=2"], "model.depth cannot be set here, only evaluation.*, data.cl"),
    ],
)
def test_wrong_use_is_one_line_before_any_work(cli, seven, tmp_path, words, message):
    result = cli("compare", *words, "--data", seven, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


def test_models_of_other_classes_are_not_compared(cli, trained, seven, tmp_path):
    other = shutil.copytree(trained, tmp_path / "other")
    config = (other / "config.yaml").read_text()
    (other / "config.yaml").write_text(config.replace("- cell\n", "- nucleus\n"))
    result = cli("compare", trained, other, "--data", seven, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "run tells apart background, cell, but other background, nucleus: models of other classes" in result.stderr


def test_a_folder_of_something_else_is_left_alone(cli, seven, tmp_path):
    result = cli("compare", "otsu", "watershed", "--data", seven, "--out", seven)
    assert result.exit_code == 2
    assert "holds no comparison from here: choose another --out" in result.stderr
    assert {path.name for path in seven.iterdir()} == {"images", "masks"}


@pytest.mark.slow
def test_a_bundle_is_compared_with_the_run_it_comes_from(cli, trained, bundle, seven, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    result = cli("compare", trained, bundle.path, "--data", seven, "--out", tmp_path / "out", "--json")
    assert result.exit_code == 0, result.stderr
    summary = json.loads(result.stdout)
    _, model = summary["entries"]
    assert (model["name"], model["kind"]) == ("model", "bundle")
    assert model["about"].endswith(" float32")
    assert abs(summary["pairs"][0]["difference"]["mean"]) < 1e-3
