"""What to try next: KerasTuner's oracles, with the scores of the trials so far.

What of KerasTuner 1.4.8 is replaced here, and why:

- Its Gaussian process has one length scale for all settings, no noise and no amplitude, takes a choice
  for a number, proposes what was tried before, forgets failed trials, and draws three random points a setting
  first: with all of the thesis' space more than its 30 trials. At equal budget it is hardly better than random.
- Its oracles write a file a trial and one of their own, in place: a kill between two of them loses a
  trial or repeats it. Here they write nothing, and ``search.py`` keeps all of it in one file.
- Its grid forgets where it was, and varies the last settings alone where there are fewer trials than points.
"""

import math
import random
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import keras_tuner
import numpy as np
import numpy.typing as npt
from keras_tuner import oracles
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from threadpoolctl import threadpool_limits

from .parameter import Parameter, label

OBJECTIVE = "dice"
METHODS = ("bayesian", "random", "grid", "hyperband")

CANDIDATES, NEIGHBOURS = 1000, 500
"""Points at which a proposal is looked for: anywhere, and near the best trials."""

LARGEST = 10**5
"""Points of a grid that are drawn at most."""

Values = dict[str, Any]
Array = npt.NDArray[np.float64]


class _InMemory(keras_tuner.Oracle):
    """An oracle that writes no files."""

    def size(self) -> int:
        """Return how many trials there are to make."""
        return int(self.max_trials)

    def save(self) -> None:
        pass

    def _save_trial(self, trial: Any) -> None:
        pass

    def content(self) -> dict[str, Any]:
        """Return all there is to know, for JSON."""
        return {"state": self.get_state(), "trials": [trial.get_state() for trial in self.trials.values()]}

    def restore(self, content: dict[str, Any]) -> None:
        """Go on from ``content``; trials that were running are the next to be given out."""
        trials = map(keras_tuner.engine.trial.Trial.from_state, content["trials"])
        self.trials = {trial.trial_id: trial for trial in trials}
        self.set_state(content["state"])
        self.ongoing_trials: dict[str, Any] = {}
        self._retry_queue = [name for name, trial in self.trials.items() if trial.status == "RUNNING"][::-1]


class Random(_InMemory, oracles.RandomSearchOracle):
    """Values drawn at random, none twice."""


class Hyperband(_InMemory, oracles.HyperbandOracle):
    """Many trials of few epochs, the best of them again with more; Li et al. 2018 (jmlr.org/papers/v18/16-558)."""

    def size(self) -> int:
        brackets = range(self._get_num_brackets())
        return sum(self._get_size(bracket, place) for bracket in brackets for place in range(bracket + 1))


class Grid(_InMemory, oracles.GridSearchOracle):
    """All combinations in an order drawn at random: where the trials are fewer, they are spread over all of them."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Return the values of the next trial; it depends on nothing but how many there were."""
        size = self.size()
        if len(self.trials) >= min(size, LARGEST):
            return {"status": "IDLE" if self.ongoing_trials else "STOPPED"}
        number = random.Random(self.seed).sample(range(size), min(size, LARGEST))[len(self.trials)]
        values = {}
        for name, axis in self._axes().items():
            number, place = divmod(number, len(axis))
            values[name] = axis[place]
        return {"status": "RUNNING", "values": values}

    def size(self) -> int:
        return math.prod(map(len, self._axes().values()))

    def _axes(self) -> dict[str, list[Any]]:
        return {hp.name: sorted(hp.values, key=hp.value_to_prob) for hp in self.hyperparameters.space}


