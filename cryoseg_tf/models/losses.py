"""Losses by name: one value per image, of which Keras takes the mean; ``IGNORE`` counts nowhere.

``training.loss`` is a sum such as ``dice + 0.5*bce``. Every loss takes

- truth ``(n, h, w, 1)``: class indices; ``IGNORE`` = not annotated;
- probabilities ``(n, h, w, c)``: the foreground's with one channel (sigmoid), else each class' (softmax);

and returns ``(n,)``. Region losses are means over the channels, pixel losses means over the annotated
pixels; an image without any gives 0. For each loss 0 is perfect.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from ..config import IGNORE
from ..errors import ConfigError
from ..expressions import call, read_sum
from .region_losses import Loss, annotated, dice, focal_tversky, jaccard, one_hot, positive, tversky


def build_loss(text: str, class_weights: Sequence[float] | None = None) -> Loss:
    """Return the loss that ``training.loss`` describes, ready for ``keras.Model.compile``.

    Args:
        text: Names of ``KNOWN`` joined by ``+``, as ``tversky(alpha=0.3, beta=0.7) + 0.5*focal``.
        class_weights: One per class, background first; only ``weighted_bce`` uses them.

    Raises:
        ConfigError: If it is no such sum, or a name, option or value is unknown or out of range.
    """
    try:
        terms = read_sum(text)
    except ValueError as error:
        raise ConfigError(f"training.loss is {text!r}: {error}") from None
    known = KNOWN | {"weighted_bce": partial(weighted_bce, class_weights)}
    parts = [(term.weight, call("training.loss", term, known)) for term in terms]

    def loss(truth: Any, probabilities: Any) -> Any:
        return tf.add_n([weight * part(truth, probabilities) for weight, part in parts])

    return loss


def bce() -> Loss:
    """Cross-entropy, for any number of channels: binary with one, categorical with more."""
    return _pixel_loss(_cross_entropy)


def weighted_bce(class_weights: Sequence[float] | None) -> Loss:
    """``bce`` with each pixel weighed by its class, divided by the sum of the image's weights.

    Raises:
        ValueError: If there are no weights.
    """
    if class_weights is None:
        raise ValueError("it needs a weight for each class: set training.class_weights to auto or to numbers")
    return _pixel_loss(_cross_entropy, class_weights)


def focal(gamma: float = 2.0) -> Loss:
    """Cross-entropy times (1 - probability of the right class) ** gamma, without class weights.

    After Lin et al. 2017 (doi:10.1109/ICCV.2017.324).

    Raises:
        ValueError: If ``gamma`` is below 1: the gradient of a pixel that is right would be infinite.
    """
    positive(gamma=gamma)
    if gamma < 1:
        raise ValueError(f"gamma is {gamma!r}: it must be at least 1")

    def per_pixel(expected: Any, probabilities: Any) -> Any:
        # Keras' categorical_focal_crossentropy clips probabilities: a pixel surely wrong would learn nothing
        if probabilities.shape[-1] == 1:
            wrong = tf.abs(expected - probabilities)[..., 0]
        else:
            wrong = 1.0 - tf.reduce_sum(expected * probabilities, axis=-1)
        return tf.maximum(wrong, 0.0) ** gamma * _cross_entropy(expected, probabilities)

    return _pixel_loss(per_pixel)


def mae() -> Loss:
    """The mean absolute difference of probability and truth."""
    return _pixel_loss(keras.losses.mean_absolute_error)


def mse() -> Loss:
    """The mean squared difference of probability and truth, also known as the Brier score."""
    return _pixel_loss(keras.losses.mean_squared_error)


def boundary() -> Loss:
    """How far from the true contour the probability is wrong: the mean of signed distance * (found - true).

    After Kervadec et al. 2021 (doi:10.1016/j.media.2020.101851), who drop the constant -distance * true; with
    it, 0 is perfect. Meant to be added to a region loss. ``signed_distances`` says what the unit is.
    It runs in Python on the CPU: not with ``jit_compile``.
    """

    def loss(truth: Any, probabilities: Any) -> Any:
        channels = probabilities.shape[-1]
        indices = tf.cast(truth, tf.uint8)[..., 0]
        distances = tf.numpy_function(signed_distances, [indices, channels], tf.float32, stateful=False)
        distances = tf.ensure_shape(distances, probabilities.shape)
        wrong = probabilities - one_hot(truth, channels)
        return _weighted_mean(tf.reduce_mean(distances * wrong, axis=-1), annotated(truth))

    return loss


KNOWN: dict[str, Callable[..., Loss]] = {
    function.__name__: function
    for function in (dice, jaccard, tversky, focal_tversky, bce, weighted_bce, focal, mae, mse, boundary)
}


def signed_distances(truth: NDArray[np.uint8], channels: int) -> NDArray[np.float32]:
    """Return how far each pixel is from each class' contour, negative inside.

    The unit is the side of a square with as many pixels as are annotated, so that the loss depends neither on
    the image's size nor on ignored pixels. The contour runs half-way between pixels. A class that is absent,
    or the only one, has no contour: 0 everywhere, and so no loss.

    Args:
        truth: ``(n, h, w)`` class indices; ignored pixels are neither inside nor outside.
        channels: 1 for the foreground alone, else the number of classes.

    Returns:
        ``(n, h, w, channels)``.
    """
    distances = np.zeros((*truth.shape, channels), np.float32)
    for image, mask in enumerate(truth):
        for channel in range(channels):
            inside = mask == (1 if channels == 1 else channel)
            distances[image, ..., channel] = _signed_distance(inside, ~inside & (mask != IGNORE))
    return distances


def _signed_distance(inside: NDArray[np.bool_], outside: NDArray[np.bool_]) -> Any:
    if not (inside.any() and outside.any()):
        return 0.0
    distance = np.where(inside, 0.5 - distance_transform_edt(~outside), distance_transform_edt(~inside) - 0.5)
    return distance / math.sqrt(np.count_nonzero(inside | outside))


def _pixel_loss(per_pixel: Loss, class_weights: Sequence[float] | None = None) -> Loss:
    """Return the mean over annotated pixels of a function of ``(n, h, w, c)`` one-hot truth and probabilities."""

    def loss(truth: Any, probabilities: Any) -> Any:
        channels = probabilities.shape[-1]
        weights = annotated(truth)
        if class_weights is not None:
            weights = tf.reduce_sum(one_hot(truth, max(2, channels)) * tf.constant(class_weights, tf.float32), axis=-1)
        return _weighted_mean(per_pixel(one_hot(truth, channels), probabilities), weights)

    return loss


def _cross_entropy(expected: Any, probabilities: Any) -> Any:
    # given the very tensor that a sigmoid or softmax returned, Keras computes from its logits, without clipping
    if probabilities.shape[-1] == 1:
        return keras.losses.binary_crossentropy(expected, probabilities)
    return keras.losses.categorical_crossentropy(expected, probabilities)


def _weighted_mean(values: Any, weights: Any) -> Any:
    return tf.math.divide_no_nan(tf.reduce_sum(values * weights, axis=(1, 2)), tf.reduce_sum(weights, axis=(1, 2)))
