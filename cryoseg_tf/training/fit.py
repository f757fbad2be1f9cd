"""Train a network: examine the images, fix what follows from them, learn, keep the best epoch."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import keras

from ..config import Config
from ..data.images import Images
from ..data.pipeline import patches
from ..data.preview import write_preview
from ..data.splits import Split
from ..io import atomic
from ..run import Run, RunInfo
from . import cluster
from .assembly import check_names, compiled
from .calibrate import calibrate
from .callbacks import Checkpoints, Deadline, Schedule, StopAfter, write_history
from .choices import resolve
from .devices import Devices, check_batch, find_devices
from .feed import Feed
from .hard import errors_at, stage_ends
from .optimization import averaged
from .planning import SAFETY, START_UP, plan, time_training
from .records import check_same, check_unchanged, take_over, write_records
from .schedules import learning_rates
from .state import Progress, load_progress, load_state
from .strategy import use_threads
from .survey import Survey, survey
from .writing import Existing, claim, writing

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
        RunError: If the folder cannot be written, resumed or overwritten, or another worker is gone.
    """
    started = time.monotonic()
    use_threads()
    devices = find_devices(config.training)  # several workers meet before anything is computed
    log.info("devices: %s", devices.words)
    check_batch(config.training.batch_size, devices.replicas)
    check_names(config)
    with cluster.training_of(devices.workers), _place(devices, Run(run), existing) as (folder, then):
        claim(folder, then)  # before the images are read: a refusal should not wait for that
        log.info("reading %s", split.summary)
        found = survey(split, config)
        take_over(folder, devices, config, minutes)
        with writing(folder, config, minutes, then) as info, cluster.training_of(devices.workers):
            if devices.first:
                devices.hand_out(folder.path)
            if info.status == "finished":
                log.info("%s is finished: nothing is left to train", run)
                return _result(run, load_progress(folder))
            training = Training(folder, info, split, found, started)
            if preview:
                training.write_preview()
            return _result(run, training.run_or_leave_usable(callbacks))


@contextmanager
def _place(devices: Devices, run: Run, existing: Existing) -> Iterator[tuple[Run, Existing]]:
    """Yield where this worker writes, and what to do with what is there.

    That is the run for the first one, and a folder that is thrown away for the others: they resume what the first
    one hands out. So all of them run the same code, and the run is written once.
    """
    if devices.first:
        yield run, existing
        return
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        yield Run(folder), "resume"


