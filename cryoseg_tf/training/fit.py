"""Train a network: examine the images, fix what follows from them, learn, keep the best epoch."""

import importlib.metadata
import logging
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from ..config import Config, channels
from ..data.pipeline import Images, patches, validation_windows
from ..data.splits import Split
from ..errors import RunError
from ..io import atomic
from ..models.losses import LOSSES
from ..models.metrics import MeanDice
from ..models.registry import architecture, build_model
from ..run import Existing, Run, RunInfo
from .callbacks import Checkpoints, Schedule, learning_rates, save_model, write_history
from .planning import SAFETY, START_UP, Timing, plan, time_training
from .state import Progress, load_state
from .strategy import device, use_threads
from .survey import Survey, resolve, survey

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
        callbacks: Keras callbacks, for progress.

    Raises:
        ConfigError: If a setting does not suit the images.
        DataError: If an image or mask cannot be used, or changed since the run was begun.
        RunError: If the folder cannot be written, resumed or overwritten.
    """
    started = time.monotonic()
    architecture(config.model)
    use_threads()
    folder = Run(run)
    folder.claim(existing)  # before the images are read: a refusal should not wait for that
    log.info("reading %d annotated images", len(split.train) + len(split.validation))
    found = survey(split, config)
    with folder.writing(config, minutes, existing) as info:
        if info.status == "finished":
            return _result(folder, load_progress(folder))
        training = Training(folder, info, split, found, started)
        try:
            return training.run_to_the_end(callbacks)
        except KeyboardInterrupt:
            training.leave_usable()
            raise


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
            _check_unchanged(run, split, found.files)
        else:
            self.config, self.contract = resolve(info.requested, found)
        self.sets = [Images(pairs, self.config, self.contract) for pairs in (split.train, split.validation)]
        self.model = compiled(self.config)
        if not begun:
            self._fix(split, started)
        self.progress = Progress()
        if (run.path / "state" / "last.npz").is_file():
            self.progress = load_state(run.path / "state" / "last.npz", self.model)
        self.progress.elapsed = max(self.progress.elapsed, 0.0 if begun else time.monotonic() - started)

    def run_to_the_end(self, callbacks: Sequence[keras.callbacks.Callback]) -> FitResult:
        """Train what is left, and mark the run as finished."""
        config, progress = self.config, self.progress
        write_history(self.run, progress)  # a kill may have left the table an epoch behind the state
        self.run.update(status="running")  # a resumed run may say that it was interrupted
        steps = self._steps()
        if progress.epoch < config.training.epochs and not progress.stopped:
            done = progress.epoch * steps
            deadline = self.minutes * 60 * 1.04 - START_UP if self.minutes else None
            self.model.fit(
                patches(self.sets[0], self.found.train, config, done * config.training.batch_size),
                steps_per_epoch=steps,
                initial_epoch=progress.epoch,
                epochs=config.training.epochs,
                validation_data=validation_windows(self.sets[1], self.found.validation, config),
                shuffle=False,  # the pipeline does it
                verbose=0,
                callbacks=[
                    Schedule(learning_rates(config.training, steps * config.training.epochs), done),
                    Checkpoints(self.run, progress, config.training, deadline),
                    keras.callbacks.TensorBoard(self.run.path / "logs", write_graph=False),
                    *callbacks,
                ],
            )
        self.run.update(status="finished", best_epoch=progress.best_epoch, validation_dice=progress.best_dice)
        return _result(self.run, progress)

    def leave_usable(self) -> None:
        """After Ctrl-C: keep the best weights so far, or those there are."""
        if not self.run.model_file.is_file():
            save_model(self.run, self.model)
        self.run.update(
            status="interrupted",
            best_epoch=self.progress.best_epoch,
            validation_dice=max(self.progress.best_dice, 0.0),
        )

    def _steps(self) -> int:
        count = self.config.data.patches_per_image * len(self.found.train)
        return -(-count // self.config.training.batch_size)

    def _fix(self, split: Split, started: float) -> None:
        """Write down, before the first step, all that the training will depend on."""
        if self.minutes:
            timing = self._time()
            left = self.minutes * 60 * SAFETY - START_UP - (time.monotonic() - started)
            self.config = plan(self.config, timing, left, len(self.found.train))
            for images in self.sets:
                images.config = self.config
            epochs, each = self.config.training.epochs, self.config.data.patches_per_image
            log.info(
                "%.0f ms a step: %d epochs of %d patches fit in %g minutes",
                timing.step * 1e3, epochs, each * len(self.found.train), self.minutes,
            )  # fmt: skip
        atomic.write_json(
            self.run.path / "split.json",
            {
                "train": [p.name for p in split.train],
                "validation": [p.name for p in split.validation],
                "groups": split.groups,
            },
        )
        atomic.write_json(self.run.path / "environment.json", environment(self.config, self.found.files))
        self.run.update(contract=self.contract)
        with atomic.written(self.run.path / "config.yaml") as part:  # the last: it says that all is fixed
            self.config.save(part)

    def _time(self) -> Timing:
        log.info("timing the first steps")
        return time_training(
            self.model,
            patches(self.sets[0], self.found.train, self.config),
            validation_windows(self.sets[1], self.found.validation, self.config),
            self.run,
        )


def compiled(config: Config) -> keras.Model:
    """Build the network with its optimizer, ready to train."""
    training = config.training
    model = build_model(config.model, channels(config.data.classes), config.seed)
    optimizer = keras.optimizers.AdamW(training.learning_rate, weight_decay=training.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    # built here: made inside the first step, the optimizer's variables would have it traced twice
    optimizer.build(model.trainable_variables)
    # on a CPU XLA is a quarter slower
    model.compile(optimizer, LOSSES[training.loss], metrics=[MeanDice()], jit_compile=False)
    return model


def environment(config: Config, files: dict[str, str]) -> dict[str, Any]:
    """Return what a run depended on beside its settings."""
    packages = ("cryoseg-tf", "tensorflow", "keras", "numpy")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: importlib.metadata.version(name) for name in packages},
        "device": device(),
        "seed": config.seed,
        "files": files,
    }


def _check_unchanged(run: Run, split: Split, files: dict[str, str]) -> None:
    before = run.environment().get("files", {})
    changed = sorted(name for name in files.keys() | before.keys() if files.get(name) != before.get(name))
    if changed:
        raise RunError(f"{changed[0]} changed since {run.path} was begun: put it back, or start anew with --overwrite")
    if run.split().get("validation") != [p.name for p in split.validation]:
        # going on would validate on images that were trained on
        raise RunError(f"the groups of images changed since {run.path} was begun: start anew with --overwrite")


def _result(run: Run, progress: Progress) -> FitResult:
    return FitResult(run.path, progress.best_epoch, progress.best_dice, progress.epoch, progress.stopped)
