"""Make probabilities mean something: temperature, threshold, and how far off they are.

Functions of arrays alone. A pixel's truth is a class index, ``IGNORE`` where nothing was
annotated; its logits or probabilities have one channel for two classes, else one per class, as
the network gives them. What is not annotated, or is no number, counts nowhere.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit, softmax

from ..config import IGNORE

Array = npt.NDArray[Any]

TEMPERATURES = (0.25, 8.0)
"""A few validation images that are all right, or all wrong, would else ask for 0 or infinity."""

GAIN = 1e-6
"""Of the negative log likelihood per pixel, in nats: a temperature that gains less is not worth having."""

CLIP = (2.0**-126, 1 - 2.0**-24)
"""The smallest and the largest probability short of 0 and 1 in float32."""

THRESHOLDS = np.arange(20, 81) / 100
"""Of calibrated probabilities; farther from 0.5 would be noise of a few images, or of a network that knows little."""

CLOSE = 0.0005
"""Mean Dice coefficients that differ by less are taken as equal: the validation images are few."""

BINS = 15
"""Of confidence, as in Guo et al. 2017."""


def probabilities(logits: Array, temperature: float = 1.0) -> Array:
    """Turn ``(..., channels)`` logits, divided by the temperature, into probabilities."""
    scaled = logits / temperature
    result: Array = expit(scaled) if logits.shape[-1] == 1 else softmax(scaled, axis=-1)
    return result


def undone(calibrated: Array, temperature: float) -> Array:
    """Return the ``(..., channels)`` probabilities that the network gave before calibration.

    Exact but for rounding, which tells little apart close to 1; where probabilities were resampled
    to another size, an approximation.
    """
    if temperature == 1:
        return calibrated
    clipped = np.clip(calibrated, *CLIP)
    return probabilities(logit(clipped) if calibrated.shape[-1] == 1 else np.log(clipped), 1 / temperature)


def sample(truth: Array, logits: Array, most: int) -> tuple[Array, Array]:
    """Take about ``most`` annotated pixels of an image, or all, on a square grid.

    Args:
        truth: ``(h, w)`` class indices.
        logits: ``(h, w, channels)``.
        most: How many to take.

    Returns:
        ``(n,)`` class indices and ``(n, channels)`` logits.
    """
    step = max(1, int(np.ceil(np.sqrt(np.count_nonzero(truth != IGNORE) / most))))
    return _known(truth[::step, ::step], logits[::step, ::step])


def fit_temperature(truth: Array, logits: Array) -> float:
    """Return the temperature that gives the smallest negative log likelihood, after Guo et al. 2017.

    One number, within ``TEMPERATURES``: it changes how sure the network is, not what it says
    (arXiv:1706.04599). 1 where there is nothing to gain.

    Args:
        truth: ``(n,)`` class indices.
        logits: ``(n, channels)``.
    """
    labels, values = _known(truth, logits)
    if not len(labels):
        return 1.0
    # a sigmoid is the softmax over 0 and its logit
    every = np.hstack([np.zeros_like(values), values]) if values.shape[1] == 1 else values
    highest = every.max(axis=1, keepdims=True)
    below = (every - highest).T.astype(np.float64)
    miss = float((highest - np.take_along_axis(every, labels[:, None].astype(np.intp), axis=1)).mean(dtype=np.float64))

    def loss(log_temperature: float) -> float:
        # the largest logit taken out: nothing overflows, and only this is left of it
        sharpness = np.exp(-log_temperature)
        return float(miss * sharpness + np.log(np.exp(below * sharpness).sum(axis=0)).mean())

    best = minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded", options={"xatol": 1e-4})
    # rounded, lest the last bit of a logit shows in every file that is made from it
    return round(float(np.exp(best.x)), 4) if best.fun < loss(0.0) - GAIN else 1.0


class DiceCurve:
    """The mean over images of the Dice coefficient of decided masks, at each of ``THRESHOLDS``.

    Two classes only. Each image is kept as a histogram whose bins end at the thresholds, so that
    the pixels that reach each of them are counted exactly; the mean is that of ``MeanDice``.
    """

    def __init__(self) -> None:
        # decided in float32, as everywhere
        self._edges = THRESHOLDS.astype(np.float32)
        self._overlap = np.empty((0, len(THRESHOLDS)), np.int64)
        self._total = np.empty((0, len(THRESHOLDS)), np.int64)
        self._foreground = 0

    def add(self, truth: Array, probabilities: Array) -> None:
        """Add an image: ``(h, w)`` class indices against ``(h, w, 1)`` probabilities."""
        labels, values = _known(truth, probabilities)
        place = np.searchsorted(self._edges, values[:, 0].astype(np.float32), side="right")
        here = labels == 1
        overlap, beside = (self._reached(place[pixels]) for pixels in (here, ~here))
        area = int(np.count_nonzero(here))
        self._overlap = np.vstack([self._overlap, overlap])
        self._total = np.vstack([self._total, overlap + beside + area])
        self._foreground += area

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        """At each threshold; 1 where there is nothing to score."""
        count = np.count_nonzero(self._total, axis=0)
        dice = (2.0 * self._overlap / np.maximum(self._total, 1)).sum(axis=0)
        return np.where(count > 0, dice / np.maximum(count, 1), 1.0)

    @property
    def threshold(self) -> float:
        """Of those within ``CLOSE`` of the best mean, the nearest to 0.5; 0.5 without any foreground."""
        if not self._foreground:
            return 0.5
        mean = self.mean
        close = np.flatnonzero(mean >= mean.max() - CLOSE)
        # hundredths are whole numbers: 0.49 and 0.51 are exactly as near
        far = np.abs(np.rint(THRESHOLDS[close] * 100) - 50)
        return float(THRESHOLDS[close[np.lexsort((-mean[close], far))[0]]])

    def at(self, threshold: float) -> float:
        """Return the mean at one of ``THRESHOLDS``."""
        return float(self.mean[np.argmin(np.abs(THRESHOLDS - threshold))])

    def _reached(self, place: Array) -> npt.NDArray[np.int64]:
        counts = np.bincount(place, minlength=len(THRESHOLDS) + 1)
        return counts[::-1].cumsum()[::-1][1:]


class Reliability:
    """How often the most probable class is right, against how probable it was called.

    Pixels are gathered in ``BINS`` equal bins of that probability, their confidence.
    """

    def __init__(self) -> None:
        self.counts = np.zeros(BINS, np.int64)
        self._confidence = np.zeros(BINS)
        self._correct = np.zeros(BINS, np.int64)

    def add(self, truth: Array, probabilities: Array) -> None:
        """Add pixels: ``(...)`` class indices against ``(..., channels)`` probabilities."""
        labels, values = _known(truth, probabilities)
        if values.shape[-1] == 1:
            found = values[:, 0] >= 0.5
            confidence = np.where(found, values[:, 0], 1 - values[:, 0])
        else:
            found, confidence = values.argmax(axis=-1), values.max(axis=-1)
        place = np.clip(np.ceil(confidence * BINS).astype(np.intp) - 1, 0, BINS - 1)
        self.counts += np.bincount(place, minlength=BINS)
        self._confidence += np.bincount(place, confidence, BINS)
        self._correct += np.bincount(place[found == labels], minlength=BINS)

    @property
    def ece(self) -> float:
        """The expected calibration error: the gap in each bin, weighted by pixels; NaN without any.

        After Naeini et al. 2015 (doi:10.1609/aaai.v29i1.9602) and, for the most probable of
        several classes, Guo et al. 2017 (arXiv:1706.04599).
        """
        count = self.counts.sum()
        return float(np.abs(self._correct - self._confidence).sum() / count) if count else float("nan")

    @property
    def curve(self) -> Array:
        """One row for each bin that holds pixels: mean confidence, share that is right, share of all pixels."""
        full = self.counts > 0
        counts = self.counts[full]
        return np.stack([self._confidence[full] / counts, self._correct[full] / counts, counts / counts.sum()], axis=1)


def _known(truth: Array, values: Array) -> tuple[Array, Array]:
    known = (truth != IGNORE) & np.isfinite(values).all(axis=-1)
    return truth[known], values[known]
