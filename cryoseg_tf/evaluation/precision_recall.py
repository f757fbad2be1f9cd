"""Precision and recall of the foreground at every threshold, from histograms of its probability."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ..config import IGNORE
from ..io.mask import Mask
from .bands import bands

Array = npt.NDArray[Any]

BINS = 256
"""Of the probability; they begin at the thresholds."""


class PrecisionRecall:
    """Counts the pixels of images by the probability of their being foreground, while they stream by."""

    def __init__(self) -> None:
        self._counts = np.zeros((2, BINS), np.int64)

    def add(self, truth: Mask, probabilities: Array) -> None:
        """Add an image.

        Args:
            truth: ``(height, width)`` class indices; pixels of value ``IGNORE`` (255) are not counted.
            probabilities: ``(height, width, channels)``: one channel for two classes, else one a class.
        """
        for rows in bands(truth.shape):
            band = probabilities[rows]
            foreground = band[..., 0] if band.shape[-1] == 1 else 1 - band[..., 0]
            known = (truth[rows] != IGNORE) & np.isfinite(foreground)
            place = np.clip(foreground[known] * BINS, 0, BINS - 1).astype(np.intp)
            there = truth[rows][known] > 0
            self._counts += [np.bincount(place[pixels], minlength=BINS) for pixels in (~there, there)]

    @property
    def curve(self) -> Array | None:
        """``(n, 3)`` rows of threshold, recall and precision, from threshold 0 up; None without any foreground.

        Thresholds that no pixel reaches have no precision and no row.
        """
        false, true = self._counts[:, ::-1].cumsum(axis=1)[:, ::-1]
        if not true[0]:
            return None
        reached = true + false > 0
        thresholds = np.arange(BINS) / BINS
        return np.stack([thresholds, true / true[0], true / np.maximum(true + false, 1)], axis=1)[reached]
