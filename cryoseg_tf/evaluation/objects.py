"""Scores by objects: which cells were found, which objects are false, what was split and what was merged.

An object is a connected component of a class with at least ``evaluation.minimum_area`` pixels, and no more
than half of them ignored. Three questions are asked of it::

    a truth object      found: at least half of its pixels are given its class, by whatever object
    a predicted object  false: less than half of its known pixels are of its class in truth
    a pair of both      matched: IoU is at least 0.5, 0.55, ... 0.9, one to one

"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from ..config import IGNORE, EvaluationConfig
from .components import Labels, Measured, components, measured, overlaps

Array = npt.NDArray[Any]
Point = tuple[float, float, str]
"""Row and column in pixels, and the kind of the object there."""

IOUS = tuple(round(0.5 + 0.05 * step, 2) for step in range(9))
"""From which IoU on a pair matches: 0.5 to 0.9, as in the 2018 Data Science Bowl."""

MIXED = "mixed"
"""The kind of an object that holds points of several."""


@dataclass(frozen=True, slots=True)
class TruthObject:
    """An annotated object.

    Attributes:
        measured: Place and size.
        kind: Of its points, see ``read_kinds``; empty if none was given.
        best_iou: With any predicted object.
        coverage: The share of its pixels that was given its class.
    """

    measured: Measured
    kind: str
    best_iou: float
    coverage: float

    @property
    def found(self) -> bool:
        """Whether at least half of it was predicted (nearly the rule of Matula et al. 2015: more than half).

        Source: doi:10.1371/journal.pone.0144959.
        """
        return self.coverage >= 0.5


@dataclass(frozen=True, slots=True)
class FoundObject:
    """A predicted object.

    Attributes:
        measured: Place and size.
        best_iou: With any truth object.
        matched50: Whether it is matched at IoU 0.5.
        false: Whether less than half of its known pixels are of its class in truth.
    """

    measured: Measured
    best_iou: float
    matched50: bool
    false: bool


@dataclass(frozen=True)
class ObjectScores:
    """The objects of one class in an image, or in several.

    Attributes:
        truth: What was annotated.
        predicted: What was predicted.
        matches: One-to-one matches at each of ``IOUS``.
        splits: Truth objects that hold at least half of each of several predicted objects.
        merges: Predicted objects that hold at least half of each of several truth objects.
        area_um2: What was looked at, ignored pixels left out; None without pixel size.
    """

    truth: tuple[TruthObject, ...]
    predicted: tuple[FoundObject, ...]
    matches: dict[float, int]
    splits: int
    merges: int
    area_um2: float | None = None

    @property
    def found(self) -> int:
        """How many truth objects were found."""
        return sum(one.found for one in self.truth)

    @property
    def false_objects(self) -> int:
        """How many predicted objects are false."""
        return sum(one.false for one in self.predicted)

    @property
    def recall(self) -> float:
        """The share of the truth objects that was found; NaN without any."""
        return self.found / len(self.truth) if self.truth else math.nan

    @property
    def precision(self) -> float:
        """The share of the predicted objects that are not false; NaN without any."""
        return 1 - self.false_objects / len(self.predicted) if self.predicted else math.nan

    @property
    def f1(self) -> float:
        """F1 of matches at IoU 0.5 (Caicedo et al. 2019, doi:10.1038/s41592-019-0612-7); NaN without objects."""
        return self.f1_at(IOUS[0])

    @property
    def f1_mean(self) -> float:
        """The mean of F1 over ``IOUS``."""
        return sum(self.f1_at(iou) for iou in IOUS) / len(IOUS)

    def f1_at(self, iou: float) -> float:
        """Return F1 at one of ``IOUS``."""
        objects = len(self.truth) + len(self.predicted)
        return 2 * self.matches[iou] / objects if objects else math.nan

    @classmethod
    def pooled(cls, parts: Iterable["ObjectScores"]) -> "ObjectScores":
        """Put images together; the area is that of those whose pixel size is known."""
        parts = list(parts)
        areas = [part.area_um2 for part in parts if part.area_um2 is not None]
        return cls(
            tuple(one for part in parts for one in part.truth),
            tuple(one for part in parts for one in part.predicted),
            {iou: sum(part.matches[iou] for part in parts) for iou in IOUS},
            sum(part.splits for part in parts),
            sum(part.merges for part in parts),
            sum(areas) if areas else None,
        )


def object_scores(
    truth: Array,
    prediction: Array,
    class_index: int,
    config: EvaluationConfig,
    points: Sequence[Point] = (),
) -> ObjectScores:
    """Score the objects of one class.

    Splits and merges follow the Cell Tracking Challenge, where an object is detected by the one that
    holds most of it (Matula et al. 2015, doi:10.1371/journal.pone.0144959). Matches are as many
    as there can be; above an IoU of 0.5 an object has no second partner, at exactly 0.5 it may.

    Args:
        truth: ``(height, width)`` class indices; pixels of value ``IGNORE`` (255) count nowhere.
        prediction: ``(height, width)`` class indices.
        class_index: The class to score.
        config: What an object is.
        points: Kinds of objects; an object that holds points of several kinds is ``MIXED``. Parts of a
            divided object that hold none are of its kind.

    Returns:
        Without ``area_um2``: no pixel size is known here.
    """
    there, found = (components(mask == class_index, config) for mask in (truth, prediction))
    table = overlaps(there, found, truth != IGNORE)
    sizes, known = (np.asarray(table.sum(axis=axis)) for axis in (1, 0))
    kept = np.flatnonzero(sizes[1:] >= config.minimum_area) + 1
    every = measured(*found)
    areas = np.array([0, *(one.area for one in every)])
    kept_found = np.flatnonzero((areas >= config.minimum_area) & (2 * known >= areas))
    kept_found = kept_found[kept_found > 0]
    pairs = _Pairs(table[kept][:, kept_found], sizes[kept], known[kept_found])
    covered = 1 - table[kept][:, [0]].toarray()[:, 0] / sizes[kept]
    false = 2 * (known - table[[0]].toarray()[0]) < known
    kinds, places = _kinds(there[0], points), measured(*there)
    if config.separate != "none" and points:
        kinds = _of_whole(there, truth == class_index, config, points) | kinds
    matched = pairs.matched(IOUS[0])
    return ObjectScores(
        tuple(
            TruthObject(places[number - 1], kinds.get(number, ""), iou, share)
            for number, iou, share in zip(kept.tolist(), pairs.best(0), covered.tolist(), strict=True)
        ),
        tuple(
            FoundObject(every[number - 1], iou, place in matched, bool(false[number]))
            for place, (number, iou) in enumerate(zip(kept_found.tolist(), pairs.best(1), strict=True))
        ),
        {iou: len(pairs.matched(iou)) for iou in IOUS},
        pairs.splits,
        pairs.merges,
    )


class _Pairs:
    """The pairs of a truth object and a predicted one that share pixels."""

    def __init__(self, table: csr_array, sizes: Array, known: Array) -> None:
        pairs = table.tocoo()
        self._shape = table.shape
        self._places = pairs.coords
        rows, columns = self._places
        self._iou = pairs.data / (sizes[rows] + known[columns] - pairs.data)
        self.splits = self._several(0, 2 * pairs.data >= known[columns])
        self.merges = self._several(1, 2 * pairs.data >= sizes[rows])

    def best(self, axis: int) -> list[float]:
        """Return the best IoU of each truth object (axis 0) or predicted one (1); 0 without a pair."""
        best = np.zeros(self._shape[axis])
        np.maximum.at(best, self._places[axis], self._iou)
        return best.tolist()

    def matched(self, iou: float) -> frozenset[int]:
        """Return the places of the predicted objects that have a partner, each truth object giving one at most."""
        near = self._iou >= iou
        places = tuple(place[near] for place in self._places)
        graph = coo_array((near[near], places), shape=self._shape).tocsr()
        partners = maximum_bipartite_matching(graph, perm_type="column")
        return frozenset(partners[partners >= 0].tolist())

    def _several(self, axis: int, held: npt.NDArray[np.bool_]) -> int:
        """Count the objects of a kind that hold two or more of the other."""
        return int(np.count_nonzero(np.bincount(self._places[axis][held]) > 1))


def _of_whole(
    parts: tuple[Labels, int], inside: Array, config: EvaluationConfig, points: Sequence[Point]
) -> dict[int, str]:
    """Return the kind of each part of a divided object: that of the whole."""
    labels, _ = components(inside, config.model_copy(update={"separate": "none"}))
    kinds, whole = _kinds(labels, points), np.zeros(parts[1] + 1, int)
    whole[parts[0]] = labels
    return {part: kinds[number] for part, number in enumerate(whole.tolist()) if part and number in kinds}


def _kinds(labels: Labels, points: Sequence[Point]) -> dict[int, str]:
    """Return the kind by the number of the object that holds a point; points beside all of them say nothing."""
    kinds: dict[int, str] = {}
    height, width = labels.shape
    for y, x, kind in points:
        row, column = round(y), round(x)
        if row < height and column < width:
            number = int(labels[row, column])
            kinds[number] = kind if kinds.get(number, kind) == kind else MIXED
    return kinds
