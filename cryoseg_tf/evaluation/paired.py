"""Whether one of two is better on the same images: differences, their interval, a test, and an effect size.

The images are the same, so each is compared with itself. Images of one grid are not independent of each other:
where groups are known the test is of the groups' mean differences, and the interval draws whole groups.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata, wilcoxon

from .statistics import Estimate, Floats, mean_interval

DIGITS = 12
"""Differences are rounded to so many: what is equal should not be ranked by the last bit."""


class Drawing(NamedTuple):
    """How often images, or groups, are drawn anew for an interval, and by which seed."""

    resamples: int
    seed: int


@dataclass(frozen=True)
class Paired:
    """The first less the second of two, on the same images.

    Attributes:
        first: The name of one.
        second: The name of the other.
        differences: ``(images,)``, NaN where either has no score.
        unit: What is taken to be independent of its like: "image" or "group".
        units: How many of them have a difference.
        difference: The mean over images, and its 95 % interval.
        effect: Matched-pairs rank-biserial correlation, from -1 (the second is always better) to 1.
        p: Two-sided, of Wilcoxon's signed-rank test; NaN without a difference.
        holm: The same corrected after Holm for all pairs that were tested.
        tests: How many those are.
    """

    first: str
    second: str
    differences: Floats
    unit: str
    units: int
    difference: Estimate
    effect: float
    p: float
    holm: float = math.nan
    tests: int = 1

    @property
    def smallest(self) -> float:
        """The smallest that ``holm`` could be: all units differ in one direction."""
        return min(1.0, self.tests * 2.0 ** (1 - self.units))

    @property
    def wins(self) -> int:
        """On how many images the first is better."""
        return int(np.count_nonzero(self.differences > 0))

    @property
    def ties(self) -> int:
        """On how many both are the same."""
        return int(np.count_nonzero(self.differences == 0))

    @property
    def losses(self) -> int:
        """On how many the second is better."""
        return int(np.count_nonzero(self.differences < 0))


def compare_pairs(
    scores: Mapping[str, Sequence[float]], groups: Sequence[str] | None, drawing: Drawing
) -> list[Paired]:
    """Compare each with each of those after it.

    Args:
        scores: By name, a score of each image; NaN where there is none.
        groups: The group of each image; None: unknown, each is taken to be its own.
        drawing: For the intervals.
    """
    pairs = []
    for first, second in combinations(scores, 2):
        one, other = (np.asarray(scores[name], np.float64) for name in (first, second))
        differences = np.round(one - other, DIGITS)
        units = _units(differences, groups)
        pairs.append(
            Paired(
                first=first,
                second=second,
                differences=differences,
                unit="image" if groups is None else "group",
                units=len(units),
                difference=mean_interval(differences.tolist(), *drawing, groups=groups),
                effect=rank_biserial(units),
                p=signed_rank(units),
            )
        )
    tests = sum(pair.units > 0 for pair in pairs)
    corrected = holm([pair.p for pair in pairs])
    return [replace(pair, holm=float(p), tests=tests) for pair, p in zip(pairs, corrected, strict=True)]


def signed_rank(differences: npt.ArrayLike) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test (Wilcoxon 1945, doi:10.2307/3001968).

    The ranks of zeros count half for either side (Demšar 2006, Journal of Machine Learning Research 7:1-30). It is
    exact up to 50 differences, or 13 where some are equal or zero; beyond that it is the normal approximation.
    """
    differences = np.asarray(differences, np.float64)
    return float(wilcoxon(differences, zero_method="zsplit").pvalue) if differences.size else math.nan


def rank_biserial(differences: npt.ArrayLike) -> float:
    """Return the matched-pairs rank-biserial correlation (Kerby 2014, doi:10.2466/11.IT.3.1).

    It is the sum of the ranks of what speaks for the first less that of what speaks for the second, as a share of
    all ranks; zeros speak for neither. NaN without a difference.
    """
    differences = np.asarray(differences, np.float64)
    ranks = rankdata(np.abs(differences))
    return float((np.sign(differences) * ranks).sum() / ranks.sum()) if differences.size else math.nan


def holm(p: Sequence[float]) -> Floats:
    """Return p-values corrected for their number (Holm 1979, jstor.org/stable/4615733).

    NaN stays, and is not counted.
    """
    values = np.asarray(p, np.float64)
    order = np.argsort(values)  # NaN comes last
    factors = np.count_nonzero(~np.isnan(values)) - np.arange(len(values))
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1)
    return corrected


def _units(differences: Floats, groups: Sequence[str] | None) -> Floats:
    """Return the differences that are taken to be independent: of images, or means of groups."""
    known = ~np.isnan(differences)
    if groups is None:
        return differences[known]
    members: dict[str, list[float]] = {}
    for group, difference in zip(np.asarray(groups)[known], differences[known], strict=True):
        members.setdefault(group, []).append(difference)
    return np.round([np.mean(values) for values in members.values()], DIGITS)
