import math
import warnings

import numpy as np
import pytest

from cryoseg_tf.evaluation.statistics import mean_interval, share_interval

VALUES = np.random.default_rng(3).beta(8, 2, 40).tolist()


def test_mean_lies_in_its_interval():
    mean, (low, high) = mean_interval(VALUES, 1000)
    assert mean == pytest.approx(np.mean(VALUES))
    assert low < mean < high


def test_interval_is_close_to_the_normal_one():
    # 40 values: the mean is nearly normal, so 1.96 standard errors is what the bootstrap must give
    mean, (low, high) = mean_interval(VALUES, 5000)
    error = np.std(VALUES) / math.sqrt(len(VALUES))
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.05)
    assert (low + high) / 2 == pytest.approx(mean, abs=0.2 * error)


def test_two_values_by_hand():
    # of four equally likely draws one is (0, 0) and one (1, 1): both lie beyond 2.5 %
    assert mean_interval([0.0, 1.0], 1000) == (0.5, (0.0, 1.0))


def test_nan_leaves_the_mean():
    spread = [math.nan, *VALUES[:20], math.nan, *VALUES[20:]]
    assert mean_interval(spread, 500) == mean_interval(VALUES, 500)


@pytest.mark.parametrize(
    ("values", "mean"), [([], math.nan), ([math.nan], math.nan), ([0.7], 0.7), ([0.7, math.nan], 0.7)]
)
def test_fewer_than_two_values_have_no_interval(values, mean):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_equal(mean_interval(values, 500), (mean, (math.nan, math.nan)))


def test_equal_values_have_an_interval_of_no_width():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mean_interval([0.5, 0.5, 0.5], 500) == (0.5, (0.5, 0.5))


def test_the_seed_fixes_the_interval():
    assert mean_interval(VALUES, 500, seed=1) == mean_interval(VALUES, 500, seed=1)
    assert mean_interval(VALUES, 500, seed=1) != mean_interval(VALUES, 500, seed=2)


def test_more_confidence_is_a_wider_interval():
    _, (low, high) = mean_interval(VALUES, 2000, confidence=0.8)
    _, (lower, higher) = mean_interval(VALUES, 2000, confidence=0.99)
    assert lower < low < high < higher


def test_scaled_scores_scale_the_interval():
    mean, bounds = mean_interval(VALUES, 500)
    doubled, wide = mean_interval([2 * v for v in VALUES], 500)
    assert doubled == pytest.approx(2 * mean)
    assert wide == pytest.approx([2 * b for b in bounds])


def test_groups_of_one_are_images():
    assert mean_interval(VALUES, 500, groups=range(len(VALUES))) == mean_interval(VALUES, 500)


def test_images_that_repeat_within_their_group_tell_nothing_new():
    # each image four times: as images the interval is half as wide, as groups it is what it was
    repeated, groups = np.repeat(VALUES, 4), np.repeat(range(len(VALUES)), 4)
    once, pretended, honest = (
        mean_interval(*call) for call in ((VALUES, 5000), (repeated, 5000), (repeated, 5000, 0, 0.95, groups))
    )
    assert honest[1] == pytest.approx(once[1])
    assert np.diff(pretended[1])[0] == pytest.approx(np.diff(once[1])[0] / 2, rel=0.1)


def test_two_groups_by_hand():
    # the mean is over images, 6/4; a draw gives (0, 0, 0), all four or twice (6): means 0, 6/4 or 6
    mean, bounds = mean_interval([0, 0, 0, 6], 1000, groups=["a", "a", "a", "b"])
    assert (mean, bounds) == (1.5, (0, 6))


def test_one_group_has_no_interval():
    mean, bounds = mean_interval([0.2, 0.4], 500, groups=["grid", "grid"])
    assert mean == pytest.approx(0.3)
    np.testing.assert_equal(bounds, (math.nan, math.nan))
    # a group without any value is none
    np.testing.assert_equal(mean_interval([0.2, math.nan], 500, groups=["a", "b"])[1], (math.nan, math.nan))


def test_classes_weigh_the_same_however_often_they_occur():
    # class means 1/2 over two images and 1 over one
    values = [[0.0, math.nan], [1.0, 1.0]]
    mean, (low, high) = mean_interval(values, 1000)
    assert mean == 0.75
    # draws: the first image twice gives 0 of one class alone, the second twice 1 of both
    assert (low, high) == (0, 1)


def test_a_share_is_pooled_and_its_interval_draws_groups():
    share, (low, high) = share_interval([1, 0, 0], [1, 3, 0], 1000)
    assert (share, low, high) == (0.25, 0, 1)
    np.testing.assert_equal(share_interval([1, 2], [2, 2], 500, groups=["a", "a"]), (0.75, (math.nan, math.nan)))
    np.testing.assert_equal(share_interval([0], [0], 500), (math.nan, (math.nan, math.nan)))
