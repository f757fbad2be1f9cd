"""What fit finds out about the images before it trains."""

import pytest
import tifffile

from cryoseg_tf import Config, find_pairs, split, write_phantom
from cryoseg_tf.errors import DataError
from cryoseg_tf.training.survey import survey


def test_a_class_that_no_mask_holds_is_said(tmp_path, data, caplog):
    config = Config().replace({"data.classes": ["background", "cell", "ice"]})
    survey(split(find_pairs(data), config.data), config)
    assert "no mask to train on holds ice" in caplog.text


@pytest.mark.parametrize("scale", ["auto", "pixel_size", "none"])
def test_images_without_a_pixel_size_among_others_are_named(tmp_path, scale, caplog):
    write_phantom(tmp_path / "data", images=3, test=0, size=64, pixel_size=300.0)
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
