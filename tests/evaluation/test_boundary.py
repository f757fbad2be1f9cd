import numpy as np
import pytest

from cryoseg_tf.config import IGNORE
from cryoseg_tf.evaluation import bands
from cryoseg_tf.evaluation.boundary import boundary_f1

EMPTY = np.zeros((30, 30), np.uint8)


def square(top, left, side=10, value=1):
    mask = EMPTY.copy()
    mask[top : top + side, left : left + side] = value
    return mask


@pytest.mark.parametrize(("shift", "expected"), [(0, 1), (1, 1), (2, 1)])
def test_a_shift_within_the_tolerance_costs_nothing(shift, expected):
    assert boundary_f1(square(8, 8), square(8, 8 + shift), 1, 2.0) == expected


def test_a_shift_beyond_the_tolerance_by_hand():
    # moved 3 columns: of 36 outline pixels, those of the top and the bottom row from column 1 or 2 before the common
    # part on are within 2 (7 common and 2 beside, twice); each side column is near the other's top and bottom rows
    # in their first three rows (2 more beside the corner, twice)
    assert boundary_f1(square(8, 8), square(8, 11), 1, 2.0) == pytest.approx(_by_hand(square(8, 8), square(8, 11), 2))


def _by_hand(truth, prediction, tolerance):
    """The definition word by word, in loops over all pairs of outline pixels."""

    def outline(mask):
        padded = np.pad(mask, 1, mode="edge")
        return [
            (y, x)
            for y, x in np.argwhere(mask == 1)
            if any(padded[y + 1 + dy, x + 1 + dx] == 0 for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)))
        ]

    def share(some, others):
        return np.mean([min(np.hypot(y - v, x - u) for v, u in others) <= tolerance for y, x in some])

    there, found = outline(truth), outline(prediction)
    recall, precision = share(there, found), share(found, there)
    return 2 * recall * precision / (recall + precision)


@pytest.mark.parametrize("tolerance", [1, 1.5, 2, 3])
def test_it_is_the_definition_on_random_masks(tolerance):
    truth, prediction = np.random.default_rng(0).random((2, 20, 25)) > 0.9
    expected = _by_hand(truth.astype(int), prediction.astype(int), tolerance)
    assert boundary_f1(truth.astype(np.uint8), prediction.astype(np.uint8), 1, tolerance) == pytest.approx(expected)


def test_far_apart_is_nothing_and_truth_and_prediction_may_be_exchanged():
    assert boundary_f1(square(0, 0, 5), square(20, 20, 5), 1, 2.0) == 0
    one, other = square(4, 4), square(6, 7, 14)
    assert boundary_f1(one, other, 1, 2.0) == boundary_f1(other, one, 1, 2.0)


def test_empty_masks_follow_the_rule():
    assert np.isnan(boundary_f1(EMPTY, EMPTY, 1, 2.0))
    assert boundary_f1(EMPTY, square(8, 8), 1, 2.0) == boundary_f1(square(8, 8), EMPTY, 1, 2.0) == 0


def test_the_image_s_edge_is_no_outline():
    assert np.isnan(boundary_f1(EMPTY + 1, EMPTY + 1, 1, 2.0))
    half = EMPTY.copy()
    half[:, :15] = 1
    wider = EMPTY.copy()
    wider[:, :20] = 1
    # were the edge an outline, most of both would agree
    assert boundary_f1(half, wider, 1, 2.0) == 0


def test_ignored_pixels_make_no_outline_and_hide_what_is_found_there():
    truth = square(8, 8)
    truth[:, 20:] = IGNORE
    found = square(8, 8)
    found[10:14, 22:26] = 1
    assert boundary_f1(truth, found, 1, 2.0) == 1
    # what is annotated reaches to where nothing is known: no outline there
    truth = EMPTY + 1
    truth[:, 15:] = IGNORE
    assert np.isnan(boundary_f1(truth, EMPTY + 1, 1, 2.0))


def test_the_foreground_is_all_classes_as_one():
    two = square(8, 8) + square(8, 18, value=2)
    swapped = np.where(two > 0, 3 - two, 0).astype(np.uint8)
    assert boundary_f1(two, swapped, None, 1.0) == 1
    assert boundary_f1(two, swapped, 1, 1.0) < 0.5


@pytest.mark.parametrize("tolerance", [2.0, 7.3])
def test_an_image_taken_in_bands_counts_whole(monkeypatch, tolerance):
    truth, found = np.random.default_rng(1).random((2, 60, 40)) > 0.95
    whole = boundary_f1(truth, found, 1, tolerance)
    monkeypatch.setattr(bands, "BAND", 3 * 40)
    assert boundary_f1(truth, found, 1, tolerance) == whole
