"""What ``bench`` found."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cryoseg_tf.io.table import csv_text

from .bench_worker import STEPS


class Combination(NamedTuple):
    """What is measured by itself; threads None: one per core, as the runtime has it."""

    runtime: str
    precision: str
    threads: int | None

    def __str__(self) -> str:
        threads = f" on {self.threads} thread{'s' * (self.threads > 1)}" if self.threads else ""
        return f"{self.runtime} {self.precision}{threads}"


class Turn(NamedTuple):
    """One image, measured: which it was, the seconds of each of ``STEPS``, and in total."""

    image: int
    steps: dict[str, float]
    total: float


@dataclasses.dataclass
class Row:
    """What was found of a combination.

    Attributes:
        combination: Which.
        error: Why it could not be measured, or empty.
        start: Seconds until Python and TensorFlow are there, before the model.
        load: Seconds to load runtime and model.
        first: Seconds of the first image, which is not among the turns.
        turns: The images after it.
        peak: Most bytes of memory at once, of the whole process.
        masks: SHA-256 of each image's mask file, by the image's number.
    """

    combination: Combination
    error: str = ""
    start: float = 0.0
    load: float = 0.0
    first: float = 0.0
    turns: list[Turn] = dataclasses.field(default_factory=list)
    peak: int = 0
    masks: dict[int, str] = dataclasses.field(default_factory=dict)

    def milliseconds(self, step: str = "total") -> dict[str, float]:
        """Return p50, p95, p99 and mean of a step, or of all; the means of the steps add up to that of all."""
        values = [turn.total if step == "total" else turn.steps[step] for turn in self.turns]
        p50, p95, p99 = (1000 * np.percentile(values, (50, 95, 99))).tolist()
        return {"p50": p50, "p95": p95, "p99": p99, "mean": 1000 * float(np.mean(values))}

    def facts(self) -> dict[str, Any]:
        """Return all of it, as JSON has it; times in milliseconds."""
        facts: dict[str, Any] = {**self.combination._asdict(), "error": self.error or None}
        if not self.error:
            facts |= {name: 1000 * getattr(self, name) for name in ("start", "load", "first")}
            facts |= {"peak_bytes": self.peak, "masks": [self.masks[number] for number in sorted(self.masks)]}
            facts |= {"runs": len(self.turns), **{name: self.milliseconds(name) for name in (*STEPS, "total")}}
            facts["turns"] = [
                {"image": t.image, **{name: 1000 * t.steps[name] for name in STEPS}, "total": 1000 * t.total}
                for t in self.turns
            ]
        return facts


class Verdict(NamedTuple):
    """Whether a budget is met, by the best row of a runtime (None: of all), if one could be measured."""

    runtime: str | None
    best: Row | None
    met: bool

    def facts(self) -> dict[str, Any]:
        """Return all of it, as JSON has it; times in milliseconds."""
        best = {**self.best.combination._asdict(), "p95": self.best.milliseconds()["p95"]} if self.best else None
        return {"runtime": self.runtime, "best": best, "met": self.met}


def judge(rows: Sequence[Row], budget: float, names: Sequence[str] = ()) -> list[Verdict]:
    """Say whether 95 of 100 images take at most ``budget`` milliseconds.

    The best combination has to; where runtimes are named, the best one of each.
    """
    verdicts = []
    for name in names or (None,):
        measured = [row for row in rows if not row.error and name in (None, row.combination.runtime)]
        best = min(measured, key=lambda row: row.milliseconds()["p95"], default=None)
        verdicts.append(Verdict(name, best, best is not None and best.milliseconds()["p95"] <= budget))
    return verdicts


def times_csv(rows: Sequence[Row]) -> str:
    """Return a line for each turn, times in milliseconds."""
    lines = [
        (*row.combination, t.image, *(f"{1000 * seconds:.3f}" for seconds in (*(t.steps[s] for s in STEPS), t.total)))
        for row in rows
        for t in row.turns
    ]
    return csv_text((*Combination._fields, "image", *STEPS, "total"), lines)
