"""The whole way from raw counts to mask as one TF function, for every format that is exported."""

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
    resample,
    statistics,
    status,
)
from cryoseg_tf.models.metrics import decide

Segment = Callable[[Any, Any], dict[str, Any]]


def segment_function(model: keras.Model, contract: Contract, stride: int) -> Segment:
    """Return a function of images ``(n, h, w)`` float32 and their pixel size in nm (scalar, 0 = unknown).

    It gives ``probability (n, h, w, c)`` float32, ``mask (n, h, w)`` uint8 and ``status (n,)``
    int32: see ``cryoseg_tf.data.preprocess.Status``. The steps are those of ``Segmenter``, untiled.
    """

    def segment(image: Any, pixel_size: Any) -> dict[str, Any]:
        size = tf.shape(image)
        height, width = size[1], size[2]
        numbers = finite(image)
        image = tf.where(numbers, image, 0.0)
        offset, scale, contrast = _statistics(image, contract)
        shape = model_shape(height, width, pixel_size, contract)
        found = status(pixel_size, shape, tf.reduce_all(numbers, axis=(1, 2)), contrast, contract)
        x = image[..., None]
        if contract.scale != "none":
            x = resample(x, shape)
        x = pad(normalise(x, _per_image(offset), _per_image(scale)), stride)
        probability = model(x, training=False)[:, : shape[0], : shape[1], :]
        if contract.scale != "none":
            probability = resample(probability, tf.stack([height, width]))
        usable = tf.reduce_all(found[:, None] != tf.constant(EMPTY, tf.int32), axis=1)
        # background wherever the status says that a mask would be a guess
        nothing = tf.one_hot(0, contract.channels) if contract.channels > 1 else tf.zeros(1)
        probability = tf.where(_per_image(usable), probability, nothing)
        return {"probability": probability, "mask": decide(probability, contract.threshold), "status": found}

    return segment


def _statistics(image: Any, contract: Contract) -> tuple[Any, Any, Any]:
    size = tf.shape(image)
    rows, columns, right = grid(size[1], size[2])
    lines = tf.gather(image, rows, axis=1)
    values, neighbours = (tf.reshape(tf.gather(lines, index, axis=2), [size[0], -1]) for index in (columns, right))
    return statistics(values, neighbours, contract)


def _per_image(values: Any) -> Any:
    return values[:, None, None, None]
