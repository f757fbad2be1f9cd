import keras
import numpy as np
import pytest
import tensorflow as tf

from cryoseg_tf.config import ModelConfig
from cryoseg_tf.errors import ConfigError
from cryoseg_tf.models.metrics import MeanDice
from cryoseg_tf.models.registry import build_model
from cryoseg_tf.models.supervision import DeeplySupervised, training_model

CONFIG = ModelConfig(base_filters=2, depth=3, deep_supervision=True, dropout=0.2)


@pytest.fixture
def arrays():
    random = np.random.default_rng(0)
    return random.random((4, 16, 24, 1)).astype(np.float32), random.integers(0, 2, (4, 16, 24, 1)).astype(np.uint8)


def squared_error(truth, probabilities):
    """One value per image."""
    return tf.reduce_mean((tf.cast(truth, tf.float32) - probabilities) ** 2, axis=(1, 2, 3))


def compiled(model):
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)
    model.compile(optimizer, squared_error, metrics=[MeanDice()], jit_compile=False)
    return model


def test_without_deep_supervision_it_is_the_network_itself():
    config = ModelConfig(base_filters=2, depth=1)
    network = build_model(config)
    assert training_model(network, config) is network


def test_one_level_has_nothing_to_supervise():
    config = ModelConfig(base_filters=2, depth=1, deep_supervision=True)
    with pytest.raises(ConfigError, match="depth 2 or more"):
        training_model(build_model(config), config)


@pytest.mark.parametrize(("depth", "heads"), [(2, 1), (3, 2), (4, 3), (5, 3)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("upsampling", ["transposed", "bilinear"])
def test_heads_stand_on_the_decoders_levels(depth, heads, channels, upsampling):
    config = ModelConfig(base_filters=1, depth=depth, deep_supervision=True, upsampling=upsampling)
    network = build_model(config, channels)
    model = training_model(network, config)
    x = np.zeros((1, 32, 64, 1), np.float32)
    assert [y.shape for y in model(x, training=True)] == [
        (1, 32 // 2**level, 64 // 2**level, channels) for level in range(heads + 1)
    ]
    # 1x1 convolutions of the levels' widths, 2, 4, 8, with a bias; nothing else is added
    added = sum(int(np.prod(v.shape)) for v in model.variables) - network.count_params()
    assert added == sum((2**level + 1) * channels for level in range(1, heads + 1))


def test_the_loss_is_the_weighted_sum_and_the_scores_are_of_the_network(arrays):
    x, y = arrays
    network = build_model(CONFIG)
    model = compiled(training_model(network, CONFIG))
    outputs = model(x, training=True)
    expected = sum(
        weight * np.mean(squared_error(y[:, ::step, ::step], output))
        for weight, step, output in zip((4 / 7, 2 / 7, 1 / 7), (1, 2, 4), outputs, strict=True)
    )
    assert float(model.compute_loss(x, y, outputs)) == pytest.approx(float(expected), rel=1e-5)

    scores = model.evaluate(x, y, verbose=0, return_dict=True)
    plain = compiled(keras.Model(network.input, network.output)).evaluate(x, y, verbose=0, return_dict=True)
    assert scores == pytest.approx(plain)
    np.testing.assert_array_equal(model.predict(x, verbose=0), network.predict(x, verbose=0))


def test_a_fit_logs_what_a_plain_one_does_and_trains_the_network(arrays, tmp_path):
    x, y = arrays
    network = build_model(CONFIG)
    before = network(x).numpy()
    model = compiled(training_model(network, CONFIG))
    start = [v.numpy() for v in model.trainable_variables]
    history = model.fit(x, y, batch_size=2, epochs=1, validation_data=(x, y), verbose=0).history
    assert set(history) == {"loss", "dice", "val_loss", "val_dice"}
    # all change, the heads included
    assert not any(np.array_equal(a, b) for a, b in zip(start, model.trainable_variables, strict=True) if a.ndim > 1)
    after = network(x).numpy()
    assert not np.array_equal(after, before)

    network.save(tmp_path / "network.keras")
    other = build_model(CONFIG, seed=5)
    other.load_weights(tmp_path / "network.keras")
    np.testing.assert_array_equal(other(x).numpy(), after)


def test_two_fits_with_one_seed_are_equal(arrays):
    x, y = arrays
    weights = []
    for seed in (3, 3, 4):
        model = compiled(training_model(build_model(CONFIG, seed=seed), CONFIG, seed))
        model.fit(x, y, batch_size=2, verbose=0, shuffle=False)
        weights.append(model.get_weights())
    assert all(np.array_equal(a, b) for a, b in zip(weights[0], weights[1], strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(weights[0], weights[2], strict=True))
    assert isinstance(model, DeeplySupervised)
