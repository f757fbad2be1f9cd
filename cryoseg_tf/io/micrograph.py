"""Read any supported image file as a ``Micrograph``, in the file's own bit depth."""

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import UnidentifiedImageError

from ..errors import ImageError
from . import mrc, ome_zarr, picture, tiff
from .data_bar import bar_rows, find_data_bar
from .ome_zarr import is_ome_zarr, open_ome_zarr
from .units import SQUARE
from .vendor import Metadata

log = logging.getLogger(__name__)

SUFFIXES = frozenset({".tif", ".tiff", ".png", ".jpg", ".jpeg", ".bmp", ".mrc"})

MONTAGE = 2**26
"""With more pixels, an image is not read as a whole."""

KEPT = 2**28
"""Bytes of a montage's rows that are kept."""

MONTAGE_BYTES = 2**20
"""Smaller files are not looked into: so many pixels hardly fit."""

Pixels = npt.NDArray[Any]


@dataclass(frozen=True)
class Micrograph:
    """One image as the detector gave it.

    Attributes:
        pixels: ``(height, width)`` in the file's own dtype, without data bar.
        pixel_size: Side of a (square) pixel in nm, or None where it is unknown.
        source: The file.
        metadata: What else the file says.
        data_bar: Rows that were cropped off the bottom: the file's image is that much higher.
    """

    pixels: Pixels
    pixel_size: float | None = None
    source: Path | None = None
    metadata: Metadata = field(default_factory=Metadata)
    data_bar: int = 0


def read_micrograph(path: Path | str, *, pixel_size: float | None = None, data_bar: int | None = None) -> Micrograph:
    """Read an image of one gray channel: TIFF, PNG, JPEG, BMP, MRC, or a folder of OME-Zarr.

    Args:
        path: The file.
        pixel_size: In nm, for a file that does not say or whose statement cannot be used; where it
            can, they must agree within 1 %.
        data_bar: Rows of data bar at the bottom, to be cropped; see ``bar_rows``.

    Raises:
        ImageError: If the file is missing, unreadable, truncated, not gray, has no pixels, or says
            of pixel size or data bar what cannot be or what is not asked for.
    """
    path = Path(path)
    stored, metadata = read_pixels(path)
    pixels = _gray(stored, path)
    rows = bar_rows(metadata, pixels.shape, data_bar, path)
    size = _pixel_size(metadata, pixel_size, path)
    return Micrograph(pixels[: len(pixels) - rows], size, path, metadata, rows)


def is_montage(path: Path) -> bool:
    """Whether a TIFF, MRC or OME-Zarr has so many pixels that it is not read as a whole; by its header alone."""
    try:
        if is_ome_zarr(path):
            return ome_zarr.pixel_count(path) > MONTAGE
        if path.stat().st_size < MONTAGE_BYTES:
            return False
        with path.open("rb") as file:
            start = file.read(mrc.HEADER)
        if start[:4] in tiff.MAGIC:
            return tiff.pixel_count(path) > MONTAGE
        return mrc.is_mrc(path, start) and math.prod(mrc.open_mrc(path)[0].shape) > MONTAGE
    except Exception:  # whoever reads it says what is wrong with it
        return False


def open_montage(path: Path, *, pixel_size: float | None = None, data_bar: int | None = None) -> Micrograph:
    """Open what ``is_montage`` says is one, as ``read_micrograph`` reads others.

    Its pixels have shape, size, dtype and ndim; a slice along both axes, which ends inside, is read when it is taken.

    Raises:
        ImageError: As ``read_micrograph``.
    """
    with _told_as_image_error(path):
        pixels, metadata = _opener(path)(path)
    if pixels.dtype.kind not in "buif":
        raise ImageError(f"{path} holds values of type {pixels.dtype}: whole or floating-point numbers are needed")
    rows = bar_rows(metadata, pixels.shape, data_bar, path)
    shown: Any = _OnDisk(pixels, rows, path)
    return Micrograph(shown, _pixel_size(metadata, pixel_size, path), path, metadata, rows)


def _opener(path: Path) -> Callable[[Path], tuple[Any, Metadata]]:
    if is_ome_zarr(path):
        return open_ome_zarr
    with path.open("rb") as file:
        return tiff.open_tiff if file.read(4) in tiff.MAGIC else mrc.open_mrc


