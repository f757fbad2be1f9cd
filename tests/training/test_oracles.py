"""What the algorithms try next, on functions of which the best value is known."""

import json
import math
from collections import Counter

import numpy as np
import pytest

from cryoseg_tf.training.oracles import METHODS, build_oracle, decode
from cryoseg_tf.training.parameter import Parameter

PLANE = (Parameter("x", "float", ends=(-5, 10)), Parameter("y", "float", ends=(0, 15)))
MIXED = (
    Parameter("whole", "int", ends=(0, 8)),
    Parameter("rate", "float", ends=(1e-4, 1e-2), log=True),
    Parameter("kind", "choice", ("a", "b", "c", "d")),
)
TRAINING = (
    Parameter("rate", "float", ends=(1e-5, 1), log=True),
    Parameter("decay", "float", ends=(1e-6, 1), log=True),
    Parameter("batch", "int", ends=(2, 12)),
    Parameter("loss", "choice", ("dice", "bce", "mae", "sum")),
    Parameter("activation", "choice", ("relu", "leaky_relu", "swish")),
)
SMALL = (Parameter("kind", "choice", ("a", "b")), Parameter("size", "choice", (1, 2, 3)))


def branin(values):
    """Minus the function of Dixon & Szego 1978; its three maxima are -0.397887."""
    x, y = values["x"], values["y"]
    bowl = (y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6) ** 2
    return -(bowl + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10)


def mixed(values):
    """A parabola of whole numbers and logarithms, elsewhere for each kind; its maximum is 1."""
    lost, best = {"a": (0.6, 0.2), "b": (0.0, 0.65), "c": (0.9, 0.5), "d": (0.35, 0.8)}[values["kind"]]
    rate = math.log10(values["rate"] * 1e4) / 2
    return 1 - lost - 4 * (rate - best) ** 2 - 0.03 * (values["whole"] - 5) ** 2


def training(values):
    """Something like a training: one setting decides, others matter a little; the best is about 0.84."""
    rate = math.log10(values["rate"]) + 1.5 + 0.03 * (values["batch"] - 7)
    score = 0.8 * math.exp(-((rate / 1.2) ** 2) / 2) * (1 if values["decay"] < 0.02 else 0.7)
    score += {"dice": 0, "bce": -0.05, "mae": -0.1, "sum": 0.03}[values["loss"]]
    return score + {"relu": 0, "leaky_relu": 0.01, "swish": -0.02}[values["activation"]]


def end(oracle, trial, score):
    if score is None:
        trial.status = "FAILED"
    else:
        oracle.update_trial(trial.trial_id, {"dice": score})
        trial.status = "COMPLETED"
    oracle.end_trial(trial)


def search(oracle, parameters, function):
    """Return the values of each trial, and its score."""
    found = []
    while (trial := oracle.create_trial("one")).status == "RUNNING":
        values = decode(parameters, trial.hyperparameters.values)
        found.append((values, function(values)))
        end(oracle, trial, found[-1][1])
    return found


def best(method, parameters, function, trials, seed):
    oracle = build_oracle(method, parameters, trials, seed)
    return max(score for _, score in search(oracle, parameters, function))


def medians(parameters, function, trials, seeds):
    return [np.median([best(m, parameters, function, trials, s) for s in seeds]) for m in ("random", "bayesian")]


def test_bayesian_beats_random_at_once():
    by_chance, bayesian = medians(MIXED, mixed, 14, range(3))
    assert bayesian > by_chance


def worth(method, seed):
    """Return what the trial is worth that looked best, where scores are noisy."""
    noise = np.random.default_rng(seed)
    oracle = build_oracle(method, TRAINING, 20, seed)
    found = search(oracle, TRAINING, lambda values: training(values) + noise.normal(0, 0.03))
    return training(max(found, key=lambda trial: trial[1])[0])


@pytest.mark.slow
def test_bayesian_beats_random_where_scores_are_noisy():
    by_chance, bayesian = (np.median([worth(m, seed) for seed in range(20)]) for m in ("random", "bayesian"))
    print(f"noisy: random {by_chance:.3f}, bayesian {bayesian:.3f}")
    assert bayesian > by_chance + 0.02


