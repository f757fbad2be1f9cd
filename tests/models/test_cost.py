"""Arithmetic counted by hand."""

from cryoseg_tf.config import ModelConfig
from cryoseg_tf.models.cost import flops
from cryoseg_tf.models.registry import build_model


def by_hand(base, depth, height, width):
    """Products and sums of every convolution of a plain U-Net; biases, pooling and activations are not counted."""
    total, inputs = 0, 1
    for level in range(depth + 1):
        pixels, filters = height * width // 4**level, base * 2**level
        total += 2 * 9 * pixels * (inputs * filters + filters * filters)
        inputs = filters
    for level in range(depth):
        pixels, filters = height * width // 4**level, base * 2**level
        total += 2 * pixels * (2 * filters) * filters  # a transposed one: each output pixel has one tap
        total += 2 * 9 * pixels * (2 * filters * filters + filters * filters)
    return total + 2 * height * width * base


def test_convolutions_make_the_arithmetic_of_a_unet():
    config = ModelConfig(base_filters=8, depth=2)
    counted = flops(build_model(config), 64, 96)
    assert by_hand(8, 2, 64, 96) <= counted < 1.03 * by_hand(8, 2, 64, 96)


def test_arithmetic_grows_with_the_image():
    network = build_model(ModelConfig(base_filters=4, depth=1))
    assert flops(network, 64, 128) == 2 * flops(network, 64, 64)
