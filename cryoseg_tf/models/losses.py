"""Losses: one value per image, then the mean; pixels marked ``IGNORE`` count nowhere."""

from typing import Any

import tensorflow as tf

from ..config import IGNORE

SMOOTH = 1.0
"""Added to both sides of the ratio, in pixels: an empty mask gives a finite loss and gradient."""


def annotated(truth: Any, probabilities: Any) -> tuple[Any, Any]:
    """Return what is compared: ``(n, h, w, c)`` float32 truth and weighted probabilities.

    With one channel that is the foreground; with more, each class. Ignored pixels are 0 in both.

    Args:
        truth: ``(n, h, w, 1)`` class indices, ``IGNORE`` = not annotated.
        probabilities: ``(n, h, w, c)``.
    """
    truth = tf.cast(truth, tf.int32)
    known = tf.cast(truth != IGNORE, probabilities.dtype)
    channels = probabilities.shape[-1]
    # one_hot of a value beyond the classes, as IGNORE is, is all zeros
    one_hot = truth == 1 if channels == 1 else tf.one_hot(truth[..., 0], channels)
    return tf.cast(one_hot, probabilities.dtype), probabilities * known


def dice_loss(truth: Any, probabilities: Any) -> Any:
    """Return one minus the soft Dice coefficient of each image, ``(n,)``.

    With more than two classes it is the mean over all classes. After Milletari et al. 2016
    (doi:10.1109/3DV.2016.79), with a plain sum in the denominator.
    """
    truth, probabilities = annotated(truth, probabilities)
    overlap = tf.reduce_sum(truth * probabilities, axis=(1, 2))
    total = tf.reduce_sum(truth, axis=(1, 2)) + tf.reduce_sum(probabilities, axis=(1, 2))
    return 1.0 - tf.reduce_mean((2.0 * overlap + SMOOTH) / (total + SMOOTH), axis=-1)


LOSSES = {"dice": dice_loss}
