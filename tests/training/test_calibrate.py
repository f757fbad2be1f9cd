import json
import shutil
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from cryoseg_tf.config import IGNORE, Contract
from cryoseg_tf.exports import export
from cryoseg_tf.io.micrograph import Micrograph
from cryoseg_tf.models.calibration import undone
from cryoseg_tf.run import Run
from cryoseg_tf.segmentation.segmenter import Segmenter
from cryoseg_tf.training.calibrate import calibrate


def network(channels: int, factor: float = 1.0) -> keras.Model:
    """The input's channel, or its distance from each class, becomes a logit."""
    image = keras.Input((None, None, 1))
    logits = keras.layers.Conv2D(channels, 1, name="logits")(image)
    model = keras.Model(image, keras.layers.Activation("sigmoid" if channels == 1 else "softmax")(logits))
    # -(x - c)^2 / 2 without what all classes share
    kernel, bias = (
        (np.ones(1), np.zeros(1)) if channels == 1 else (np.arange(channels), -(np.arange(channels) ** 2) / 2)
    )
    model.get_layer("logits").set_weights([factor * kernel.reshape(1, 1, 1, -1), factor * bias])
    return model


def windows(images):
    stacked = [(np.float32(x)[None, :, :, None], np.uint8(y)[None, :, :, None]) for x, y in images]
    spec = (tf.TensorSpec((1, None, None, 1), tf.float32), tf.TensorSpec((1, None, None, 1), tf.uint8))
    dataset = tf.data.Dataset.from_generator(lambda: iter(stacked), output_signature=spec)
    return dataset.apply(tf.data.experimental.assert_cardinality(len(stacked)))


def drawn(channels: int, count: int = 3, side: int = 160):
    """Images with truth drawn from the probabilities of ``network(channels)``."""
    random, images = np.random.default_rng(5), []
    for index in range(count):
        x = random.normal(channels / 2 - 0.5, 1.5, (side, side + 8 * index)).astype(np.float32)
        given = network(channels)(x[None, :, :, None]).numpy()[0]
        if channels == 1:
            truth = random.random(x.shape) < given[..., 0]
        else:
            truth = (random.random((*x.shape, 1)) > given.cumsum(axis=-1)).sum(axis=-1).clip(0, channels - 1)
        images.append((x, truth))
    return images


@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_three_times_too_sure_is_divided_by_three(channels):
    classes = ("background", "cell", "ice")[: max(2, channels)]
    asked = Contract(classes=classes, minimum_contrast=1.5, temperature=9, threshold=0.9)
    model, data = network(channels, 3.0), windows(drawn(channels))
    contract, summary = calibrate(model, data, asked)
    assert contract.temperature == summary["temperature"] == pytest.approx(3, rel=0.03)
    assert contract.minimum_contrast == 1.5
    assert summary["windows"] == 3
    assert summary["ece"] < 0.01 < 0.05 < summary["ece_before"]
    assert summary["dice"] >= summary["dice_before"] > 0.3
    if channels == 1:
        assert contract.threshold == summary["threshold"] < 0.5  # Dice asks for less than an even chance
        assert summary["dice"] > summary["dice_before"] + 0.01
    else:
        assert "threshold" not in summary
        assert contract.threshold == 0.5
        assert summary["dice"] == summary["dice_before"]
    assert calibrate(model, data, asked) == (contract, summary)


def test_the_sample_takes_as_much_of_a_small_image_as_of_a_large_one(monkeypatch, caplog):
    right = np.where(np.indices((64, 64)).sum(axis=0) % 3 > 0, 3.0, -3.0)
    images = [(right, right < 0), (np.tile(right, (4, 4)), np.tile(right, (4, 4)) > 0)]
    monkeypatch.setattr("cryoseg_tf.training.calibrate.SAMPLE", 2 * 64 * 64)
    contract, _ = calibrate(network(1), windows(images), Contract(classes=("background", "cell")))
    # one is all wrong and one all right: by share that is chance; by pixels nearly all would be right
    assert "hardly better than a guess" in caplog.text
    assert (contract.temperature, contract.threshold) == (1, 0.5)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("value", [0, IGNORE])
def test_validation_without_foreground_or_without_annotation(channels, value):
    classes = ("background", "cell", "ice")[: max(2, channels)]
    image = np.full((16, 16), 0.2)
    contract, summary = calibrate(network(channels), windows([(image, image * 0 + value)]), Contract(classes=classes))
    assert contract.threshold == 0.5
    assert np.isfinite(list(summary.values())).all()
    assert ("ece" in summary) == (value == 0)
    assert contract.temperature == 1 or value == 0


@pytest.fixture
def calibrated(trained, tmp_path) -> Callable[..., Path]:
    """``calibrated(**contract)`` copies the trained run and changes what its run.json says."""

    def make(**contract: float) -> Path:
        path = shutil.copytree(trained, tmp_path / "-".join(map(str, contract.values())))
        content = json.loads((path / "run.json").read_text("utf-8"))
        content["contract"] |= contract
        (path / "run.json").write_text(json.dumps(content), "utf-8")
        return path

    return make


NOISE = np.random.default_rng(0).normal(0, 1, (1, 32, 48, 1)).astype(np.float32)


def logits_of(model: keras.Model) -> np.ndarray:
    return keras.Model(model.input, model.get_layer("logits").output)(NOISE).numpy()


def test_a_loaded_model_is_divided_once(calibrated):
    path = calibrated(temperature=2.0)
    before = (path / "model.keras").read_bytes()
    as_trained, halved = (logits_of(Run(path).load_model(raw)) for raw in (True, False))
    np.testing.assert_array_equal(halved, as_trained / 2)  # by a power of two: exactly
    np.testing.assert_array_equal(logits_of(Run(path).load_model()), halved)
    assert (path / "model.keras").read_bytes() == before
    np.testing.assert_allclose(Run(path).load_model()(NOISE), 1 / (1 + np.exp(-as_trained / 2)), atol=1e-6)


def test_a_temperature_of_one_leaves_every_bit(calibrated):
    run = Run(calibrated(temperature=1.0))
    pairs = zip(run.load_model().weights, run.load_model(raw=True).weights, strict=True)
    for weights, raw in pairs:
        np.testing.assert_array_equal(weights, raw)


@pytest.mark.slow
def test_segmenter_and_export_give_the_same_calibrated_probabilities(calibrated, tmp_path):
    path = calibrated(temperature=2.7, threshold=0.41)
    pixels = np.random.default_rng(0).integers(0, 256, (65, 130)).astype(np.uint8)
    result = Segmenter.from_run(path).segment(Micrograph(pixels), probabilities=True)
    uncalibrated = Segmenter.from_run(calibrated(temperature=1.0))
    as_trained = uncalibrated.segment(Micrograph(pixels), probabilities=True).probabilities
    np.testing.assert_allclose(undone(result.probabilities, 2.7), as_trained, atol=1e-5)
    assert np.abs(result.probabilities - as_trained).max() > 0.01
    np.testing.assert_array_equal(result.mask, result.probabilities[..., 0] >= np.float32(0.41))
    bundle = export(path, ["saved_model"], tmp_path / "m.cryoseg")
    segment = tf.saved_model.load(str(bundle.path / "saved_model")).signatures["segment_uint8"]
    exported = segment(image=tf.constant(pixels[None]), pixel_size=tf.constant(0.0))
    np.testing.assert_allclose(exported["probability"][0], result.probabilities, atol=2e-6)
    np.testing.assert_array_equal(exported["mask"][0], result.mask)
