"""What a resumed training needs, in one file that is replaced at once after each epoch."""

import dataclasses
import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np

from ..errors import RunError
from ..io import atomic
from ..run import Run


@dataclass
class Progress:
    """How far a training has come.

    Attributes:
        epoch: Epochs done.
        elapsed: Seconds worked so far, over all resumes.
        best_epoch: The epoch, from 1, whose weights are kept; 0 before the first.
        stopped: Why training ended before its last epoch, or empty.
        history: One row for each epoch done.
    """

    epoch: int = 0
    elapsed: float = 0.0
    best_epoch: int = 0
    best_dice: float = -1.0
    stopped: str = ""
    history: list[dict[str, float]] = field(default_factory=list)


def save_state(path: Path, model: keras.Model, progress: Progress) -> None:
    """Write weights, optimizer, random state and progress."""
    arrays = {f"v{i:05d}": value for i, value in enumerate(snapshot(model))}
    notes = np.frombuffer(json.dumps(dataclasses.asdict(progress)).encode(), np.uint8)
    with atomic.written(path) as part, part.open("wb") as file:
        np.savez(file, progress=notes, **arrays)  # type: ignore[arg-type]


def load_state(path: Path, model: keras.Model) -> Progress:
    """Read what ``save_state`` wrote into ``model`` and its optimizer.

    Raises:
        RunError: If the file is damaged or of another network.
    """
    try:
        if not zipfile.is_zipfile(path):  # numpy would take it for a pickle
            raise zipfile.BadZipFile("it is no archive")
        with np.load(path, allow_pickle=False) as content:
            progress = Progress(**json.loads(content["progress"].tobytes()))
            values = [content[f"v{i:05d}"] for i in range(len(content.files) - 1)]
        restore(model, values)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise RunError(f"{path} is damaged ({error}): the run cannot be resumed; --overwrite starts anew") from None
    return progress


def load_progress(run: Run) -> Progress:
    """Return how far a finished run came, from its history."""
    history, info = run.history(), run.info
    return Progress(len(history), best_epoch=info.best_epoch or 0, best_dice=info.validation_dice or 0.0)


def snapshot(model: keras.Model) -> list[np.ndarray]:
    """Copy every variable that training changes: weights, optimizer, random seeds."""
    return [v.numpy().copy() for v in _variables(model)]


def restore(model: keras.Model, values: list[np.ndarray]) -> None:
    """Put the values of ``snapshot`` back."""
    for variable, value in zip(_variables(model), values, strict=True):
        variable.assign(value)


def _variables(model: keras.Model) -> list[keras.Variable]:
    return [*model.variables, *model.optimizer.variables]
