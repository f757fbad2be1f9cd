"""Read the first image of a TIFF, of any compression that microscopes and their users write."""

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
import zarr
from tifffile import COMPRESSION, PHOTOMETRIC

from ..errors import ImageError
from .limits import FREE, check_expansion, check_size
from .raw import Raw
from .units import count
from .vendor import Metadata, read_metadata

log = logging.getLogger(__name__)

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_EXPANSION = {
    COMPRESSION.NONE: 1,
    COMPRESSION.LZW: 4096,
    COMPRESSION.ADOBE_DEFLATE: 1100,
    COMPRESSION.DEFLATE: 1100,
    COMPRESSION.PACKBITS: 128,
    COMPRESSION.ZSTD: 40_000,
    COMPRESSION.ZSTD_DEPRECATED: 40_000,
    COMPRESSION.JPEG: 1100,
}
"""The compressions that are read, with the bytes that one byte can become."""

_COLOURS = {PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB, PHOTOMETRIC.PALETTE}
_JPEG_HEADER = 2**16  # bytes in which a strip must tell its size
_JPEG_END = 16  # bytes in which it must end; some writers pad


def read_tiff(path: Path, indices: bool) -> tuple[npt.NDArray[Any], Metadata]:
    """Return the pixels of the first page, ``(height, width)`` or with colours last, and its metadata.

    Where white is 0 (MinIsWhite) the values are turned, so that larger is brighter: v becomes
    2**bits - 1 - v for unsigned integers, -1 - v for signed ones, the image's maximum - v for
    floating point, and not v for single bits.

    Args:
        path: The file.
        indices: Return the stored values, as masks need, instead of a palette's colours or turned ones.
    """
    with tifffile.TiffFile(path) as tiff:
        page: Any = tiff.pages.first
        # a large stack of ImageJ has one page only
        pages = max(len(tiff.pages), count((tiff.imagej_metadata or {}).get("images")) or 1)
        if pages > 1:
            log.warning("%s has %d pages: only the first is used", path, pages)
        _check(page, path)
        pixels = np.asarray(page.asarray())
        if "S" in page.axes:
            pixels = np.moveaxis(pixels, page.axes.index("S"), -1)
            if page.photometric in (PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.MINISBLACK):
                pixels = pixels[..., 0]  # the rest is alpha
        if not indices:
            pixels = _meant(pixels, page, path)
        return pixels, read_metadata(tiff)


def open_tiff(path: Path) -> tuple[Any, Metadata]:
    """Return the pixels of a gray TIFF's first page, decoded where a slice of them is taken, and its metadata.

    Raises:
        ImageError: If what is stored is not what is meant: colours, a palette, or white as 0.
    """
    tiff = tifffile.TiffFile(path)  # open as long as its pixels are
    page: Any = tiff.pages.first
    _check(page, path)
    gray = "PhotometricInterpretation" in page.tags and page.photometric == PHOTOMETRIC.MINISBLACK
    if not gray or page.axes != "YX":
        raise ImageError(f"{path} is too large to turn into gray values, larger brighter: export it as such")
    metadata = read_metadata(tiff)
    if page.is_memmappable:
        return Raw(path, np.dtype(tiff.byteorder + page.dtype.char), page.shape, page.dataoffsets[0]), metadata
    return zarr.open(page.aszarr(), mode="r"), metadata


def pixel_count(path: Path) -> int:
    """Return how many pixels the first page has."""
    with tifffile.TiffFile(path) as tiff:
        return math.prod(tiff.pages.first.shape[:2])


