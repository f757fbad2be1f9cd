import numpy as np
import pytest
from PIL import Image

from cryoseg_tf.config import DataConfig
from cryoseg_tf.data.pairs import find_pairs, read_annotated
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
