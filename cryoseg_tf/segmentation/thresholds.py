"""Segment by a threshold: Otsu's, an adaptive one, or a watershed that starts from two of them (scikit-image).

A threshold sees an image as a network does, its percentiles as 0 and 1 (see ``preprocess.statistics``), smoothed,
and turned dark for bright where cells are dark.
"""

import itertools
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..config import IGNORE, Contract, DataConfig
from ..data.objects import diameters
from ..data.pairs import AnnotatedMicrograph, Pair, read_annotated
from ..data.preprocess import EMPTY, normalise
from ..errors import DataError
from ..io.micrograph import Micrograph, warn_of_data_bar
from .method import Progress
from .predictor import Array
from .segmenter import Segmentation, examine

CELLS = ("bright", "dark")
SMOOTH_PX = (1.0, 2.0, 4.0)
OFFSETS = tuple(step / 20 for step in (0, -1, 1, -2, 2, -3, 3, -4, 4))
WINDOWS = (4.0, 2.0, 8.0)
"""What is tried on annotated images, the usual first; windows are in typical diameters of their cells."""


class Window(NamedTuple):
    """The side of the square around a pixel whose mean is the pixel's threshold."""

    side: float
    unit: str

    def pixels(self, pixel_size: float | None) -> int:
        """Return the side in pixels: odd, and at least 3."""
        side = self.side / (pixel_size or math.nan) if self.unit == "nm" else self.side
        return max(3, 2 * round((side - 1) / 2) + 1)


def divide_otsu(image: Array, side: int) -> Array:
    """Return how far each pixel lies above Otsu's threshold (Otsu 1979, doi:10.1109/TSMC.1979.4310076)."""
    from skimage.filters import threshold_otsu

    return image - np.float32(threshold_otsu(image))


def divide_adaptive(image: Array, side: int) -> Array:
    """Return how far each pixel lies above the mean around it.

    After Bradley & Roth 2007 (doi:10.1080/2151237X.2007.10129236).

    Args:
        image: ``(height, width)`` float32.
        side: Of the square that the mean is taken from, in pixels; odd.
    """
    from skimage.filters import threshold_local

    return image - threshold_local(image, side, method="mean")


def divide_watershed(image: Array, side: int) -> Array:
    """Return 1 where there is cell and -1 elsewhere, divided along the steepest outline.

    The gradient is flooded (Vincent & Soille 1991, doi:10.1109/34.87344) from the brightest and from the darkest of
    Otsu's three classes (Liao et al. 2001).
    """
    from skimage.filters import sobel, threshold_multiotsu
    from skimage.segmentation import watershed

    try:
        low, high = threshold_multiotsu(image, classes=3)
    except ValueError:  # fewer than three values: no outline to find
        return np.full_like(image, -1)
    markers = np.where(image > high, 2, np.where(image <= low, 1, 0))
    return np.where(watershed(sobel(image), markers) == 2, np.float32(1), np.float32(-1))


@dataclass(frozen=True)
class Rule:
    """When a pixel is cell: it lies farther than ``offset`` on the cells' side.

    Attributes:
        divide: Says how far each lies there, from a ``(height, width)`` image in which cells are bright.
        cells: "bright" or "dark".
        smooth_px: Sigma of the Gaussian that the image is smoothed by first.
        offset: As a share of the image's range.
        window: For an adaptive threshold.
    """

    divide: Callable[[Array, int], Array]
    cells: str = CELLS[0]
    smooth_px: float = SMOOTH_PX[0]
    offset: float = OFFSETS[0]
    window: Window | None = None

    def __str__(self) -> str:
        """Write it with the options of the command line."""
        words = [f"cells={self.cells}", f"smooth_px={self.smooth_px:g}"]
        words += [f"offset={self.offset:g}"] if self.divide is not divide_watershed else []
        words += [f"window_{self.window.unit}={self.window.side:.4g}"] if self.window else []
        return ", ".join(words)

    def margin(self, image: Array, pixel_size: float | None) -> Array:
        """Return how far each pixel of a normalised ``(height, width)`` image lies on the cells' side."""
        bright = image if self.cells == "bright" else 1 - image
        side = self.window.pixels(pixel_size) if self.window else 0
        return self.divide(ndimage.gaussian_filter(bright, self.smooth_px), side)


