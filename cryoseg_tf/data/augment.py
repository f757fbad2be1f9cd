"""Random changes to a patch, in stateless ops: the same seed gives the same patch."""

from typing import Any

import tensorflow as tf


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
