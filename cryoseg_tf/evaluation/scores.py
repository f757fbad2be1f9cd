"""Scores of one mask against the truth, from counts of pixels."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..config import IGNORE

METRICS = ("recall", "precision", "dice", "iou")
"""The scores, in the order of tables and figures."""


@dataclass(frozen=True)
class Scores:
    """How one class of one image was found; each score is NaN where it would be 0/0.

    So an empty mask follows one rule:

    =======================  ======  =========  =========
    the class is             recall  precision  Dice, IoU
    =======================  ======  =========  =========
    neither there nor found  NaN     NaN        NaN
    found, but not there     NaN     0          0
    there, but not found     0       NaN        0
    =======================  ======  =========  =========

    A NaN leaves the mean over images; it is not replaced by 0 or 1.

    Attributes:
        true_positive: Pixels of the class in truth and prediction.
        false_positive: Pixels of the class in the prediction only.
        false_negative: Pixels of the class in the truth only.
    """

    true_positive: int
    false_positive: int
    false_negative: int

    def __add__(self, other: "Scores") -> "Scores":
        """Pool the pixels of two images, or of two classes."""
        return Scores(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
        )

    @property
    def recall(self) -> float:
        """The share of the true pixels that was found."""
        return _ratio(self.true_positive, self.true_positive + self.false_negative)

    @property
    def precision(self) -> float:
        """The share of the found pixels that is true."""
        return _ratio(self.true_positive, self.true_positive + self.false_positive)

    @property
    def dice(self) -> float:
        """Twice the overlap over the sum of both areas (Dice 1945, doi:10.2307/1932409)."""
        return _ratio(2 * self.true_positive, 2 * self.true_positive + self.false_positive + self.false_negative)

    @property
    def iou(self) -> float:
        """Intersection over union (Jaccard 1912, doi:10.1111/j.1469-8137.1912.tb05611.x)."""
        return _ratio(self.true_positive, self.true_positive + self.false_positive + self.false_negative)

    def values(self) -> dict[str, float]:
        """Return all scores by name, in the order of ``METRICS``."""
        return {name: getattr(self, name) for name in METRICS}


def pixel_scores(truth: npt.NDArray[Any], prediction: npt.NDArray[Any], class_index: int) -> Scores:
    """Score one class. See ``Scores`` for the rule on empty masks.

    Args:
        truth: ``(height, width)`` class indices; pixels of value ``IGNORE`` (255) count nowhere.
        prediction: ``(height, width)`` class indices.
        class_index: The class to score.
    """
    return _counts(truth == class_index, prediction == class_index, truth != IGNORE)


def foreground_scores(truth: npt.NDArray[Any], prediction: npt.NDArray[Any]) -> Scores:
    """Score all classes but the background as if they were one; arguments as for ``pixel_scores``."""
    return _counts((truth > 0) & (truth != IGNORE), prediction > 0, truth != IGNORE)


def _counts(there: npt.NDArray[np.bool_], found: npt.NDArray[np.bool_], known: npt.NDArray[np.bool_]) -> Scores:
    both = int(np.count_nonzero(there & found))
    return Scores(both, int(np.count_nonzero(found & known)) - both, int(np.count_nonzero(there)) - both)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def or_null(value: float) -> float | None:
    """Return a score as JSON has it: null where it is NaN."""
    return None if math.isnan(value) else value
