import mrcfile
import numpy as np
import pytest

from cryoseg_tf.errors import ImageError
from cryoseg_tf.io.micrograph import read_micrograph

RANDOM = np.random.default_rng(0)
MODES = {0: np.int8, 1: np.int16, 2: np.float32, 6: np.uint16, 12: np.float16}


def write(path, pixels, voxel=None):
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(pixels)
        if voxel:
            file.voxel_size = voxel
    return path


def patch(path, offset, data):
    raw = bytearray(path.read_bytes())
    raw[offset : offset + len(data)] = data
    path.write_bytes(raw)
    return path


def number(value):
    return int(value).to_bytes(4, "little", signed=True)


def rows(dtype):
    return np.arange(-3, 3).repeat(5).reshape(6, 5).astype(np.int16).astype(dtype)


@pytest.mark.parametrize("mode", MODES)
def test_every_real_mode_keeps_values_and_type(tmp_path, mode):
    path = write(tmp_path / "a.mrc", rows(MODES[mode]), 500)
    read = read_micrograph(path)
    np.testing.assert_array_equal(read.pixels, rows(MODES[mode]))
    assert read.pixels.dtype == MODES[mode]
    assert read.pixel_size == pytest.approx(50)


def test_big_endian(tmp_path):
    pixels = rows(np.int16)
    path = write(tmp_path / "a.mrc", pixels.astype(">i2"), 500)
    assert path.read_bytes()[212] == 0x11
    read = read_micrograph(path)
    np.testing.assert_array_equal(read.pixels, pixels)
    assert read.pixels.dtype == np.int16
    assert read.pixel_size == pytest.approx(50)


@pytest.mark.parametrize("voxel", [None, 1.0])
def test_no_voxel_size_and_the_default_one_are_unknown(tmp_path, voxel):
    assert read_micrograph(write(tmp_path / "a.mrc", rows(np.int16), voxel)).pixel_size is None


def test_absurd_and_oblong_voxels_are_refused(tmp_path):
    for voxel in (2e7 * 10, (500, 600, 500)):
        with pytest.raises(ImageError, match="MRC voxel size"):
            read_micrograph(write(tmp_path / "a.mrc", rows(np.int16), voxel))


def test_the_first_section_is_read_with_a_warning(tmp_path, caplog):
    path = write(tmp_path / "a.mrc", np.stack([rows(np.int16), rows(np.int16) + 9]))
    np.testing.assert_array_equal(read_micrograph(path).pixels, rows(np.int16))
    assert "2 sections" in caplog.text


def test_bytes_of_imod_are_unsigned_unless_it_says_so(tmp_path):
    pixels = np.array([[0, 127, 128, 255]], np.uint8)
    path = write(tmp_path / "a.mrc", pixels.view(np.int8))
    for flags, kind in ((0, np.uint8), (1, np.int8)):
        read = read_micrograph(patch(path, 152, number(1146047817) + number(flags))).pixels
        np.testing.assert_array_equal(read, pixels.view(kind))
        assert read.dtype == kind


def test_an_extended_header_is_skipped(tmp_path):
    path = write(tmp_path / "a.mrc", rows(np.int16))
    with mrcfile.open(path, "r+") as file:
        file.set_extended_header(np.frombuffer(b"x" * 320, "V1"))
    np.testing.assert_array_equal(read_micrograph(path).pixels, rows(np.int16))


def test_old_headers_without_map_id_and_machine_stamp(tmp_path):
    path = patch(write(tmp_path / "a.mrc", rows(np.int16)), 208, bytes(8))
    np.testing.assert_array_equal(read_micrograph(path).pixels, rows(np.int16))


@pytest.mark.parametrize(
    ("offset", "value", "words"),
    [
        (12, 3, "MRC mode 3"),
        (12, 4, "MRC mode 4"),
        (12, 101, "MRC mode 101"),
        (0, 0, "declares 6x0"),
        (4, -6, "declares -6x5"),
        (0, 60_000, "truncated"),
        (8, 1000, "truncated"),
        (92, 2**31 - 1, "truncated"),
        (92, -1024, "truncated"),
    ],
)
def test_what_cannot_be_is_refused_before_memory_is_taken(tmp_path, offset, value, words):
    path = patch(write(tmp_path / "a.mrc", rows(np.int16)), offset, number(value))
    with pytest.raises(ImageError, match=words):
        read_micrograph(path)


@pytest.mark.parametrize("length", [10, 1023, 1024, 1050])
def test_truncated_files_are_refused(tmp_path, length):
    path = write(tmp_path / "a.mrc", rows(np.int16))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ImageError, match=r"a\.mrc is truncated"):
        read_micrograph(path)
