"""What ``evaluate`` is told and what it says; the scores themselves are tested in evaluation/."""

import csv
import json

import pytest


@pytest.mark.parametrize("setting", ["model.depth=2", "data.classes=[a, b]", "seed=3", "boundary_px=3"])
def test_settings_of_the_model_are_refused(cli, tmp_path, setting):
    result = cli("evaluate", tmp_path / "run", tmp_path, "--out", tmp_path / "out", "--set", setting)
    assert result.exit_code == 2
    assert "cannot be set here, only evaluation.* and data.group_pattern" in result.stderr


def test_groups_settings_and_kinds_reach_the_summary(cli, trained, make_pairs, tmp_path):
    data = make_pairs(tmp_path / "data", 4, first=20)
    names = sorted(path.name for path in (data / "images").iterdir())
    with (data / "groups.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "group"), *zip(names, "aaab", strict=True)])
    with (data / "objects.csv").open("w", newline="") as file:
        places = [(name, "blob", y, x) for name in names for y in range(0, 64, 4) for x in range(0, 64, 4)]
        csv.writer(file).writerows([("image", "kind", "y", "x"), *places])
    words = ["evaluate", trained, data, "--out", tmp_path / "out", "--set", "evaluation.minimum_area=40"]
    result = cli(*words, "--json")
    assert result.exit_code == 0, result.stderr
    summary = json.loads(result.stdout)
    assert summary["groups"] == {"count": 2, "largest": 3}
    assert summary["objects"]["minimum_area"] == 40
    blobs = summary["objects"]["classes"]["cell"]
    assert blobs["kinds"]["blob"]["objects"] == blobs["truth"] > 0
    said = cli(*words).stdout
    assert "groups: 2 (4 images); intervals draw whole groups, of which there are few: rather too narrow" in said
    predicted = f"{blobs['false']} of {blobs['predicted']} predicted are false"
    assert f"{blobs['found']} of {blobs['truth']} found; {predicted}" in said


def test_groups_that_leave_images_out_are_unknown(cli, trained, make_pairs, tmp_path):
    data = make_pairs(tmp_path / "data", 2, first=20)
    (data / "groups.csv").write_text("image,group\nx20,a\n")
    result = cli("evaluate", trained, data, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    assert "groups.csv has no row for images/x21.png" in result.stderr
    assert "groups: unknown" in result.stdout


def test_an_image_that_cannot_be_read_is_named_and_the_rest_is_scored(cli, trained, make_pairs, tmp_path):
    data = make_pairs(tmp_path / "data", 3, first=20)
    (data / "images" / "x21.png").write_bytes(b"no image")
    result = cli("evaluate", trained, data, "--out", tmp_path / "out", "--json")
    assert result.exit_code == 1
    assert "FAILED: " in result.stderr
    assert "x21.png" in result.stderr
    assert json.loads(result.stdout)["images"] == 2
    assert "x21.png could not be scored and is left out" in (tmp_path / "out" / "report.html").read_text("utf-8")
