import math

import numpy as np
import pytest

from cryoseg_tf.config import IGNORE
from cryoseg_tf.evaluation.scores import METRICS, Scores, foreground_scores, pixel_scores

TRUTH = np.array([[1, 1, 0], [1, 1, 0]], np.uint8)
PREDICTION = np.array([[0, 1, 1], [0, 1, 1]], np.uint8)
EMPTY = np.zeros((2, 3), np.uint8)


def test_half_overlap_by_hand():
    scores = pixel_scores(TRUTH, PREDICTION, 1)
    assert scores == Scores(true_positive=2, false_positive=2, false_negative=2)
    assert scores.values() == {"recall": 0.5, "precision": 0.5, "dice": 0.5, "iou": pytest.approx(1 / 3)}


def test_recall_is_of_the_truth_and_precision_of_the_prediction():
    scores = pixel_scores(TRUTH, np.array([[1, 0, 0], [0, 0, 0]], np.uint8), 1)
    assert (scores.recall, scores.precision, scores.dice, scores.iou) == (0.25, 1.0, 0.4, 0.25)


@pytest.mark.parametrize(
    ("truth", "prediction", "expected"),
    [
        (EMPTY, EMPTY, (math.nan, math.nan, math.nan, math.nan)),
        (EMPTY, PREDICTION, (math.nan, 0.0, 0.0, 0.0)),
        (TRUTH, EMPTY, (0.0, math.nan, 0.0, 0.0)),
        (TRUTH, TRUTH, (1.0, 1.0, 1.0, 1.0)),
    ],
    ids=["neither", "found only", "missed", "perfect"],
)
def test_empty_masks_follow_the_rule(truth, prediction, expected):
    scores = pixel_scores(truth, prediction, 1)
    np.testing.assert_equal(tuple(scores.values().values()), expected)


def test_ignored_pixels_count_nowhere():
    truth = TRUTH.copy()
    truth[:, 2] = IGNORE
    # what is found there is neither right nor wrong
    assert pixel_scores(truth, PREDICTION, 1) == Scores(2, 0, 2)
    assert foreground_scores(truth, PREDICTION) == Scores(2, 0, 2)
    everything = np.full((2, 3), IGNORE, np.uint8)
    assert pixel_scores(everything, PREDICTION, 1) == Scores(0, 0, 0)


def test_classes_are_scored_alone_and_the_foreground_as_one():
    truth = np.array([[1, 1, 2, 0]], np.uint8)
    prediction = np.array([[1, 2, 2, 2]], np.uint8)
    assert pixel_scores(truth, prediction, 1) == Scores(1, 0, 1)
    assert pixel_scores(truth, prediction, 2) == Scores(1, 2, 0)
    # class 1 found as class 2 is foreground all the same
    assert foreground_scores(truth, prediction) == Scores(3, 1, 0)


def test_two_classes_give_the_foreground():
    truth, prediction = np.random.default_rng(0).integers(0, 2, (2, 20, 30), np.uint8)
    assert pixel_scores(truth, prediction, 1) == foreground_scores(truth, prediction)


def test_scores_do_not_change_when_both_masks_are_turned():
    truth, prediction = np.random.default_rng(1).integers(0, 3, (2, 20, 30), np.uint8)
    assert pixel_scores(truth, prediction, 2) == pixel_scores(np.rot90(truth), np.rot90(prediction), 2)


def test_truth_and_prediction_exchanged_exchange_recall_and_precision():
    here, there = pixel_scores(TRUTH, EMPTY, 1), pixel_scores(EMPTY, TRUTH, 1)
    np.testing.assert_equal((here.recall, here.precision), (there.precision, there.recall))
    assert (here.dice, here.iou) == (there.dice, there.iou)


def test_dice_follows_from_iou():
    scores = Scores(37, 11, 5)
    assert scores.dice == pytest.approx(2 * scores.iou / (1 + scores.iou))
    assert tuple(scores.values()) == METRICS


def test_added_scores_are_those_of_all_pixels():
    one, other = (np.random.default_rng(seed).integers(0, 2, (2, 20, 30), np.uint8) for seed in (0, 1))
    together = pixel_scores(np.vstack([one[0], other[0]]), np.vstack([one[1], other[1]]), 1)
    assert pixel_scores(*one, 1) + pixel_scores(*other, 1) == together
