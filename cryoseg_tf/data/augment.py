"""Random changes to a patch, in stateless ops: the same seed gives the same patch."""

from typing import Any

import tensorflow as tf

from .preprocess import resample

COARSEST = 2.0
"""Patches are shown at up to so many times their pixel size: as coarse as images may be, see ``survey``."""


def flips_and_turns(patch: Any, seed: Any) -> Any:
    """Mirror and turn a square ``(h, w, c)`` patch by one of the eight symmetries of the square.

    Half of the thesis' augmentation; the other, the random crop, is where the patch comes from.

    Args:
        patch: Image and mask stacked as channels, so that one draw moves both.
        seed: Two integers.
    """
    draw = tf.random.stateless_uniform([3], seed, 0, 2, tf.int32)
    patch = tf.cond(draw[0] == 1, lambda: tf.reverse(patch, [0]), lambda: patch)
    patch = tf.cond(draw[1] == 1, lambda: tf.reverse(patch, [1]), lambda: patch)
    return tf.cond(draw[2] == 1, lambda: tf.transpose(patch, [1, 0, 2]), lambda: patch)


def coarser_scan(pixels: Any, seed: Any) -> Any:
    """Show a quarter of all patches as a scan of up to twice the pixel size would, brought to the network's.

    A scan with longer steps has fewer points, each with the same noise: so points are picked, not
    averaged, and ``resample`` interpolates between them as it does for coarser images.

    Args:
        pixels: ``(h, w, c)``, the image alone; its mask stays.
        seed: Two integers.
    """
    draw = tf.random.stateless_uniform([2], seed, 0, 1, tf.float32)
    side = tf.shape(pixels)[0]

    def scanned() -> Any:
        steps = tf.cast(tf.cast(side, tf.float32) / (1 + draw[1] * (COARSEST - 1)), tf.int32)
        picked = (2 * tf.range(steps) + 1) * side // (2 * steps)
        points = tf.gather(tf.gather(pixels, picked, axis=0), picked, axis=1)
        return tf.ensure_shape(resample(points[None], tf.stack([side, side]))[0], pixels.shape)

    return tf.cond(draw[0] < 0.25, scanned, lambda: pixels)
