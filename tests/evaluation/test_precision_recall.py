import numpy as np
import pytest

from cryoseg_tf.config import IGNORE
from cryoseg_tf.evaluation import bands
from cryoseg_tf.evaluation.precision_recall import PrecisionRecall


def curve(truth, probabilities):
    counted = PrecisionRecall()
    counted.add(np.uint8([truth]), np.float32([probabilities])[..., None])
    return counted.curve


def test_four_pixels_by_hand():
    rows = curve([0, 0, 1, 1], [0.125, 0.75, 0.5, 1.0])
    at = {threshold: (recall, precision) for threshold, recall, precision in rows.tolist()}
    assert at[0.0] == at[0.125] == (1, 0.5)
    assert at[0.125 + 1 / 256] == at[0.5] == (1, pytest.approx(2 / 3))
    assert at[0.5 + 1 / 256] == at[0.75] == (0.5, 0.5)
    assert at[0.75 + 1 / 256] == at[255 / 256] == (0.5, 1)


def test_thresholds_that_nothing_reaches_have_no_row():
    assert curve([0, 1], [0.25, 0.5])[-1].tolist() == [0.5, 1, 1]


def test_ignored_pixels_and_what_is_no_number_count_nowhere():
    np.testing.assert_array_equal(curve([0, 1, IGNORE, 1], [0.2, 0.7, 0.9, np.nan]), curve([0, 1], [0.2, 0.7]))


def test_no_foreground_is_no_curve():
    assert curve([0, 0], [0.1, 0.9]) is None
    assert PrecisionRecall().curve is None


def test_more_classes_are_foreground_as_one():
    counted = PrecisionRecall()
    counted.add(np.uint8([[0, 1, 2]]), np.float32([[[0.75, 0.25, 0], [0.25, 0.5, 0.25], [0.5, 0, 0.5]]]))
    np.testing.assert_array_equal(counted.curve, curve([0, 1, 1], [0.25, 0.75, 0.5]))


def test_bands_and_images_are_pooled(monkeypatch):
    random = np.random.default_rng(0)
    truth, given = random.integers(0, 2, (50, 7), np.uint8), random.random((50, 7, 1), np.float32)
    whole, parts = PrecisionRecall(), PrecisionRecall()
    whole.add(truth, given)
    monkeypatch.setattr(bands, "BAND", 3 * 7)
    for rows in (slice(0, 20), slice(20, 50)):
        parts.add(truth[rows], given[rows])
    np.testing.assert_array_equal(parts.curve, whole.curve)
