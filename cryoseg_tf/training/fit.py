"""Train a network: examine the images, fix what follows from them, learn, keep the best epoch."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import tensorflow as tf

from ..config import Config, channels
from ..data.images import Images
from ..data.pipeline import patches, validation_windows
from ..data.preview import write_preview
from ..data.splits import Split
from ..io import atomic
from ..models.losses import build_loss
from ..models.metrics import MeanDice
from ..models.registry import architecture, build_model
from ..models.supervision import training_model
from ..run import Existing, Run, RunInfo
from .calibrate import calibrate
from .callbacks import Checkpoints, Schedule, StopAfter, save_model, write_history
from .choices import resolve
from .hard import errors_at, stage_ends
from .optimization import averaged, build_optimizer, check_optimization
from .planning import SAFETY, START_UP, plan, time_training
from .precision import layers_in
from .records import check_unchanged, write_records
from .schedules import learning_rates
from .state import Progress, load_state
from .strategy import use_threads
from .survey import Survey, survey

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitResult:
    """What a training gave: the run, its best epoch (from 1) and that epoch's validation Dice."""

    run: Path
    best_epoch: int
    dice: float
    epochs: int
    stopped: str = ""


def fit(
    config: Config,
    split: Split,
    run: Path | str,
    *,
    minutes: float | None = None,
    existing: Existing = "refuse",
    preview: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> FitResult:
    """Train a network on annotated images and write a run folder.

    The same config, images, machine and number of threads give the same weights, bit by bit,
    also when the training was killed and resumed.

    Args:
        config: The settings; ``config.yaml`` in the run holds them with "auto" filled in.
        split: The pairs to train and validate on.
        run: The folder to write.
        minutes: Take this long instead of ``training.epochs``.
        existing: What to do with a run that is there: "refuse", "resume" or "overwrite".
        preview: First draw patches as the network will see them, ``preview.png`` in the run.
        callbacks: Keras callbacks, for progress.

    Raises:
        ConfigError: If a setting does not suit the images.
        DataError: If an image or mask cannot be used, or changed since the run was begun.
        RunError: If the folder cannot be written, resumed or overwritten.
    """
    started = time.monotonic()
    use_threads()
    check_names(config)
    folder = Run(run)
    folder.claim(existing)  # before the images are read: a refusal should not wait for that
    log.info("reading %d annotated images", len({p.name for p in (*split.train, *split.validation)}))
    found = survey(split, config)
    with folder.writing(config, minutes, existing) as info:
        if info.status == "finished":
            log.info("%s is finished: nothing is left to train", folder.path)
            return _result(folder, load_progress(folder))
        training = Training(folder, info, split, found, started)
        if preview:
            training.write_preview()
        try:
            return training.run_to_the_end(callbacks)
        except KeyboardInterrupt:
            training.leave_usable()
            raise


def check_names(config: Config) -> None:
    """Refuse an architecture, loss, optimizer or schedule that is not known, before anything is read.

    Raises:
        ConfigError: Naming it and those that are known.
    """
    architecture(config.model)
    build_loss(config.training.loss, (1.0,) * len(config.data.classes))
    check_optimization(config.training)


def load_progress(run: Run) -> Progress:
    """Return how far a finished run came, from its history."""
    history, info = run.history(), run.info
    return Progress(len(history), best_epoch=info.best_epoch or 0, best_dice=info.validation_dice or 0.0)


class Training:
    """One training, from what was found about the images to the finished run."""

    def __init__(self, run: Run, info: RunInfo, split: Split, found: Survey, started: float) -> None:
        self.run, self.minutes, self.found = run, info.minutes, found
        begun = (run.path / "config.yaml").is_file()
        if begun:
            self.config, self.contract = run.config, run.contract
            check_unchanged(run, split, found.files)
        else:
            self.config, self.contract, lines = resolve(info.requested, found)
            for line in lines:
                log.info("%s", line)
        self.train, self.validation = (
            Images(pairs, self.config, self.contract) for pairs in (split.train, split.validation)
        )
        self.network, self.model = compiled(self.config)
        if not begun:
            self._fix(split, started)
        self.progress = Progress()
        if (run.path / "state" / "last.npz").is_file():
            self.progress = load_state(run.path / "state" / "last.npz", self.model)
        self.progress.elapsed = max(self.progress.elapsed, 0.0 if begun else time.monotonic() - started)

    def run_to_the_end(self, callbacks: Sequence[keras.callbacks.Callback]) -> FitResult:
        """Train what is left, calibrate, and mark the run as finished."""
        progress = self.progress
        write_history(self.run, progress)  # a kill may have left the table an epoch behind the state
        self.run.update(status="running")  # a resumed run may say that it was interrupted
        for number, last in enumerate(stage_ends(self.config)):
            if progress.epoch < last and not progress.stopped:
                self._learn(number, last, callbacks)
        calibration = None
        if self.config.training.calibrate and self.run.model_file.is_file():
            self.contract, calibration = calibrate(self.run.load_model(raw=True), self._windows(), self.contract)
        self.run.update(
            status="finished",
            contract=self.contract,
            calibration=calibration,
            best_epoch=progress.best_epoch,
            validation_dice=progress.best_dice,
        )
        return _result(self.run, progress)

    def write_preview(self) -> None:
        """Draw patches as the network will see them."""
        path = self.run.path / "preview.png"
        write_preview(path, self._patches())
        log.info("preview: %s", path)

    def leave_usable(self) -> None:
        """After Ctrl-C: keep the best weights so far, or those there are."""
        if not self.run.model_file.is_file():
            save_model(self.run.model_file, self.network)
        self.run.update(
            status="interrupted",
            best_epoch=self.progress.best_epoch,
            validation_dice=max(self.progress.best_dice, 0.0),
        )

    def _learn(self, stage: int, last: int, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        """Train until epoch ``last``."""
        config, progress, steps = self.config, self.progress, self._steps()
        if stage:
            errors = self.run.path / "state" / f"errors_{stage}.npz"
            with averaged(self.model):
                self.train.hard = errors_at(errors, self.network, self.train, self.found.train)
        done = progress.epoch * steps
        deadline = self.minutes * 60 * 1.04 - START_UP if self.minutes else None
        self.model.fit(
            self._patches(done * config.training.batch_size),
            steps_per_epoch=steps,
            initial_epoch=progress.epoch,
            epochs=config.training.epochs,
            validation_data=self._windows(),
            shuffle=False,  # the pipeline does it
            verbose=0,
            callbacks=[
                Schedule(learning_rates(config.training, steps * config.training.epochs), done),
                Checkpoints(self.run, self.network, progress, config.training, deadline),
                StopAfter(last),
                keras.callbacks.TensorBoard(self.run.path / "logs", write_graph=False),
                *callbacks,
            ],
        )

    def _patches(self, start: int = 0) -> tf.data.Dataset:
        return patches(self.train, self.found.train, self.config, start)

    def _windows(self) -> tf.data.Dataset:
        return validation_windows(self.validation, self.found.validation, self.config)

    def _steps(self) -> int:
        count = self.config.data.patches_per_image * len(self.found.train)
        return -(-count // self.config.training.batch_size)

    def _fix(self, split: Split, started: float) -> None:
        """Write down, before the first step, all that the training will depend on."""
        if self.minutes:
            log.info("timing the first steps")
            timing = time_training(self.model, self.network, self._patches(), self._windows())
            left = self.minutes * 60 * SAFETY - START_UP - (time.monotonic() - started)
            self.config, line = plan(self.config, timing, left, len(self.found.train))
            self.train.config = self.validation.config = self.config
            log.info("%s", line)
        write_records(self.run, split, self.config, self.found.files)
        self.run.update(contract=self.contract)
        with atomic.written(self.run.path / "config.yaml") as part:  # the last: it says that all is fixed
            self.config.save(part)


def compiled(config: Config) -> tuple[keras.Model, keras.Model]:
    """Build the network, and around it the model that is trained, with its optimizer and loss.

    Raises:
        ConfigError: If the settings name a loss or an optimizer that is not known.
    """
    training = config.training
    weights = training.class_weights if isinstance(training.class_weights, tuple) else None
    with layers_in(training.precision):
        network = build_model(config.model, channels(config.data.classes), config.seed)
        model = training_model(network, config.model, config.seed)
    optimizer = build_optimizer(training)
    # built here: made inside the first step, the optimizer's variables would have it traced twice
    optimizer.build(model.trainable_variables)
    # on a CPU XLA is a quarter slower
    model.compile(optimizer, build_loss(training.loss, weights), metrics=[MeanDice()], jit_compile=False)
    return network, model


def _result(run: Run, progress: Progress) -> FitResult:
    return FitResult(run.path, progress.best_epoch, progress.best_dice, progress.epoch, progress.stopped)
