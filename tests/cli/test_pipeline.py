"""Fit, evaluate, segment and export by command, as the README has them."""

import json
import shutil

import numpy as np
import tifffile
from PIL import Image
from scipy import ndimage


def test_from_data_to_export(cli, tmp_path):
    data, run = tmp_path / "data", tmp_path / "run"
    assert (
        cli(
            "phantom", data, "--images", 6, "--test", 2, "--size", 96, "--pixel-size", 400, "--classes", "cell"
        ).exit_code
        == 0
    )
    small = ["--set", "model.base_filters=4", "--set", "model.depth=2", "--epochs", 2]
    result = cli("fit", data, "--out", run, *small)
    assert result.exit_code == 0, result.stderr
    assert "validation Dice" in result.stdout
    assert "ETA" in result.stderr
    result = cli("evaluate", run, data, "--out", tmp_path / "report", "--json")
    assert result.exit_code == 0, result.stderr
    summary = json.loads(result.stdout)
    assert summary == json.loads((tmp_path / "report" / "summary.json").read_text())
    assert summary["images"] == 2
    assert (tmp_path / "report" / "report.html").stat().st_size > 10_000
    assert (tmp_path / "report" / "scores.csv").read_text().startswith("image,recall,precision,dice,iou")
    result = cli("segment", run, data / "test" / "images", "--out", tmp_path / "masks")
    assert result.exit_code == 0, result.stderr
    assert len(list((tmp_path / "masks").glob("*.png"))) == 2
    result = cli("export", run, "--to", "saved_model", "--out", tmp_path / "m.cryoseg")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "m.cryoseg" / "saved_model" / "saved_model.pb").is_file()


def test_images_it_was_trained_on_are_called_out(cli, trained, tmp_path):
    result = cli("evaluate", trained, trained.parent / "data", "--out", tmp_path / "report")
    assert result.exit_code == 0, result.stderr
    assert "trained on 6 of these images" in result.stderr


def test_pixel_size_and_data_bar_are_given_to_each_command(cli, tmp_path, make_pairs):
    """Images that say neither; what was said of those to train on is not taken for granted of others."""
    data = make_pairs(tmp_path / "data", 4, (70, 64))
    run, given = tmp_path / "run", ["--pixel-size", 40, "--data-bar", 6]
    assert "40 nm" in cli("check", data, *given).stdout
    small = ["--set", "model.base_filters=4", "--set", "model.depth=2", "--epochs", 1]
    result = cli("fit", data, "--out", run, *given, *small)
    assert result.exit_code == 0, result.stderr
    assert cli("evaluate", run, data, "--out", tmp_path / "report", *given).exit_code == 0
    silent = cli("evaluate", run, data, "--out", tmp_path / "report")
    assert silent.exit_code == 2
    assert "pass --pixel-size" in silent.stderr
    wrong = cli("evaluate", run, data, "--out", tmp_path / "report", "--data-bar", 70)
    assert wrong.exit_code == 2
    assert "would leave no image" in wrong.stderr
    segment = ["segment", run, data / "images", "--out", tmp_path / "masks", "--json"]
    rows = json.loads(cli(*segment, *given).stdout)
    assert [row["status"] in (0, 4) for row in rows] == [True] * 4
    assert all("pass --pixel-size" in row["error"] for row in json.loads(cli(*segment).stdout))


def test_other_programs_layouts_go_through(cli, tmp_path, make_pairs):
    """Cellpose's folder with numbered cells, classes named in a text; then a set of other classes is refused."""
    source, data, run = make_pairs(tmp_path / "source", 4), tmp_path / "data", tmp_path / "run"
    data.mkdir()
    for image in (source / "images").iterdir():
        shutil.copy(image, data / image.name)
        labels, _ = ndimage.label(np.asarray(Image.open(source / "masks" / image.name)))
        tifffile.imwrite(data / f"{image.stem}_masks.tif", labels.astype(np.int32))
    (data / "classes.txt").write_text("background\nyeast\n")
    small = ["--set", "model.base_filters=4", "--set", "model.depth=2", "--epochs", 1]
    result = cli("fit", data, "--out", run, *small)
    assert result.exit_code == 0, result.stderr
    assert result.stderr.count("masks hold instances: any label above 0 is yeast") == 1
    assert "groups unknown" in result.stderr
    assert "  - yeast\n" in (run / "config.yaml").read_text()
    assert cli("evaluate", run, data, "--out", tmp_path / "report").exit_code == 0
    (data / "classes.txt").write_text("background\nice\n")
    result = cli("evaluate", run, data, "--out", tmp_path / "report")
    assert result.exit_code == 2
    assert "names the classes background, ice, but the model tells apart background, yeast" in result.stderr


def test_instances_have_to_be_announced_elsewhere(cli, tmp_path, make_pairs):
    data = make_pairs(tmp_path / "data", 3)
    for mask in (data / "masks").iterdir():
        labels, _ = ndimage.label(np.asarray(Image.open(mask)))
        Image.fromarray((labels * 3).astype(np.uint16)).save(mask)
    small = ["--set", "model.base_filters=4", "--set", "model.depth=2", "--epochs", 1]
    result = cli("fit", data, "--out", tmp_path / "run", *small)
    assert result.exit_code == 2
    result = cli("fit", data, "--out", tmp_path / "run", *small, "--instances")
    assert result.exit_code == 0, result.stderr
    assert cli("evaluate", tmp_path / "run", data, "--out", tmp_path / "report").exit_code == 0
