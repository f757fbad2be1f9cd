"""A search on disk: how far it came, and what each trial gave.

::

    tuning.json     what was asked, see ``task.py``; never changed
    search.json     all that is known of the trials, in one file that is replaced at once
    jobs/, trials/  see ``trial.py``
    trials.csv      one row a trial
    best.yaml       the settings of the best trial, for ``fit --config``
"""

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from keras_tuner.engine.trial import Trial

from ..config import Config
from ..errors import ConfigError, RunError
from ..io import atomic
from .oracles import OBJECTIVE, Values, build_oracle, decode
from .task import EPOCHS, Task
from .trial import Job, Outcome
from .tuning_result import Record, TuningResult, table

STATE, TABLE, BEST = "search.json", "trials.csv", "best.yaml"

IN_A_ROW = 5
"""So many failed trials, one after the other, end the search: the cause is hardly in their settings."""

DEATHS = 2
"""A trial whose workers died so often counts as failed: it may be what kills them."""

LEAST = 10.0
"""Seconds; with less no other trial begins, as it would not get beyond its start."""

SAVED_EVERY = 20.0
"""Seconds; a kill forgets so much of the time that was used."""

PATIENCE = 30
"""A trial ends after so many epochs without a better validation Dice, where ``training.patience`` is not set."""

log = logging.getLogger(__name__)


@dataclass
class _Notes:
    """What is noted beside the oracle's own state: the time used, and by the trials' numbers the rest."""

    used: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    deaths: dict[str, int] = field(default_factory=dict)


