"""Masks of another program: which belongs to which image, and which of them can be used."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from cryoseg_tf.config import Config, DataConfig
from cryoseg_tf.data.pairs import Pair
from cryoseg_tf.errors import DataError, ImageError
from cryoseg_tf.io.micrograph import Micrograph, read_micrograph
from cryoseg_tf.segmentation.given import GivenMasks, find_masks

CELL = np.zeros((16, 20), np.uint8)
CELL[4:9, 5:11] = 1


def pair(root, name):
    """An image that is there."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.arange(320, dtype=np.uint8).reshape(16, 20)).save(path)
    return Pair(name, path, path)


def write(path, pixels=CELL):
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels) if path.suffix == ".tif" else Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize(
    "mask", ["x.png", "x.tif", "deep/er/x.png", "images/x.png", "x_masks.png", "x_cp_masks.tif", "test/images/x.png"]
)
def test_a_mask_goes_by_the_name_of_its_image(tmp_path, mask):
    image, path = pair(tmp_path / "data", "test/images/x.tif"), write(tmp_path / "masks" / mask)
    assert find_masks(tmp_path / "masks", [image]) == {image.image: path}


def test_names_that_repeat_go_by_their_folders(tmp_path):
    images = [pair(tmp_path / "data", f"{grid}/images/x.tif") for grid in "ab"]
    masks = [write(tmp_path / "masks" / grid / "images" / "x.png") for grid in "ab"]
    expected = {image.image: mask for image, mask in zip(images, masks, strict=True)}
    assert find_masks(tmp_path / "masks", images) == expected
    assert find_masks(tmp_path / "masks", images[1:]) == {images[1].image: masks[1]}


def test_nnunets_images_have_a_channel_number_and_its_masks_none(tmp_path):
    image, mask = pair(tmp_path / "data", "imagesTs/case_0000.tif"), write(tmp_path / "masks" / "case.png")
    assert find_masks(tmp_path / "masks", [image]) == {image.image: mask}


def test_masks_of_cellpose_may_lie_beside_the_images(tmp_path):
    image, mask = pair(tmp_path / "data", "x.tif"), write(tmp_path / "data" / "x_cp_masks.png")
    assert find_masks(tmp_path / "data", [image]) == {image.image: mask}


def test_what_is_not_clear_is_not_guessed(tmp_path):
    image, other = (pair(tmp_path / "data", f"{grid}/x.tif") for grid in "ab")
    write(tmp_path / "masks" / "x.png")
    with pytest.raises(DataError, match=r"x\.png could be the mask of .*a.x\.tif and of .*b.x\.tif"):
        find_masks(tmp_path / "masks", [image, other])
    write(tmp_path / "masks" / "x.tif")
    with pytest.raises(DataError, match=r"x\.png and .*x\.tif could both be the mask of a/x\.tif: remove one"):
        find_masks(tmp_path / "masks", [image])


def test_a_folder_of_other_masks_is_refused(tmp_path):
    image = pair(tmp_path / "data", "x.tif")
    write(tmp_path / "masks" / "y.png")
    with pytest.raises(DataError, match="has a mask for none of the 1 images"):
        GivenMasks(tmp_path / "masks", [image], DataConfig())


@pytest.fixture
def given(tmp_path):
    """``given(pixels, name="x.png", **data)`` is the mask that the method makes of these pixels."""

    def make(pixels, name="x.png", classes=("background", "cell"), **data):
        image = pair(tmp_path / "data", "images/x.tif")
        write(tmp_path / "masks" / name, pixels)
        settings = Config().replace({"data.classes": classes} | {f"data.{key}": value for key, value in data.items()})
        method = GivenMasks(tmp_path / "masks", [image], settings.data)
        assert method.contract.classes == classes
        return method.segment(read_micrograph(image.image)).mask

    return make


@pytest.mark.parametrize("pixels", [CELL, 255 * CELL, CELL.astype(bool)], ids=["0 and 1", "0 and 255", "true"])
def test_a_mask_is_given_as_it_is(given, pixels):
    np.testing.assert_array_equal(given(pixels), CELL)


def test_class_indices_are_given_as_they_are(given):
    np.testing.assert_array_equal(given(2 * CELL, classes=("background", "cell", "ice")), 2 * CELL)


@pytest.mark.parametrize("count", [2, 40, 300])
def test_numbered_objects_are_never_taken_for_classes(given, count):
    labels = np.zeros((16, 20), np.uint16)
    labels.flat[: count + 1 if count < 300 else 320] = np.arange(count + 1 if count < 300 else 320)
    with pytest.raises(ImageError, match=r"x\.tif holds values up to \d+: .* if it numbers the objects, pass --instan"):
        given(labels, "x.tif")
    np.testing.assert_array_equal(given(labels, "x.tif", instances=True), labels > 0)


def test_numbered_objects_beyond_the_classes_are_refused(given):
    with pytest.raises(ImageError, match=r"holds values up to 3: a mask of 3 classes holds 0 to 2"):
        given(3 * CELL, classes=("background", "cell", "ice"))


def test_what_is_not_annotated_in_the_truth_is_no_value_here(given):
    """A program that leaves pixels out has not said what they are."""
    partly = CELL.copy()
    partly[0] = 255
    with pytest.raises(ImageError, match="holds 3 different values"):
        given(partly, ignore=255)


def test_a_mask_of_another_size_is_refused(given):
    with pytest.raises(ImageError, match=r"x\.png is 10x16 but its image is 20x16: they must have one size"):
        given(CELL[:, :10])


def test_a_mask_may_still_have_the_data_bar(tmp_path):
    image = pair(tmp_path / "data", "x.tif")
    write(tmp_path / "masks" / "x.png")
    method = GivenMasks(tmp_path / "masks", [image], DataConfig())
    cropped = read_micrograph(image.image, data_bar=4)
    np.testing.assert_array_equal(method.segment(cropped).mask, CELL[:12])


def test_an_image_without_a_mask_is_named(tmp_path):
    images = [pair(tmp_path / "data", f"{name}.tif") for name in "xy"]
    write(tmp_path / "masks" / "x.png")
    method = GivenMasks(tmp_path / "masks", images, DataConfig())
    with pytest.raises(ImageError, match=r"masks has no mask for .*y\.tif"):
        method.segment(read_micrograph(images[1].image))
    with pytest.raises(ImageError, match="has no mask for None"):
        method.segment(Micrograph(CELL, source=None))
    assert method.masks == {Path(images[0].image): tmp_path / "masks" / "x.png"}
