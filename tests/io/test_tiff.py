"""TIFFs of every kind hold the values that were written, and lies about sizes cost no memory."""

import struct

import numpy as np
import pytest
import tifffile
from PIL import Image

from cryoseg_tf.errors import ImageError
from cryoseg_tf.io.micrograph import read_micrograph, read_pixels

RANDOM = np.random.default_rng(0)
U8 = RANDOM.integers(0, 256, (70, 90), np.uint8)
U16 = RANDOM.integers(0, 65536, (70, 90), np.uint16)
KINDS = {
    "big": {"bigtiff": True},
    "big-endian": {"byteorder": ">"},
    "deflate": {"compression": "deflate"},
    "deflate predicted": {"compression": "deflate", "predictor": True},
    "zstd tiled": {"compression": "zstd", "tile": (32, 48)},
    "lzw stripped": {"compression": "lzw", "rowsperstrip": 7},
    "packbits": {"compression": "packbits"},
    "imagej": {"imagej": True, "byteorder": ">"},
    "ome": {"ome": True},
}


@pytest.mark.parametrize("pixels", [U8, U16], ids=lambda p: str(p.dtype))
@pytest.mark.parametrize("kind", KINDS)
def test_values_and_depth_are_kept(tmp_path, kind, pixels):
    tifffile.imwrite(tmp_path / "a.tif", pixels, **KINDS[kind])
    read = read_micrograph(tmp_path / "a.tif")
    np.testing.assert_array_equal(read.pixels, pixels)
    assert read.pixels.dtype == pixels.dtype  # native byte order, too


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.float16, np.float32, np.float64])
def test_signed_and_floating_point_keep_their_values(tmp_path, dtype):
    pixels = (U16.astype(np.int32) - 32768).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", pixels, byteorder=">")
    read = read_micrograph(tmp_path / "a.tif").pixels
    np.testing.assert_array_equal(read, pixels)
    assert read.dtype == dtype


def test_12_in_16_bits_keep_their_values(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", U16 >> 4)
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.tif").pixels, U16 >> 4)


@pytest.mark.parametrize("photometric", ["minisblack", "rgb"])  # the latter is stored as YCbCr
def test_jpeg_in_tiff(tmp_path, photometric):
    gray = np.repeat(np.arange(0, 180, 2, dtype=np.uint8)[None], 64, 0)
    pixels = gray if photometric == "minisblack" else np.stack([gray] * 3, -1)
    tifffile.imwrite(tmp_path / "a.tif", pixels, compression="jpeg", tile=(32, 32), photometric=photometric)
    assert np.abs(read_micrograph(tmp_path / "a.tif").pixels.astype(int) - gray).max() <= 3


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("pixels", [U8, U16], ids=lambda p: str(p.dtype))
def test_gray_saved_as_colour_is_gray(tmp_path, pixels, channels, planar):
    stacked = np.stack([pixels] * 3 + [np.full_like(pixels, 255)] * (channels - 3), -1)
    if planar == "separate":
        stacked = np.moveaxis(stacked, -1, 0)
    extra = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    tifffile.imwrite(tmp_path / "a.tif", stacked, photometric="rgb", planarconfig=planar, **extra)
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.tif").pixels, pixels)
    stacked.flat[0] ^= 1
    tifffile.imwrite(tmp_path / "a.tif", stacked, photometric="rgb", planarconfig=planar, **extra)
    with pytest.raises(ImageError, match="in colour"):
        read_micrograph(tmp_path / "a.tif")


def test_alpha_beside_gray_is_left_out(tmp_path):
    stacked = np.stack([U8, np.full_like(U8, 255)], -1)
    tifffile.imwrite(
        tmp_path / "a.tif", stacked, photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"]
    )
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.tif").pixels, U8)


@pytest.mark.parametrize("factor", [257, 256, 1])
def test_a_gray_palette_is_looked_up(tmp_path, factor):
    table = np.arange(255, -1, -1, dtype=np.uint16)  # turned
    tifffile.imwrite(tmp_path / "a.tif", U8, photometric="palette", colormap=np.stack([table * factor] * 3))
    read = read_micrograph(tmp_path / "a.tif").pixels
    np.testing.assert_array_equal(read, 255 - U8)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read_pixels(tmp_path / "a.tif", indices=True)[0], U8)


