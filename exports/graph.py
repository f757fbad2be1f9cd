"""What every format holds, as TF functions: the whole way from raw counts to mask, and its parts.

A host that takes an image as a whole calls ``segment``. One that tiles a huge image calls the parts,
and gets the same mask::

    image -- statistics --> offset, scale, status, shape
    image -- resample(shape) -- (x - offset) * scale -- pad -- tiles -- network -- cores pasted
          -- resample(the image's own shape) --> probability >= threshold, or argmax
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from cryoseg_tf.config import Contract
from cryoseg_tf.data.preprocess import (
    EMPTY,
    finite,
    grid,
    model_shape,
    normalise,
    pad,
    statistics,
    status,
)
from cryoseg_tf.data.resampling import resample
from cryoseg_tf.models.metrics import decide

Function = Callable[..., dict[str, Any]]


def segment_function(model: keras.Model, contract: Contract, stride: int) -> Function:
    """Return a function of images ``(n, h, w)`` float32 and their pixel size in nm (scalar, 0 = unknown).

    It gives ``probability (n, h, w, c)`` float32, ``mask (n, h, w)`` uint8 and ``status (n,)``
    int32: see ``cryoseg_tf.data.preprocess.Status``. The steps are those of ``Segmenter``, untiled.
    """
    examine = statistics_function(contract)

    def segment(image: Any, pixel_size: Any) -> dict[str, Any]:
        size = tf.shape(image)
        facts = examine(image, pixel_size)
        shape = facts["shape"]
        # TFLite has no slice that adds a last axis
        x = tf.expand_dims(_numbers(image), -1)
        if contract.scale != "none":
            x = resample(x, shape)
        x = pad(normalise(x, _per_image(facts["offset"]), _per_image(facts["scale"])), stride)
        probability = model(x, training=False)[:, : shape[0], : shape[1], :]
        if contract.scale != "none":
            probability = resample(probability, size[1:3])
        usable = tf.reduce_all(facts["status"][:, None] != tf.constant(EMPTY, tf.int32), axis=1)
        # background wherever the status says that a mask would be a guess
        nothing = tf.one_hot(0, contract.channels) if contract.channels > 1 else tf.zeros(1)
        probability = tf.where(_per_image(usable), probability, nothing)
        return {"probability": probability, "mask": decide(probability, contract.threshold), "status": facts["status"]}

    return segment


def statistics_function(contract: Contract) -> Function:
    """Return a function of images ``(n, h, w)`` float32 and their pixel size in nm (scalar, 0 = unknown).

    It gives ``offset (n,)`` and ``scale (n,)`` float32, which normalise them, ``status (n,)`` int32,
    and ``shape (2,)`` int32, their height and width at the network's scale.
    """

    def examine(image: Any, pixel_size: Any) -> dict[str, Any]:
        size = tf.shape(image)
        all_finite = tf.reduce_all(finite(image), axis=(1, 2))
        offset, scale, contrast = _statistics(_numbers(image), contract)
        shape = model_shape(size[1], size[2], pixel_size, contract)
        found = status(pixel_size, shape, all_finite, contrast, contract)
        return {"offset": offset, "scale": scale, "status": found, "shape": shape}

    return examine


def resample_function(images: Any, shape: Any) -> dict[str, Any]:
    """Resample images ``(n, h, w, c)`` float32 to ``shape (2,)`` int32, without aliasing."""
    return {"resampled": resample(images, shape)}


def network_function(model: keras.Model) -> Function:
    """Return a function of normalised tiles ``(n, h, w, 1)``, sides multiples of the stride."""
    return lambda tile: {"probability": model(tile, training=False)}


def logits_function(model: keras.Model) -> Function:
    """Return ``network_function`` without its last step, which stays float32 whatever the rest is."""
    network = keras.Model(model.inputs, model.get_layer("probability").input)
    return lambda tile: {"logits": network(tile, training=False)}


IMAGE = tf.TensorSpec((None, None, None), tf.float32, name="image")
PIXEL_SIZE = tf.TensorSpec((), tf.float32, name="pixel_size")
TILE = tf.TensorSpec((None, None, None, 1), tf.float32, name="tile")
IMAGES = tf.TensorSpec((None, None, None, None), tf.float32, name="images")
SHAPE = tf.TensorSpec((2,), tf.int32, name="shape")


def _numbers(image: Any) -> Any:
    return tf.where(finite(image), image, 0.0)


def _statistics(image: Any, contract: Contract) -> tuple[Any, Any, Any]:
    size = tf.shape(image)
    rows, columns, right = grid(size[1], size[2])
    lines = tf.gather(image, rows, axis=1)
    values, neighbours = (tf.reshape(tf.gather(lines, index, axis=2), [size[0], -1]) for index in (columns, right))
    return statistics(values, neighbours, contract)


def _per_image(values: Any) -> Any:
    return tf.reshape(values, [-1, 1, 1, 1])
