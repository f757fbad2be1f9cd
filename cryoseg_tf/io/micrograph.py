"""Read any supported image file as a ``Micrograph``, in the file's own bit depth."""

import io
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image, UnidentifiedImageError

from ..errors import ImageError
from .vendor import imagej_pixel_size

log = logging.getLogger(__name__)

SUFFIXES = frozenset({".tif", ".tiff", ".png", ".jpg", ".jpeg"})
MAXIMUM_PIXELS = 2**32
Image.MAX_IMAGE_PIXELS = None  # a grid montage is no bomb; the declared size is checked here instead

Pixels = npt.NDArray[Any]


@dataclass(frozen=True)
class Micrograph:
    """One image as the detector gave it.

    Attributes:
        pixels: ``(height, width)`` in the file's own dtype.
        pixel_size: Side of a (square) pixel in nm, or None where it is unknown.
        source: The file.
        metadata: What else the file says.
    """

    pixels: Pixels
    pixel_size: float | None = None
    source: Path | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


def read_micrograph(path: Path | str) -> Micrograph:
    """Read a TIFF, PNG or JPEG image of one gray channel.

    Raises:
        ImageError: If the file is missing, unreadable, truncated, not gray, or has no pixels.
    """
    path = Path(path)
    pixels, pixel_size = read_pixels(path)
    return Micrograph(_gray(pixels, path), pixel_size, path)


def read_pixels(path: Path, indices: bool = False) -> tuple[Pixels, float | None]:
    """Return a file's pixels as stored and its pixel size in nm or None.

    Args:
        path: The file.
        indices: Return a palette image's indices, as masks need, instead of its colours.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise ImageError(f"{path} cannot be read: {error.strerror}") from None
    if not magic:
        raise ImageError(f"{path} is empty")
    try:
        if magic[:2] in (b"II", b"MM"):
            return _read_tiff(path, indices)
        return _read_picture(path, indices), None
    except MemoryError:
        raise ImageError(f"{path} needs more memory than there is") from None
    except UnidentifiedImageError:
        raise ImageError(f"{path} is not a TIFF, PNG or JPEG image") from None
    except ImageError:
        raise
    except Exception as error:  # decoders raise what they like on damaged bytes
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{path} is damaged or of an unknown kind: {reason}") from None


def _read_tiff(path: Path, indices: bool) -> tuple[Pixels, float | None]:
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        if len(tiff.pages) > 1:
            log.warning("%s has %d pages: only the first is used", path, len(tiff.pages))
        _check_size(page.shape, path)
        _check_complete(page, path)
        if page.photometric == tifffile.PHOTOMETRIC.PALETTE and not indices:
            raise ImageError(f"{path} is a palette TIFF: export it as gray")
        return np.asarray(page.asarray()), imagej_pixel_size(tiff)


def _check_complete(page: Any, path: Path) -> None:
    """Refuse missing strips or tiles: tifffile would fill them with zeros, without a word."""
    size = path.stat().st_size
    ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)]
    if not ends or min(page.databytecounts) == 0 or max(ends) > size:
        raise ImageError(f"{path} is truncated: its pixels should end at byte {max(ends, default=0)} of {size}")


def _read_picture(path: Path, indices: bool) -> Pixels:
    content = path.read_bytes()
    with Image.open(io.BytesIO(content), formats=["PNG", "JPEG"]) as picture:
        _check_size(picture.size, path)
        # PNG header: bit depth, then colour type; Pillow would cut 16-bit colour down to 8 bit
        if picture.format == "PNG" and content[24] == 16 and content[25] != 0:
            raise ImageError(f"{path} is a 16-bit PNG in colour or with alpha: export it as plain gray")
        if picture.mode in ("P", "PA") and not indices:
            return np.asarray(picture.convert("RGB"))
        return np.asarray(picture.convert("L") if picture.mode == "LA" else picture)


def _check_size(shape: tuple[int, ...], path: Path) -> None:
    count = 1
    for side in shape:
        count *= side
    if not 0 < count <= MAXIMUM_PIXELS:
        raise ImageError(f"{path} declares {'x'.join(map(str, shape))} pixels: between 1 and 2**32 can be read")


def _gray(pixels: Pixels, path: Path) -> Pixels:
    if pixels.ndim == 3 and pixels.shape[-1] in (3, 4):
        colours = pixels[..., :3]
        if not np.array_equal(colours, np.broadcast_to(colours[..., :1], colours.shape)):
            raise ImageError(f"{path} is in colour: a micrograph has one gray channel; export it as gray")
        pixels = colours[..., 0]
    if pixels.ndim != 2:
        raise ImageError(f"{path} has shape {pixels.shape}: a micrograph is one gray image of height x width")
    if pixels.dtype.kind not in "buif":
        raise ImageError(f"{path} holds values of type {pixels.dtype}: whole or floating-point numbers are needed")
    return np.ascontiguousarray(pixels)
