from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from cryoseg_tf.config import DataConfig
from cryoseg_tf.data.pairs import Area, find_pairs, read_annotated
from cryoseg_tf.errors import DataError, ImageError


def test_partners_share_a_stem(data):
    pairs = find_pairs(data)
    assert [p.name for p in pairs] == [f"images/x{i:02}.png" for i in range(6)]
    assert all(p.mask == data / "masks" / p.image.name for p in pairs)


def test_train_and_test_are_told_apart(tmp_path, make_pairs):
    make_pairs(tmp_path / "train", 3)
    make_pairs(tmp_path / "test", 2, first=3)
    assert len(find_pairs(tmp_path, "train")) == 3
    assert [p.name for p in find_pairs(tmp_path, "test")] == ["test/images/x03.png", "test/images/x04.png"]
    assert len(find_pairs(tmp_path)) == 5


def test_images_to_test_on_are_not_trained_on(tmp_path, make_pairs):
    make_pairs(tmp_path / "test", 2)
    with pytest.raises(DataError, match="no train/"):
        find_pairs(tmp_path, "train")


def test_without_a_test_folder_all_are_taken(data):
    assert find_pairs(data, "test") == find_pairs(data)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda d: (d / "masks" / "x01.png").unlink(), ["no mask for", "x01.png"]),
        (lambda d: (d / "images" / "x02.png").unlink(), ["no image for", "x02.png"]),
        (lambda d: Image.new("L", (4, 4)).save(d / "images" / "x02.jpg"), ["x02.jpg", "x02.png", "share a name"]),
        (lambda d: (d / "masks").rename(d / "mask"), ["no folder masks/"]),
    ],
)
def test_what_is_missing_is_named(data, spoil, words):
    spoil(data)
    with pytest.raises(DataError) as error:
        find_pairs(data)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_an_empty_folder_is_named(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(DataError, match="holds no image"):
        find_pairs(tmp_path)


def test_nan_is_refused(tmp_path):
    import tifffile

    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    pixels = np.ones((8, 8), np.float32)
    pixels[3, 4] = np.nan
    tifffile.imwrite(tmp_path / "images" / "a.tif", pixels)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "masks" / "a.png")
    with pytest.raises(ImageError, match=r"a\.tif holds 1 pixels that are NaN"):
        read_annotated(find_pairs(tmp_path)[0], DataConfig())


def write_barred(root, mask_rows, bar=6):
    """An image of 20 rows above a bar, and a mask with so many rows; what lies beside the bar is no class."""
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    image = np.concatenate([np.full((20, 30), 90, np.uint8), np.full((bar, 30), 255, np.uint8)])
    mask = np.full((mask_rows, 30), 77, np.uint8)
    mask[:20] = np.arange(30) % 2
    Image.fromarray(image).save(root / "images" / "a.png")
    Image.fromarray(mask).save(root / "masks" / "a.png")
    return find_pairs(root)[0]


@pytest.mark.parametrize("rows", [20, 26])
def test_a_mask_may_have_the_rows_of_the_data_bar_or_not(tmp_path, rows):
    read = read_annotated(write_barred(tmp_path / "d", rows), DataConfig(data_bar=6, image_pixel_size=50))
    assert (read.micrograph.pixels == 90).all()
    np.testing.assert_array_equal(read.mask, np.tile(np.arange(30) % 2, (20, 1)))
    assert (read.micrograph.pixel_size, read.micrograph.data_bar) == (50, 6)


@pytest.mark.parametrize(("rows", "bar"), [(23, 6), (25, 5), (20, None)])
def test_other_heights_are_refused(tmp_path, rows, bar):
    with pytest.raises(ImageError, match="must have one size"):
        read_annotated(write_barred(tmp_path / "d", rows), DataConfig(data_bar=bar))


def test_a_part_of_another_name_is_refused(data):
    with pytest.raises(DataError, match="part is 'tset'"):
        find_pairs(data, "tset")


def write_numbered(root, height, width):
    """A 16-bit image whose values are their positions, and a mask of their lowest bit."""
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    image = np.arange(height * width).reshape(height, width).astype(np.uint16)
    Image.fromarray(image).save(root / "images" / "a.png")
    Image.fromarray((image % 2).astype(np.uint8)).save(root / "masks" / "a.png")
    return find_pairs(root)[0], image


@pytest.mark.parametrize("shape", [(30, 20), (17, 3800), (3799, 17), (33, 33)])
@pytest.mark.parametrize("share", [0.2, 0.5, 1 / 3, 0.013])
@pytest.mark.parametrize("axis", [0, 1])
def test_parts_that_share_a_cut_partition_image_and_mask(tmp_path, shape, share, axis):
    pair, image = write_numbered(tmp_path / "d", *shape)
    parts = [replace(pair, part=Area(axis, *ends)) for ends in ((0, share), (share, 1))]
    read = [read_annotated(part, DataConfig()) for part in parts]
    together = np.concatenate([r.micrograph.pixels for r in read], axis)
    np.testing.assert_array_equal(together, image)
    assert together.dtype == np.uint16
    for r in read:
        np.testing.assert_array_equal(r.mask, r.micrograph.pixels % 2)
    assert abs(read[0].mask.shape[axis] - share * shape[axis]) <= 0.5


def test_the_data_bar_is_in_no_part(tmp_path):
    pair = replace(write_barred(tmp_path / "d", 26), part=Area(0, 0.8, 1))
    read = read_annotated(pair, DataConfig(data_bar=6, image_pixel_size=50))
    np.testing.assert_array_equal(read.micrograph.pixels, np.full((4, 30), 90))
    np.testing.assert_array_equal(read.mask, np.tile(np.arange(30) % 2, (4, 1)))
    assert (read.micrograph.pixel_size, read.micrograph.data_bar) == (50, 6)


def test_a_part_does_not_keep_the_whole_image_in_memory(tmp_path):
    pair, _ = write_numbered(tmp_path / "d", 40, 30)
    read = read_annotated(replace(pair, part=Area(0, 0, 0.25)), DataConfig())
    assert read.micrograph.pixels.base is None
    assert read.mask.base is None


def test_parts_of_one_image_can_be_sorted(tmp_path):
    pair, _ = write_numbered(tmp_path / "d", 20, 20)
    low, high = replace(pair, part=Area(0, 0, 0.2)), replace(pair, part=Area(0, 0.2, 1))
    assert sorted([high, low]) == [low, high]
