"""How the learning rate changes over a training.

All lengths are shares of the whole training, since the number of steps is known only after some were timed::

    constant           step               cosine             cosine_restarts    one_cycle
    ------------       ----               --.                -. --.  ----.          .-.
                           ----          /   `-.              | |  `.|    `-.      /   `-.
                               ----     /       `-_           `-'   `'       `_  _/       `--__

A warm-up raises the rate linearly over its first steps; Goyal et al. 2017 (arXiv:1706.02677).
"""

import inspect
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from keras.optimizers import schedules

from ..config import TrainingConfig
from ..errors import ConfigError
from ..expressions import call, read_term

Rates = Callable[[int], float]


class Course(NamedTuple):
    """The learning rate at its top, and the steps of the whole training."""

    rate: float
    steps: int

    def part(self, name: str, share: float) -> int:
        """Return how many steps the share is that the option ``name`` holds."""
        _check(name, share, 0, 1)
        return round(share * self.steps)


def learning_rates(config: TrainingConfig, steps: int) -> Rates:
    """Return the learning rate of each step, from 0 to ``steps`` - 1, after ``config.schedule``.

    Its top is ``config.learning_rate``. Decoupled weight decay follows it, as Keras multiplies
    the two: Loshchilov & Hutter 2019 (arXiv:1711.05101), whose decay per step is the learning
    rate times ``weight_decay`` here.

    Raises:
        ConfigError: If there is no such schedule, or it does not take an option or its value.
    """
    rates: Rates = call("training.schedule", read_term(config.schedule), SCHEDULES, Course(config.learning_rate, steps))
    return rates


def constant(course: Course, warm_up: float = 0.0) -> Rates:
    """The same rate throughout."""
    return _after_warm_up(course, course.part("warm_up", warm_up), lambda at: course.rate)


def step(course: Course, factor: float = 0.1, every: float = 1 / 3, warm_up: float = 0.0) -> Rates:
    """The rate times ``factor`` at each whole multiple of the share ``every``, counted from the start."""
    _check("factor", factor, 0, 1)
    _check("every", every, 0.001, 1)
    falling = schedules.ExponentialDecay(course.rate, every * course.steps, factor, staircase=True)
    return _after_warm_up(course, course.part("warm_up", warm_up), lambda at: float(falling(at)))


def cosine(course: Course, warm_up: float = 0.05, final: float = 0.0) -> Rates:
    """Half a cosine, down to the share ``final`` of the rate; Loshchilov & Hutter 2017 (arXiv:1608.03983)."""
    _check("final", final, 0, 1)
    begin = course.part("warm_up", warm_up)
    falling = schedules.CosineDecay(course.rate, max(course.steps - begin, 1), alpha=final)
    return _after_warm_up(course, begin, lambda at: float(falling(at - begin)))


def cosine_restarts(
    course: Course, cycles: int = 3, growth: float = 2.0, shrink: float = 1.0, warm_up: float = 0.0
) -> Rates:
    """Cosines down to 0 that start again, after Loshchilov & Hutter 2017 (arXiv:1608.03983).

    ``cycles`` of them fill the training; each is ``growth`` times as long as the one before, and
    begins at ``shrink`` times its rate.
    """
    if not isinstance(cycles, int):
        raise ValueError(f"cycles is {cycles!r}: it must be a whole number")
    _check("cycles", cycles, 1, 100)
    _check("growth", growth, 1, 10)
    _check("shrink", shrink, 0, 1)
    begin = course.part("warm_up", warm_up)
    first = max(course.steps - begin, 1) / sum(growth**cycle for cycle in range(cycles))
    falling = schedules.CosineDecayRestarts(course.rate, first, t_mul=growth, m_mul=shrink)
    return _after_warm_up(course, begin, lambda at: float(falling(at - begin)))


def cycle_ends(config: TrainingConfig) -> list[int]:
    """Return after which epochs, from 1, a cycle of ``cosine_restarts`` ends; the last whole epoch of each.

    Raises:
        ConfigError: If ``config.schedule`` has no cycles.
    """
    term = read_term(config.schedule)
    if term.name != cosine_restarts.__name__:
        raise ConfigError(
            f"training.snapshots are taken where cycles end, and training.schedule is {config.schedule!r}: "
            "set it to cosine_restarts(cycles=3)"
        )
    options = inspect.signature(cosine_restarts).parameters
    cycles, growth, warm_up = (
        float(term.options.get(name, options[name].default)) for name in ("cycles", "growth", "warm_up")
    )
    lengths = np.array([growth**cycle for cycle in range(int(cycles))])
    ends = warm_up + (1 - warm_up) * np.cumsum(lengths) / lengths.sum()
    # a hair more: the end of the last is that of the training
    return [int(epoch) for epoch in np.unique(np.floor(ends * config.epochs + 1e-6)) if epoch]


def one_cycle(course: Course, peak: float = 0.3, start: float = 1 / 25, final: float = 1e-4) -> Rates:
    """Up to the rate and down again, after Smith & Topin 2019 (arXiv:1708.07120).

    Both ways are half a cosine, as is common now: from the share ``start`` of the rate up to the
    rate at the share ``peak`` of the training, then down to the share ``final`` of the rate.
    Theirs were lines, and moved the momentum against the rate; here it stays as it is.
    """
    _check("start", start, 0, 1)
    _check("final", final, 0, 1)
    top = course.part("peak", peak)
    rising = schedules.CosineDecay(course.rate, max(top, 1), alpha=start)  # read backwards
    falling = schedules.CosineDecay(course.rate, max(course.steps - top, 1), alpha=final)
    return lambda at: float(rising(top - at) if at < top else falling(at - top))


SCHEDULES: dict[str, Callable[..., Rates]] = {
    function.__name__: function for function in (constant, step, cosine, cosine_restarts, one_cycle)
}


def _after_warm_up(course: Course, count: int, then: Rates) -> Rates:
    """Rise to the full rate over ``count`` steps; ``then`` gives the rest, by steps counted from the start."""
    # from one count-th and not from 0: the first step should move something
    lowest = course.rate / max(count, 1)
    rising = schedules.CosineDecay(lowest, 1, warmup_target=course.rate, warmup_steps=count)
    return lambda at: float(rising(at)) if at < count else then(at)


def _check(name: str, value: float, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{name} is {value!r}: it must be a number between {low:g} and {high:g}")
