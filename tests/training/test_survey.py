"""What fit finds out about the images before it trains."""

import pytest
import tifffile
from PIL import Image, ImageDraw

from cryoseg_tf import Config, PhantomOptions, find_pairs, split, write_phantom
from cryoseg_tf.errors import DataError
from cryoseg_tf.training.choices import resolve
from cryoseg_tf.training.survey import survey


def test_a_class_that_no_mask_holds_is_said(tmp_path, data, caplog):
    config = Config().replace({"data.classes": ["background", "cell", "ice"]})
    survey(split(find_pairs(data), config.data), config)
    assert "no mask to train on holds ice" in caplog.text


@pytest.mark.parametrize("scale", ["auto", "pixel_size", "none"])
def test_images_without_a_pixel_size_among_others_are_named(tmp_path, scale, caplog):
    write_phantom(tmp_path / "data", images=3, test=0, options=PhantomOptions(64, 300.0, ("cell",)))
    image = tmp_path / "data/train/images/phantom_001.tif"
    tifffile.imwrite(image, tifffile.imread(image))
    config = Config().replace({"data.scale": scale})
    pairs = split(find_pairs(tmp_path / "data"), config.data)
    if scale == "pixel_size":
        with pytest.raises(DataError, match=r"phantom_001\.tif do not say.*--pixel-size"):
            survey(pairs, config)
    else:
        survey(pairs, config)
        assert ("phantom_001.tif do not say" in caplog.text) == (scale == "auto")


def test_an_image_that_nearly_vanishes_at_the_networks_scale_is_named(tmp_path):
    write_phantom(tmp_path / "data", images=4, test=0, options=PhantomOptions(64, 300.0, ("cell",)))
    image = tmp_path / "data/train/images/phantom_001.tif"
    tifffile.imwrite(image, tifffile.imread(image), imagej=True, resolution=(1e4, 1e4), metadata={"unit": "um"})
    pairs = split(find_pairs(tmp_path / "data"), Config().data)
    with pytest.raises(DataError, match=r"phantom_001\.tif is 64x64 at 0\.1 nm.*is its pixel size right"):
        resolve(Config(), survey(pairs, Config()))


def test_a_data_bar_is_warned_of(tmp_path, caplog):
    write_phantom(tmp_path / "data", images=3, test=0, options=PhantomOptions(128, 300.0, ("cell",)))
    image = tmp_path / "data/train/images/phantom_000.tif"
    pixels = Image.fromarray((tifffile.imread(image) // 257).astype("uint8"))
    draw = ImageDraw.Draw(pixels)
    draw.rectangle([0, 104, 127, 127], fill=0)
    draw.text((4, 108), "15 kV  x2,500  10 um", fill=255)
    tifffile.imwrite(image, pixels)
    survey(split(find_pairs(tmp_path / "data"), Config().data), Config())
    assert "phantom_000.tif seems to have a data bar of 24 rows: pass --data-bar 24" in caplog.text
