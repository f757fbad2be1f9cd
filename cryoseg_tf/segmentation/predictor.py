"""The network, whatever runs it: batches of normalised tiles in, probabilities out."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ..config import ModelConfig
from ..models.registry import architecture

Array = npt.NDArray[np.float32]


class Predictor(Protocol):
    """Runs a network.

    Attributes:
        channels: Output channels.
        stride: Sides of its input must be multiples of this.
        halo: An output pixel depends on input no farther than this; a multiple of the stride.
            None: it depends on the whole image, which then must not be tiled.
        batch: So many tiles at a time serve it best.
    """

    channels: int
    stride: int
    halo: int | None
    batch: int

    def map(self, batches: Iterable[Array]) -> Iterator[Array]:
        """Turn each ``(n, h, w, 1)`` normalised batch into ``(n, h, w, channels)`` probabilities, in order."""
        ...


class KerasPredictor:
    """Runs a Keras model in this process."""

    batch = 1

    def __init__(self, model: keras.Model, config: ModelConfig) -> None:
        self.channels = int(model.output_shape[-1])
        self.stride = config.stride
        self.halo = architecture(config).halo(config)
        # one trace for all sizes
        signature = tf.TensorSpec((None, None, None, 1), tf.float32)
        self._forward = tf.function(lambda x: model(x, training=False), input_signature=[signature], autograph=False)

    def map(self, batches: Iterable[Array]) -> Iterator[Array]:
        """See ``Predictor.map``."""
        for batch in batches:
            result: Any = self._forward(tf.constant(batch))
            yield result.numpy()
