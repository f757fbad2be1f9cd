"""How far a mean over a few images can be trusted."""

import math
from collections.abc import Hashable, Sequence
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import bootstrap

Floats = npt.NDArray[np.float64]
Estimate = tuple[float, tuple[float, float]]
"""A value and its interval."""

FEW = 10
"""From fewer images, or groups, an interval is itself uncertain, and tends to be too narrow."""

BATCH = 2**20
"""Drawn numbers at a time: 8 MB, however many images."""


def mean_interval(
    values: Sequence[float] | Sequence[Sequence[float]],
    resamples: int,
    seed: int = 0,
    confidence: float = 0.95,
    groups: Sequence[Hashable] | None = None,
) -> Estimate:
    """Return the mean of one score over images, and its percentile bootstrap interval.

    Images are drawn with replacement (Efron 1979, doi:10.1214/aos/1176344552), as if each were
    independent of the others. Images of one grid are not: with ``groups``, whole groups are drawn
    (Field & Welsh 2007, doi:10.1111/j.1467-9868.2007.00593.x).

    Args:
        values: One score an image; NaN is left out. With a row of scores an image, one for each class,
            the mean over the classes of their means over images.
        resamples: How often images, or groups, are drawn anew.
        seed: The same seed gives the same interval.
        confidence: The interval's level, between 0 and 1.
        groups: The group of each image.

    Returns:
        ``(mean, (low, high))``; the interval is NaN with a single image or group, all is NaN with none.
    """
    table = np.asarray(values, np.float64)
    table = table.reshape(len(table), -1) if len(table) else np.empty((0, 1))
    parts, wholes = np.nan_to_num(table), (~np.isnan(table)).astype(np.float64)
    return _interval(parts, wholes, groups, (resamples, seed, confidence))


def known_mean(values: Sequence[float]) -> float:
    """Return the mean of the values that are numbers; NaN where none is."""
    known = [value for value in values if not math.isnan(value)]
    return fmean(known) if known else math.nan


def share_interval(
    parts: Sequence[int],
    wholes: Sequence[int],
    resamples: int,
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
) -> Estimate:
    """Return a share pooled over images, as of objects found, and its 95 % interval; see ``mean_interval``.

    Args:
        parts: Of each image, how many were found.
        wholes: Of each image, how many there are.
        resamples: How often images, or groups, are drawn anew.
        seed: The same seed gives the same interval.
        groups: The group of each image.
    """
    part, whole = (np.asarray(numbers, np.float64).reshape(-1, 1) for numbers in (parts, wholes))
    return _interval(part, whole, groups, (resamples, seed, 0.95))


def _interval(
    parts: Floats, wholes: Floats, groups: Sequence[Hashable] | None, drawing: tuple[int, int, float]
) -> Estimate:
    """Return the mean over columns of the sum of parts over the sum of wholes, and its interval."""
    if groups is not None:
        parts, wholes = (_summed(table, groups) for table in (parts, wholes))
    known = wholes.sum(axis=1) > 0
    data = (*parts[known].T, *wholes[known].T)
    mean = float(_mean(*data)) if known.any() else math.nan
    if np.count_nonzero(known) < 2:
        return mean, (math.nan, math.nan)
    resamples, seed, confidence = drawing
    result = bootstrap(
        data,
        _mean,
        n_resamples=resamples,
        confidence_level=confidence,
        method="percentile",
        paired=True,
        vectorized=True,
        batch=max(1, BATCH // (len(data) * len(data[0]))),
        rng=np.random.default_rng(seed),
    )
    low, high = result.confidence_interval
    return mean, (float(low), float(high))


def _mean(*data: Floats, axis: int = -1) -> Any:
    """Return the mean over columns, the first half of the arguments being their parts, the other their wholes."""
    parts, wholes = (np.array(half).sum(axis=axis) for half in (data[: len(data) // 2], data[len(data) // 2 :]))
    there = wholes > 0
    # a class that a draw does not hold leaves the mean
    shares = np.divide(parts, wholes, out=np.zeros_like(parts), where=there)
    return shares.sum(axis=0) / np.count_nonzero(there, axis=0)


def _summed(table: Floats, groups: Sequence[Hashable]) -> Floats:
    """Sum the rows of each group."""
    order = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    sums = np.zeros((len(order), table.shape[1]))
    np.add.at(sums, [order[group] for group in groups], table)
    return sums
