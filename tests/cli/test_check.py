import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image


def blank(data, name):
    Image.fromarray(np.full((64, 64), 7, np.uint8)).save(data / "images" / name)


def test_a_good_set_is_a_table_and_a_verdict(cli, data):
    result = cli("check", data)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert sum(line.startswith("images/x") for line in lines) == 6
    assert lines[-1] == "6 annotated images: fit to train on"
    assert "\x1b" not in result.stdout


def test_many_images_are_a_summary_and_what_deserves_attention(cli, make_pairs, tmp_path):
    data = make_pairs(tmp_path / "many", 40)
    blank(data, "x07.png")
    result = cli("check", data)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert "images      40" in lines
    assert [line for line in lines if "images/x" in line] == ["    images/x07.png: x07.png is blank: every pixel is 7"]


def test_more_evidence_than_fits_is_counted(cli, make_pairs, tmp_path):
    data = make_pairs(tmp_path / "many", 40)
    for number in range(14):
        blank(data, f"x{number:02}.png")
    assert "    and 4 more: --json or --html FILE has all" in cli("check", data).stdout


def test_json_has_everything(cli, data):
    blank(data, "x02.png")
    result = cli("check", data, "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["fit"] is False
    assert told["verdict"].startswith("6 annotated images: not fit")
    assert [image["error"] != "" for image in told["images"]] == [False, False, True, False, False, False]
    assert told["images"][0]["shape"] == [64, 64]
    assert {concern["level"] for concern in told["concerns"]} == {"error", "note"}


def test_html_is_written_also_when_the_check_fails(cli, data, tmp_path):
    blank(data, "x02.png")
    result = cli("check", data, "--html", tmp_path / "new" / "check.html")
    assert result.exit_code == 1
    page = (tmp_path / "new" / "check.html").read_text("utf-8")
    assert "x02.png is blank" in page
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["check.html"]


@pytest.mark.parametrize("content", [(), ("images",)])
def test_no_masks_is_one_line(cli, tmp_path, content):
    for name in content:
        (tmp_path / "data" / name).mkdir(parents=True)
    (tmp_path / "data").mkdir(exist_ok=True)
    result = cli("check", tmp_path / "data")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


def test_check_does_not_load_tensorflow(data):
    code = (
        "import sys; from cryoseg_tf.cli.main import main; "
        f"main(['check', {str(data)!r}], standalone_mode=False); assert 'tensorflow' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_a_page_never_replaces_an_image(cli, data):
    before = (data / "images" / "x00.png").read_bytes()
    result = cli("check", data, "--html", data / "images" / "x00.png")
    assert result.exit_code == 2
    assert "end it in .html" in result.stderr
    assert (data / "images" / "x00.png").read_bytes() == before
