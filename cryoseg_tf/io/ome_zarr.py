"""Read the finest version of an OME-Zarr image, NGFF 0.4 and 0.5 (doi:10.1038/s41592-021-01326-w)."""

import logging
import math
from pathlib import Path
from typing import Any

import zarr

from ..errors import ImageError
from .limits import check_size
from .units import TagFacts, stated
from .vendor import Metadata, combined

log = logging.getLogger(__name__)

SUFFIX = ".zarr"

CHUNK = 2**28
"""Bytes of a chunk, which is decoded as a whole, at most."""


class Plane:
    """The one plane of an array whose other axes have the length 1; a slice of it is read when it is taken."""

    def __init__(self, array: "zarr.Array[Any]") -> None:
        self.array, self.dtype, self.shape = array, array.dtype, array.shape[-2:]

    def __getitem__(self, place: tuple[slice, slice]) -> Any:
        return self.array[(0,) * (self.array.ndim - 2) + place]


def is_ome_zarr(path: Path) -> bool:
    """Whether a path is a folder that is named as one."""
    return path.suffix.lower() == SUFFIX and path.is_dir()


def pixel_count(path: Path) -> int:
    """Return how many pixels the finest version has, without a look at what is there of them."""
    return math.prod(_finest(path)[0].shape[-2:])


def open_ome_zarr(path: Path) -> tuple[Plane, Metadata]:
    """Return the pixels of an image's finest version, read where a slice of them is taken, and its pixel size.

    Raises:
        ImageError: If it is no OME-Zarr image, or has several planes. What zarr refuses, such as codecs that run
            code that they find in a file, becomes one in ``read_micrograph``.
    """
    array, axes, multiscale = _finest(path)
    _check(array, axes, path)
    return Plane(array), combined([TagFacts({}, _pixel(multiscale))], array.shape[-1])


def _finest(path: Path) -> "tuple[zarr.Array[Any], list[str], dict[str, Any]]":
    """Return the array of the finest version, the names of its axes, and what is said of all versions."""
    try:
        found: dict[str, Any] = dict(zarr.open_group(path, mode="r").attrs)
        found = found.get("ome", found)  # from 0.5 on
        multiscale = found["multiscales"][0]
        axes, name = [axis["name"] for axis in multiscale["axes"]], multiscale["datasets"][0]["path"]
        place = (path / name).resolve()
    except (FileNotFoundError, KeyError, IndexError, TypeError):  # no group, or no image in it
        raise ImageError(f"{path} is no OME-Zarr image of version 0.4 or 0.5: it names no multiscales") from None
    if path.resolve() not in place.parents:
        raise ImageError(f"{path} names pixels that lie outside it, at {name}")
    return zarr.open_array(place, mode="r"), axes, multiscale


def _check(array: "zarr.Array[Any]", axes: list[str], path: Path) -> None:
    if axes[-2:] != ["y", "x"] or array.ndim != len(axes):
        raise ImageError(f"{path} has axes {', '.join(axes)} and shape {array.shape}: a micrograph has y and x at last")
    if math.prod(array.shape[:-2]) != 1:
        raise ImageError(f"{path} has shape {array.shape}: a micrograph is one gray image of height x width")
    check_size(array.shape[-2:], path)
    if math.prod(array.chunks) * array.dtype.itemsize > CHUNK:
        raise ImageError(f"{path} has chunks of {'x'.join(map(str, array.chunks))}: at most {CHUNK} bytes are read")
    if missing := array.nchunks - array.nchunks_initialized:
        log.warning("%s lacks %d of %d chunks: their pixels are %s", path, missing, array.nchunks, array.fill_value)


def _pixel(multiscale: dict[str, Any]) -> Any:
    """Both may be scaled, the image and each of its versions."""
    sides = [1.0, 1.0]
    for part in (multiscale, multiscale["datasets"][0]):
        for change in part.get("coordinateTransformations", ()):
            if change.get("type") == "scale":
                sides = [side * float(factor) for side, factor in zip(sides, change["scale"][-2:], strict=True)]
    units = [str(axis.get("unit", "")) for axis in multiscale["axes"][-2:]]
    if units[0] != units[1]:
        return None
    return stated("OME-Zarr scale", sides[1], sides[0], units[0])
