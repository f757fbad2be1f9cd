"""Which settings of a search mattered: how much worse a random forest guesses without knowing them.

Breiman 2001 (doi:10.1023/A:1010933404324), on trials that the forest was not fitted to.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import RandomForestRegressor
from sklearn.inspection import permutation_importance
from sklearn.model_selection import KFold

from ..training.parameter import label
from ..training.tuning_result import Record

FEWEST = 10
"""Trials; with less a forest says nothing."""

FOLDS, TREES, REPEATS = 5, 50, 5


class Importances(NamedTuple):
    """What a forest makes of a search.

    Attributes:
        explained: The share of the scores' variance that it guesses right, for trials that it does not know;
            below 0 it is worse than guessing their mean.
        of: By setting, the share of that variance that is lost where its values are shuffled.
        spread: The standard deviation of each over the folds.
    """

    explained: float
    of: dict[str, float]
    spread: dict[str, float]


def importances(records: Sequence[Record]) -> Importances | None:
    """Return what mattered in the trials that have a score; None where too few have, or all the same."""
    scored = [record for record in records if record.status == "done" and record.score is not None]
    scores = np.array([record.score for record in scored], np.float64)
    if len(scored) < FEWEST or not scores.std():
        return None
    names = list(scored[0].values)
    table = np.stack([_numbers([record.values[name] for record in scored]) for name in names], axis=1)
    lost, errors = [], []
    for known, others in KFold(FOLDS, shuffle=True, random_state=0).split(table):
        forest = RandomForestRegressor(TREES, min_samples_leaf=2, random_state=0).fit(table[known], scores[known])
        errors.append((forest.predict(table[others]) - scores[others]) ** 2)
        shuffled = permutation_importance(
            forest, table[others], scores[others], scoring="neg_mean_squared_error", n_repeats=REPEATS, random_state=0
        )
        lost.append(shuffled.importances_mean / scores.var())
    mean, spread = np.mean(lost, axis=0), np.std(lost, axis=0)
    return Importances(
        1 - float(np.concatenate(errors).mean() / scores.var()),
        {name: float(value) for name, value in zip(names, mean, strict=True)},
        {name: float(value) for name, value in zip(names, spread, strict=True)},
    )


def _numbers(values: Sequence[Any]) -> npt.NDArray[np.float64]:
    """Return numbers as they are, and of other values their place in the alphabet: trees need no more."""
    if all(isinstance(value, int | float) for value in values):
        return np.array(values, np.float64)
    labels = [label(value) for value in values]
    order = sorted(set(labels))
    return np.array([order.index(one) for one in labels], np.float64)