def _check(page: Any, path: Path) -> None:
    """Refuse what cannot be read or does not fit into the file, before anything is decoded."""
    check_size(page.shape, path)
    if page.compression not in _EXPANSION:
        name = getattr(page.compression, "name", page.compression)
        raise ImageError(f"{path} has TIFF compression {name}: save it with LZW, deflate, Zstd, JPEG or none")
    jpeg = page.compression == COMPRESSION.JPEG
    if page.photometric not in _COLOURS and not (jpeg and page.photometric == PHOTOMETRIC.YCBCR):
        name = getattr(page.photometric, "name", page.photometric)
        raise ImageError(f"{path} has TIFF colours of kind {name}: export it as gray")
    size = path.stat().st_size
    _check_complete(page, path, size)
    bits = page.bitspersample if isinstance(page.bitspersample, int) else 8
    check_expansion(page.size * bits // 8, size, path, _EXPANSION[page.compression])
    tile, image = math.prod(page.chunks) * page.dtype.itemsize, page.size * page.dtype.itemsize
    if tile > max(FREE, 4 * image):
        shape = "x".join(map(str, page.chunks))
        raise ImageError(f"{path} declares tiles of {shape} for {image} bytes of image: it is damaged")
    if jpeg:
        _check_jpeg(page, path)


def _check_complete(page: Any, path: Path, size: int) -> None:
    """Refuse missing strips or tiles: tifffile would fill them with zeros, without a word."""
    ends = [offset + length for offset, length in zip(page.dataoffsets, page.databytecounts, strict=False)]
    if len(ends) < math.prod(page.chunked) or min(page.databytecounts) == 0 or max(ends) > size:
        raise ImageError(f"{path} is truncated: its pixels should end at byte {max(ends, default=0)} of {size}")


def _check_jpeg(page: Any, path: Path) -> None:
    """Refuse strips that are cut, or whose own header declares more than a strip: decoders accept both."""
    file = page.parent.filehandle
    rows, columns = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
    for offset, length in zip(page.dataoffsets, page.databytecounts, strict=False):
        file.seek(offset)
        sides = _jpeg_sides(file.read(min(length, _JPEG_HEADER)))
        # a decoder works in blocks of up to 64 x 64
        if sides is None or sides[0] * sides[1] > max(rows * columns, 4096):
            raise ImageError(f"{path} is damaged: its JPEG strip at byte {offset} is not of the declared size")
        file.seek(offset + max(0, length - _JPEG_END))
        if b"\xff\xd9" not in file.read(min(length, _JPEG_END)):
            raise ImageError(f"{path} is truncated: its JPEG strip at byte {offset} has no end")


def _jpeg_sides(data: bytes) -> tuple[int, int] | None:
    """Return height and width in a JPEG's frame header; None if there is none."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _meant(pixels: npt.NDArray[Any], page: Any, path: Path) -> npt.NDArray[Any]:
    """Turn stored values into brightness."""
    if page.photometric == PHOTOMETRIC.PALETTE:
        return _mapped(pixels, page.colormap, path)
    # tifffile gives 0, which is MinIsWhite, also where the tag is missing
    if page.photometric != PHOTOMETRIC.MINISWHITE or "PhotometricInterpretation" not in page.tags:
        return pixels
    if pixels.dtype.kind == "u":
        return np.subtract(2**page.bitspersample - 1, pixels, dtype=pixels.dtype)
    if pixels.dtype.kind == "f":
        return np.asarray(np.fmax.reduce(pixels, axis=None) - pixels)
    return ~pixels


def _mapped(pixels: npt.NDArray[Any], palette: npt.NDArray[Any] | None, path: Path) -> npt.NDArray[Any]:
    """Look values up in a palette of shape ``(3, n)``; the result has colours last, in 8 bit where that holds them."""
    if palette is None or pixels.max() >= palette.shape[1]:
        raise ImageError(f"{path} is a palette TIFF without a colour for each value: export it as gray")
    # 16-bit palettes hold 8-bit values as v * 257 or v * 256, or, against the standard, as v
    for factor in (257, 256, 1):
        small = palette // factor
        if (small * factor == palette).all() and small.max() < 256:
            palette = small.astype(np.uint8)
            break
    return np.moveaxis(palette[:, pixels], 0, -1)
