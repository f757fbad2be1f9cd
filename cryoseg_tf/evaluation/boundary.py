"""How closely predicted outlines follow true ones."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_erosion
from scipy.spatial import KDTree

from ..config import IGNORE
from .bands import bands

Array = npt.NDArray[Any]
Points = npt.NDArray[np.intp]


def boundary_f1(truth: Array, prediction: Array, class_index: int | None, tolerance_px: float) -> float:
    """Return F1 of the outlines that lie within a tolerance of each other.

    Precision is the share of the predicted outline near the true one, recall the share of the true one
    near the predicted one, and F1 their harmonic mean (Csurka et al. 2013, doi:10.5244/C.27.32).
    An outline is the pixels of a class that have one beside them, sharing a side, which is known and of
    another class; neither the image's edge nor what was not annotated makes one.

    Args:
        truth: ``(height, width)`` class indices; pixels of value ``IGNORE`` (255) count nowhere.
        prediction: ``(height, width)`` class indices.
        class_index: The class, or None for all foreground as one.
        tolerance_px: The distance between pixel centres up to which outlines agree.

    Returns:
        From 0 to 1; NaN where neither has an outline, 0 where one alone has.
    """
    counts = np.zeros((2, 2), np.int64)
    reach = math.ceil(tolerance_px)
    for rows in bands(truth.shape):
        # outlines beside the band may be near, and to know those takes a row more
        top, stop = max(0, rows.start - reach - 1), rows.stop + reach + 1
        there, found = _outlines(truth[top:stop], prediction[top:stop], class_index)
        inner = (rows.start - top, rows.stop - top)
        counts += [_near(*pair, inner, tolerance_px) for pair in ((there, found), (found, there))]
    (true, near_true), (predicted, near_predicted) = counts.tolist()
    if not true or not predicted:
        return 0.0 if true or predicted else math.nan
    recall, precision = near_true / true, near_predicted / predicted
    return 2 * recall * precision / (recall + precision) if recall + precision else 0.0


def _outlines(truth: Array, prediction: Array, class_index: int | None) -> list[Points]:
    known = truth != IGNORE
    masks = [(mask > 0) if class_index is None else (mask == class_index) for mask in (truth, prediction)]
    return [_outline(mask & known, known) for mask in masks]


def _outline(inside: npt.NDArray[np.bool_], known: npt.NDArray[np.bool_]) -> Points:
    """Return the rows and columns of the outline, ``(n, 2)``."""
    return np.argwhere(inside & ~binary_erosion(inside | ~known, border_value=1))


def _near(points: Points, others: Points, rows: tuple[int, int], tolerance: float) -> tuple[int, int]:
    """Return how many points lie in these rows, and how many of those are near one of the others."""
    counted = points[(points[:, 0] >= rows[0]) & (points[:, 0] < rows[1])]
    if not len(counted) or not len(others):
        return len(counted), 0
    # strictly below the bound: it is moved up, lest 2 pixels apart were beyond 2
    distances, _ = KDTree(others).query(counted, distance_upper_bound=tolerance + 1e-6)
    return len(counted), int(np.count_nonzero(np.isfinite(distances)))
