"""The network in Keras, as training leaves it."""

from collections.abc import Iterable, Iterator
from typing import Any

import keras
import tensorflow as tf

from ..config import ModelConfig
from ..models.registry import architecture
from .predictor import Array


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
