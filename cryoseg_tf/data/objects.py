"""How large the objects of a mask are."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..config import IGNORE
from ..io.mask import Mask

LARGEST = 1024
"""Masks with a longer side are measured on every 2nd, 3rd ... pixel."""


def diameters(mask: Mask) -> dict[int, float]:
    """Return the typical diameter in pixels of the objects of each foreground class that a mask holds.

    An object is a connected region, its diameter that of the largest circle inside it: cells that
    touch count with their own size. The typical one is that of the object which holds the median
    foreground pixel, so that specks do not matter.
    """
    step = -(-max(mask.shape) // LARGEST)
    found = {}
    for index in np.unique(mask).tolist():
        if index not in (0, IGNORE):
            inside = mask[::step, ::step] == index
            # what lies between the pixels measured is hardly larger than their distance
            found[index] = step * (_typical(inside) if inside.any() else 1.0)
    return found


def _typical(inside: npt.NDArray[np.bool_]) -> float:
    # right for discs within 1.4 pixels, as their centre may lie between four; half a pixel too little on average
    depth = 2 * ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    labels, count = ndimage.label(inside)
    numbers = np.arange(1, count + 1)
    widths = np.asarray(ndimage.maximum(depth, labels, numbers))
    areas = np.cumsum(np.bincount(labels.ravel(), minlength=count + 1)[1:][np.argsort(widths)])
    return float(np.sort(widths)[np.searchsorted(areas, areas[-1] / 2)])
