"""What is asked of a search, and what has to stay the same where it goes on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..config import Branch, Config
from ..data.splits import Split
from ..errors import RunError
from ..expressions import first_flaw
from ..io import atomic
from .parameter import Parameter
from .space import Space

FORMAT = 1
SETUP = "tuning.json"
EPOCHS = "training.epochs"

TRIALS = 30
"""As many as the thesis made."""


@dataclass(frozen=True)
class Task:
    """What is asked of a search.

    Attributes:
        config: The settings that trials start from.
        space: What they change.
        split: The images they train and validate on.
        method: One of ``oracles.METHODS``.
        trials: How many at most; None for ``TRIALS``, and with "hyperband" for as many as it makes.
        minutes: For all of them together, or None.
    """

    config: Config
    space: Space
    split: Split
    method: str = "bayesian"
    trials: int | None = None
    minutes: float | None = None

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """What is searched; Hyperband sets the epochs itself."""
        skipped = EPOCHS if self.method == "hyperband" else ""
        return tuple(p for p in self.space.parameters if p.name != skipped)

    @property
    def most(self) -> int | None:
        """How many trials there may be, or None."""
        return self.trials or (None if self.method == "hyperband" else TRIALS)

    @property
    def epochs(self) -> int:
        """The epochs of the longest trials."""
        ends = [value for p in self.space.parameters if p.name == EPOCHS for value in p.extremes]
        return int(max(ends, default=self.config.training.epochs))


class Setup(Branch):
    """The content of ``tuning.json``: what has to be the same where a search goes on."""

    format: int = FORMAT
    method: str
    config: Config
    space: dict[str, Any]
    split: dict[str, Any]
    files: dict[str, str]

    @classmethod
    def of(cls, task: Task) -> "Setup":
        """Return that of a task, as it is read back from a file; images are read for their SHA-256."""
        pairs = {pair.name: pair for pair in (*task.split.train, *task.split.validation)}
        files = {name: atomic.sha256(pair.image) for name, pair in pairs.items()}
        files |= {f"{name} mask": atomic.sha256(pair.mask) for name, pair in pairs.items()}
        space, split = task.space.content(), task.split.facts()
        setup = cls(method=task.method, config=task.config, space=space, split=split, files=files)
        return cls.model_validate_json(setup.model_dump_json())

    @classmethod
    def read(cls, out: Path) -> "Setup":
        """Return that of the search in a folder.

        Raises:
            RunError: If it cannot be read.
        """
        try:
            setup = cls.model_validate_json((out / SETUP).read_bytes())
        except ValidationError as error:
            raise RunError(f"{out / SETUP} is damaged: {first_flaw(error)}; start anew with --overwrite") from None
        if setup.format > FORMAT:
            raise RunError(f"{out} was written by a newer cryoseg-tf: update this one")
        return setup

    def check(self, now: "Setup", out: Path) -> None:
        """Refuse to go on with another search than this one.

        Raises:
            RunError: Naming what differs.
        """
        other = self.config.differences(now.config)
        other += [f"--method {self.method}"] * (self.method != now.method)
        other += ["the space"] * (self.space != now.space)
        if other:
            what = ", ".join(other)
            raise RunError(f"{out} was begun with other settings ({what}): repeat them to go on, or pass --overwrite")
        names = self.files.keys() | now.files.keys()
        changed = sorted(name for name in names if self.files.get(name) != now.files.get(name))
        if changed or self.split != now.split:
            what = changed[0] if changed else "the groups of images"
            raise RunError(f"{what} changed since {out} was begun: put it back, or start anew with --overwrite")
