"""OME-Zarr as its specification has it, of both versions, and folders that only look like it."""

import json

import numpy as np
import pytest
import zarr

from cryoseg_tf.errors import ImageError
from cryoseg_tf.io.atomic import sha256
from cryoseg_tf.io.micrograph import is_montage, read_micrograph

PIXELS = np.random.default_rng(0).integers(0, 4000, (100, 130)).astype(np.uint16)


def written(path, pixels=PIXELS, version="0.5", axes="yx", unit="micrometer", scale=(0.02, 0.02), **options):
    """Write two versions of an image, the coarser one all 0, so that it is told apart."""
    group = zarr.open_group(path, mode="w", zarr_format=3 if version == "0.5" else 2)
    full = pixels.reshape((1,) * (len(axes) - pixels.ndim) + pixels.shape)
    for name, values in (("0", full), ("1", 0 * full[..., ::2, ::2])):
        group.create_array(name, data=values, chunks=(1,) * (len(axes) - 2) + (32, 48), **options)
    kinds = {"t": "time", "c": "channel"}
    described = [{"name": a, "type": kinds.get(a, "space"), **({"unit": unit} if a in "zyx" else {})} for a in axes]
    scales = [[*(1.0,) * (len(axes) - 2), scale[0] * step, scale[1] * step] for step in (1, 2)]
    datasets = [
        {"path": name, "coordinateTransformations": [{"type": "scale", "scale": factors}]}
        for name, factors in zip("01", scales, strict=True)
    ]
    found = {"multiscales": [{"version": version, "axes": described, "datasets": datasets}]}
    group.attrs.update({"ome": {"version": "0.5", **found}} if version == "0.5" else found)
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("axes", ["yx", "tczyx"])
def test_the_finest_version_and_its_pixel_size(tmp_path, version, axes):
    path = written(tmp_path / "x.ome.zarr", version=version, axes=axes)
    micrograph = read_micrograph(path, data_bar=10)
    np.testing.assert_array_equal(micrograph.pixels, PIXELS[:90])
    assert (micrograph.pixels.dtype, micrograph.pixel_size) == (np.uint16, 20.0)
    assert not is_montage(path)


def test_what_is_not_square_or_has_no_unit(tmp_path):
    with pytest.raises(ImageError, match=r"pixels must be square within 1 %"):
        read_micrograph(written(tmp_path / "a.zarr", scale=(0.02, 0.03)))
    assert read_micrograph(written(tmp_path / "b.zarr", unit="")).pixel_size is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"axes": "yxc", "pixels": PIXELS[..., None]}, "has y and x at last"),
        ({"axes": "cyx", "pixels": np.stack([PIXELS] * 3)}, "one gray image of height x width"),
        ({"pixels": PIXELS.astype(np.complex64)}, "holds values of type complex64"),
    ],
)
def test_what_is_no_micrograph(tmp_path, options, message):
    with pytest.raises(ImageError, match=message):
        read_micrograph(written(tmp_path / "x.zarr", **options))


def test_a_folder_of_another_kind(tmp_path):
    (tmp_path / "x.zarr").mkdir()
    with pytest.raises(ImageError, match=r"x\.zarr is no OME-Zarr image"):
        read_micrograph(tmp_path / "x.zarr")
    zarr.open_group(tmp_path / "y.zarr", mode="w")
    with pytest.raises(ImageError, match="names no multiscales"):
        read_micrograph(tmp_path / "y.zarr")


def test_pixels_lie_inside(tmp_path):
    written(tmp_path / "other.zarr")
    path = written(tmp_path / "x.zarr")
    group = zarr.open_group(path)
    found = dict(group.attrs)["ome"]
    found["multiscales"][0]["datasets"][0]["path"] = "../other.zarr/0"
    group.attrs["ome"] = found
    with pytest.raises(ImageError, match="names pixels that lie outside it"):
        read_micrograph(path)


def test_codecs_that_run_code_are_refused(tmp_path):
    path = written(tmp_path / "x.zarr", version="0.4")
    stored = path / "0" / ".zarray"
    stored.write_text(json.dumps(json.loads(stored.read_text()) | {"compressor": {"id": "pickle", "protocol": 5}}))
    with pytest.raises(ImageError, match=r"damaged or of an unknown kind: .* 'pickle'"):
        read_micrograph(path)


def test_missing_chunks_are_told(tmp_path, caplog):
    path = written(tmp_path / "x.zarr")
    (path / "0" / "c" / "1" / "1").unlink()
    read_micrograph(path)
    assert f"{path} lacks 1 of 12 chunks: their pixels are 0" in caplog.text


def test_the_digest_of_a_folder_is_that_of_what_lies_in_it(tmp_path):
    first, second = (written(tmp_path / name) for name in ("a.zarr", "b.zarr"))
    assert sha256(first) == sha256(second)
    chunk = second / "0" / "c" / "0" / "0"
    chunk.rename(chunk.with_name("9"))
    assert sha256(first) != sha256(second)
