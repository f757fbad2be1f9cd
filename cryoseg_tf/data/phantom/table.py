"""The objects in a window: each group of connected cell pixels, of its kind."""

from collections.abc import Collection, Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ...io.table import csv_text
from .scene import OPAQUE, Scene

COVERED = 0.3
"""An object counts as covered by ice if at least this share of its cells is under or behind ice."""


@dataclass(frozen=True)
class Object:
    """Cell pixels that touch, by side or corner.

    Attributes:
        kind: "low-charge" where at least half of it has no charge contrast, else "ice-covered",
            else "cluster" of two or more cells, else "single".
        y, x: A pixel of it, the one nearest to its centre.
        area_px: Pixels that show it.
        cells: How many cells they belong to.
        annotated: Whether it is in the mask.
    """

    kind: str
    y: int
    x: int
    area_px: int
    cells: int
    annotated: bool


def find_objects(scene: Scene, low: Collection[int], annotation: str) -> tuple[npt.NDArray[np.int32], list[Object]]:
    """Return the objects' labels, ``(size, size)`` from 1, and the objects in that order."""
    seen = np.where(scene.ice == OPAQUE, 0, scene.owner)
    labels, count = ndimage.label(seen > 0, np.ones((3, 3)))
    whole = np.bincount(scene.owner.ravel())
    under = np.bincount(scene.owner.ravel(), scene.ice.ravel() > 0, len(whole))
    objects = []
    for number, box in enumerate(ndimage.find_objects(labels, count), 1):
        inside = labels[box] == number
        owners = seen[box][inside]
        cells = np.unique(owners)
        covered = under[cells].sum() >= COVERED * whole[cells].sum()
        faint = np.isin(owners, list(low)).mean() >= 0.5
        kind = "low-charge" if faint else "ice-covered" if covered else "cluster" if len(cells) > 1 else "single"
        y, x = _middle(inside)
        marked = annotation == "all" or len(cells) > 1
        objects.append(Object(kind, y + box[0].start, x + box[1].start, len(owners), len(cells), marked))
    return labels, objects


def lines(images: Sequence[tuple[str, Sequence[Object]]]) -> str:
    """Return images' objects as CSV, ``image`` and the fields of ``Object``, a line each."""
    rows = ([name, *astuple(found)[:-1], str(found.annotated).lower()] for name, objects in images for found in objects)
    return csv_text(["image", *(f.name for f in fields(Object))], rows)


def _middle(inside: npt.NDArray[np.bool_]) -> tuple[int, int]:
    places = np.argwhere(inside)
    nearest = np.argmin(((places - places.mean(axis=0)) ** 2).sum(axis=1))
    return int(places[nearest, 0]), int(places[nearest, 1])
