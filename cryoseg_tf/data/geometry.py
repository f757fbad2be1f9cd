"""Where each pixel of a training patch is read in its image: one draw moves image and mask alike.

A patch is cut as it is, or *warped*: turned by any angle, scaled, sheared, tilted as by the stage,
and bent. All of it is one map from patch to image, so that pixels are interpolated once::

    patch pixel --bend--> --tilt--> --turn, scale, shear--> place in the image

What lies outside the image repeats its edge and is not annotated. Places are a pair of float32
``(side, side)`` tensors, rows and columns: stacked, each step would take several times as long.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ..config import AugmentationConfig

KNOTS = 5
"""Along each side, points whose random shifts bend a patch; smooth in between."""

DISTANCE = 4.0
"""From the lens to the tilted specimen, in sides of a patch: what is nearer looks larger."""

Draws = Callable[..., Any]
"""Draws uniform float32 numbers of a shape between two bounds; anew at each call."""

Places = tuple[Any, Any]


def draws(seed: Any, stream: int) -> Draws:
    """Return a function that draws uniform numbers: the same ones for the same seed and stream.

    Args:
        seed: Two int64 integers.
        stream: 0 to 255; another one gives other numbers.
    """
    calls = iter(range(256))

    def uniform(shape: Any = (), low: Any = 0.0, high: Any = 1.0) -> Any:
        key = seed + tf.constant([stream * 2**52, next(calls) * 2**42], tf.int64)
        return tf.random.stateless_uniform(shape, key, low, high)

    return uniform


def warp(side: int, config: AugmentationConfig, uniform: Draws) -> Places:
    """Draw a map: the place of each pixel of a patch, relative to its centre.

    Args:
        side: Of the patch, in pixels.
        config: Gives the largest angle, factor, shear, tilt and shift.
        uniform: Draws random numbers.
    """
    line = tf.range(side, dtype=tf.float32) - (side - 1) / 2
    y, x = line[:, None], line[None, :]
    if config.elastic:
        # uniform shifts within this bound have a deviation of `elastic`; each patch is bent by its own share of it
        bound = config.elastic * math.sqrt(3) * uniform()
        down, right = (_smooth(side, bound * uniform((KNOTS, KNOTS), -1, 1)) for _ in range(2))
        y, x = y + down, x + right
    if config.tilt:
        tilt = math.radians(config.tilt) * uniform((), -1, 1)
        y, x = _tilted(y, x, tilt, uniform((), 0, 2 * math.pi), side)
    turn = math.radians(config.rotation) * uniform((), -1, 1)
    shear = tf.tan(math.radians(config.shear) * uniform((), -1, 1))
    factor = tf.exp(math.log(config.scale) * uniform((), -1, 1))
    cosine, sine = factor * tf.cos(turn), factor * tf.sin(turn)
    return cosine * y + (shear * cosine - sine) * x, sine * y + (shear * sine + cosine) * x


def bounding_box(places: Places) -> Any:
    """Return int32 ``(top, left, height, width)`` of the window that reading at ``places`` needs."""
    ends = [(tf.floor(tf.reduce_min(p)), tf.floor(tf.reduce_max(p))) for p in places]
    (top, bottom), (left, right) = ends
    return tf.cast(tf.stack([top, left, bottom - top + 2, right - left + 2]), tf.int32)


def sample(pixels: Any, mask: Any, places: Places) -> tuple[Any, Any]:
    """Read a window at fractional places: the image by bilinear interpolation, the mask by the nearest pixel.

    ``keras.ops.image.map_coordinates`` does as much for arrays of one size only.

    Args:
        pixels: ``(h, w)`` float32, at least 2x2.
        mask: ``(h, w)`` uint8.
        places: In the window; beyond it its edge is read.

    Returns:
        float32 and uint8 of the places' shape.
    """
    size = tf.shape(pixels)
    y, x = (tf.clip_by_value(p, 0.0, tf.cast(size[axis] - 1, tf.float32)) for axis, p in enumerate(places))
    top, left = (tf.minimum(tf.cast(p, tf.int32), size[axis] - 2) for axis, p in enumerate((y, x)))
    down, right = y - tf.cast(top, tf.float32), x - tf.cast(left, tf.float32)
    first, flat = top * size[1] + left, tf.reshape(pixels, [-1])
    upper, lower = (
        _lerp(tf.gather(flat, index), tf.gather(flat, index + 1), right) for index in (first, first + size[1])
    )
    nearest = tf.cast(y + 0.5, tf.int32) * size[1] + tf.cast(x + 0.5, tf.int32)
    return _lerp(upper, lower, down), tf.gather(tf.reshape(mask, [-1]), nearest)


def flips_and_turns(patch: Any, uniform: Draws) -> Any:
    """Mirror and turn a square ``(h, w, c)`` patch by one of the eight symmetries of the square."""
    draw = uniform([3]) < 0.5
    patch = tf.cond(draw[0], lambda: tf.reverse(patch, [0]), lambda: patch)
    patch = tf.cond(draw[1], lambda: tf.reverse(patch, [1]), lambda: patch)
    return tf.cond(draw[2], lambda: tf.transpose(patch, [1, 0, 2]), lambda: patch)


def _tilted(y: Any, x: Any, tilt: Any, axis: Any, side: int) -> Places:
    """Map a view that is tilted about an axis through its centre to the level specimen.

    Across the axis the view is shorter by the tilt's cosine, and perspective makes its nearer half larger.
    """
    cosine, sine = tf.cos(axis), tf.sin(axis)
    across, along = cosine * y + sine * x, cosine * x - sine * y
    lean = tf.sin(tilt) / (DISTANCE * side)
    across = across / (tf.cos(tilt) + across * lean)
    along *= 1 - across * lean
    return cosine * across - sine * along, sine * across + cosine * along


def _smooth(side: int, knots: Any) -> Any:
    """Interpolate ``(KNOTS, KNOTS)`` values to ``(side, side)``.

    Written as sums: a matrix product would run beside those of the training step, see ``augment``.
    """
    weights = _between_knots(side)
    rows = sum(weights[:, k, None] * knots[None, k] for k in range(KNOTS))
    return sum(rows[:, k, None] * weights[None, :, k] for k in range(KNOTS))


def _between_knots(side: int) -> npt.NDArray[np.float32]:
    """Return ``(side, KNOTS)`` weights that interpolate smoothly (raised cosine) between evenly spaced knots."""
    place = np.linspace(0, KNOTS - 1, side)
    distance = np.clip(np.abs(place[:, None] - np.arange(KNOTS)), 0, 1)
    return np.asarray(0.5 + 0.5 * np.cos(np.pi * distance), np.float32)


def _lerp(first: Any, second: Any, weight: Any) -> Any:
    return first + (second - first) * weight