class Training:
    """One training, from what was found about the images to the finished run."""

    def __init__(self, run: Run, info: RunInfo, split: Split, found: Survey, started: float) -> None:
        self.run, self.minutes, self.found = run, info.minutes, found
        self.devices = find_devices(info.requested.training)
        begun = (run.path / "config.yaml").is_file()
        if begun:
            self.config, self.contract = run.config, run.contract
            check_unchanged(run, split, found.files)
        else:
            self._choose(info.requested)
        train, validation = (Images(pairs, self.config, self.contract) for pairs in (split.train, split.validation))
        self.feed = Feed(self.devices, train, validation, found)
        self.network, self.model = compiled(self.config, self.devices)
        if not begun:
            self._fix(split, started)
        self.progress = Progress()
        if (run.path / "state" / "last.npz").is_file():
            self.progress = load_state(run.path / "state" / "last.npz", self.model)
        self.progress.elapsed = max(self.progress.elapsed, 0.0 if begun else time.monotonic() - started)

    def run_or_leave_usable(self, callbacks: Sequence[keras.callbacks.Callback]) -> Progress:
        """Train what is left; after Ctrl-C the run can be used as it is, if an epoch was finished."""
        try:
            return self.run_to_the_end(callbacks)
        except KeyboardInterrupt:
            self.note_interruption()
            raise

    def run_to_the_end(self, callbacks: Sequence[keras.callbacks.Callback]) -> Progress:
        """Train what is left, calibrate, and mark the run as finished."""
        progress = self.progress
        write_history(self.run, progress)  # a kill may have left the table an epoch behind the state
        self.run.update(status="running")  # a resumed run may say that it was interrupted
        with self.devices.scope():
            for number, last in enumerate(stage_ends(self.config)):
                if progress.epoch < last and not progress.stopped:
                    self._learn(number, last, callbacks)
        calibration = None
        if self.config.training.calibrate and self.devices.first and self.run.model_file.is_file():
            network = self.run.load_model(raw=True)
            self.contract, calibration = calibrate(network, self.feed.windows(), self.contract)
        self.run.update(
            status="finished",
            contract=self.contract,
            calibration=calibration,
            best_epoch=progress.best_epoch,
            validation_dice=progress.best_dice,
        )
        self.devices.agreed(True)  # none leaves while another may need it
        return progress

    def write_preview(self) -> None:
        """Draw patches as the network will see them."""
        path = self.run.path / "preview.png"
        write_preview(path, patches(self.feed.train, self.found.train, self.config))
        log.info("preview: %s", path)

    def note_interruption(self) -> None:
        """After Ctrl-C: the best weights so far are there; before the first epoch is scored there are none."""
        best = self.progress.best_epoch
        self.run.update(
            status="interrupted",
            best_epoch=best or None,
            validation_dice=self.progress.best_dice if best else None,
        )

    def _learn(self, stage: int, last: int, callbacks: Sequence[keras.callbacks.Callback]) -> None:
        """Train until epoch ``last``."""
        config, progress, steps = self.config, self.progress, self.feed.steps
        if stage:
            self._look_at_errors(self.run.path / "state" / f"errors_{stage}.npz")
        done = progress.epoch * steps
        validation, rounds = self.feed.validated()
        deadline = [Deadline(progress, self.minutes * 60 * 1.04 - START_UP, self.devices)] if self.minutes else []
        self.model.fit(
            self.feed.patches(done * config.training.batch_size),
            steps_per_epoch=steps,
            initial_epoch=progress.epoch,
            epochs=config.training.epochs,
            validation_data=validation,
            validation_steps=rounds,
            shuffle=False,  # the pipeline does it
            verbose=0,
            callbacks=[
                Schedule(learning_rates(config.training, steps * config.training.epochs), done),
                *deadline,
                Checkpoints(self.run, self.network, progress, config.training),
                StopAfter(last),
                keras.callbacks.TensorBoard(self.run.path / "logs", write_graph=False),
                *callbacks,
            ],
        )

    def _look_at_errors(self, path: Path) -> None:
        """Have patches taken where the network errs, or erred when the file was written."""
        train, facts = self.feed.train, self.found.train
        with averaged(self.model):
            if self.devices.first:
                errors_at(path, self.network, train, facts)
            self.devices.hand_out(self.run.path, [str(path.relative_to(self.run.path))])
            train.hard = errors_at(path, self.network, train, facts)

    def _choose(self, requested: Config) -> None:
        """Fill in what follows from the images, and from the first worker's memory."""
        chosen, contract, lines = resolve(requested, self.found, self.devices)
        check_same(self.found.files, self.devices)
        self.config = self.devices.same(chosen)
        self.contract = self.devices.same(contract)
        told = chosen == requested  # as those of a fold are
        for line in lines:
            log.log(logging.DEBUG if told else logging.INFO, "%s", line)

    def _fix(self, split: Split, started: float) -> None:
        """Write down, before the first step, all that the training will depend on."""
        if self.minutes:
            log.info("timing the first steps")
            timing = time_training(self.model, self.network, self.feed)
            left = self.minutes * 60 * SAFETY - START_UP - (time.monotonic() - started)
            if self.devices.first:
                self.config, line = plan(self.config, timing, left, len(self.found.train))
                log.info("%s", line)
            self.feed.config = self.config = self.devices.same(self.config)
        write_records(self.run, split, self.config, self.found.files)
        self.run.update(contract=self.contract)
        with atomic.written(self.run.path / "config.yaml") as part:  # the last: it says that all is fixed
            self.config.save(part)


def _result(run: Path | str, progress: Progress) -> FitResult:
    return FitResult(Path(run), progress.best_epoch, progress.best_dice, progress.epoch, progress.stopped)
