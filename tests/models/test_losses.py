import numpy as np
import pytest

from cryoseg_tf.config import IGNORE
from cryoseg_tf.models.losses import dice_loss
from cryoseg_tf.models.metrics import MeanDice, decide


def one(*rows):
    return np.array(rows, np.float32)[..., None]


def test_dice_loss_by_hand():
    truth = one([[1, 1], [0, 0]], [[0, 0], [0, 0]])
    found = one([[0.5, 1], [0.25, 0]], [[0, 0], [0, 1]])
    # 1 - (2 * 1.5 + 1) / (2 + 1.75 + 1), 1 - (0 + 1) / (0 + 1 + 1)
    np.testing.assert_allclose(dice_loss(truth, found), [1 - 4 / 4.75, 0.5], rtol=1e-6)


def test_ignored_pixels_do_not_count():
    truth, found = one([[1, 0]]), one([[0.8, 0.1]])
    wide_truth, wide_found = one([[1, 0, IGNORE]]), one([[0.8, 0.1, 0.9]])
    np.testing.assert_allclose(dice_loss(wide_truth, wide_found), dice_loss(truth, found), rtol=1e-6)


def test_more_classes_are_averaged():
    truth = one([[0, 2]])
    found = np.array([[[[1, 0, 0], [0, 0, 1]]]], np.float32)
    np.testing.assert_allclose(dice_loss(truth, found), [0], atol=1e-6)
    wrong = found[..., ::-1]
    # classes 0 and 2: (0 + 1) / (1 + 1 + 1); class 1: (0 + 1) / (0 + 0 + 1)
    np.testing.assert_allclose(dice_loss(truth, wrong), [1 - (1 / 3 + 1 + 1 / 3) / 3], rtol=1e-6)


def test_decide():
    np.testing.assert_array_equal(decide(one([[0.49, 0.5]]), 0.5), [[[0, 1]]])
    np.testing.assert_array_equal(decide(np.array([[0.2, 0.5, 0.3]]), 0.5), [1])


@pytest.mark.parametrize(
    ("truth", "found", "expected"),
    [
        ([[1, 1, 0, 0]], [[0.9, 0.1, 0.9, 0.1]], 0.5),  # 2 * 1 / (2 + 2)
        ([[0, 0, 0, 0]], [[0.1, 0.1, 0.1, 0.1]], 1.0),  # nothing to score
        ([[0, 0, 0, 0]], [[0.9, 0.1, 0.1, 0.1]], 0.0),
        ([[1, IGNORE, 0, 0]], [[0.9, 0.9, 0.1, 0.1]], 1.0),
    ],
)
def test_mean_dice_by_hand(truth, found, expected):
    metric = MeanDice()
    metric.update_state(one(truth), one(found))
    assert float(metric.result()) == pytest.approx(expected)


def test_empty_images_leave_the_mean():
    metric = MeanDice()
    metric.update_state(one([[1, 0]], [[0, 0]]), one([[0.9, 0.1]], [[0.1, 0.1]]))
    assert float(metric.result()) == pytest.approx(1.0)
    metric.update_state(one([[1, 0]]), one([[0.1, 0.1]]))
    assert float(metric.result()) == pytest.approx(0.5)
