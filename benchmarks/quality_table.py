"""The tables of ``quality.py``.

A row holds, of a method on a set:

- Dice, as a mean over foreground classes, test images and seeds, with the 95 % interval of the bootstrap that
  draws both images and seeds anew (Owen 2007, doi:10.1214/07-AOAS122). An image that has none of a class, and is
  given none, leaves the mean, as in ``cryoseg-tf evaluate``.
- The share of objects found. An object is of at least 16 touching pixels of a class; it is found when half of
  them are given that class.
- The minutes that training took, and how many seeds there are.
- The error, 1 - Dice, over that of the preset thesis.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

RESAMPLES = 5000
Record = dict[str, Any]


def dice(rows: Sequence[Record]) -> np.ndarray:
    """Return ``(seeds, images)`` means over foreground classes; NaN where an image has and shows none."""
    return np.array([[_mean(np.array(i["dice"], float)) for i in row["images"].values()] for row in rows])


def mean_dice(rows: Sequence[Record]) -> float:
    return _over_seeds(dice(rows))


def interval(values: np.ndarray) -> tuple[float, float]:
    """Return the 95 % percentile interval of the mean of ``(seeds, images)``; NaN for a single value."""
    if values.size < 2:
        return np.nan, np.nan
    rng = np.random.default_rng(0)
    drawn = [rng.integers(side, size=(RESAMPLES, side)) for side in values.shape]
    means = [_over_seeds(values[np.ix_(seeds, images)]) for seeds, images in zip(*drawn, strict=True)]
    low, high = np.nanpercentile(means, (2.5, 97.5))
    return float(low), float(high)


def print_table(name: str, found: Mapping[str, Sequence[Record]]) -> None:
    if not found:
        return
    images = len(next(iter(found.values()))[0]["images"])
    print(f"\n{name} ({images} test images)")
    print(f"{'method':24}{'Dice':>8}  {'95 % interval':18}{'objects':>8}{'minutes':>9}{'seeds':>7}{'error/thesis':>14}")
    for method, rows in found.items():
        low, high = interval(dice(rows))
        bounds = "-" if np.isnan(low) else f"{low:.4f} to {high:.4f}"
        ratio = f"{_ratio(rows, found['thesis']):.3f}" if "thesis" in found else "-"
        took = np.mean([row["took"] for row in rows])
        print(
            f"{re.split('[:=]', method)[0]:24}{mean_dice(rows):8.4f}  {bounds:18}"
            f"{recall(rows):8.1%}{took:9.2f}{len(rows):7}{ratio:>14}"
        )
    print(flush=True)


def recall(rows: Sequence[Record]) -> float:
    """Return the share of objects found, over all images and seeds; NaN where there are none."""
    images = [image for row in rows for image in row["images"].values()]
    found, there = (sum(sum(image[key]) for image in images) for key in ("found", "objects"))
    return found / there if there else np.nan


def print_ratios(found: Mapping[str, Mapping[str, Sequence[Record]]]) -> None:
    ratios = {n: _ratio(r["balanced"], r["thesis"]) for n, r in found.items() if {"balanced", "thesis"} <= r.keys()}
    if ratios:
        print("error (1 - Dice), balanced / thesis: " + ", ".join(f"{n} {ratio:.3f}" for n, ratio in ratios.items()))
        print(f"geometric mean: {np.exp(np.mean(np.log(list(ratios.values())))):.3f}")


def _ratio(rows: Sequence[Record], others: Sequence[Record]) -> float:
    return (1 - mean_dice(rows)) / (1 - mean_dice(others))


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else np.nan


def _over_seeds(values: np.ndarray) -> float:
    return _mean(np.array([_mean(row) for row in values]))
