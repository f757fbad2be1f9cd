import numpy as np
import pytest
import tensorflow as tf

from cryoseg_tf.config import IGNORE
from cryoseg_tf.models.calibration import (
    TEMPERATURES,
    THRESHOLDS,
    DiceCurve,
    Reliability,
    fit_temperature,
    probabilities,
    sample,
    undone,
)
from cryoseg_tf.models.metrics import MeanDice


def honest(channels: int, count: int = 60000) -> tuple[np.ndarray, np.ndarray]:
    """Truth drawn from the very probabilities that the logits stand for, so that their temperature is 1."""
    random = np.random.default_rng(channels)
    logits = random.normal(0, 2, (count, channels)).astype(np.float32)
    given = probabilities(logits)
    if channels == 1:
        return (random.random(count) < given[:, 0]).astype(np.uint8), logits
    return (random.random((count, 1)) > given.cumsum(axis=1)).sum(axis=1).clip(0, channels - 1).astype(np.uint8), logits


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_a_known_temperature_is_found(channels, factor):
    truth, logits = honest(channels)
    # against what these draws ask for themselves: that is 1 but for chance
    assert fit_temperature(truth, logits) == pytest.approx(1, rel=0.02)
    found = fit_temperature(truth, logits * factor)
    assert found == pytest.approx(factor, rel=0.02)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_temperature_makes_overconfident_probabilities_reliable(channels):
    truth, logits = honest(channels)
    before, after = Reliability(), Reliability()
    before.add(truth, probabilities(3 * logits))
    after.add(truth, probabilities(3 * logits, fit_temperature(truth, 3 * logits)))
    assert after.ece < 0.01 < 0.1 < before.ece


@pytest.mark.parametrize("channels", [1, 3])
def test_one_channel_is_a_softmax_over_nothing_and_it(channels):
    truth, logits = honest(channels, 2000)
    if channels == 1:
        both = np.hstack([np.zeros_like(logits), logits])
        assert fit_temperature(truth, both) == fit_temperature(truth, logits)
    else:
        # a softmax does not change when all logits rise
        assert fit_temperature(truth, logits + 5) == pytest.approx(fit_temperature(truth, logits), abs=2e-4)


@pytest.mark.parametrize("factor", [1, 40, 1e4])
def test_right_or_wrong_throughout_stays_within_bounds(factor):
    truth = np.array([0, 1, 0, 1], np.uint8)
    logits = np.float32([[-2], [2], [-3], [1]]) * factor
    low, high = TEMPERATURES
    assert low <= fit_temperature(truth, logits) <= 1
    assert 1 <= fit_temperature(1 - truth, logits) == pytest.approx(high, abs=1e-3)


def test_nothing_to_gain_is_no_temperature():
    truth = np.array([0, 1], np.uint8)
    assert fit_temperature(truth, np.float32([[-500], [500]])) == 1  # saturated, and right
    assert fit_temperature(np.full(2, IGNORE, np.uint8), np.float32([[-1], [1]])) == 1
    assert fit_temperature(truth, np.float32([[np.nan], [np.inf]])) == 1
    assert fit_temperature(np.empty(0, np.uint8), np.empty((0, 3), np.float32)) == 1


def test_ignored_pixels_have_no_say_in_the_temperature():
    truth, logits = honest(1, 4000)
    more = np.concatenate([truth, np.full(4000, IGNORE, np.uint8)])
    assert fit_temperature(more, np.concatenate([logits, -9 * logits])) == fit_temperature(truth, logits)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_calibration_can_be_undone(channels, temperature):
    logits = honest(channels, 500)[1]
    np.testing.assert_allclose(
        undone(probabilities(logits, temperature), temperature), probabilities(logits), rtol=0, atol=1e-4
    )
    assert np.isfinite(undone(np.zeros((1, channels), np.float32), temperature)).all()


