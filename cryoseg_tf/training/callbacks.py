"""What happens during training besides learning: the schedule, checkpoints, stopping."""

import logging
import math
import time
from contextlib import ExitStack
from pathlib import Path

import keras

from ..config import TrainingConfig
from ..io import atomic
from ..io.table import csv_text
from ..run import Run
from .devices import Devices
from .optimization import averaged
from .schedules import Rates, cycle_ends
from .state import Progress, load_state, save_state

SNAPSHOTS = "snapshots"
"""The folder in a run for the weights at the end of each cycle of the learning rate."""

log = logging.getLogger(__name__)


class Schedule(keras.callbacks.Callback):
    """Sets the learning rate before each step.

    A Keras schedule inside the optimizer would be part of the traced step, and the number of
    steps is known only after some were timed.
    """

    def __init__(self, rates: Rates, step: int) -> None:
        super().__init__()
        self.rates, self.step = rates, step

    def on_train_batch_begin(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Set this step's rate."""
        self.model.optimizer.learning_rate = self.rates(self.step)
        self.step += 1


class StopAfter(keras.callbacks.Callback):
    """Ends a stage of training after so many epochs; the number of all epochs stays known to the others."""

    def __init__(self, epochs: int) -> None:
        super().__init__()
        self.epochs = epochs

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if epoch + 1 >= self.epochs:
            self.model.stop_training = True


class Deadline(keras.callbacks.Callback):
    """Ends training in mid-epoch when the time is over.

    Args:
        progress: Told why training ended; how long it took so far counts.
        seconds: Of work.
        devices: Whose first process decides.
    """

    def __init__(self, progress: Progress, seconds: float, devices: Devices) -> None:
        super().__init__()
        self.progress, self.devices = progress, devices
        self.end = time.monotonic() - progress.elapsed + seconds

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if self.devices.agreed(time.monotonic() > self.end):
            self.progress.stopped = "the time was over"
            self.model.stop_training = True


class Checkpoints(keras.callbacks.Callback):
    """After each epoch: keep the best weights, save the state, write the history, decide whether to stop.

    The best of the last epochs (``training.best_of_last``) takes the place of any before, which serve until then.
    ``model.keras`` is written before the state that calls it best: a kill between the two
    repeats the epoch, to the same weights. With ``training.ema`` the average of the weights is
    validated and written as the model, and the state holds both.

    Args:
        run: Where all of it is written.
        network: What is written as the model: that which is trained, or a part that shares its weights.
        progress: Updated after each epoch.
        config: For how long to wait for a better epoch.
    """

    def __init__(self, run: Run, network: keras.Model, progress: Progress, config: TrainingConfig) -> None:
        super().__init__()
        self.run, self.network, self.progress, self.config = run, network, progress, config
        self.state = run.path / "state" / "last.npz"
        self.snapshots = cycle_ends(config) if config.snapshots else []
        self.started = time.monotonic() - progress.elapsed
        self._validation = ExitStack()

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Validate the average of the weights, where there is one."""
        self._validation.enter_context(averaged(self.model))

    def on_test_end(self, logs: dict[str, float] | None = None) -> None:
        """Go on with the weights themselves."""
        self._validation.close()

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Give the weights back: Keras ends by putting the average in their place, and a stage may follow."""
        if self.config.ema:
            load_state(self.state, self.model)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Record the epoch."""
        progress, logs = self.progress, logs or {}
        dice = float(logs["val_dice"])
        progress.epoch = epoch + 1
        rate = float(self.model.optimizer.learning_rate.numpy())
        progress.history.append({"epoch": epoch + 1, **{k: float(v) for k, v in logs.items()}, "learning_rate": rate})
        if is_kept(self.config, self.config.epochs, epoch, dice, progress.best_dice):
            with averaged(self.model):
                save_model(self.run.model_file, self.network)
            progress.best_dice, progress.best_epoch = dice, epoch + 1
        if progress.epoch in self.snapshots:
            with averaged(self.model):
                save_model(self.run.path / SNAPSHOTS / f"{progress.epoch:04d}.keras", self.network)
        patience = self.config.patience
        if patience and progress.epoch - progress.best_epoch >= patience:
            progress.stopped = f"validation Dice has not risen for {patience} epochs"
            self.model.stop_training = True
        progress.elapsed = time.monotonic() - self.started
        save_state(self.state, self.model, progress)
        write_history(self.run, progress)


def is_kept(config: TrainingConfig, epochs: int, epoch: int, dice: float, best: float) -> bool:
    """Whether an epoch (from 0) of so many takes the place of the one kept before, of validation Dice ``best``.

    The first of the last epochs (``training.best_of_last``) always does.
    """
    return epoch == epochs - math.ceil(config.best_of_last * epochs) or dice > best


def save_model(path: Path, model: keras.Model) -> None:
    """Write the weights, at once."""
    with atomic.written(path) as part:
        model.save(part)


def write_history(run: Run, progress: Progress) -> None:
    """Write one row for each epoch to ``history.csv``."""
    if progress.history:
        names = list(progress.history[0])
        rows = ([epoch[name] for name in names] for epoch in progress.history)
        atomic.write_text(run.path / "history.csv", csv_text(names, rows))
