"""Random changes to a patch's gray values, in stateless ops: the same seed gives the same patch.

Pixels are normalised: the image's darkest are about 0 and its brightest about 1. Each function
takes ``(h, w)`` float32 pixels, where they matter their uint8 mask, and a function that draws uniform
numbers (see ``geometry.draws``).
"""

import functools
import operator
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from ..config import IGNORE, AugmentationConfig
from .geometry import Draws, draws
from .resampling import resample

COARSEST = 2.0
"""Patches are shown at up to so many times their pixel size: as coarse as images may be, see ``survey``."""

Change = Callable[[Any, Draws], Any]


def changed(pixels: Any, config: AugmentationConfig, seed: Any, first_stream: int = 1) -> Any:
    """Make each change to its share of patches, in the order in which a microscope would.

    Args:
        pixels: ``(h, w)`` normalised float32.
        config: The shares.
        seed: Two int64 integers.
        first_stream: Of random numbers; as many as there are changes are used from it on.
    """
    for stream, (name, change) in enumerate(CHANGES.items(), first_stream):
        share = getattr(config, name)
        if share:
            pixels = _sometimes(share, change, pixels, draws(seed, stream))
    return pixels


def gamma(pixels: Any, uniform: Draws) -> Any:
    """Bend the gray scale by a power of 0.6 to 1.7; what lies below 0 stays."""
    power = tf.exp(uniform((), -0.5, 0.5))
    return tf.where(pixels > 0, tf.pow(tf.maximum(pixels, 1e-6), power), pixels)


def contrast(pixels: Any, uniform: Draws) -> Any:
    """Stretch the gray scale about its mean by 0.65 to 1.5, and shift it by up to 0.2."""
    mean = tf.reduce_mean(pixels)
    return (pixels - mean) * tf.exp(uniform((), -0.42, 0.42)) + mean + uniform((), -0.2, 0.2)


def blur(pixels: Any, uniform: Draws) -> Any:
    """Defocus: a Gaussian of 0.5 to 1.5 pixels."""
    return _gaussian(pixels, uniform((), 0.5, 1.5))


def sharpen(pixels: Any, uniform: Draws) -> Any:
    """Add up to 1.5 times what a Gaussian of a pixel takes away (unsharp masking)."""
    return pixels + uniform((), 0.3, 1.5) * (pixels - _gaussian(pixels, 1.0))


def noise(pixels: Any, uniform: Draws) -> Any:
    """Add Gaussian noise of up to a tenth of the gray scale, as the detector's electronics do."""
    return pixels + uniform((), 0.01, 0.1) * _normal(tf.shape(pixels), uniform)


def shot_noise(pixels: Any, uniform: Draws) -> Any:
    """Count electrons, 20 to 400 at the brightest pixel: Poisson noise."""
    dose = tf.exp(uniform((), 3.0, 6.0))
    expected = tf.maximum(pixels, 0.0) * dose
    counted = tf.random.stateless_poisson(tf.shape(pixels), _key(uniform), expected, tf.float32)
    return tf.where(pixels > 0, counted / dose, pixels)


def streaks(pixels: Any, uniform: Draws) -> Any:
    """Charging: some scan lines are brighter or darker from a point on, fading along the line."""
    height, width = tf.shape(pixels)[0], tf.shape(pixels)[1]
    hit = uniform([height, 1]) < uniform((), 0.02, 0.15)
    start, length = uniform([height, 1], -0.5, 1.0), tf.exp(uniform([height, 1], -2.5, 0.5))
    along = (tf.range(width, dtype=tf.float32)[None, :] / tf.cast(width, tf.float32) - start) / length
    fading = tf.where(hit & (along >= 0), tf.exp(-tf.maximum(along, 0.0)), 0.0)
    return pixels + uniform((), -0.35, 0.35) * uniform([height, 1], 0.3, 1.0) * fading


