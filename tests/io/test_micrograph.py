import numpy as np
import pytest
import tifffile
from PIL import Image

from cryoseg_tf.errors import ImageError
from cryoseg_tf.io.micrograph import read_micrograph

RANDOM = np.random.default_rng(0)
U8 = RANDOM.integers(0, 256, (20, 30), np.uint8)
U16 = RANDOM.integers(0, 65536, (20, 30), np.uint16)
F32 = RANDOM.normal(size=(20, 30)).astype(np.float32)


@pytest.mark.parametrize("pixels", [U8, U16, F32, U16.astype(np.int16)], ids=lambda p: str(p.dtype))
@pytest.mark.parametrize("options", [{}, {"compression": "lzw"}, {"compression": "zstd"}, {"tile": (16, 16)}], ids=str)
def test_tiff_keeps_values_and_depth(tmp_path, pixels, options):
    tifffile.imwrite(tmp_path / "a.tif", pixels, **options)
    read = read_micrograph(tmp_path / "a.tif")
    np.testing.assert_array_equal(read.pixels, pixels)
    assert read.pixels.dtype == pixels.dtype
    assert read.pixel_size is None


@pytest.mark.parametrize("pixels", [U8, U16], ids=lambda p: str(p.dtype))
def test_png_keeps_values_and_depth(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "ä b.png")
    read = read_micrograph(tmp_path / "ä b.png")
    np.testing.assert_array_equal(read.pixels, pixels)
    assert read.pixels.dtype == pixels.dtype


def test_jpeg(tmp_path):
    Image.fromarray(np.full((20, 30), 77, np.uint8)).save(tmp_path / "a.jpg")
    assert (read_micrograph(tmp_path / "a.jpg").pixels == 77).all()


def test_gray_saved_as_colour_is_gray(tmp_path):
    Image.fromarray(np.stack([U8] * 3, -1)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.png").pixels, U8)


@pytest.mark.parametrize(("unit", "nanometres"), [("nm", 5.0), ("um", 5000.0), ("\\u00B5m", 5000.0)])
def test_imagej_pixel_size(tmp_path, unit, nanometres):
    tifffile.imwrite(tmp_path / "a.tif", U8, imagej=True, resolution=(0.2, 0.2), metadata={"unit": unit})
    assert read_micrograph(tmp_path / "a.tif").pixel_size == pytest.approx(nanometres)


@pytest.mark.parametrize("unit", ["inch", "pixel", ""])
def test_dpi_is_no_pixel_size(tmp_path, unit):
    tifffile.imwrite(tmp_path / "a.tif", U8, imagej=True, resolution=(300, 300), metadata={"unit": unit})
    assert read_micrograph(tmp_path / "a.tif").pixel_size is None


def test_only_the_first_page_is_read(tmp_path, caplog):
    tifffile.imwrite(tmp_path / "a.tif", np.stack([U8, 255 - U8]), photometric="minisblack")
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.tif").pixels, U8)
    assert "2 pages" in caplog.text


BAD = {
    "missing.tif": None,
    "empty.tif": b"",
    "text.png": b"not an image",
    "text.tif": b"II*\x00 not an image",
    "cut.png": "png",
    "cut.jpg": "jpg",
    "cut.tif": "tif",
    "colour.png": "colour",
    "deep_colour.png": "deep",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_named(tmp_path, name):
    path = tmp_path / name
    content = BAD[name]
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "tif":
        tifffile.imwrite(path, U16)
    elif content == "colour":
        Image.fromarray(RANDOM.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
    elif content == "deep":
        # a 16-bit RGB header is enough: it is refused before a pixel is decoded
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(path)
        raw = bytearray(path.read_bytes())
        raw[24] = 16
        path.write_bytes(raw)
    elif content is not None:
        Image.fromarray(U8).save(path)
    if name.startswith("cut"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ImageError, match=name) as error:
        read_micrograph(path)
    assert "\n" not in str(error.value)
