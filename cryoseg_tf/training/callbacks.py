"""What happens during training besides learning: the schedule, checkpoints, stopping."""

import csv
import io
import logging
import time
from collections.abc import Callable

import keras

from ..config import TrainingConfig
from ..io import atomic
from ..run import Run
from .state import Progress, save_state

log = logging.getLogger(__name__)

WARM_UP = 0.05
"""The share of all steps over which the learning rate rises to its full value."""


def learning_rates(config: TrainingConfig, steps: int) -> Callable[[int], float]:
    """Return the learning rate of each step; cosine decay after Loshchilov & Hutter 2017 (arXiv:1608.03983)."""
    if config.schedule == "constant":
        return lambda step: config.learning_rate
    warm_up = round(WARM_UP * steps)
    cosine = keras.optimizers.schedules.CosineDecay(
        config.learning_rate / max(warm_up, 1) if warm_up else config.learning_rate,
        max(steps - warm_up, 1),
        warmup_target=config.learning_rate if warm_up else None,
        warmup_steps=warm_up,
    )
    return lambda step: float(cosine(step))


class Schedule(keras.callbacks.Callback):
    """Sets the learning rate before each step.

    A Keras schedule inside the optimizer would be part of the traced step, and the number of
    steps is known only after some were timed.
    """

    def __init__(self, rates: Callable[[int], float], step: int) -> None:
        super().__init__()
        self.rates, self.step = rates, step

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Set this step's rate."""
        self.model.optimizer.learning_rate = self.rates(self.step)
        self.step += 1


class Checkpoints(keras.callbacks.Callback):
    """After each epoch: keep the best weights, save the state, write the history, decide whether to stop.

    ``model.keras`` is written before the state that calls it best: a kill between the two
    repeats the epoch, to the same weights.
    """

    def __init__(self, run: Run, progress: Progress, config: TrainingConfig, deadline: float | None) -> None:
        super().__init__()
        self.run, self.progress, self.config = run, progress, config
        self.deadline = deadline
        self.started = time.monotonic() - progress.elapsed

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Stop in mid-epoch when the time is over."""
        if self.deadline is not None and time.monotonic() - self.started > self.deadline:
            self.progress.stopped = "the time was over"
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Record the epoch."""
        progress, logs = self.progress, logs or {}
        dice = float(logs["val_dice"])
        progress.epoch = epoch + 1
        rate = float(self.model.optimizer.learning_rate)
        progress.history.append({"epoch": epoch + 1, **{k: float(v) for k, v in logs.items()}, "learning_rate": rate})
        if dice > progress.best_dice:
            save_model(self.run, self.model)
            progress.best_dice, progress.best_epoch = dice, epoch + 1
        patience = self.config.patience
        if patience and progress.epoch - progress.best_epoch >= patience:
            progress.stopped = f"validation Dice has not risen for {patience} epochs"
            self.model.stop_training = True
        progress.elapsed = time.monotonic() - self.started
        save_state(self.run.path / "state" / "last.npz", self.model, progress)
        write_history(self.run, progress)


def save_model(run: Run, model: keras.Model) -> None:
    """Write the weights as the run's model, at once."""
    with atomic.written(run.model_file) as part:
        model.save(part)


def write_history(run: Run, progress: Progress) -> None:
    """Write one row for each epoch to ``history.csv``."""
    if progress.history:
        text = io.StringIO()
        writer = csv.DictWriter(text, progress.history[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(progress.history)
        atomic.write_text(run.path / "history.csv", text.getvalue())