def test_a_coloured_palette_is_refused(tmp_path):
    table = np.stack([np.arange(256), np.arange(256), np.zeros(256)]).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", U8, photometric="palette", colormap=table * 257)
    with pytest.raises(ImageError, match="in colour"):
        read_micrograph(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("stored", "meant"),
    [
        (np.array([[0, 1, 255]], np.uint8), [[255, 254, 0]]),
        (np.array([[0, 65535]], np.uint16), [[65535, 0]]),
        (np.array([[-128, -1, 0, 127]], np.int8), [[127, 0, -1, -128]]),
        (np.array([[0.5, -1.0, 2.0]], np.float32), [[1.5, 3.0, 0.0]]),
        (np.array([[True, False, True]]), [[False, True, False]]),
    ],
    ids=lambda v: str(getattr(v, "dtype", "")),
)
def test_larger_is_brighter_where_white_is_0(tmp_path, stored, meant):
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="miniswhite")
    read = read_micrograph(tmp_path / "a.tif").pixels
    np.testing.assert_array_equal(read, meant)
    assert read.dtype == stored.dtype
    np.testing.assert_array_equal(
        read_pixels(tmp_path / "a.tif", indices=True)[0], stored
    )  # classes are not brightness


def test_without_a_word_on_colours_black_is_0(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", U8)
    raw = (tmp_path / "a.tif").read_bytes()
    tag = struct.pack("<HHI", 262, 3, 1)
    assert raw.count(tag) == 1
    (tmp_path / "a.tif").write_bytes(raw.replace(tag, struct.pack("<HHI", 263, 3, 1)))
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.tif").pixels, U8)


@pytest.mark.parametrize("kind", [{"imagej": True}, {"ome": True}, {}], ids=["imagej", "ome", "plain"])
def test_the_first_of_a_stack_is_read_with_a_warning(tmp_path, caplog, kind):
    tifffile.imwrite(tmp_path / "a.tif", np.stack([U8, 255 - U8, U8]), photometric="minisblack", **kind)
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.tif").pixels, U8)
    assert "3 pages" in caplog.text


@pytest.mark.parametrize("compression", ["jpeg2000", "lzma"])
def test_other_compressions_are_named(tmp_path, compression):
    tifffile.imwrite(tmp_path / "a.tif", U8, compression=compression)
    with pytest.raises(ImageError, match=r"compression .* save it with"):
        read_micrograph(tmp_path / "a.tif")


def test_cmyk_is_named(tmp_path):
    Image.new("CMYK", (8, 8)).save(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=r"SEPARATED.*as gray"):
        read_micrograph(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", ["none", "lzw", "deflate", "zstd", "packbits", "jpeg"])
@pytest.mark.parametrize("tags", [(256, 257, 278), (322, 323)], ids=["image", "tile"])
def test_declared_sizes_are_checked_before_memory_is_taken(tmp_path, compression, tags):
    """60,000 x 60,000 pixels, or tiles of that, in a file of a few kB."""
    tile = {"tile": (32, 32)} if 322 in tags else {"rowsperstrip": 70}
    tifffile.imwrite(tmp_path / "a.tif", U8, compression=compression, **tile)
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        found = {code: tiff.pages.first.tags[code] for code in tags}
    raw = bytearray((tmp_path / "a.tif").read_bytes())
    for tag in found.values():
        start = tag.offset
        raw[start + 2 : start + 12] = struct.pack("<HII", 4, 1, 60_000)
    (tmp_path / "a.tif").write_bytes(raw)
    with pytest.raises(ImageError, match=r"declares|truncated"):
        read_micrograph(tmp_path / "a.tif")


def test_a_jpeg_strips_own_size_and_end_are_checked(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, U8, compression="jpeg")
    raw = path.read_bytes()
    frame = raw.index(b"\xff\xc0\x00\x0b\x08")
    path.write_bytes(raw[: frame + 5] + struct.pack(">HH", 65500, 65500) + raw[frame + 9 :])
    with pytest.raises(ImageError, match="not of the declared size"):
        read_micrograph(path)
    with tifffile.TiffFile(path) as tiff:
        tag = tiff.pages.first.tags["StripByteCounts"]
        half = struct.pack("<I", tiff.pages.first.databytecounts[0] // 2)
    path.write_bytes(raw[: tag.valueoffset] + half + raw[tag.valueoffset + 4 :])
    with pytest.raises(ImageError, match="has no end"):
        read_micrograph(path)
