"""Bring probabilities from the network's scale back to the image's, some rows at a time, from the top."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.resampling import resample_part
from .predictor import Array

BAND = 2**22
"""Pixels that are scaled back or checked at a time."""

Band = tuple[slice, Array]
"""Rows, and the ``(rows, width, channels)`` probabilities there."""


def scaled_back(
    bands: Iterator[Band],
    shape: tuple[int, int],
    size: tuple[int, ...],
    needed: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    first: int,
) -> Iterator[Band]:
    """Resample bands of an image of ``shape`` to ``size``; a row is made as soon as those that it needs are there."""
    height, width = size
    step = max(1, BAND // width)  # all at once would take some 90 bytes a pixel
    done, kept = first, None
    for rows, values in bands:
        kept = kept.followed_by(values) if kept else _Rows(rows.start, shape[0], values)
        ready = int(np.searchsorted(needed[1], rows.stop - 1, side="right"))
        for top in range(done, ready, step):
            part = slice(top, min(top + step, ready))
            yield part, resample_part(kept, (height, width), part, slice(0, width))
        done = max(done, ready)
        kept = kept.from_row(int(needed[0][done]) if done < height else rows.stop)


class _Rows:
    """Some rows of an image, addressed as in the whole of ``height``."""

    def __init__(self, start: int, height: int, values: Array) -> None:
        self.start, self.values = start, values
        self.shape, self.ndim = (height, *values.shape[1:]), values.ndim

    def followed_by(self, values: Array) -> "_Rows":
        """Return these rows and those right after them."""
        return _Rows(self.start, self.shape[0], np.concatenate([self.values, values]))

    def from_row(self, first: int) -> "_Rows":
        """Return the rows from ``first`` on."""
        return _Rows(first, self.shape[0], self.values[first - self.start :])

    def __getitem__(self, place: tuple[slice, slice]) -> Array:
        rows, columns = place
        return self.values[rows.start - self.start : rows.stop - self.start, columns]
