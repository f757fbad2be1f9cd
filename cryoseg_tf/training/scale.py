"""Choose the scale that the network sees images at: one pixel size, or a share of their size.

Objects that are large in pixels are shown smaller: the network sees farther around them and has
less to compute. Masks come back at the image's own size, by interpolated probabilities.
"""

import statistics
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..config import DataConfig
from ..data.images import Facts

LARGE = 64.0
"""Objects of more pixels across are shown smaller."""

REDUCTIONS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)


class Scale(NamedTuple):
    """What the contract says of the scale, and the reason in words."""

    kind: str
    why: str
    pixel_size: float | None = None
    factor: float | None = None


def choose_scale(data: DataConfig, facts: Sequence[Facts]) -> Scale:
    """Return the scale that is set, or that suits the images to train on; see ``data.scale``.

    Args:
        data: The settings.
        facts: What is known of the images to train on; with scale "pixel_size", all have one.
    """
    if data.scale == "shape":
        return Scale("shape", f"every image at {data.shape[0]}x{data.shape[1]} px, as set")
    if data.scale == "none":
        return Scale("none", "images as they are, as set")
    if data.scale == "pixel_size":
        return _by_pixel_size(data, facts)
    return _by_factor(data, facts)


def _by_pixel_size(data: DataConfig, facts: Sequence[Facts]) -> Scale:
    if data.pixel_size:
        return Scale("pixel_size", f"{data.pixel_size:g} nm a pixel, as set", data.pixel_size)
    median = statistics.median(f.pixel_size or 0.0 for f in facts)
    across = _smallest(facts, [(f.pixel_size or median) / median for f in facts])
    target = median / data.factor if data.factor else median * reduction(across)
    why = f"{target:g} nm a pixel, "
    if target == median:
        why += "the images' median"
    else:
        why += f"for {median:g}, " + ("as set" if data.factor else f"since objects are {across:.0f} px across")
    return Scale("pixel_size", why, target)


def _by_factor(data: DataConfig, facts: Sequence[Facts]) -> Scale:
    if data.factor:
        return Scale("factor", f"{data.factor:g} times the images' size, as set", factor=data.factor)
    across = _smallest(facts, [1.0] * len(facts))
    factor = 1 / reduction(across)
    if factor == 1:
        return Scale("none", "images as they are")
    return Scale(
        "factor", f"1/{1 / factor:g} of the images' size, since objects are {across:.0f} px across", factor=factor
    )


def typical_diameters(facts: Sequence[Facts], zooms: Sequence[float]) -> dict[int, float]:
    """Return each class' typical diameter over all images, in pixels times the image's zoom: the median, by area."""
    found: dict[int, list[tuple[float, int]]] = {}
    for fact, zoom in zip(facts, zooms, strict=True):
        for index, diameter in fact.diameters.items():
            found.setdefault(index, []).append((diameter * zoom, fact.classes[index]))
    return {index: _median(pairs) for index, pairs in sorted(found.items())}


def _smallest(facts: Sequence[Facts], zooms: Sequence[float]) -> float:
    """Return the typical diameter of the class with the smallest objects."""
    return min(typical_diameters(facts, zooms).values())


def reduction(across: float) -> float:
    """Return how many times smaller objects of ``across`` pixels are shown."""
    # a hundredth of slack: 192 px and 64 px are three to one, however they were measured
    return max(r for r in REDUCTIONS if r <= max(across / LARGE, 1.0) * 1.01)


def _median(pairs: Sequence[tuple[float, int]]) -> float:
    values, weights = (np.array(column) for column in zip(*sorted(pairs), strict=True))
    cumulated = np.cumsum(weights)
    return float(values[np.searchsorted(cumulated, cumulated[-1] / 2)])
