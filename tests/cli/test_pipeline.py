"""Fit, evaluate, segment and export by command, as the README has them."""

import json


def test_from_data_to_export(cli, tmp_path):
    data, run = tmp_path / "data", tmp_path / "run"
    assert cli("phantom", data, "--images", 6, "--test", 2, "--size", 96, "--pixel-size", 400).exit_code == 0
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


def test_pixel_size_and_data_bar_go_with_the_run(cli, tmp_path, make_pairs):
    """Images that say neither: given once at ``fit``, known at ``evaluate``, given again at ``segment``."""
    data = make_pairs(tmp_path / "data", 4, (70, 64))
    run, given = tmp_path / "run", ["--pixel-size", 40, "--data-bar", 6]
    assert "40 nm" in cli("check", data, *given).stdout
    small = ["--set", "model.base_filters=4", "--set", "model.depth=2", "--epochs", 1]
    result = cli("fit", data, "--out", run, *given, *small)
    assert result.exit_code == 0, result.stderr
    assert cli("evaluate", run, data, "--out", tmp_path / "report").exit_code == 0
    wrong = cli("evaluate", run, data, "--out", tmp_path / "report", "--data-bar", 70)
    assert wrong.exit_code == 2
    assert "would leave no image" in wrong.stderr
    segment = ["segment", run, data / "images", "--out", tmp_path / "masks", "--json"]
    rows = json.loads(cli(*segment, *given).stdout)
    assert [row["status"] in (0, 4) for row in rows] == [True] * 4
    assert [row["status"] for row in json.loads(cli(*segment).stdout)] == [1] * 4  # pixel size unknown