class Threshold:
    """Segments by a rule; a ``Method``."""

    def __init__(self, rule: Rule, contract: Contract) -> None:
        self.rule = rule
        self.contract = contract

    def check(self, micrograph: Micrograph) -> None:
        """See ``Method.check``."""
        window = self.rule.window
        if window and window.unit == "nm" and micrograph.pixel_size is None:
            raise DataError(
                f"{micrograph.source} does not say its pixel size, which a window in nm needs: "
                "pass --pixel-size, or state window_px"
            )
        warn_of_data_bar(micrograph)

    def segment(self, micrograph: Micrograph, probabilities: bool = False) -> Segmentation:
        """See ``Method.segment``; there are no probabilities."""
        facts = examine(micrograph, self.contract)
        if facts.status in EMPTY:
            return Segmentation(np.zeros(micrograph.pixels.shape, np.uint8), facts.status)
        image = normalise(micrograph.pixels.astype(np.float32), facts.offset, facts.scale)
        margin = self.rule.margin(image, micrograph.pixel_size)
        return Segmentation((margin > self.rule.offset).astype(np.uint8), facts.status)


def as_it_is(data: DataConfig) -> Contract:
    """Return the contract of a method that takes images as they are."""
    return Contract(classes=data.classes, percentiles=data.percentiles)


def choose(rule: Rule, open_: Collection[str], pairs: Sequence[Pair], data: DataConfig, progress: Progress) -> Rule:
    """Return the rule with the best mean Dice over annotated images; the first of equals.

    Args:
        rule: What is settled.
        open_: The attributes that are not.
        pairs: The images.
        data: How images are read.
        progress: Called after each image.

    Raises:
        ImageError: If an image or mask cannot be used.
        DataError: If no mask holds any foreground, and a window is to be chosen.
    """
    tried: dict[str, Sequence[Any]] = {"cells": CELLS, "smooth_px": SMOOTH_PX}
    tried = {name: values for name, values in tried.items() if name in open_}
    if "window" in open_:
        tried["window"] = _windows(pairs, data)
    rules = [replace(rule, **dict(zip(tried, values, strict=True))) for values in itertools.product(*tried.values())]
    offsets = OFFSETS if "offset" in open_ else (rule.offset,)
    table = []
    for done, pair in enumerate(pairs, 1):
        table.append(_tried(read_annotated(pair, data), as_it_is(data), rules, offsets))
        progress(done, len(pairs), pair.name)
    scores, counts = np.nansum(table, axis=0), np.count_nonzero(~np.isnan(table), axis=0)
    means = scores / np.maximum(counts, 1)
    best, offset = np.unravel_index(np.argmax(means), means.shape)
    return replace(rules[best], offset=offsets[offset])


def _windows(pairs: Sequence[Pair], data: DataConfig) -> list[Window]:
    """Return windows to try, in nm where every image has a pixel size."""
    found = []
    for pair in pairs:
        annotated = read_annotated(pair, data)
        across = diameters(annotated.mask).get(1)
        found += [] if across is None else [(across, annotated.micrograph.pixel_size)]
    if not found:
        raise DataError(f"no mask of the {len(pairs)} images to learn from holds any foreground")
    sized = [across * size for across, size in found if size]
    typical, unit = (sized, "nm") if len(sized) == len(found) else ([across for across, _ in found], "px")
    return [Window(times * float(np.median(typical)), unit) for times in WINDOWS]


def _tried(
    annotated: AnnotatedMicrograph, contract: Contract, rules: Sequence[Rule], offsets: Sequence[float]
) -> list[list[float]]:
    """Return the Dice of each rule with each offset; NaN where there is nothing to find and nothing found."""
    micrograph, known = annotated.micrograph, annotated.mask != IGNORE
    facts, truth = examine(micrograph, contract), annotated.mask[known] > 0
    image = normalise(micrograph.pixels.astype(np.float32), facts.offset, facts.scale)
    margins = (rule.margin(image, micrograph.pixel_size)[known] for rule in rules)
    return [[_dice(truth, margin > offset) for offset in offsets] for margin in margins]


def _dice(truth: npt.NDArray[np.bool_], found: npt.NDArray[np.bool_]) -> float:
    total = np.count_nonzero(truth) + np.count_nonzero(found)
    return 2 * np.count_nonzero(truth & found) / total if total else math.nan
