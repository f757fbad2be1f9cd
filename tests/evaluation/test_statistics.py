import math
import warnings

import numpy as np
import pytest

from cryoseg_tf.evaluation.statistics import mean_interval

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