@pytest.mark.slow
@pytest.mark.parametrize(("parameters", "function", "maximum"), [(PLANE, branin, -0.397887), (MIXED, mixed, 1.0)])
def test_bayesian_beats_random_at_equal_budget(parameters, function, maximum):
    by_chance, bayesian = medians(parameters, function, 20, range(20))
    print(f"{function.__name__}: random {by_chance:.4f}, bayesian {bayesian:.4f}, best possible {maximum:.4f}")
    # by far: at most half of the distance is left
    assert maximum - bayesian < 0.5 * (maximum - by_chance)


def test_bayesian_leaves_where_trials_fail():
    line = (Parameter("x", "float", ends=(0, 1)),)
    # rising towards where nothing works: a search that forgets failures goes on there
    found = search(build_oracle("bayesian", line, 16, 0), line, lambda v: v["x"] if v["x"] < 0.6 else None)
    last = [values["x"] for values, _ in found[-6:]]
    assert sum(x < 0.6 for x in last) >= 4
    assert max(score for _, score in found if score is not None) > 0.55


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_the_same_trials(method):
    once, again, other = (search(build_oracle(method, MIXED, 8, seed, epochs=4), MIXED, mixed) for seed in (3, 3, 4))
    assert once == again
    assert once != other


@pytest.mark.parametrize("method", METHODS)
def test_restored_in_mid_trial_equals_uninterrupted(method):
    whole = search(build_oracle(method, MIXED, 10, 5, epochs=4), MIXED, mixed)
    oracle, found = build_oracle(method, MIXED, 10, 5, epochs=4), []
    while (trial := oracle.create_trial("one")).status == "RUNNING":
        kept = json.loads(json.dumps(oracle.content()))  # as a kill would leave it
        oracle = build_oracle(method, MIXED, 10, 5, epochs=4)
        oracle.restore(kept)
        again = oracle.create_trial("another")
        assert again.trial_id == trial.trial_id
        values = decode(MIXED, again.hyperparameters.values)
        found.append((values, mixed(values)))
        end(oracle, again, found[-1][1])
    assert found == whole


@pytest.mark.parametrize("method", ["grid", "random", "bayesian"])
def test_no_combination_twice_and_none_left_out(method):
    oracle = build_oracle(method, SMALL, 50, 0)
    found = search(oracle, SMALL, lambda values: values["size"])
    seen = Counter(tuple(values.values()) for values, _ in found)
    assert set(seen.values()) == {1}
    if method != "random":  # which gives up after some draws
        assert len(seen) == 6


def test_a_grid_that_is_too_large_is_sampled_evenly_and_goes_on_with_more_trials():
    parameters = (Parameter("x", "choice", tuple(range(10))), Parameter("y", "choice", tuple(range(10))))
    found = search(build_oracle("grid", parameters, 30, 0), parameters, lambda values: 0.5)
    points = {tuple(values.values()) for values, _ in found}
    assert len(points) == 30
    for axis in (0, 1):  # KerasTuner's grid would vary the last one alone
        assert len({point[axis] for point in points}) >= 8
    more = search(build_oracle("grid", parameters, 100, 0), parameters, lambda values: 0.5)
    assert more[:30] == found
    assert len({tuple(values.values()) for values, _ in more}) == 100


def test_hyperband_trains_the_best_for_longer():
    oracle, trained = build_oracle("hyperband", [Parameter("size", "int", ends=(1, 1000))], None, 0, epochs=9), []
    while (trial := oracle.create_trial("one")).status == "RUNNING":
        values = trial.hyperparameters.values
        trained.append((values["tuner/epochs"], values["size"]))
        end(oracle, trial, values["size"] / 1000)
    epochs = [epoch for epoch, _ in trained]
    assert len(trained) == oracle.size()
    assert set(epochs) == {1, 3, 9}
    first = trained[: epochs.index(3) + 1]
    # the first that trains longer is the best of those that trained for an epoch
    assert first[-1][1] == max(size for epoch, size in first if epoch == 1)
