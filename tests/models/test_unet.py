import numpy as np
import pytest
import tensorflow as tf

from cryoseg_tf.config import ModelConfig
from cryoseg_tf.errors import ConfigError
from cryoseg_tf.models.registry import build_model
from cryoseg_tf.models.unet import unet_halo


def trainable(config, channels=1):
    return sum(int(np.prod(v.shape)) for v in build_model(config, channels).trainable_variables)


def test_the_thesis_network_has_its_number_of_weights():
    assert trainable(ModelConfig(base_filters=64, depth=4)) == 31_044_289


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(base_filters=2, depth=1),
        ModelConfig(base_filters=2, depth=3, kernel_size=5, dropout=0.3),
        ModelConfig(base_filters=2, depth=2, skip_connections=False),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_probabilities_have_the_images_size(config, channels):
    model = build_model(config, channels)
    x = np.random.default_rng(0).random((2, 2 * config.stride, 3 * config.stride, 1)).astype(np.float32)
    y = model(x).numpy()
    assert y.shape == (*x.shape[:3], channels)
    assert ((y >= 0) & (y <= 1)).all()
    if channels > 1:
        np.testing.assert_allclose(y.sum(-1), 1, atol=1e-5)


def test_skip_connections_are_weights():
    assert trainable(ModelConfig(base_filters=2, skip_connections=False)) < trainable(ModelConfig(base_filters=2))


def test_the_seed_decides_the_weights():
    config = ModelConfig(base_filters=2, depth=1)
    one, same, other = (build_model(config, 1, seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(("depth", "kernel_size"), [(1, 3), (2, 3), (3, 3), (2, 5), (2, 1)])
def test_nothing_beyond_the_halo_matters(depth, kernel_size):
    """The reach, measured by impulse: which inputs have a gradient to an output pixel."""
    config = ModelConfig(base_filters=2, depth=depth, kernel_size=kernel_size)
    model, halo = build_model(config), unet_halo(config)
    reach = kernel_size // 2 * (6 * config.stride - 4) + config.stride - 1
    side = 2 * halo + 2 * config.stride
    measured = 0
    for offset in range(config.stride):  # the reach depends on where in the pooling grid a pixel lies
        x = tf.Variable(tf.random.stateless_normal((1, config.stride, side, 1), [offset, 0]))
        centre = halo + offset
        with tf.GradientTape() as tape:
            y = model(x)[0, :, centre, 0]
        touched = np.flatnonzero(np.abs(tape.gradient(y, x).numpy()).sum((0, 1, 3)))
        measured = max(measured, centre - touched.min(), touched.max() - centre)
    assert measured <= reach <= halo
    assert measured > halo - 2 * config.stride - reach // 4  # the halo is not much too large either


def test_an_unknown_architecture_is_named():
    with pytest.raises(ConfigError, match="'resnet': known are unet"):
        build_model(ModelConfig(architecture="resnet"))
