import numpy as np
import pytest
import tifffile
from PIL import Image

from cryoseg_tf.config import IGNORE
from cryoseg_tf.errors import ConfigError, ImageError
from cryoseg_tf.io.mask import read_mask, write_mask

TWO = ("background", "cell")
THREE = ("background", "cell", "ice")


def save(path, rows, dtype=np.uint8):
    Image.fromarray(np.array(rows, dtype)).save(path)
    return path


def test_class_indices(tmp_path):
    path = save(tmp_path / "m.png", [[0, 1], [2, 0]])
    np.testing.assert_array_equal(read_mask(path, THREE, None, (2, 2)), [[0, 1], [2, 0]])


def test_0_and_255_are_background_and_foreground(tmp_path):
    path = save(tmp_path / "m.png", [[0, 255], [255, 0]])
    np.testing.assert_array_equal(read_mask(path, TWO, None, (2, 2)), [[0, 1], [1, 0]])


def test_ignored_pixels(tmp_path):
    path = save(tmp_path / "m.png", [[0, 7], [1, 0]])
    np.testing.assert_array_equal(read_mask(path, TWO, 7, (2, 2)), [[0, IGNORE], [1, 0]])


def test_255_is_ignored_where_so_configured(tmp_path):
    path = save(tmp_path / "m.png", [[0, 255], [1, 0]])
    np.testing.assert_array_equal(read_mask(path, TWO, 255, (2, 2)), [[0, IGNORE], [1, 0]])


def test_palette_png_means_its_indices(tmp_path):
    picture = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), "P")
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", TWO, None, (2, 2)), [[0, 1], [1, 0]])


def test_true_and_false(tmp_path):
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "m.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", TWO, None, (1, 2)), [[1, 0]])


@pytest.mark.parametrize(
    ("rows", "shape", "words"),
    [
        ([[0, 2]], (1, 2), ["2 different values", "0, 2", "0 to 1 for background, cell"]),
        ([list(range(20))], (1, 20), ["20 different values", "anti-aliasing"]),
        ([[0, 1]], (2, 2), ["2x1", "2x2", "one size"]),
    ],
)
def test_unusable_masks_are_named(tmp_path, rows, shape, words):
    with pytest.raises(ImageError) as error:
        read_mask(save(tmp_path / "m.png", rows), TWO, None, shape)
    assert all(word in str(error.value) for word in [*words, "m.png"]), str(error.value)


def test_round_trip(tmp_path):
    mask = np.random.default_rng(0).integers(0, 3, (5, 7), np.uint8)
    write_mask(tmp_path / "m.png", mask)
    np.testing.assert_array_equal(read_mask(tmp_path / "m.png", THREE, None, (5, 7)), mask)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint32, np.float32])
def test_instances_are_foreground(tmp_path, dtype):
    labels = np.array([[0, 1, 2], [200, 0, 201]], dtype)
    tifffile.imwrite(tmp_path / "m.tif", labels)
    mask = read_mask(tmp_path / "m.tif", TWO, None, (2, 3), instances=True)
    np.testing.assert_array_equal(mask, [[0, 1, 1], [1, 0, 1]])


def test_labels_beyond_16_bit_are_kept(tmp_path):
    # 65536 is 0 in 16 bit, and 256 is 0 in 8 bit
    tifffile.imwrite(tmp_path / "m.tif", np.array([[0, 256, 65536]], np.int32))
    np.testing.assert_array_equal(read_mask(tmp_path / "m.tif", TWO, None, (1, 3), instances=True), [[0, 1, 1]])


@pytest.mark.parametrize(("ignore", "expected"), [(1, [0, IGNORE, 1, 1]), (0, [IGNORE, 1, 1, 1]), (5, [0, 1, 1, 1])])
def test_instances_may_leave_pixels_unannotated(tmp_path, ignore, expected):
    tifffile.imwrite(tmp_path / "m.tif", np.array([[0, 1, 2, 300]], np.uint16))
    np.testing.assert_array_equal(read_mask(tmp_path / "m.tif", TWO, ignore, (1, 4), instances=True), [expected])


@pytest.mark.parametrize("value", [-1, 0.5, np.nan, np.inf])
def test_values_that_number_nothing_are_refused(tmp_path, value):
    tifffile.imwrite(tmp_path / "m.tif", np.array([[0, value]], np.float32))
    with pytest.raises(ImageError, match=r"m\.tif holds values from"):
        read_mask(tmp_path / "m.tif", TWO, None, (1, 2), instances=True)


def test_instances_tell_no_more_than_two_classes_apart(tmp_path):
    with pytest.raises(ConfigError, match="set two classes"):
        read_mask(save(tmp_path / "m.png", [[0, 1]]), THREE, None, (1, 2), instances=True)


def test_instances_that_were_not_announced_are_named(tmp_path):
    tifffile.imwrite(tmp_path / "m.tif", np.arange(400, dtype=np.uint16).reshape(20, 20))
    with pytest.raises(ImageError, match=r"400 different values .*--instances"):
        read_mask(tmp_path / "m.tif", TWO, None, (20, 20))


def test_a_data_bar_is_cropped_off_the_mask_too(tmp_path):
    path = save(tmp_path / "m.png", [[0, 1], [1, 0], [9, 9]])
    np.testing.assert_array_equal(read_mask(path, TWO, None, (2, 2), 1), [[0, 1], [1, 0]])
    with pytest.raises(ImageError, match="one size"):
        read_mask(path, TWO, None, (1, 2), 1)