class Search:
    """Gives out trials and takes their outcomes, from any thread; after each, all of it is on disk."""

    def __init__(self, out: Path, task: Task) -> None:
        self.out, self.task, self.notes = out, task, _Notes()
        self.oracle = build_oracle(task.method, task.parameters, task.most, task.config.seed, task.epochs)
        self.failures = 0
        self.clock = self.saved = time.monotonic()
        self.lock = threading.RLock()
        self.broken: Exception | None = None
        if (out / STATE).is_file():
            self._load()

    @property
    def running(self) -> dict[str, str]:
        """Which worker works on which trial."""
        with self.lock:
            return {name: trial.trial_id for name, trial in self.oracle.ongoing_trials.items()}

    @property
    def seconds_left(self) -> float | None:
        """Of the time for all trials; None where there is no limit."""
        return None if self.task.minutes is None else max(0.0, self.task.minutes * 60 - self.notes.used)

    def job(self, number: str) -> Path:
        """Return the file that says what a trial is to do."""
        return self.out / "jobs" / f"{number}.json"

    def ask(self, worker: str) -> Trial:
        """Return the next trial for a worker: of status RUNNING, IDLE (ask again) or STOPPED (there are no more)."""
        with self._held():
            self.tick()
            left, least = self.seconds_left, LEAST if self.notes.outcomes else 0.0
            if left is not None and left <= least:
                return Trial(self.oracle.get_space(), status="STOPPED")
            trial = self.oracle.create_trial(worker)
            while trial.status == "RUNNING" and not self._begin(trial):
                trial = self.oracle.create_trial(worker)
            if trial.status == "STOPPED" and self.running:  # one of them may have to be given out again
                trial.status = "IDLE"
            return trial

    def tell(self, number: str, outcome: Outcome) -> None:
        """Note how a trial went."""
        with self._held():
            self.tick()
            trial = self.oracle.trials[number]
            self.notes.outcomes[number] = outcome
            if outcome.status == "done":
                self.oracle.update_trial(number, {OBJECTIVE: outcome.score})
            # STOPPED: what was cut says nothing of its settings
            trial.status = {"done": "COMPLETED", "cut": "STOPPED"}.get(outcome.status, "FAILED")
            self.oracle.end_trial(trial)
            self.failures = self.failures + 1 if trial.status == "FAILED" else 0
            self.save()
            # as large as four models, and of no more use
            atomic.remove(self.out / "trials" / number / "state")

    def give_up(self, worker: str) -> None:
        """Take its trial from a worker that died: it is the next to be given out."""
        with self._held():
            number = self.oracle.ongoing_trials[worker].trial_id
            deaths = self.notes.deaths[number] = self.notes.deaths.get(number, 0) + 1
            if deaths >= DEATHS:
                self.tell(number, Outcome(status="failed", reason=f"{deaths} workers died while they had it"))
                return
            log.warning("worker %s is gone: trial %s goes to another", worker, number)
            del self.oracle.ongoing_trials[worker]
            self.oracle._retry_queue.append(number)
            self.save()

    def check(self) -> None:
        """Raise an error where trials fail and fail.

        Raises:
            RunError: With the reason of the last.
        """
        if self.failures >= IN_A_ROW:
            last = next(reversed(self.notes.outcomes.values()))
            raise RunError(f"{self.failures} trials failed one after the other, the last one so: {last.reason}")

    def tick(self) -> None:
        """Count the time that goes by; now and then note it."""
        with self.lock:
            now = time.monotonic()
            passed, self.clock = now - self.clock, now
            self.notes.used += passed
            for number in self.running.values():
                self.notes.seconds[number] += passed
            if now - self.saved > SAVED_EVERY:
                self.save()

    def save(self) -> None:
        """Write down how far the search is: the state, the table, and the settings of the best trial."""
        with self.lock:
            outcomes = {number: outcome.model_dump() for number, outcome in self.notes.outcomes.items()}
            state = {"notes": vars(self.notes) | {"outcomes": outcomes}, "oracle": self.oracle.content()}
            atomic.write_json(self.out / STATE, state)
            self.saved = time.monotonic()
            result = self.result()
            atomic.write_text(self.out / TABLE, table(result))
            if any(record.score is not None for record in result.records):
                best = self._config(self.oracle.trials[result.best.number])
                with atomic.written(self.out / BEST) as part:
                    best.save(part)

    def result(self) -> TuningResult:
        """Return what is known of all trials."""
        with self.lock:
            records = [self._record(trial) for trial in self.oracle.trials.values()]
            made = self.oracle.size()
            total = max(min(made, self.task.most or made), len(records))
            return TuningResult(self.out, self.task, records, total, self.notes.used)

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Let no other thread in; after an error none at all, since KerasTuner leaves a lock of its own behind."""
        with self.lock:
            if self.broken is not None:
                raise self.broken
            try:
                yield
            except Exception as error:
                self.broken = error
                raise

    def _begin(self, trial: Trial) -> bool:
        """Write down what a trial is to do; return False where its settings do not go together: it has failed."""
        self.notes.seconds.setdefault(trial.trial_id, 0.0)
        try:
            job = Job(config=self._config(trial), split=self.task.split, seconds=self.seconds_left)
        except ConfigError as error:
            before = self.failures
            self.tell(trial.trial_id, Outcome(status="failed", reason=str(error)))
            self.failures = before  # nothing was tried
            return False
        atomic.write_text(self.job(trial.trial_id), job.model_dump_json(indent=2) + "\n")
        self.save()
        return True

    def _config(self, trial: Trial) -> Config:
        config = self.task.space.apply(self.task.config, self._values(trial))
        early = {} if "patience" in config.training.model_fields_set else {"training.patience": PATIENCE}
        return config.replace(early)

    def _values(self, trial: Trial) -> Values:
        values = trial.hyperparameters.values
        epochs = {EPOCHS: values["tuner/epochs"]} if "tuner/epochs" in values else {}
        return decode(self.task.parameters, values) | epochs

    def _record(self, trial: Trial) -> Record:
        number, values = trial.trial_id, self._values(trial)
        outcome, seconds = self.notes.outcomes.get(number), self.notes.seconds.get(number, 0.0)
        if outcome is None:
            status = "running" if number in self.running.values() else "waiting"
            return Record(number, status, None, seconds, 0, values, "")
        return Record(number, outcome.status, outcome.score, seconds, outcome.epochs, values, outcome.reason)

    def _load(self) -> None:
        try:
            content = json.loads((self.out / STATE).read_text("utf-8"))
            notes = content["notes"]
            outcomes = {number: Outcome.model_validate(o) for number, o in notes["outcomes"].items()}
            self.notes = _Notes(**{**notes, "outcomes": outcomes})
            self.oracle.restore(content["oracle"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(f"{self.out / STATE} is damaged ({error}): start anew with --overwrite") from None