def coarse_dropout(pixels: Any, mask: Any, uniform: Draws) -> tuple[Any, Any]:
    """Cover up to eight squares of the patch with one gray value each, and take them out of the mask.

    After DeVries & Taylor 2017 (arXiv:1708.04552); what cannot be seen is not to be learnt, so it
    becomes "not annotated".
    """
    side = tf.cast(tf.shape(pixels)[0], tf.float32)
    line = tf.range(side)
    for _ in range(8):
        half = side * uniform((), 0.0, 0.08)
        place = side * uniform([2])
        inside = (tf.abs(line - place[0]) < half)[:, None] & (tf.abs(line - place[1]) < half)[None, :]
        pixels = tf.where(inside, uniform(), pixels)
        mask = tf.where(inside, tf.constant(IGNORE, mask.dtype), mask)
    return pixels, mask


def cutmix(patch: tuple[Any, Any], other: tuple[Any, Any], uniform: Draws) -> tuple[Any, Any]:
    """Replace a rectangle of a patch and its mask by that of another image's patch.

    After Yun et al. 2019 (doi:10.1109/ICCV.2019.00612).
    """
    side = tf.cast(tf.shape(patch[0])[0], tf.float32)
    size, place = side * uniform([2], 0.25, 0.75), uniform([2])
    line, start = tf.range(side), place * (side - size)
    rows, columns = ((line >= start[axis]) & (line < start[axis] + size[axis]) for axis in (0, 1))
    inside = rows[:, None] & columns[None, :]
    return tf.where(inside, other[0], patch[0]), tf.where(inside, other[1], patch[1])


def coarser_scan(pixels: Any, uniform: Draws) -> Any:
    """Show a patch as a scan of up to twice the pixel size would, brought to the network's.

    A scan with longer steps has fewer points, each with the same noise: so points are picked, not
    averaged, and ``resample`` interpolates between them as it does for coarser images.
    """
    side = tf.shape(pixels)[0]
    steps = tf.cast(tf.cast(side, tf.float32) / uniform((), 1, COARSEST), tf.int32)
    picked = (2 * tf.range(steps) + 1) * side // (2 * steps)
    points = tf.gather(tf.gather(pixels, picked, axis=0), picked, axis=1)
    return tf.ensure_shape(resample(points[None, :, :, None], tf.stack([side, side]))[0, :, :, 0], pixels.shape)


CHANGES: dict[str, Change] = {
    "coarser_scan": coarser_scan,
    "blur": blur,
    "shot_noise": shot_noise,
    "noise": noise,
    "streaks": streaks,
    "sharpen": sharpen,
    "gamma": gamma,
    "contrast": contrast,
}
"""By the name of their share in the settings, in the order in which they are made."""


def _sometimes(share: float, change: Change, pixels: Any, uniform: Draws) -> Any:
    return tf.cond(uniform() < share, lambda: change(pixels, uniform), lambda: pixels)


def _key(uniform: Draws) -> Any:
    return tf.cast(uniform([2], 0, 2**24), tf.int32)


def _normal(shape: Any, uniform: Draws) -> Any:
    return tf.random.stateless_normal(shape, _key(uniform))


def _gaussian(pixels: Any, deviation: Any) -> Any:
    """Blur by a Gaussian of at most 1.5 pixels; the edge repeats.

    Sums of shifted images: a convolution here would run beside those of the training step, and oneDNN then
    adds up in an order that varies.
    """
    reach = 4
    weights = tf.exp(-0.5 * tf.square(tf.range(-reach, reach + 1, dtype=tf.float32) / deviation))
    weights /= tf.reduce_sum(weights)
    for axis in (0, 1):
        size = tf.shape(pixels)[axis]
        places = tf.range(size)
        shifted = (
            weights[step + reach] * tf.gather(pixels, tf.clip_by_value(places + step, 0, size - 1), axis=axis)
            for step in range(-reach, reach + 1)
        )
        pixels = functools.reduce(operator.add, shifted)
    return pixels