class Bayesian(_InMemory, oracles.BayesianOptimizationOracle):
    """Where a Gaussian process expects most improvement; Snoek et al. 2012 (arXiv:1206.2944).

    Matern 5/2 with a length scale for each setting, and noise. Of unordered choices each is a dimension of
    its own. A trial that failed counts as the worst one, and one that runs as an average one. Scores far below
    the others are raised to where a boxplot ends: how bad they are would hide which of the good ones is better.
    """

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Return the values of the next trial; it depends on nothing but the trials so far."""
        done = [trial for trial in self.trials.values() if trial.status == "COMPLETED"]
        if len(done) < self.num_initial_points:
            return self._random_populate_space()
        chance = np.random.default_rng([self.seed, len(self.trials)])
        candidates = [v for v in self._candidates(done, chance) if not self._duplicate(v)]
        if not candidates:
            return {"status": "IDLE" if self.ongoing_trials else "STOPPED"}
        known, scores = self._known(done)
        points = np.array([self._encode(values) for values in candidates])
        with threadpool_limits(1):  # these matrices are small: threads would wait for each other
            expected = _improvement(known, scores, len(done), points, self.seed)
        return {"status": "RUNNING", "values": candidates[int(np.argmax(expected))]}

    def _known(self, done: Sequence[Any]) -> tuple[Array, Array]:
        """Return encoded values and standardised scores, first of what is done, then of what failed or runs."""
        scores = np.array([trial.score for trial in done])
        low, middle = np.percentile(scores, [25, 50])
        scores = np.maximum(scores, low - 1.5 * 2 * (middle - low))
        scores = (scores - scores.mean()) / (scores.std() or 1.0)
        others = {"FAILED": float(scores.min()), "RUNNING": 0.0}
        more = [trial for trial in self.trials.values() if trial.status in others]
        known = np.array([self._encode(trial.hyperparameters.values) for trial in [*done, *more]])
        return known, np.array([*scores, *(others[trial.status] for trial in more)])

    def _candidates(self, done: Sequence[Any], chance: np.random.Generator) -> list[Values]:
        space = self.hyperparameters.space
        points = chance.random((CANDIDATES, len(space)))
        best = sorted(done, key=lambda trial: -trial.score)[:3]
        centres = np.array([[hp.value_to_prob(t.hyperparameters.values[hp.name]) for hp in space] for t in best])
        near = centres[chance.integers(len(best), size=NEIGHBOURS)]
        width = chance.choice([0.2, 0.05, 0.01], (NEIGHBOURS, 1))
        moved = near + chance.normal(size=near.shape) * width
        for place, hp in enumerate(space):
            if _unordered(hp):
                moved[:, place] = chance.random(NEIGHBOURS)
        # some settings stay as they are
        near = np.where(chance.random(near.shape) < 0.5, moved, near)
        points = np.concatenate([points, near.clip(0, 1 - 1e-9)])
        return [{hp.name: hp.prob_to_value(p) for hp, p in zip(space, point, strict=True)} for point in points.tolist()]

    def _encode(self, values: Mapping[str, Any]) -> list[float]:
        """Return numbers between 0 and 1: one for a number, one for each value of an unordered choice."""
        numbers: list[float] = []
        for hp in self.hyperparameters.space:
            if _unordered(hp):
                numbers += [float(values[hp.name] == choice) for choice in hp.values]
            else:
                numbers.append(hp.value_to_prob(values[hp.name]))
        return numbers


def build_oracle(method: str, parameters: Sequence[Parameter], trials: int | None, seed: int, epochs: int = 1) -> Any:
    """Return the oracle of a method, to maximise ``OBJECTIVE``.

    Args:
        method: One of ``METHODS``.
        parameters: What is searched.
        trials: How many at most; None for as many as the method makes.
        seed: The same one gives the same trials, if they score the same.
        epochs: Of the longest trials, for Hyperband.
    """
    shared = {
        "objective": keras_tuner.Objective(OBJECTIVE, "max"),
        "hyperparameters": _hyperparameters(parameters),
        # spread out: KerasTuner counts its seed up with each value it draws, and takes 0 for none
        "seed": int(np.random.default_rng(seed).integers(1, 2**31)),
        "max_consecutive_failed_trials": 2**31,  # counted in ``search.py``: here it would leave a lock behind
    }
    oracle: _InMemory
    if method == "hyperband":
        oracle = Hyperband(max_epochs=epochs, **shared)
        oracle.max_trials = trials
    elif method == "bayesian":
        first = min(max(2 * len(parameters), 4), max((trials or 30) // 3, 3))
        oracle = Bayesian(max_trials=trials, num_initial_points=first, **shared)
    else:
        oracle = {"random": Random, "grid": Grid}[method](max_trials=trials, **shared)
    oracle.verbose = 0
    return oracle


def _improvement(known: Array, scores: Array, done: int, points: Array, seed: int) -> Array:
    """Return how much better than the best of the first ``done`` trials each point is expected to be."""
    kernel = ConstantKernel(1.0, (0.05, 20)) * Matern(np.ones(known.shape[1]), (0.05, 20), nu=2.5)
    kernel += WhiteKernel(1e-2, (1e-5, 0.5))
    model = GaussianProcessRegressor(kernel, n_restarts_optimizer=1, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a setting may not matter, and its length be the longest
        model.fit(known, scores)
    top = model.predict(known[:done]).max()
    mean, deviation = model.predict(points, return_std=True)
    # of the scores themselves, not of scores measured with noise
    spread = np.sqrt(np.maximum(deviation**2 - model.kernel_.k2.noise_level, 1e-12))
    gain = (mean - top) / spread
    return spread * (gain * norm.cdf(gain) + norm.pdf(gain))


def decode(parameters: Sequence[Parameter], values: Mapping[str, Any]) -> Values:
    """Return the settings that the values of a trial stand for."""
    settings = {}
    for parameter in parameters:
        value = values[parameter.name]
        if _named(parameter):
            value = {label(choice): choice for choice in parameter.values}[value]
        elif parameter.kind == "int":
            value = min(value, int(parameter.ends[1]))  # KerasTuner's logarithmic one may give one more
        settings[parameter.name] = value
    return settings


def _hyperparameters(parameters: Sequence[Parameter]) -> keras_tuner.HyperParameters:
    space = keras_tuner.HyperParameters()
    for parameter in parameters:
        name, (low, high) = parameter.name, parameter.ends
        sampling = "log" if parameter.log else "linear"
        if parameter.kind == "int":
            space.Int(name, int(low), int(high), sampling=sampling)
        elif parameter.kind == "float":
            space.Float(name, low, high, sampling=sampling)
        elif _named(parameter):
            space.Choice(name, [label(value) for value in parameter.values])
        else:
            whole = all(isinstance(value, int) for value in parameter.values)
            space.Choice(name, [value if whole else float(value) for value in parameter.values])
    return space


def _named(parameter: Parameter) -> bool:
    """Whether it is a choice of other things than numbers: KerasTuner gets their names."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in parameter.values)
    return bool(parameter.values) and not numbers


def _unordered(hp: Any) -> bool:
    return isinstance(hp, keras_tuner.engine.hyperparameters.Choice) and not hp.ordered
