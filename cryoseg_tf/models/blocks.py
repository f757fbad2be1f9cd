"""The layers a U-Net is made of."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import keras
import tensorflow as tf
from keras import constraints, initializers, layers

from ..config import ModelConfig

# 0.9 settles in some tens of steps; with Keras' 0.99 a short training validates on statistics it has outgrown
BATCH_NORM_MOMENTUM = 0.9
# no more than so many groups of channels; fewer where the width asks for it
GROUPS = 8
# the squeezed channels are so many times fewer; the paper found 8 and 16 alike on ImageNet
SQUEEZE = 8
# after Maas et al. 2013
LEAK = 0.01


class Blocks:
    """Makes layers as the config says, each with a seed of its own.

    Every convolution has a bias. Initial weights are drawn after He et al. 2015
    (doi:10.1109/ICCV.2015.123) or Glorot & Bengio 2010.
    """

    def __init__(self, config: ModelConfig, seed: int) -> None:
        self.config = config
        # batch normalisation takes a bias away again: its gradient is rounding, by which Adam would have it wander,
        # most of all in 16 bits, and the moving mean run after it
        self._still = constraints.MaxNorm(0) if config.normalisation == "batch" else None
        self._seeds: Iterator[int] = iter(range(seed, seed + 2**20))

    def double_convolution(self, x: Any, filters: int, dilation: int = 1) -> Any:
        """Two convolutions, each with normalisation and activation; then dropout, if any.

        Squeeze-excitation weighs the channels before the last activation. A residual block adds its
        input there, through a 1x1 convolution where the width changes, after He et al. 2016
        (doi:10.1109/CVPR.2016.90).
        """
        shortcut = x
        x = self.activation(self._convolution(x, filters, dilation))
        x = self._convolution(x, filters, dilation)
        if self.config.squeeze_excitation:
            x = self.squeeze_excitation(x)
        if self.config.residual:
            if shortcut.shape[-1] != filters:
                shortcut = layers.Conv2D(filters, 1, kernel_initializer=self._kernel())(shortcut)
            x = layers.Add()([x, shortcut])
        return self._dropout(self.activation(x))

    def upsampling(self, x: Any, filters: int, name: str) -> Any:
        """Double both sides, then normalise and activate; ``name`` is the layer that doubles.

        Either a transposed convolution, or bilinear interpolation and a convolution, which leaves no
        checkerboard (Odena et al. 2016, doi:10.23915/distill.00003) but takes longer.
        """
        if self.config.upsampling == "bilinear":
            x = BilinearUpsampling(name=name)(x)
            return self.activation(self._convolution(x, filters))
        up = layers.Conv2DTranspose(
            filters, 2, strides=2, kernel_initializer=self._kernel(), bias_constraint=self._still, name=name
        )
        return self.activation(self.normalised(up(x)))

    def output(self, x: Any, channels: int, suffix: str = "") -> Any:
        """Class probabilities: sigmoid for one channel, softmax over more."""
        # float32, whatever the policy: 16 bits would round what the threshold decides on
        x = layers.Conv2D(channels, 1, kernel_initializer=self._glorot(), dtype="float32", name=f"logits{suffix}")(x)
        kind = "sigmoid" if channels == 1 else "softmax"
        return layers.Activation(kind, dtype="float32", name=f"probability{suffix}")(x)

    def normalised(self, x: Any) -> Any:
        """Normalise over the batch (one operation), over groups of channels of each image, or not.

        Group normalisation is after Wu & He 2018 (doi:10.1007/978-3-030-01261-8_1).
        """
        match self.config.normalisation:
            case "batch":
                return FusedBatchNormalization(momentum=BATCH_NORM_MOMENTUM)(x)
            case "group":
                return layers.GroupNormalization(group_count(x.shape[-1]))(x)
        return x

    def activation(self, x: Any) -> Any:
        """Apply the config's activation."""
        if self.config.activation == "noisy_relu":
            return NoisyReLU(seed=next(self._seeds))(x)
        return ACTIVATIONS[self.config.activation]()(x)

    def squeeze_excitation(self, x: Any) -> Any:
        """Weigh each channel by what all channels hold on average over the image.

        After Hu et al. 2018 (doi:10.1109/CVPR.2018.00745).
        """
        filters = x.shape[-1]
        squeezed = layers.GlobalAveragePooling2D(keepdims=True)(x)
        for width, kind in ((max(1, filters // SQUEEZE), "relu"), (filters, "sigmoid")):
            squeezed = layers.Conv2D(width, 1, activation=kind, kernel_initializer=self._kernel())(squeezed)
        return layers.Multiply()([x, squeezed])

    def _convolution(self, x: Any, filters: int, dilation: int = 1) -> Any:
        convolution = layers.Conv2D(
            filters,
            self.config.kernel_size,
            padding="same",
            dilation_rate=dilation,
            kernel_initializer=self._kernel(),
            bias_constraint=self._still,
        )
        return self.normalised(convolution(x))

    def _dropout(self, x: Any) -> Any:
        if not self.config.dropout:
            return x
        kind = layers.SpatialDropout2D if self.config.spatial_dropout else layers.Dropout
        return kind(self.config.dropout, seed=next(self._seeds))(x)

    def _kernel(self) -> initializers.Initializer:
        if self.config.initializer == "glorot":
            return self._glorot()
        return initializers.HeNormal(seed=next(self._seeds))

    def _glorot(self) -> initializers.Initializer:
        return initializers.GlorotUniform(seed=next(self._seeds))


def group_count(filters: int) -> int:
    """Return into how many groups ``filters`` channels are divided: the most that go evenly, up to ``GROUPS``."""
    return next(count for count in range(GROUPS, 0, -1) if filters % count == 0)


class BilinearUpsampling(layers.Layer):
    """Double both sides by linear interpolation between pixel centres; beyond the image its edge repeats.

    The weights are 1/4 and 3/4 everywhere, exactly, so that tiles agree with the whole. Keras'
    ``UpSampling2D`` does the same, but compares sides with 0 in Python, which a graph for images of
    any size, traced as it is exported, cannot.
    """

    def call(self, inputs: Any) -> Any:
        return tf.cast(tf.image.resize(inputs, 2 * tf.shape(inputs)[1:3]), inputs.dtype)  # it answers in float32


class NoisyReLU(layers.Layer):
    """``max(0, x + noise)`` in training, the noise normal and of variance ``sigmoid(x)``; plain ReLU otherwise.

    After Nair & Hinton 2010, "Rectified linear units improve restricted Boltzmann machines" (ICML).

    Args:
        seed: Fixes the noise.
    """

    def __init__(self, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool = False) -> Any:
        if training:
            # the root of the sigmoid by its logarithm: far below 0 its gradient would be 0 / 0
            deviation = keras.ops.exp(keras.ops.log_sigmoid(inputs) / 2)
            noise = keras.random.normal(keras.ops.shape(inputs), dtype=inputs.dtype, seed=self.generator)
            inputs = inputs + noise * deviation
        return keras.ops.relu(inputs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


ACTIVATIONS: dict[str, Callable[[], layers.Layer]] = {
    "relu": layers.ReLU,
    "leaky_relu": partial(layers.LeakyReLU, LEAK),
    "swish": partial(layers.Activation, "silu"),
    "hard_swish": partial(layers.Activation, "hard_silu"),
}
"""Swish: Ramachandran et al. 2017 (arXiv:1710.05941); hard swish: Howard et al. 2019 (doi:10.1109/ICCV.2019.00140)."""


class FusedBatchNormalization(layers.BatchNormalization):
    """Batch normalisation over all but the channels, as one operation.

    Keras 3 writes the same out in a dozen elementwise ones, which took a quarter of each training
    step on a CPU. Weights and results are those of ``keras.layers.BatchNormalization``, but that
    the moving variance is of the unbiased kind. Where a batch is shared by several replicas of the
    network, the statistics are those of the whole batch.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        training = bool(training and self.trainable)
        if training and tf.distribute.get_strategy().num_replicas_in_sync > 1:
            return self._over_replicas(inputs)
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
            self._remember(results.batch_mean, results.batch_variance)
        return results.y

    def _over_replicas(self, inputs: Any) -> Any:
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        x = tf.cast(inputs, tf.float32)
        mean, variance = tf.nn.moments(x, axes=(0, 1, 2))
        # squares are added from near the mean, which all replicas know: those of a far one would drown the variance
        near = tf.convert_to_tensor(self.moving_mean.value)
        moments = tf.stack([mean - near, variance + tf.square(mean - near)])
        context = tf.distribute.get_replica_context()
        off, square = tf.unstack(context.all_reduce(tf.distribute.ReduceOp.MEAN, moments))
        mean, variance = near + off, square - tf.square(off)
        count = tf.cast(replicas * tf.size(x) // tf.shape(x)[-1], tf.float32)
        self._remember(mean, variance * count / tf.maximum(count - 1.0, 1.0))
        gamma, beta = (tf.cast(v.value, tf.float32) for v in (self.gamma, self.beta))
        return tf.cast(tf.nn.batch_normalization(x, mean, variance, beta, gamma, self.epsilon), inputs.dtype)

    def _remember(self, mean: Any, variance: Any) -> None:
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + tf.cast(batch, moving.dtype) * (1.0 - self.momentum))
