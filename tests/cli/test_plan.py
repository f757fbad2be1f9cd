"""``plan`` says what ``fit`` would choose, and leaves no trace but the preview."""

import numpy as np
import pytest
from PIL import Image

SMALL = ["--set", "model.base_filters=4", "--set", "model.depth=2", "--set", "data.patches_per_image=4"]


def files(root):
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_it_says_what_fit_would_choose_and_trains_nothing(cli, data, tmp_path):
    before = files(tmp_path)
    result = cli("plan", data, *SMALL, "--set", "training.epochs=3")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["scale", "patches", "batch", "epochs"]
    assert "64 px" in lines[1]
    assert lines[3] == "epochs: 3 of 20 patches"  # of 5 images; the sixth is held back
    assert files(tmp_path) == before


def test_with_minutes_it_times_steps(cli, data, tmp_path):
    before = files(tmp_path)
    result = cli("plan", data, *SMALL, "--set", "training.augmentation.enabled=false", "--minutes", 10)
    assert result.exit_code == 0, result.stderr
    assert "a step takes" in result.stdout.splitlines()[-1]
    assert files(tmp_path) == before


def test_the_preview_shows_patches(cli, data, tmp_path):
    path = tmp_path / "new" / "preview.png"
    result = cli("plan", data, *SMALL, "--preview", path)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[-1] == f"preview: {path}"
    sheet = np.asarray(Image.open(path)).astype(int)
    tiles = [sheet[top : top + 192, left : left + 192] for top in range(0, 980, 196) for left in range(0, 1568, 196)]
    assert len(tiles) == 40
    assert min(tile[..., 0].std() for tile in tiles) > 5
    # objects are coloured, and what is not annotated is darkened
    assert np.ptp(sheet, axis=2).max() > 50


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--preset", "best"], "there is no preset 'best'"),
        (["--set", "model.depth=99"], "model.depth is 99"),
        (["--set", "training.loss=nought"], "training.loss names 'nought'"),
        (["--config", "none.yaml"], "none.yaml"),
        (["--minutes", "0"], "--minutes"),
        (["--set", "data.scale=pixel_size"], "pass --pixel-size"),
    ],
)
def test_wrong_use_is_one_line(cli, data, words, message):
    result = cli("plan", data, *SMALL, *words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_bad_data_is_one_line(cli, data):
    (data / "masks" / "x01.png").unlink()
    result = cli("plan", data)
    assert result.exit_code == 2
    assert "no mask for" in result.stderr
    assert cli("plan", data / "none").exit_code == 2