class _OnDisk:
    """Pixels in a file, above a data bar of so many rows; a slice of them is read when it is taken.

    Whole rows are read and kept until others are asked for: tiles that lie side by side share them, and a
    compressed strip, which is as wide as the image, is decoded once for all of them.
    """

    def __init__(self, pixels: Any, bar: int, path: Path) -> None:
        self.pixels, self.path, self.dtype = pixels, path, pixels.dtype
        self.shape = (pixels.shape[0] - bar, pixels.shape[1])
        self.size, self.ndim = math.prod(self.shape), 2
        self._rows, self._kept = slice(0, 0), np.empty((0, self.shape[1]), self.dtype)

    def __getitem__(self, place: slice | tuple[slice, slice]) -> Pixels:
        rows, columns = place if isinstance(place, tuple) else (place, slice(None))
        rows = slice(*rows.indices(self.shape[0])[:2])
        with _told_as_image_error(self.path):
            if (rows.stop - rows.start) * self.shape[1] * self.dtype.itemsize > KEPT:
                return np.asarray(self.pixels[rows, columns])
            if rows != self._rows:
                self._kept, self._rows = np.asarray(self.pixels[rows, 0 : self.shape[1]]), rows
        return self._kept[:, columns]


def warn_of_data_bar(micrograph: Micrograph) -> None:
    """Warn if a micrograph seems to end in a data bar that was not cropped."""
    rows = 0 if micrograph.data_bar else find_data_bar(micrograph.pixels)
    if rows:
        log.warning("%s seems to have a data bar of %d rows: pass --data-bar %d", micrograph.source, rows, rows)


def read_pixels(path: Path, indices: bool = False) -> tuple[Pixels, Metadata]:
    """Return a file's pixels as stored, in native byte order, and its metadata.

    Args:
        path: The file.
        indices: Return a palette image's indices, as masks need, instead of its colours.

    Raises:
        ImageError: If the file is missing, unreadable or damaged.
    """
    if is_ome_zarr(path):
        with _told_as_image_error(path):
            plane, metadata = open_ome_zarr(path)
            return plane[:, :].astype(plane.dtype.newbyteorder("="), copy=False), metadata
    try:
        with path.open("rb") as file:
            start = file.read(mrc.HEADER)
    except IsADirectoryError:
        raise ImageError(f"{path} is a folder: name the images in it") from None
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror}") from None
    if not start:
        raise ImageError(f"{path} is empty")
    with _told_as_image_error(path):
        pixels, metadata = _decoded(path, start, indices)
        return pixels.astype(pixels.dtype.newbyteorder("="), copy=False), metadata


@contextmanager
def _told_as_image_error(path: Path) -> Iterator[None]:
    try:
        yield
    except MemoryError:
        raise ImageError(f"{path} needs more memory than there is") from None
    except UnidentifiedImageError:
        raise ImageError(f"{path} is not a TIFF, PNG, JPEG, BMP or MRC image") from None
    except ImageError:
        raise
    except Exception as error:  # decoders raise what they like on damaged bytes
        reason = " ".join(str(error).split())
        if len(reason) < 4:  # a key that was missing says nothing
            reason = f"{type(error).__name__} {reason}".strip()
        raise ImageError(f"{path} is damaged or of an unknown kind: {reason}") from None


def _decoded(path: Path, start: bytes, indices: bool) -> tuple[Pixels, Metadata]:
    if start[:4] in tiff.MAGIC:
        return tiff.read_tiff(path, indices)
    if mrc.is_mrc(path, start):
        return mrc.read_mrc(path)
    return picture.read_picture(path, indices), Metadata()


def _pixel_size(metadata: Metadata, asked: float | None, path: Path) -> float | None:
    stated = metadata.pixel_size
    if metadata.problem:
        if asked is None:
            raise ImageError(f"{path}: {metadata.problem}; give the right one as --pixel-size")
        log.warning("%s: %s; taken is --pixel-size %g", path, metadata.problem, asked)
    if asked is not None and stated is not None and abs(stated - asked) > SQUARE * asked:
        raise ImageError(f"{path} says its pixel size is {stated:g} nm, but --pixel-size says {asked:g}; leave it out")
    return stated if asked is None else asked


def _gray(pixels: Pixels, path: Path) -> Pixels:
    if pixels.ndim == 3 and pixels.shape[-1] in (3, 4):
        first = pixels[..., 0]
        if any(not np.array_equal(first, pixels[..., other]) for other in (1, 2)):
            raise ImageError(
                f"{path} is in colour: a micrograph has one gray channel; export it as gray, without drawings on it"
            )
        pixels = first
    if pixels.ndim != 2:
        raise ImageError(f"{path} has shape {pixels.shape}: a micrograph is one gray image of height x width")
    if pixels.dtype.kind not in "buif":
        raise ImageError(f"{path} holds values of type {pixels.dtype}: whole or floating-point numbers are needed")
    return np.ascontiguousarray(pixels)
