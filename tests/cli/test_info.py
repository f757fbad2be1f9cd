"""What ``info`` prints, by hand-written tags."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tifffile

INI = (
    "[Beam]\r\nHV=2000\r\nBeam=EBeam\r\n[Scan]\r\nPixelWidth=2e-007\r\nPixelHeight=2e-007\r\n[Stage]\r\nStageX=0.001\r\n"
    "StageY=0\r\nStageZ=-0.004\r\nStageT=0.785398\r\n[Image]\r\nResolutionX=30\r\nResolutionY=20\r\n"
)


@pytest.fixture
def image(tmp_path):
    pixels = np.full((27, 30), 255, np.uint16)
    pixels[:20] = np.arange(3, 603).reshape(20, 30)
    text = INI.encode()
    tifffile.imwrite(tmp_path / "ä.tif", pixels, extratags=[(34682, 2, len(text), text, True)], metadata=None)
    return tmp_path / "ä.tif"


def test_what_was_understood_is_printed(cli, image):
    result = cli("info", image)
    assert result.exit_code == 0, result.stderr
    found = dict(line.strip().split("  ", 1) for line in result.stdout.splitlines()[1:])
    assert {label: text.strip() for label, text in found.items()} == {
        "size": "30 x 20, uint16",
        "values": "3 to 602",
        "pixel size": "200 nm, from tag 34682 Scan.PixelWidth",
        "field width": "6000 nm",
        "data bar": "7 rows cropped off the bottom",
        "microscope": "Thermo Fisher",
        "beam": "electron, 2 keV",
        "stage x, y, z": "1000, 0, -4000 um",
        "tilt": "45.000 degrees",
    }


def test_json_has_the_same(cli, image):
    [row] = json.loads(cli("info", image, "--json").stdout)
    known = {"width": 30, "height": 20, "minimum": 3, "maximum": 602, "pixel_size": 200, "bar_rows_cropped": 7}
    assert known.items() <= row.items()
    assert row["image"] == str(image)


def test_one_that_cannot_be_read_does_not_hide_the_rest(cli, image, tmp_path):
    (tmp_path / "bad.tif").write_bytes(b"II*\0")
    result = cli("info", tmp_path / "bad.tif", image, tmp_path / "none.tif")
    assert result.exit_code == 2
    assert "30 x 20" in result.stdout
    assert ["bad.tif" in line or "none.tif" in line for line in result.stderr.splitlines()] == [True, True]
    rows = json.loads(cli("info", tmp_path / "bad.tif", image, "--json").stdout)
    assert ["error" in row for row in rows] == [True, False]


def test_the_remedies_that_errors_name_work_here(cli, tmp_path):
    text = INI.replace("ResolutionY=20", "ResolutionY=50").replace("2e-007", "2").encode()
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((27, 30), np.uint8), extratags=[(34682, 2, len(text), text, True)])
    assert cli("info", tmp_path / "a.tif").exit_code == 2
    result = cli("info", tmp_path / "a.tif", "--data-bar", 7, "--pixel-size", 50)
    assert result.exit_code == 0, result.stderr
    assert "30 x 20" in result.stdout
    assert "50 nm, from --pixel-size" in result.stdout


def test_a_run_and_its_bundle_tell_their_network(cli, trained, bundle):
    result = cli("info", trained, bundle.path)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("unet, 4 base filters, depth 2") == 2
    of_run, of_bundle = json.loads(cli("info", trained, bundle.path, "--json").stdout)
    assert of_run["flops"] == of_bundle["flops"] > 1e6
    assert of_run["classes"] == ["background", "cell"]


def test_a_run_that_cannot_be_read_is_an_error(cli, tmp_path):
    (tmp_path / "run.json").write_text("{")
    result = cli("info", tmp_path)
    assert result.exit_code == 2
    assert "run.json is damaged" in result.stderr


def test_tensorflow_is_not_loaded(image):
    code = f"""
import sys
from cryoseg_tf.cli.main import main
try:
    main(["info", {str(image)!r}])
finally:
    if {{"tensorflow", "keras", "matplotlib"}} & set(sys.modules):
        raise SystemExit(3)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
