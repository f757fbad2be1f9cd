r"""The U-Net.

Each step down halves the resolution and doubles the filters; each step up does the reverse and
takes the encoder's features of its resolution through a skip connection::

    image --(double conv)-------------- skip --------------(double conv)-- probability
                  \ pool                                    / up
                   (double conv)------- skip ------(double conv)
                            \ pool               / up
                             (double conv)  ... depth times
"""

import keras

from ..config import ModelConfig
from .blocks import Blocks


def build_unet(config: ModelConfig, channels: int, seed: int = 0) -> keras.Model:
    """Build an untrained 2-D U-Net.

    Maps ``(batch, height, width, 1)`` normalised float32 intensities to
    ``(batch, height, width, channels)`` probabilities. Height and width are free,
    but must be multiples of ``config.stride``.

    After Ronneberger et al. 2015 (doi:10.1007/978-3-319-24574-4_28), with "same"
    padding, batch normalisation after each convolution, and transposed convolutions.

    Args:
        config: Width, depth, kernel size, dropout and skip connections.
        channels: 1 for two classes (sigmoid), else one per class (softmax).
        seed: Fixes the initial weights and the dropout.
    """
    blocks = Blocks(config, seed)
    widths = [config.base_filters * 2**level for level in range(config.depth + 1)]
    x = image = keras.Input((None, None, 1), name="image")
    skips = []
    for width in widths[:-1]:
        x = blocks.double_convolution(x, width)
        skips.append(x)
        x = keras.layers.MaxPooling2D()(x)
    x = blocks.double_convolution(x, widths[-1])
    for width, skip in zip(reversed(widths[:-1]), reversed(skips), strict=True):
        x = blocks.upsampling(x, width)
        if config.skip_connections:
            x = keras.layers.Concatenate()([skip, x])
        x = blocks.double_convolution(x, width)
    return keras.Model(image, blocks.output(x, channels), name="unet")


def unet_halo(config: ModelConfig) -> int:
    """Return how far, in pixels, an output can depend on the input, rounded up to the stride.

    Convolutions reach ``radius`` pixels at their resolution, twice per block, in every block
    down and up; pooling lets a pixel move by up to ``stride - 1``.
    """
    stride, radius = config.stride, config.kernel_size // 2
    reach = radius * (6 * stride - 4) + stride - 1
    return -(-reach // stride) * stride