def test_a_sample_is_a_grid_of_about_so_many_annotated_pixels():
    truth = np.zeros((40, 60), np.uint8)
    logits = np.arange(2400, dtype=np.float32).reshape(40, 60, 1)
    labels, values = sample(truth, logits, 2400 // 16)
    np.testing.assert_array_equal(values[:, 0].reshape(10, 15), logits[::4, ::4, 0])
    assert labels.shape == (150,)
    truth[:, 3:] = IGNORE
    assert sample(truth, logits, 150)[1].shape == (120, 1)  # few enough: all of them


def random_images(count: int, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Probabilities on and beside the thresholds; one image without foreground, one with nothing annotated."""
    random = np.random.default_rng(seed)
    images = []
    for index in range(count):
        given = np.float32(np.round(random.random((24, 30, 1)), 2))  # many lie on a threshold
        truth = (random.random((24, 30)) < given[..., 0] ** 2).astype(np.uint8)
        truth[random.random(truth.shape) < 0.2] = IGNORE
        if index == 1:
            truth[truth == 1] = 0
        if index == 2:
            truth[:] = IGNORE
        images.append((truth, given))
    return images


def mean_dice(images, threshold):
    metric = MeanDice(float(threshold))
    for truth, given in images:
        metric.update_state(tf.constant(truth[None, :, :, None]), tf.constant(given[None]))
    return float(metric.result())


def curve_of(images):
    curve = DiceCurve()
    for truth, given in images:
        curve.add(truth, given)
    return curve


def test_the_curve_is_what_decided_masks_score():
    images = random_images(4)
    expected = [mean_dice(images, threshold) for threshold in THRESHOLDS]
    curve = curve_of(images)
    np.testing.assert_allclose(curve.mean, expected, atol=1e-6)
    assert curve.at(0.3) == pytest.approx(mean_dice(images, 0.3), abs=1e-6)
    best = curve.at(curve.threshold)
    close = THRESHOLDS[np.asarray(expected) >= max(expected) - 0.0005]
    assert best >= max(expected) - 0.0005
    assert abs(curve.threshold - 0.5) == pytest.approx(np.abs(close - 0.5).min())
    assert curve.threshold != 0.5


def test_a_threshold_by_hand():
    truth = np.array([[1, 1, 1, 0, 0]], np.uint8)
    curve = curve_of([(truth, np.float32([[0.9, 0.8, 0.3, 0.2, 0.1]])[..., None])])
    assert curve.at(0.5) == pytest.approx(4 / 5)
    assert curve.threshold == 0.3  # from 0.21 on all are right; 0.3 is the nearest to 0.5
    assert curve.at(0.3) == 1


def test_of_equally_good_thresholds_the_nearest_to_a_half_is_taken():
    truth = np.array([[1, 0]], np.uint8)
    assert curve_of([(truth, np.float32([[[0.9], [0.1]]]))]).threshold == 0.5
    assert curve_of([(truth, np.float32([[[0.9], [0.7]]]))]).threshold == 0.71
    # a gain below 0.0005 is no reason: one false pixel of 10,000
    truth = np.ones((100, 100), np.uint8)
    truth[0, 0] = 0
    given = np.full((100, 100, 1), 0.9, np.float32)
    given[0, 0] = 0.6
    assert curve_of([(truth, given)]).threshold == 0.5


@pytest.mark.parametrize("value", [0, IGNORE])
def test_no_foreground_says_nothing_about_the_threshold(value):
    curve = curve_of([(np.full((4, 4), value, np.uint8), np.full((4, 4, 1), 0.7, np.float32))])
    assert curve.threshold == 0.5
    assert np.isfinite(curve.mean).all()


def test_calibration_error_by_hand():
    reliability = Reliability()
    # confidences 0.9, 0.9, 0.6 (found as background, p = 0.4) and 0.52; right, wrong, right, wrong
    reliability.add(np.array([1, 0, 0, 0, IGNORE]), np.array([[0.9], [0.9], [0.4], [0.52], [0.99]]))
    assert reliability.counts.sum() == 4
    # the bins end at 8/15 = 0.533, 9/15 = 0.6 and 14/15: gaps 0.52, 0.4 and 2 * (0.9 - 0.5), over 4 pixels
    assert reliability.ece == pytest.approx((0.52 + 0.4 + 2 * 0.4) / 4)
    np.testing.assert_allclose(reliability.curve, [[0.52, 0, 0.25], [0.6, 1, 0.25], [0.9, 0.5, 0.5]])


def test_calibration_error_of_three_classes_by_hand():
    reliability = Reliability()
    reliability.add(np.array([2]), np.array([[0.1, 0.2, 0.7]]))
    reliability.add(np.array([0]), np.array([[0.1, 0.2, 0.7]]))
    assert reliability.ece == pytest.approx(0.2)
    np.testing.assert_allclose(reliability.curve, [[0.7, 0.5, 1]])


def test_pixels_may_come_in_parts():
    truth, logits = honest(3, 900)
    whole, parts = Reliability(), Reliability()
    whole.add(truth, probabilities(logits))
    for rows in np.split(np.arange(900), 9):
        parts.add(truth[rows], probabilities(logits[rows]))
    np.testing.assert_allclose(parts.curve, whole.curve)


def test_without_pixels_there_is_no_calibration_error():
    reliability = Reliability()
    reliability.add(np.full(3, IGNORE), np.ones((3, 1)))
    assert np.isnan(reliability.ece)
    assert reliability.curve.shape == (0, 3)
