"""Search for better settings: many trials, each a training of its own, scored on the validation images."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from ..errors import ConfigError, RunError
from ..io import atomic
from ..io.lock import locked
from .chief import serve
from .devices import refuse_cluster
from .search import Search
from .task import EPOCHS, SETUP, Setup, Task
from .trial import launch
from .tuning_result import Progress, TuningResult

ALONE = "here"
"""The name of the only worker where there are no others."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Place:
    """Where trials are made.

    Attributes:
        workers: So many processes on this machine; 0 for one trial after the other.
        chief: "HOST:PORT" to wait at for workers from other machines, or None.
        threads: Of each trial; None for all cores, shared between the workers.
    """

    workers: int = 0
    chief: str | None = None
    threads: int | None = None


def tune(
    task: Task,
    out: Path | str,
    place: Place | None = None,
    *,
    overwrite: bool = False,
    progress: Progress = lambda result: None,
) -> TuningResult:
    """Search for better settings; a search that was interrupted goes on.

    A trial is scored by the Dice of the masks of the validation images, made as its run would make
    them from now on. Its epoch, temperature and threshold were chosen by the same images, and then the trial itself:
    the score of the best one is too good, and only test images tell how good it is.

    Args:
        task: What is asked.
        out: The folder to write, or to go on with.
        place: Where trials are made; here, one after the other.
        overwrite: Begin anew where there is a search.
        progress: Called at the beginning, and when a trial has ended.

    Raises:
        ConfigError: If the space holds what cannot be used.
        RunError: If the folder is in use, holds something else or a search with other settings; if trials
            fail one after the other, or all workers are gone; if no trial gave a score.
    """
    out, place = Path(out), place or Place()
    with _opened(out, task, overwrite) as search:
        log.info("searching %s", "; ".join(map(str, task.parameters)))
        progress(search.result())
        if place.workers or place.chief:
            serve(search, place.chief or "127.0.0.1:0", place.workers, place.threads, progress)
        else:
            _alone(search, place.threads, progress)
        search.save()
        result = search.result()
        _ = result.best  # an error where there is none
        return result


def claim(out: Path) -> None:
    """Make sure that a folder may be written.

    Raises:
        RunError: If it holds something else.
        OSError: If it cannot be made or written to.
    """
    if out.exists() and not (out / SETUP).is_file() and (not out.is_dir() or _strangers(out)):
        raise RunError(f"{out} exists and is not a search: choose another folder")
    atomic.check_writable(out)


def leave_gpu() -> None:
    """Leave graphics cards to the trials: this process would take all of their memory for a single weight."""
    try:
        tf.config.set_visible_devices([], "GPU")
    except RuntimeError:
        log.warning("TensorFlow was in use before: it may hold memory of the graphics card that trials lack")


@contextmanager
def _opened(out: Path, task: Task, overwrite: bool) -> Iterator[Search]:
    """Begin a search, or go on with one, while no other process does."""
    if not task.parameters:
        raise ConfigError(f"hyperband sets {EPOCHS} itself, and nothing else is to be searched: name more settings")
    refuse_cluster(task.config.training, "a trial is made by one process")
    task.space.check(task.config)
    claim(out)
    out.mkdir(parents=True, exist_ok=True)
    with locked(out, RunError(f"{out} is being searched by another process")):
        _begin(out, Setup.of(task), overwrite)
        yield Search(out, task)


def _begin(out: Path, setup: Setup, overwrite: bool) -> None:
    if (out / SETUP).is_file() and not overwrite:
        Setup.read(out).check(setup, out)
        return
    # the setup last: without it the rest would be something else
    for item in sorted(out.iterdir(), key=lambda item: item.name == SETUP):
        if item.name != ".lock":
            atomic.remove(item)
    atomic.write_text(out / SETUP, setup.model_dump_json(indent=2) + "\n")


def _strangers(folder: Path) -> bool:
    """Whether a folder holds anything that a search cut short at its first moment would not have left."""
    return any(item.name not in (".lock", f".part-{SETUP}") for item in folder.iterdir())


def _alone(search: Search, threads: int | None, progress: Progress) -> None:
    while (trial := search.ask(ALONE)).status == "RUNNING":
        search.tell(trial.trial_id, launch(search.job(trial.trial_id), threads, search.tick))
        progress(search.result())
        search.check()
