"""A TensorFlow SavedModel that needs nothing but TensorFlow to run."""

from pathlib import Path

import keras
import tensorflow as tf

from cryoseg_tf.run import Run

from .graph import segment_function

INPUTS = {"segment": tf.float32, "segment_uint8": tf.uint8, "segment_uint16": tf.uint16}
"""Signatures and the dtype of their ``image``; the first is the default one."""


def export_saved_model(run: Run, path: Path) -> None:
    """Write the run's model with one signature per dtype; all share one function and its weights.

    float32 holds 8- and 16-bit counts exactly, so every signature gives the same mask.
    """
    model = run.load_model()
    segment = tf.function(
        segment_function(model, run.contract, run.config.model.stride),
        input_signature=[_image(tf.float32), _pixel_size()],
        autograph=False,
    )
    archive = keras.export.ExportArchive()
    archive.track(model)
    for name, dtype in INPUTS.items():
        archive.add_endpoint(
            name,
            lambda image, pixel_size: segment(tf.cast(image, tf.float32), pixel_size),
            input_signature=[_image(dtype), _pixel_size()],
        )
    archive.write_out(str(path), verbose=False)


def _image(dtype: tf.DType) -> tf.TensorSpec:
    return tf.TensorSpec((None, None, None), dtype, name="image")


def _pixel_size() -> tf.TensorSpec:
    return tf.TensorSpec((), tf.float32, name="pixel_size")
