"""Connected components of a mask as numbered objects: touching ones divided on request, measured, overlapped.

Labels are ``(height, width)`` int32, 0 outside of all objects. Whole images are held as labels
(4 bytes a pixel) and never as float64.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.sparse import coo_array, csr_array

from ..config import EvaluationConfig
from .bands import bands

Array = npt.NDArray[Any]
Labels = npt.NDArray[np.int32]

NECK = 3 / 4
"""Parts are two objects where the neck between them is narrower than this share of the narrower one's width."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Where an object lies and how large it is, in pixels; the first pixel's centre is 0, 0.

    Attributes:
        y: Row of the centroid.
        x: Column of the centroid.
        area: Pixels.
        diameter: Of the circle of that area.
    """

    y: float
    x: float
    area: int
    diameter: float


def components(inside: npt.NDArray[np.bool_], config: EvaluationConfig) -> tuple[Labels, int]:
    """Number the objects of a mask; return the labels and how many there are, small ones included.

    Args:
        inside: ``(height, width)``, true where the class is.
        config: ``connectivity``, and ``separate`` for cells that touch.
    """
    structure = ndimage.generate_binary_structure(2, 1 if config.connectivity == 4 else 2)
    labels, count = ndimage.label(inside, structure)
    return (labels, count) if config.separate == "none" else _divided(labels, count, config.minimum_area)


def measured(labels: Labels, count: int) -> list[Measured]:
    """Return the measures of objects 1 to ``count``."""
    sums = np.zeros((3, count + 1))
    for rows in bands(labels.shape):
        y, x = np.nonzero(labels[rows])
        numbers = labels[rows][y, x]
        sums += [np.bincount(numbers, weights, count + 1) for weights in (None, y + rows.start, x)]
    areas, ys, xs = sums[:, 1:]
    return [
        # a part that lay in a hole alone has no pixel
        Measured(y / max(area, 1), x / max(area, 1), int(area), 2 * math.sqrt(area / math.pi))
        for area, y, x in zip(areas.tolist(), ys.tolist(), xs.tolist(), strict=True)
    ]


def overlaps(truth: tuple[Labels, int], found: tuple[Labels, int], known: npt.NDArray[np.bool_]) -> csr_array:
    """Count the pixels that each pair of objects shares.

    Args:
        truth: Labels and their number, as from ``components``.
        found: The same of the prediction.
        known: ``(height, width)``, false where nothing was annotated; such pixels are not counted.

    Returns:
        ``(truth + 1, found + 1)`` int64; row and column 0 are the pixels outside, and ``[0, 0]`` is left 0.
    """
    (there, rows), (here, columns) = truth, found
    shape = (rows + 1, columns + 1)
    table = csr_array(shape, dtype=np.int64)
    for band in bands(there.shape):
        counted = known[band] & ((there[band] > 0) | (here[band] > 0))
        pairs = (there[band][counted], here[band][counted])
        table += coo_array((np.ones(len(pairs[0]), np.int64), pairs), shape=shape).tocsr()
    return table


def _divided(labels: Labels, count: int, speck: int) -> tuple[Labels, int]:
    """Divide each object at its necks; what is cut off gets new numbers."""
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        region = labels[box]
        parts = _parts(region == number, speck)
        beyond = parts > 1
        region[beyond] = parts[beyond] + (count - 1)
        count += int(parts.max()) - 1
    return labels, count


def _parts(inside: npt.NDArray[np.bool_], speck: int) -> Labels:
    """Number the parts of one object by a watershed of the distance to its outline.

    After Vincent & Soille 1991 (doi:10.1109/34.87344). Maxima of the distance that a saddle hardly
    parts are one (the h-maxima of Soille 2004, doi:10.1007/978-3-662-05088-0), else every rough
    outline would be cut. Taken of the logarithm, the height is a ratio, ``NECK``, at any pixel size;
    the 2 keeps steps of single pixels from counting. Holes of less than ``speck`` pixels are none.
    """
    from skimage.morphology import local_maxima, reconstruction, remove_small_holes  # here: a second to import
    from skimage.segmentation import watershed

    filled = remove_small_holes(np.pad(inside, 1), max_size=speck - 1)
    distance = ndimage.distance_transform_edt(filled)
    height = np.log(distance + 2)
    tops = local_maxima(reconstruction(height + math.log(NECK), height))
    markers, count = ndimage.label(tops, np.ones((3, 3)))
    if count < 2:
        return inside.astype(np.int32)
    parts: Labels = watershed(-distance, markers, connectivity=2, mask=filled)
    return np.where(inside, parts[1:-1, 1:-1], 0)
