import keras
import numpy as np
import pytest
import tensorflow as tf

from cryoseg_tf.config import ModelConfig
from cryoseg_tf.errors import ConfigError
from cryoseg_tf.models.blocks import Blocks, NoisyReLU, group_count
from cryoseg_tf.models.registry import build_model
from cryoseg_tf.models.unet import unet_halo

OPTIONS = [
    {"dilation": 2},
    {"residual": True},
    {"squeeze_excitation": True},
    {"deep_supervision": True},
    *({"activation": name} for name in ("leaky_relu", "noisy_relu", "swish", "hard_swish")),
    {"normalisation": "group"},
    {"normalisation": "none"},
    {"upsampling": "bilinear"},
    {"initializer": "glorot"},
    {"dropout": 0.3},
    {"dropout": 0.3, "spatial_dropout": True},
    {"residual": True, "squeeze_excitation": True, "upsampling": "bilinear", "activation": "swish", "dilation": 2},
    {"normalisation": "group", "residual": True, "activation": "noisy_relu", "skip_connections": False},
]


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


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_each_option_builds_a_network_that_is_read_back(option, channels, tmp_path):
    config = ModelConfig(base_filters=8, depth=1, **option)
    model, other = (build_model(config, channels, seed) for seed in (1, 2))
    x = np.random.default_rng(0).random((2, 8, 12, 1)).astype(np.float32)
    model(x, training=True)  # moves statistics and seeds: they are read back too
    before = model(x).numpy()
    assert before.shape == (2, 8, 12, channels)
    assert np.isfinite(before).all()
    assert np.ptp(before) > 0
    # as it is segmented with and exported: one graph for all sizes
    signature = tf.TensorSpec((None, None, None, 1), tf.float32)
    graph = tf.function(lambda x: model(x, training=False), input_signature=[signature], autograph=False)
    np.testing.assert_allclose(graph(x).numpy(), before, atol=1e-5)
    model.save(tmp_path / "model.keras")
    other.load_weights(tmp_path / "model.keras")
    np.testing.assert_array_equal(other(x).numpy(), before)


def test_each_option_gives_another_network():
    x = np.random.default_rng(0).random((1, 16, 16, 1)).astype(np.float32)
    trained = [option for option in OPTIONS if not option.get("deep_supervision")]  # which adds nothing here
    outputs = [
        build_model(ModelConfig(base_filters=8, depth=1, **option))(x, training=True).numpy()
        for option in [{}, *trained]
    ]
    for first in range(len(outputs)):
        for second in range(first):
            assert not np.array_equal(outputs[first], outputs[second])


@pytest.mark.parametrize("normalisation", ["batch", "group"])
def test_a_bias_that_batch_normalisation_takes_away_stays_zero(normalisation):
    model = build_model(ModelConfig(base_filters=4, depth=2, normalisation=normalisation))
    rng = np.random.default_rng(0)
    model.compile(keras.optimizers.AdamW(0.01), "mse")
    model.train_on_batch(rng.random((2, 16, 16, 1), np.float32), rng.random((2, 16, 16, 1), np.float32))
    moved = {
        v.path.split("/")[-2]: bool(np.any(v.numpy())) for v in model.trainable_variables if v.path.endswith("bias")
    }
    assert moved.pop("logits")
    assert len(moved) == 12
    assert set(moved.values()) == {normalisation == "group"}


def test_weights_of_each_block_counted_by_hand():
    def added(**option):
        return trainable(ModelConfig(base_filters=8, depth=1, **option)) - trainable(
            ModelConfig(base_filters=8, depth=1)
        )

    # blocks of width 1 -> 8, 8 -> 16 and, behind the skip connection, 16 -> 8
    assert added(residual=True) == (1 + 1) * 8 + (8 + 1) * 16 + (16 + 1) * 8
    assert added(squeeze_excitation=True) == 2 * (8 * 1 + 1 + 1 * 8 + 8) + (16 * 2 + 2 + 2 * 16 + 16)
    assert added(upsampling="bilinear") == 16 * 8 * (3 * 3 - 2 * 2)
    assert added(normalisation="none") == -2 * (2 * 8 + 2 * 16 + 2 * 8 + 8)
    assert added(normalisation="group") == added(dilation=4) == added(activation="noisy_relu") == 0


def test_a_residual_block_whose_convolutions_are_zero_passes_its_input_on():
    image = keras.Input((None, None, 4))
    blocks = Blocks(ModelConfig(residual=True, normalisation="none"), 0)
    block = keras.Model(image, blocks.double_convolution(image, 4))
    block.set_weights([np.zeros_like(w) for w in block.get_weights()])
    x = np.random.default_rng(0).random((1, 6, 6, 4)).astype(np.float32)
    np.testing.assert_array_equal(block(x).numpy(), x)


def test_bilinear_upsampling_of_a_ramp_is_a_ramp():
    image = keras.Input((None, None, 1))
    blocks = Blocks(ModelConfig(upsampling="bilinear", normalisation="none", kernel_size=1), 0)
    block = keras.Model(image, blocks.upsampling(image, 1, "up"))
    block.set_weights([np.ones((1, 1, 1, 1)), np.zeros(1)])
    x = np.arange(4, dtype=np.float32)[None, None, :, None]
    expected = [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]
    np.testing.assert_array_equal(block(x).numpy(), np.tile(expected, (2, 1))[None, :, :, None])


