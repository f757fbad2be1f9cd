"""What a search gave."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..errors import RunError
from ..io.table import csv_text
from .oracles import Values
from .parameter import label
from .task import Task


class Record(NamedTuple):
    """One trial.

    Attributes:
        number: Its name in ``jobs/`` and ``trials/``.
        status: As of an ``Outcome``, or "running", or "waiting" to be given out again.
        score: Validation Dice of the masks as deployed, or None.
        seconds: It took, over all resumes.
        epochs: It was trained for.
        values: Of what was searched.
        reason: Why it was not done.
    """

    number: str
    status: str
    score: float | None
    seconds: float
    epochs: int
    values: Values
    reason: str

    @property
    def ended(self) -> bool:
        """Whether nothing more will become of it."""
        return self.status not in ("running", "waiting")


@dataclass(frozen=True)
class TuningResult:
    """What a search gave, so far or in the end.

    Attributes:
        out: Its folder; ``best.yaml`` there holds the settings of the best trial.
        task: What was asked.
        records: All trials, by number.
        total: How many there will be, if the time is enough.
        seconds: That were used, by all together.
    """

    out: Path
    task: Task
    records: list[Record]
    total: int
    seconds: float

    @property
    def ended(self) -> list[Record]:
        """The trials of which nothing more will become."""
        return [record for record in self.records if record.ended]

    @property
    def best(self) -> Record:
        """The best trial that was done; where none was, the best that was cut.

        Raises:
            RunError: If there is none.
        """
        for status in ("done", "cut"):
            scored = [record for record in self.records if record.status == status and record.score is not None]
            if scored:
                return max(scored, key=lambda record: record.score or 0.0)
        if not self.records:
            raise RunError("the time was over before a trial began: allow more minutes")
        why = next((record.reason for record in reversed(self.records) if record.reason), "it has not ended")
        raise RunError(f"no trial of {len(self.records)} gave a score; the last one: {why}")


Progress = Callable[[TuningResult], None]
"""Called at the beginning of a search, and when a trial has ended."""


def table(result: TuningResult) -> str:
    """Return ``trials.csv``."""
    names = list(result.records[0].values) if result.records else []
    rows = [
        [r.number, r.status, "" if r.score is None else f"{r.score:.6f}", f"{r.seconds / 60:.2f}", r.epochs,
         *(label(r.values[name]) for name in names), r.reason]
        for r in result.records
    ]  # fmt: skip
    return csv_text(["trial", "status", "dice", "minutes", "epochs_trained", *names, "reason"], rows)
