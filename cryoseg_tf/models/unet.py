r"""The U-Net.

Each step down halves the resolution and doubles the filters; each step up does the reverse and
takes the encoder's features of its resolution through a skip connection::

    image --(double conv)-------------- skip --------------(double conv)-- probability
                  \ pool                                    / up
                   (double conv)------- skip ------(double conv)
                            \ pool               / up
                             (double conv)  ... depth times
"""

from typing import Any

import keras

from ..config import ModelConfig
from .blocks import Blocks


def build_unet(config: ModelConfig, channels: int, seed: int = 0) -> keras.Model:
    """Build an untrained 2-D U-Net.

    Maps ``(batch, height, width, 1)`` normalised float32 intensities to
    ``(batch, height, width, channels)`` probabilities. Height and width are free,
    but must be multiples of ``config.stride``.

    After Ronneberger et al. 2015 (doi:10.1007/978-3-319-24574-4_28), with "same"
    padding, batch normalisation after each convolution, and transposed convolutions,
    unless the config says otherwise. ``config.dilation`` is that of the deepest double
    convolution alone, where each step takes in most of the image.

    Args:
        config: Width, depth, and what the blocks are made of.
        channels: 1 for two classes (sigmoid), else one per class (softmax).
        seed: Fixes the initial weights, the dropout and the noise.
    """
    blocks = Blocks(config, seed)
    widths = [config.base_filters * 2**level for level in range(config.depth + 1)]
    x = image = keras.Input((None, None, 1), name="image")
    skips = []
    for width in widths[:-1]:
        x = blocks.double_convolution(x, width)
        skips.append(x)
        x = keras.layers.MaxPooling2D()(x)
    x = blocks.double_convolution(x, widths[-1], config.dilation)
    for level in reversed(range(config.depth)):
        x = blocks.upsampling(x, widths[level], f"up_{level}")
        if config.skip_connections:
            x = keras.layers.Concatenate()([skips[level], x])
        x = blocks.double_convolution(x, widths[level])
    return keras.Model(image, blocks.output(x, channels), name="unet")


def decoder_features(network: keras.Model, level: int) -> Any:
    """Return what the decoder of a U-Net made at ``1 / 2**level`` of the resolution, from level 1 on."""
    return network.get_layer(f"up_{level - 1}").input


def unet_halo(config: ModelConfig) -> int | None:
    """Return how far, in pixels, an output can depend on the input, rounded up to the stride.

    Convolutions reach ``radius`` pixels at their resolution: twice in every block down and up, at
    the bottleneck ``dilation`` times as far, and once more up each level if bilinear. Pooling lets
    a pixel move by up to ``stride - 1``, and bilinear interpolation by as much again.

    None if it depends on the whole image, as group normalisation and squeeze-excitation have it.
    """
    if config.normalisation == "group" or config.squeeze_excitation:
        return None
    stride, radius = config.stride, config.kernel_size // 2
    bilinear = int(config.upsampling == "bilinear")
    above = stride - 1  # pixels of all levels above the bottleneck, added: 1 + 2 + 4 ...
    reach = radius * (2 * stride * config.dilation + (4 + bilinear) * above) + (1 + bilinear) * above
    return -(-reach // stride) * stride
