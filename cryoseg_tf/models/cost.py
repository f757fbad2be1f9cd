"""What a network costs: the arithmetic of one image."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

import keras
import tensorflow as tf


def flops(network: keras.Model, height: int, width: int) -> int:
    """Count the floating-point operations that an image takes, as TensorFlow's own profiler does.

    A product and its sum are two; convolutions, transposed ones too, are what counts. Training takes
    about three times as many: the gradients of weights and of inputs are convolutions as well.

    Args:
        network: As from ``build_model``, or loaded from a run.
        height: Of the image at the network's scale, in pixels, a multiple of the stride.
        width: Likewise.
    """
    forward = tf.function(lambda x: network(x, training=False), autograph=False)
    graph = forward.get_concrete_function(tf.TensorSpec((1, height, width, 1), tf.float32)).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    with _silence():
        counted = tf.compat.v1.profiler.profile(graph, cmd="op", options=options)
    return int(counted.total_float_ops)


@contextmanager
def _silence() -> Iterator[None]:
    """Keep the profiler from saying that it reads the graph, and that it does so in an old way."""
    logger = logging.getLogger("tensorflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
