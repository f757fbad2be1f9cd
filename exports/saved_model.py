"""A TensorFlow SavedModel that needs nothing but TensorFlow to run."""

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from tensorflow.core.protobuf import fingerprint_pb2

from cryoseg_tf.config import Contract

from .graph import (
    IMAGE,
    IMAGES,
    PIXEL_SIZE,
    SHAPE,
    TILE,
    network_function,
    resample_function,
    segment_function,
    statistics_function,
)

COUNTS = {"segment": tf.float32, "segment_uint8": tf.uint8, "segment_uint16": tf.uint16}
"""Signatures and the dtype of their ``image``; the first is the default one."""


def write_saved_model(model: keras.Model, contract: Contract, stride: int, path: Path) -> None:
    """Write a model with the signatures of ``COUNTS``, ``statistics``, ``resample`` and ``probabilities``.

    float32 holds 8- and 16-bit counts exactly, so every one of ``COUNTS`` gives the same mask; they
    share one function.
    """
    segment = _traced(segment_function(model, contract, stride), IMAGE, PIXEL_SIZE)
    module = tf.Module()
    # in the network's order: Keras' ExportArchive keeps a set, which makes each export another one
    module.weights = [weight.value for weight in model.weights]
    signatures = {
        name: tf.function(
            lambda image, pixel_size: segment(tf.cast(image, tf.float32), pixel_size),
            input_signature=[tf.TensorSpec(IMAGE.shape, dtype, name="image"), PIXEL_SIZE],
            autograph=False,
        ).get_concrete_function()
        for name, dtype in COUNTS.items()
    }
    signatures |= {
        "statistics": _traced(statistics_function(contract), IMAGE, PIXEL_SIZE),
        "resample": _traced(resample_function, IMAGES, SHAPE),
        "probabilities": _traced(network_function(model), TILE),
        "serving_default": signatures["segment"],
    }
    tf.saved_model.save(module, str(path), signatures=signatures)
    _drop_random_number(path / "fingerprint.pb")


def _traced(function: Any, *signature: tf.TensorSpec) -> Any:
    return tf.function(function, input_signature=signature, autograph=False).get_concrete_function()


def _drop_random_number(path: Path) -> None:
    """Take the one thing from a SavedModel that differs between two exports of the same model."""
    fingerprint = fingerprint_pb2.FingerprintDef.FromString(path.read_bytes())
    fingerprint.ClearField("uuid")
    path.write_bytes(fingerprint.SerializeToString(deterministic=True))
