"""Losses that compare areas: one value per image, the mean over its classes.

With more than two classes, those that an image does not hold leave its mean: in most patches a rare class
is not there, and the safest way to be right there would be never to find it.

Own code: Keras' Dice and Tversky cannot leave out ignored pixels, and their smoothing of 1e-7 gives an
image without foreground a loss of 1 whatever is found in it, and no gradient. See ``losses`` for what each takes.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras
import tensorflow as tf

from ..config import IGNORE

Loss = Callable[[Any, Any], Any]
"""Truth ``(n, h, w, 1)`` and probabilities ``(n, h, w, c)`` -> ``(n,)``."""

SMOOTH = 1.0
"""Added to both sides of the ratio, in pixels: an empty mask gives a finite loss and gradient."""


_apart: ContextVar[bool] = ContextVar("apart", default=False)


@contextmanager
def apart() -> Iterator[None]:
    """Within it, what several replicas are given is not one batch: ``pooled`` sums over each replica's alone."""
    token = _apart.set(True)
    try:
        yield
    finally:
        _apart.reset(token)


def dice(pooled: bool = False, smooth: float = SMOOTH) -> Loss:
    """One minus the soft Dice coefficient.

    After Milletari et al. 2016 (doi:10.1109/3DV.2016.79), with a plain sum in the denominator.

    Args:
        pooled: Sum over the whole batch, on all replicas, as the thesis did; each image then gets the batch's value.
        smooth: Added to both sides of the ratio, in pixels.
    """
    return tversky(0.5, 0.5, smooth, pooled)


def jaccard(pooled: bool = False, smooth: float = SMOOTH) -> Loss:
    """One minus the soft Jaccard index (intersection over union), which is dice / (2 - dice)."""
    return tversky(1.0, 1.0, smooth, pooled)


def tversky(alpha: float = 0.5, beta: float = 0.5, smooth: float = SMOOTH, pooled: bool = False) -> Loss:
    """One minus the Tversky index, TP / (TP + alpha FP + beta FN).

    After Salehi et al. 2017 (doi:10.1007/978-3-319-67389-9_44).

    Args:
        alpha: Weighs false positives.
        beta: Weighs false negatives; above ``alpha``, recall is preferred to precision.
        smooth: As in ``dice``: half of it beside TP.
        pooled: As in ``dice``.
    """
    missing = _missing(alpha, beta, smooth, pooled)

    def loss(truth: Any, probabilities: Any) -> Any:
        return _mean(*missing(truth, probabilities))

    return loss


def focal_tversky(
    alpha: float = 0.3, beta: float = 0.7, gamma: float = 0.75, smooth: float = SMOOTH, pooled: bool = False
) -> Loss:
    """(1 - Tversky index) ** gamma, the mean over channels.

    After Abraham & Khan 2019 (doi:10.1109/ISBI.2019.8759329), whose exponent is 1 / gamma with gamma 4/3
    and whose alpha weighs false negatives: the defaults are theirs. They sum over classes.

    Args:
        alpha: Weighs false positives.
        beta: Weighs false negatives.
        gamma: The exponent itself: below 1 gives good images more weight than ``tversky`` does, above 1 less.
        smooth: As in ``tversky``.
        pooled: As in ``dice``.
    """
    positive(gamma=gamma)
    missing = _missing(alpha, beta, smooth, pooled)

    def loss(truth: Any, probabilities: Any) -> Any:
        values, counted = missing(truth, probabilities)
        # a power below 1 has an infinite gradient at 0
        return _mean(tf.maximum(values, keras.config.epsilon()) ** gamma, counted)

    return loss


def one_hot(truth: Any, channels: int) -> Any:
    """Return float32 ``(n, h, w, channels)``: the foreground with one channel, each class with more.

    Ignored pixels are 0 in all.
    """
    truth = tf.cast(truth, tf.int32)
    # one_hot of a value beyond the classes, as IGNORE is, is all zeros
    return tf.cast(truth == 1, tf.float32) if channels == 1 else tf.one_hot(truth[..., 0], channels)


def annotated(truth: Any) -> Any:
    """Return float32 ``(n, h, w)``: 1 where annotated, 0 where ignored."""
    return tf.cast(tf.cast(truth, tf.int32)[..., 0] != IGNORE, tf.float32)


def positive(**options: Any) -> None:
    """Refuse options that are no numbers above 0.

    Raises:
        ValueError: For the first of them.
    """
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise ValueError(f"{name} is {value!r}: it must be a number above 0")


def _mean(values: Any, counted: Any) -> Any:
    return tf.math.divide_no_nan(tf.reduce_sum(values * counted, axis=-1), tf.reduce_sum(counted, axis=-1))


def _missing(alpha: float, beta: float, smooth: float, pooled: bool) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Return a function that gives one minus the Tversky index, ``(n, c)``, and 1 for each that counts.

    Twice the usual numerator and denominator: ``smooth`` then means the same in Dice, Jaccard and Tversky, and
    what holds between them holds with it.
    """
    positive(alpha=alpha, beta=beta, smooth=smooth)
    if not isinstance(pooled, bool):
        raise ValueError(f"pooled is {pooled!r}: it must be true or false")

    def area(x: Any) -> Any:
        each = tf.reduce_sum(x, axis=(1, 2))
        return _pooled(each) if pooled else each

    def missing(truth: Any, probabilities: Any) -> tuple[Any, Any]:
        expected = one_hot(truth, probabilities.shape[-1])
        found = probabilities * annotated(truth)[..., tf.newaxis]
        overlap, there, claimed = area(expected * found), area(expected), area(found)
        total = 2.0 * (alpha * claimed + beta * there + (1.0 - alpha - beta) * overlap)
        # the foreground alone always counts: nothing else says that an empty image is empty
        counted = tf.ones_like(there) if probabilities.shape[-1] == 1 else tf.cast(there > 0, tf.float32)
        return 1.0 - (2.0 * overlap + smooth) / (total + smooth), counted

    return missing


def _pooled(each: Any) -> Any:
    total = tf.reduce_sum(each, axis=0, keepdims=True)
    if tf.distribute.get_strategy().num_replicas_in_sync > 1 and not _apart.get():
        total = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, total)
    return total + tf.zeros_like(each)
