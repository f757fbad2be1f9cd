"""``plan`` says what ``fit`` would choose, and leaves no trace but the preview."""

import click
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
    assert [line.partition(":")[0] for line in lines] == ["scale", "patches", "batch", "precision", "epochs"]
    assert "64 px" in lines[1]
    assert lines[4] == "epochs: 3 of 20 patches"  # of 5 images; the sixth is held back
    assert files(tmp_path) == before


def test_with_minutes_it_times_steps(cli, data, tmp_path):
    before = files(tmp_path)
    result = cli("plan", data, *SMALL, "--set", "training.augmentation.enabled=false", "--minutes", 10)
    assert result.exit_code == 0, result.stderr
    assert "a step takes" in result.stdout.splitlines()[-1]
    assert files(tmp_path) == before


def test_the_preview_replaces_nothing(cli, data):
    before = files(data)
    image = next(path for path in before if path.parent.name == "images")
    for path, words in ((image, f"{image} exists"), (image.with_name("new.tif"), "end it in .png")):
        result = cli("plan", data, "--preview", path)
        assert result.exit_code == 2
        assert words in result.stderr
    assert files(data) == before


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
        (["--set", "training.loss="], "'training.loss=' has no value"),
        (["--set", "training.loss=null"], "training.loss names 'none'"),
        (["--set", "training.class_weights=foo"], "as 1,4"),
        (["--set", "training.optimizer=adam(beta_1=2)"], "training.optimizer: adam: beta_1 is 2"),
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


def test_null_unsets_a_setting():
    from cryoseg_tf.cli import options

    command = click.Command("set", params=[], callback=lambda settings: settings)
    options.settings(command)
    words = ["--set", "training.patience=null", "--set", "training.ema=~", "--set", "data.ignore=none"]
    given = command.main(words, standalone_mode=False)
    config = options.resolve(None, given)
    assert (config.training.patience, config.training.ema, config.data.ignore) == (None, None, None)
    assert {"patience", "ema"} <= config.training.model_fields_set


def test_a_mistake_is_found_before_an_image_is_read(cli, data):
    for image in (data / "images").iterdir():
        image.write_bytes(b"")
    assert "training.loss names 'nought'" in cli("plan", data, "--set", "training.loss=nought").stderr


def test_groups_are_not_spoken_of_where_every_image_is_divided(cli, data):
    assert "groups unknown" in cli("plan", data, *SMALL).stderr
    for name in ("images", "masks"):
        for path in sorted((data / name).iterdir())[1:]:
            path.unlink()
    result = cli("plan", data, *SMALL, "--set", "data.split=area")
    assert result.exit_code == 0, result.stderr
    assert "each image is divided" in result.stderr
    assert "groups" not in result.stderr


@pytest.mark.parametrize("value", [2, 255])
def test_an_unknown_mask_value_is_named_with_the_setting_that_ignores_it(cli, data, value):
    path = data / "masks" / "x01.png"
    mask = np.asarray(Image.open(path)).copy()
    mask[:4] = value
    Image.fromarray(mask).save(path)
    result = cli("plan", data, *SMALL)
    assert result.exit_code == 2
    assert f"if {value} means not annotated, pass --set data.ignore={value}" in " ".join(result.stderr.split())
    assert cli("plan", data, *SMALL, "--set", f"data.ignore={value}").exit_code == 0
