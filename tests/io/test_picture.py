import imagecodecs
import numpy as np
import pytest
from PIL import Image

from cryoseg_tf.errors import ImageError
from cryoseg_tf.io.micrograph import read_micrograph

RANDOM = np.random.default_rng(0)
U8 = RANDOM.integers(0, 256, (20, 30), np.uint8)
U16 = RANDOM.integers(0, 65536, (20, 30), np.uint16)


@pytest.mark.parametrize("suffix", ["png", "bmp"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_gray_in_any_mode(tmp_path, suffix, mode):
    picture = Image.fromarray(U8)
    if mode == "P":
        picture = Image.fromarray(255 - U8, "P")
        picture.putpalette(np.repeat(np.arange(255, -1, -1, dtype=np.uint8), 3).tobytes())
    picture.convert(mode).save(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(read_micrograph(tmp_path / f"a.{suffix}").pixels, U8)


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_single_bits(tmp_path, suffix):
    Image.fromarray(U8 > 99).save(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(read_micrograph(tmp_path / f"a.{suffix}").pixels > 0, U8 > 99)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_deep_png_that_is_gray(tmp_path, channels):
    """16 bit in colour or with alpha, which Pillow would cut down to 8."""
    gray = [U16] * (channels - 1 if channels != 3 else 3)
    stacked = np.stack(gray + [np.full_like(U16, 65535)] * (channels != 3), -1)
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(stacked))
    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.png").pixels, U16)


def test_deep_png_in_colour_or_cut_is_refused(tmp_path):
    raw = imagecodecs.png_encode(np.stack([U16, U16 + 1, U16], -1))
    for content, words in ((raw, "in colour"), (raw[:-400], "damaged")):
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(ImageError, match=words):
            read_micrograph(tmp_path / "a.png")


def test_cmyk_jpeg_is_refused(tmp_path):
    Image.new("CMYK", (8, 8)).save(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match="CMYK"):
        read_micrograph(tmp_path / "a.jpg")


def test_a_declared_size_is_checked_before_memory_is_taken(tmp_path):
    Image.fromarray(U8).save(tmp_path / "a.bmp")
    raw = bytearray((tmp_path / "a.bmp").read_bytes())
    raw[18:26] = (60_000).to_bytes(4, "little") * 2
    (tmp_path / "a.bmp").write_bytes(raw)
    with pytest.raises(ImageError, match="declares 3600000000 bytes"):
        read_micrograph(tmp_path / "a.bmp")
