"""Where in an image a training patch is taken: anywhere, on the foreground, or where the network erred."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ..config import IGNORE
from ..io.mask import Mask

KEPT = 4096
"""So many pixels of each class are kept of an image, evenly spread over it."""

INNER = 0.8
"""A pixel that a patch is taken on lies in this share of the patch's sides, around its centre."""

Points = npt.NDArray[np.int32]
"""Rows and columns of pixels, ``(k, 2)``."""


class Draw(NamedTuple):
    """Numbers from 0 to 1 that decide where a patch is taken."""

    kind: float
    among: float
    pixel: float
    down: float
    right: float


def foreground(mask: Mask) -> list[Points]:
    """Return rows and columns ``(k, 2)`` of pixels of each foreground class that the mask holds."""
    classes = [index for index in np.unique(mask).tolist() if index not in (0, IGNORE)]
    return [spread(mask == index) for index in classes]


def spread(chosen: npt.NDArray[np.bool_]) -> Points:
    """Return rows and columns ``(k, 2)`` of at most ``KEPT`` true pixels, evenly spread among them."""
    flat = np.flatnonzero(chosen)
    flat = flat[np.linspace(0, len(flat) - 1, min(len(flat), KEPT)).astype(np.intp)]
    return np.stack(np.unravel_index(flat, chosen.shape), axis=1).astype(np.int32)


def corner(draw: Draw, shape: tuple[int, int], side: int, tables: list[tuple[float, list[Points]]]) -> Points:
    """Return int32 ``(top, left)`` of a patch inside an image, or at 0 where the image is smaller.

    Args:
        draw: What decides.
        shape: The image's ``(height, width)``.
        side: The patch's.
        tables: Shares of patches, each with the pixels to take them on, in lists of equal chance; the
            rest, and the share of an empty table, may lie anywhere.
    """
    room = np.maximum(np.asarray(shape) - side, 0)
    within = np.array([draw.down, draw.right])
    bound = 0.0
    for share, lists in tables:
        bound += share
        if draw.kind < bound:
            if not lists:
                break
            pixels = lists[min(int(draw.among * len(lists)), len(lists) - 1)]
            pixel = pixels[min(int(draw.pixel * len(pixels)), len(pixels) - 1)]
            # rounded down, as rounding would leave the pixel just outside of the smallest patches
            offset = np.floor(side * (0.5 + INNER * (within - 0.5)))
            return np.clip(pixel - offset, 0, room).astype(np.int32)
    return np.minimum(within * (room + 1), room).astype(np.int32)
