"""Learning rates by step, against what can be computed by hand."""

import numpy as np
import pytest

from cryoseg_tf.config import Config
from cryoseg_tf.errors import ConfigError
from cryoseg_tf.training.schedules import SCHEDULES, learning_rates


def rates(schedule, steps, **settings):
    config = Config().replace({"training.schedule": schedule, **settings}).training
    rate = learning_rates(config, steps)
    return np.array([rate(step) for step in range(steps)]) / config.learning_rate


def half_cosine(count, high=1.0, low=0.0):
    """From high, down to low after ``count`` steps."""
    return low + (high - low) * (1 + np.cos(np.pi * np.arange(count) / count)) / 2


def test_cosine_rises_then_falls_to_zero():
    values = rates("cosine", 200)
    assert values.max() == pytest.approx(1)
    assert values.argmax() == 10  # 5% of the steps
    assert values[0] < 0.2
    assert values[-1] < 0.001
    assert values[105] == pytest.approx(0.5, rel=0.02)


def test_cosine_with_options():
    np.testing.assert_allclose(rates("cosine(warm_up=0, final=0.1)", 40), half_cosine(40, 1, 0.1), atol=1e-6)
    warmed = rates("cosine(warm_up=0.5)", 20)
    np.testing.assert_allclose(warmed[:10], 0.1 + 0.9 * np.arange(10) / 10, atol=1e-6)
    np.testing.assert_allclose(warmed[10:], half_cosine(10), atol=1e-6)


def test_constant():
    np.testing.assert_allclose(rates("constant", 7), 1)
    np.testing.assert_allclose(rates("constant(warm_up=0.4)", 5), [0.5, 0.75, 1, 1, 1], atol=1e-6)


def test_step_falls_at_each_multiple():
    np.testing.assert_allclose(rates("step", 9), np.repeat([1, 0.1, 0.01], 3), rtol=1e-5)
    np.testing.assert_allclose(rates("step(factor=0.5, every=0.25)", 10), 0.5 ** (np.arange(10) // 2.5), rtol=1e-5)
    # the warm-up does not move where it falls
    np.testing.assert_allclose(rates("step(warm_up=0.2)", 30)[6:], rates("step", 30)[6:])


@pytest.mark.parametrize("growth", [1, 2, 3])
@pytest.mark.parametrize("cycles", [1, 2, 4])
def test_restarts_fill_the_training(cycles, growth):
    lengths = [5 * growth**cycle for cycle in range(cycles)]
    schedule = f"cosine_restarts(cycles={cycles}, growth={growth}, shrink=0.5)"
    expected = np.concatenate([half_cosine(length, 0.5**i) for i, length in enumerate(lengths)])
    np.testing.assert_allclose(rates(schedule, sum(lengths)), expected, atol=1e-5)


def test_restarts_after_a_warm_up():
    values = rates("cosine_restarts(cycles=2, growth=1, warm_up=0.2)", 25)
    np.testing.assert_allclose(values[:5], 0.2 + 0.8 * np.arange(5) / 5, atol=1e-6)
    np.testing.assert_allclose(values[5:], np.tile(half_cosine(10), 2), atol=1e-5)


def test_one_cycle():
    values = rates("one_cycle", 100)
    np.testing.assert_allclose(values[30:0:-1], half_cosine(30, 1, 0.04), atol=1e-6)
    assert values[0] == pytest.approx(0.04)
    np.testing.assert_allclose(values[30:], half_cosine(70, 1, 1e-4), atol=1e-6)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_few_steps_have_a_rate_too(schedule, steps):
    values = rates(schedule, steps)
    assert ((values > 0) & (values <= 1 + 1e-6)).all()


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("cosin", "names 'cosin': known are constant, cosine"),
        ("cosine(rate=1)", "cosine has no option 'rate': its options are warm_up, final"),
        ("cosine(warm_up=5)", "warm_up is 5: it must be a number between 0 and 1"),
        ("step(every=0)", "every is 0: it must be"),
        ("cosine_restarts(cycles=2.5)", "cycles is 2.5: it must be a whole number"),
        ("one_cycle(peak='soon')", "peak is 'soon': it must be"),
        ("constant(warm_up=true)", "warm_up is True: it must be"),
    ],
)
def test_what_is_wrong_is_named(schedule, message):
    with pytest.raises(ConfigError, match=f"^training.schedule.*{message}"):
        rates(schedule, 10)
