r"""Statistics of a montage that differ from place to place: those of windows as large as a training image.

Each window is normalised as a square of a grid would be that was imaged alone; between the windows'
centres, offset and scale are interpolated, so that there is no seam::

    |-- window --|-- window --|-- window --|
    |     o------|-----o------|-----o      |    as at the outermost centres beyond them
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ..config import Contract
from ..data.preprocess import image_statistics
from ..io.micrograph import Pixels

Vector = npt.NDArray[Any]


@dataclass(frozen=True)
class LocalStatistics:
    """Offsets, scales and contrasts of windows.

    Attributes:
        rows: Where the windows' centres lie at the network's scale, ``(n,)``.
        columns: Likewise, ``(m,)``.
        offset: ``(n, m)``.
        scale: ``(n, m)``.
        contrast: ``(n, m)``, contrast-to-noise.
    """

    rows: Vector
    columns: Vector
    offset: Vector
    scale: Vector
    contrast: Vector

    def at(self, rows: slice, columns: slice) -> tuple[Vector, Vector]:
        """Return offset and scale of each pixel of a place, ``(height, width)``."""
        down, across = _weights(self.rows, rows), _weights(self.columns, columns)
        offset, scale = (down @ values @ across.T for values in (self.offset, self.scale))
        return offset, scale


def local_statistics(pixels: Pixels, shape: tuple[int, int], contract: Contract) -> LocalStatistics | None:
    """Measure windows of ``contract.field`` that cover an image; None where it is hardly larger than one.

    Args:
        pixels: ``(height, width)``, of which a window is read at a time.
        shape: Of the image at the network's scale.
        contract: Of the model.
    """
    field = contract.field
    if field is None or all(side <= 2 * length for side, length in zip(shape, field, strict=True)):
        return None
    places = [_places(side, length) for side, length in zip(shape, field, strict=True)]
    rows = ([_window(pixels, shape, down, across) for across in places[1]] for down in places[0])
    with ThreadPoolExecutor(tf.config.threading.get_intra_op_parallelism_threads() or None) as threads:
        found = [list(threads.map(partial(image_statistics, contract=contract), row)) for row in rows]
    centres = (np.array([(p.start + p.stop - 1) / 2 for p in axis], np.float32) for axis in places)
    return LocalStatistics(*centres, *np.moveaxis(np.array(found, np.float32), 2, 0))


def _places(side: int, length: int) -> list[slice]:
    """Cover a side with as few windows as will do, evenly spread."""
    length = min(length, side)
    starts = np.linspace(0, side - length, -(-side // length)).round().astype(int).tolist()
    return [slice(start, start + length) for start in starts]


def _window(pixels: Pixels, shape: tuple[int, int], rows: slice, columns: slice) -> Pixels:
    """Read what a place at the network's scale shows, in the image's own pixels."""
    native = []
    for place, side, scaled in zip((rows, columns), pixels.shape, shape, strict=True):
        length = max(1, (place.stop - place.start) * side // scaled)  # the same for all windows
        start = min(place.start * side // scaled, side - length)
        native.append(slice(start, start + length))
    return pixels[native[0], native[1]]


def _weights(centres: Vector, place: slice) -> Vector:
    """Return how much of each centre each pixel of a place takes, ``(pixels, centres)``."""
    at = np.interp(np.arange(place.start, place.stop), centres, np.arange(len(centres)))
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(len(centres)))).astype(np.float32)