def test_group_normalisation_is_each_images_own():
    """With batch normalisation, what an image trains on depends on its neighbours; here it does not."""
    model = build_model(ModelConfig(base_filters=8, depth=1, normalisation="group"))
    x = np.random.default_rng(0).random((2, 8, 8, 1)).astype(np.float32)
    alone, together = model(x[:1], training=True).numpy(), model(x, training=True).numpy()
    np.testing.assert_allclose(together[:1], alone, atol=1e-6)
    assert [group_count(filters) for filters in (1, 2, 7, 8, 12, 22, 64)] == [1, 2, 7, 8, 6, 2, 8]


def test_noisy_relu_has_the_variance_of_its_source_and_only_in_training():
    values = np.array([-120.0, -1.0, 0.0, 3.0, 20.0], np.float32)
    x = tf.constant(np.tile(values, (200_000, 1)))
    layer = NoisyReLU(seed=1)
    np.testing.assert_array_equal(layer(x).numpy(), np.maximum(x, 0))
    with tf.GradientTape() as tape:
        tape.watch(x)
        noisy = layer(x, training=True)
    assert np.isfinite(tape.gradient(noisy, x).numpy()).all()
    noisy = noisy.numpy()
    assert noisy.min() == 0
    assert noisy[:, 4].std() == pytest.approx(1, abs=0.01)  # sigmoid(20) is 1
    # the positive half of a normal of variance 1/2: its mean is sqrt(1/2 / (2 pi))
    assert noisy[:, 2].mean() == pytest.approx(np.sqrt(0.5 / (2 * np.pi)), abs=0.005)
    again = NoisyReLU.from_config(layer.get_config())
    np.testing.assert_array_equal(again(x, training=True).numpy(), noisy)
    assert not np.array_equal(again(x, training=True).numpy(), noisy)


def test_spatial_dropout_drops_whole_channels():
    image = keras.Input((None, None, 4))
    blocks = Blocks(ModelConfig(dropout=0.5, spatial_dropout=True, normalisation="none"), 0)
    block = keras.Model(image, blocks.double_convolution(image, 64))
    x = np.random.default_rng(0).random((1, 16, 16, 4)).astype(np.float32)
    kept, dropped = (np.any(block(x, training=flag).numpy() != 0, axis=(0, 1, 2)) for flag in (False, True))
    np.testing.assert_allclose(dropped[kept].mean(), 0.5, atol=0.25)
    # a channel that is kept is kept at every pixel
    whole = block(x, training=False).numpy()
    part = block(x, training=True).numpy()
    for channel in np.flatnonzero(np.any(part != 0, axis=(0, 1, 2))):
        np.testing.assert_allclose(part[..., channel], 2 * whole[..., channel], rtol=1e-6)


def test_skip_connections_are_weights():
    assert trainable(ModelConfig(base_filters=2, skip_connections=False)) < trainable(ModelConfig(base_filters=2))


def test_the_seed_decides_the_weights():
    config = ModelConfig(base_filters=2, depth=1)
    one, same, other = (build_model(config, 1, seed).get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("option", "reach"),
    [
        ({"depth": 1}, 9),
        ({"depth": 2}, 23),
        ({"depth": 3}, 51),
        ({"kernel_size": 5}, 43),
        ({"kernel_size": 1}, 3),
        ({"residual": True}, 23),
        ({"dilation": 2}, 31),  # two convolutions at the bottleneck, each a 4 px pixel farther
        ({"upsampling": "bilinear"}, 29),  # a convolution and an interpolation more at 1 and 2 px
        ({"upsampling": "bilinear", "kernel_size": 1}, 6),
        ({"upsampling": "bilinear", "dilation": 2, "residual": True, "activation": "swish"}, 37),
    ],
    ids=str,
)
def test_nothing_beyond_the_halo_matters(option, reach):
    """The reach, measured by impulse: which inputs have a gradient to an output pixel."""
    config = ModelConfig(**{"base_filters": 4, "depth": 2, **option})
    model, halo = build_model(config), unet_halo(config)
    side = 2 * halo + 2 * config.stride
    measured = 0
    for offset in range(config.stride):  # the reach depends on where in the pooling grid a pixel lies
        x = tf.Variable(tf.random.stateless_normal((1, config.stride, side, 1), [offset, 0]))
        centre = halo + offset
        with tf.GradientTape() as tape:
            y = model(x)[0, :, centre, 0]
        touched = np.flatnonzero(np.abs(tape.gradient(y, x).numpy()).sum((0, 1, 3)))
        measured = max(measured, centre - touched.min(), touched.max() - centre)
    assert measured <= reach <= halo < reach + config.stride
    assert measured > halo - 2 * config.stride - reach // 4  # the halo is not much too large either


@pytest.mark.parametrize("option", [{"normalisation": "group"}, {"squeeze_excitation": True}], ids=str)
def test_some_networks_see_the_whole_image(option):
    config = ModelConfig(base_filters=8, depth=1, **option)
    assert unet_halo(config) is None
    x = np.random.default_rng(0).random((1, 8, 400, 1)).astype(np.float32)
    model, other = build_model(config), x.copy()
    other[:, :, 200:] *= 3  # far beyond the reach of any convolution
    assert not np.array_equal(model(x)[:, :, :100].numpy(), model(other)[:, :, :100].numpy())


def test_an_unknown_architecture_is_named():
    with pytest.raises(ConfigError, match="'resnet': known are unet"):
        build_model(ModelConfig(architecture="resnet"))
