r"""Deep supervision: in training, the decoder's coarser levels are judged too.

::

    up_2 --(double conv)-- up_1 --(double conv)-- up_0 --(double conv)-- probability   1/1, weight 1
                     \ head: 1/4, weight 1/4    \ head: 1/2, weight 1/2

The heads are 1x1 convolutions of the training model alone; the network inside is the one that is
saved and used. After Lee et al. 2015 (arXiv:1409.5185), on fixed weights as nnU-Net does.
"""

from typing import Any

import keras

from ..config import ModelConfig
from ..errors import ConfigError
from .blocks import Blocks
from .unet import decoder_features

COARSEST = 3
"""Heads down to an eighth of the resolution: a cell is hardly a pixel beyond."""


class DeeplySupervised(keras.Model):
    """A network with heads at 1/2, 1/4 ... of its resolution, in training only.

    Called in training it gives ``[probability, at half, at a quarter, ...]``; otherwise, as in
    ``evaluate`` and ``predict``, what the network gives, so that validation scores are its own.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        outputs = super().call(inputs, training=training, mask=mask)
        return outputs if training else outputs[0]

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return the weighted mean of the outputs' losses, each output half the weight of the finer one.

        The truth of a coarser output is every second, fourth ... pixel: class indices have no average.
        """
        loss_of = super().compute_loss
        if not isinstance(y_pred, list):
            return loss_of(x, y, y_pred, sample_weight, training)
        weights = [0.5**level for level in range(len(y_pred))]
        losses = [
            weight * loss_of(x, y[:, :: 2**level, :: 2**level], output, sample_weight, training)
            for level, (weight, output) in enumerate(zip(weights, y_pred, strict=True))
        ]
        return sum(losses) / sum(weights)

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """Return the metrics of the network's own output."""
        return super().compute_metrics(x, y, y_pred[0] if isinstance(y_pred, list) else y_pred, sample_weight)


def training_model(network: keras.Model, config: ModelConfig, seed: int = 0) -> keras.Model:
    """Return what is compiled and fitted: ``network`` itself, or one around it with heads.

    The two share their layers, so training the one trains the other. ``jit_compile`` has to be off.

    Args:
        network: From ``build_model``.
        config: Its config; ``deep_supervision`` asks for heads.
        seed: Fixes the heads' initial weights.

    Raises:
        ConfigError: If there are to be heads and the depth leaves no level for them.
    """
    if not config.deep_supervision:
        return network
    if config.depth == 1:
        raise ConfigError("model.deep_supervision needs model.depth 2 or more: with 1 there is no coarser level")
    blocks, channels = Blocks(config, seed), network.output_shape[-1]
    heads = [
        blocks.output(decoder_features(network, level), channels, f"_{2**level}")
        for level in range(1, min(COARSEST, config.depth - 1) + 1)
    ]
    return DeeplySupervised(network.input, [network.output, *heads], name=f"supervised_{network.name}")
