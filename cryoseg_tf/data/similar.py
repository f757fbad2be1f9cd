"""Find images that show the same: copies, and copies that were saved anew, changed in contrast or slightly moved.

An image becomes a *signature*, a vector of unit length; the scalar product of two of them is the
correlation of two small, band-passed thumbnails. So brightness, contrast and slow shading do
not count, and noise hardly does.
"""

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

GRID = 32
"""A signature is a thumbnail of this many pixels squared."""

NEAR = 0.8
"""Above this correlation two images show the same.

Measured on seven real sets and the phantom: a copy as JPEG, in 8 bit, with a gamma of 0.6 or moved by
5 of 256 pixels stays above 0.88; images of different places stay below 0.71.
"""

BLOCK = 1024
"""Signatures compared at once: it bounds memory."""

ENOUGH = 2048
"""Of longer sides only every second, third ... pixel is looked at."""


def signature(pixels: Array) -> Floats:
    """Return ``(GRID * GRID,)`` float32 of length 1 for ``(height, width)`` pixels; zeros where all are equal."""
    small = thumbnail(pixels, (2 * GRID, 2 * GRID))
    # the blur forgives a shift of a few pixels, the subtraction forgets shading that many images share
    structure = ndimage.gaussian_filter(small, 2) - ndimage.gaussian_filter(small, 8)
    return unit(structure.reshape(GRID, 2, GRID, 2).mean((1, 3)))


def near_duplicates(signatures: Floats) -> list[tuple[int, int]]:
    """Return the pairs ``(i, j)``, ``i < j``, of ``(n, d)`` signatures whose correlation is above ``NEAR``."""
    found: list[tuple[int, int]] = []
    for start in range(0, len(signatures), BLOCK):
        rows, columns = np.nonzero(signatures[start : start + BLOCK] @ signatures.T > NEAR)
        found += [(i, j) for i, j in zip((rows + start).tolist(), columns.tolist(), strict=True) if i < j]
    return found


def clusters(links: list[tuple[int, int]]) -> list[list[int]]:
    """Return the sets of numbers that links join, directly or through others; each rising, in rising order."""
    home: dict[int, list[int]] = {}
    for first, second in links:
        mine, other = home.setdefault(first, [first]), home.setdefault(second, [second])
        if mine is not other:
            mine += other
            home |= dict.fromkeys(other, mine)
    return sorted({id(members): sorted(members) for members in home.values()}.values())


def digest(pixels: Array) -> str:
    """Return a hash of the pixels' values, type and shape, whatever file holds them."""
    header = f"{pixels.shape} {pixels.dtype.str} ".encode()
    return hashlib.blake2b(header + np.ascontiguousarray(pixels).tobytes(), digest_size=16).hexdigest()


def thumbnail(pixels: Array, shape: tuple[int, int]) -> Floats:
    """Return float32 means of ``(height, width)`` pixels on a grid of ``shape``."""
    rows, columns = (max(1, side // ENOUGH) for side in pixels.shape)
    picture = Image.fromarray(pixels[::rows, ::columns].astype(np.float32))
    return np.asarray(picture.resize(shape[::-1], Image.Resampling.BOX))


def unit(values: Floats) -> Floats:
    """Return the values as a vector of mean 0 and length 1; zeros where all are equal."""
    centred = (values - values.mean()).ravel()
    length = float(np.linalg.norm(centred))
    if length <= 1e-6 * max(1.0, float(np.abs(values).max())) * len(centred):
        return np.zeros_like(centred)
    return centred / np.float32(length)
