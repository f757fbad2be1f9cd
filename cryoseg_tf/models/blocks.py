"""The layers a U-Net is made of."""

from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
from keras import initializers, layers

from ..config import ModelConfig

Block = Callable[[Any], Any]

# 0.9 settles in some tens of steps; with Keras' 0.99 a short training validates on statistics it has outgrown
BATCH_NORM_MOMENTUM = 0.9


class Blocks:
    """Makes layers with the config's kernel size and dropout, each with a seed of its own."""

    def __init__(self, config: ModelConfig, seed: int) -> None:
        self.config = config
        self._seeds: Iterator[int] = iter(range(seed, seed + 2**20))

    def double_convolution(self, x: Any, filters: int) -> Any:
        """Two convolutions, each with batch normalisation and ReLU; then dropout, if any."""
        for _ in range(2):
            convolution = layers.Conv2D(filters, self.config.kernel_size, padding="same", kernel_initializer=self._he())
            x = _normalised(convolution(x))
        if self.config.dropout:
            x = layers.Dropout(self.config.dropout, seed=next(self._seeds))(x)
        return x

    def upsampling(self, x: Any, filters: int) -> Any:
        """A transposed convolution that doubles both sides, with batch normalisation and ReLU."""
        return _normalised(layers.Conv2DTranspose(filters, 2, strides=2, kernel_initializer=self._he())(x))

    def output(self, x: Any, channels: int) -> Any:
        """Class probabilities: sigmoid for one channel, softmax over more."""
        x = layers.Conv2D(channels, 1, kernel_initializer=self._glorot(), name="logits")(x)
        # float32 keeps the sigmoid exact under a mixed-precision policy
        return layers.Activation("sigmoid" if channels == 1 else "softmax", dtype="float32", name="probability")(x)

    def _he(self) -> initializers.Initializer:
        return initializers.HeNormal(seed=next(self._seeds))

    def _glorot(self) -> initializers.Initializer:
        return initializers.GlorotUniform(seed=next(self._seeds))


class FusedBatchNormalization(layers.BatchNormalization):
    """Batch normalisation over all but the channels, as one operation.

    Keras 3 writes the same out in a dozen elementwise ones, which took a quarter of each training
    step on a CPU. Weights and results are those of ``keras.layers.BatchNormalization``, but that
    the moving variance is of the unbiased kind.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        training = bool(training and self.trainable)
        # parameters stay float32 under a mixed-precision policy, as the operation wants them
        gamma, beta, mean, variance = (
            tf.cast(v.value, tf.float32) for v in (self.gamma, self.beta, self.moving_mean, self.moving_variance)
        )
        results = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=gamma,
            offset=beta,
            mean=tf.constant([]) if training else mean,
            variance=tf.constant([]) if training else variance,
            epsilon=self.epsilon,
            is_training=training,
        )
        if training:
            for moving, batch in (
                (self.moving_mean, results.batch_mean),
                (self.moving_variance, results.batch_variance),
            ):
                moving.assign(moving * self.momentum + tf.cast(batch, moving.dtype) * (1.0 - self.momentum))
        return results.y


def _normalised(x: Any) -> Any:
    return layers.ReLU()(FusedBatchNormalization(momentum=BATCH_NORM_MOMENTUM)(x))
