"""From probabilities to classes, and the score that chooses the best epoch."""

from typing import Any

import keras
import tensorflow as tf

from ..config import IGNORE


def decide(probabilities: Any, threshold: float) -> Any:
    """Turn ``(..., channels)`` probabilities into ``(...)`` uint8 class indices.

    The one place where probability becomes class: at least ``threshold`` with one channel,
    the most probable class with more.
    """
    if probabilities.shape[-1] == 1:
        return tf.cast(probabilities[..., 0] >= threshold, tf.uint8)
    return tf.cast(tf.argmax(probabilities, axis=-1, output_type=tf.int32), tf.uint8)


class MeanDice(keras.metrics.Metric):
    """The mean over images and foreground classes of the Dice coefficient of decided masks.

    A class absent from an image's truth and prediction leaves the mean; one predicted only
    scores 0. With nothing to score, the result is 1: nothing was there and nothing was found.
    """

    def __init__(self, threshold: float = 0.5, name: str = "dice") -> None:
        super().__init__(name=name)
        self.threshold = threshold
        self.total = self.add_weight(shape=(), initializer="zeros", name="total")
        self.count = self.add_weight(shape=(), initializer="zeros", name="count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add images: ``(n, h, w, 1)`` class indices against ``(n, h, w, c)`` probabilities."""
        classes = max(2, y_pred.shape[-1])
        truth = tf.cast(y_true[..., 0], tf.int32)
        found = tf.where(truth == IGNORE, 0, tf.cast(decide(y_pred, self.threshold), tf.int32))
        for index in range(1, classes):
            here, there = truth == index, found == index
            overlap = _count(here & there)
            total = _count(here) + _count(there)
            self.total.assign_add(tf.reduce_sum(2.0 * overlap / tf.maximum(total, 1.0)))
            self.count.assign_add(tf.reduce_sum(tf.cast(total > 0, tf.float32)))

    def result(self) -> Any:
        """Return the mean so far."""
        return tf.where(self.count > 0, self.total / tf.maximum(self.count, 1.0), 1.0)


def _count(pixels: Any) -> Any:
    return tf.reduce_sum(tf.cast(pixels, tf.float32), axis=(1, 2))
