"""A run: the folder that one training writes and everything later reads.

::

    run.json          format version, status, contract (threshold included), best epoch
    config.yaml       every setting, so that the run repeats
    split.json        which images trained and which validated, their groups (null: unknown), their areas (null: whole)
    environment.json  versions, threads, device, and the SHA-256 of every image and mask
    model.keras       the weights of the best epoch
    state/            what a resume needs
    history.csv       one row an epoch
    logs/, run.log    TensorBoard, messages

An ensemble is a run too: ``run.json`` names its members, which are runs in folders of their own inside.

The network is rebuilt from ``config.yaml`` and only weights are read: nothing here is run as code.
"""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError

from .config import Branch, Config, Contract
from .errors import RunError
from .expressions import first_flaw
from .io import atomic

if TYPE_CHECKING:
    import keras

FORMAT = 1


class RunInfo(Branch):
    """The content of ``run.json``.

    Attributes:
        requested: The settings as asked for, before what follows from the images was filled in.
        minutes: The time asked for, or None.
        contract: How to use the model; None until training has begun.
        calibration: How temperature and threshold were found, as from ``calibrate``; None where they were not.
        folds: Into how many folds the images were to be divided; None where they were not.
        members: The folders of an ensemble's members, each a run of its own inside this one.
        combine: What is made of the members' probabilities; see ``models.ensemble``.
        augmented: Whether each member sees each image flipped and turned in eight ways.
    """

    format: int = FORMAT
    kind: Literal["single", "ensemble"] = "single"
    status: Literal["running", "interrupted", "finished"] = "running"
    requested: Config
    minutes: float | None = None
    contract: Contract | None = None
    best_epoch: int | None = None
    validation_dice: float | None = None
    calibration: dict[str, float] | None = None
    folds: int | None = None
    members: tuple[Annotated[str, Field(pattern=r"^\w+$")], ...] = ()
    combine: Literal["mean", "vote"] = "mean"
    augmented: bool = False


class Run:
    """A run folder on disk."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

    @property
    def exists(self) -> bool:
        """Whether the folder holds a run."""
        return (self.path / "run.json").is_file()

    @property
    def info(self) -> RunInfo:
        """What ``run.json`` says.

        Raises:
            RunError: If there is no run, or one that this version cannot read.
        """
        if not self.exists:
            why = "holds no run.json" if self.path.is_dir() else "does not exist"
            raise RunError(f"{self.path} is not a run: it {why}")
        content = self._read_json("run.json")
        version = content.get("format")
        if isinstance(version, int) and version > FORMAT:
            known = f"run format {version}, known: {FORMAT}"
            raise RunError(f"{self.path} was written by a newer cryoseg-tf ({known}): update this one")
        try:
            return RunInfo.model_validate(content)
        except ValidationError as error:
            raise RunError(f"{self.path / 'run.json'} is damaged: {first_flaw(error)}") from None

    def update(self, **changes: Any) -> RunInfo:
        """Change entries of ``run.json``, at once."""
        info = self.info.model_copy(update=changes)
        atomic.write_json(self.path / "run.json", info.model_dump(mode="json"))
        return info

    @property
    def config(self) -> Config:
        """The settings that were trained with."""
        _ = self.info  # says so where this is no run at all
        if not (self.path / "config.yaml").is_file():
            raise RunError(f"{self.path} has no config.yaml: training had not begun; repeat fit with --resume")
        return Config.load(self.path / "config.yaml")

    @property
    def contract(self) -> Contract:
        """What inference needs to know."""
        contract = self.info.contract
        if contract is None:
            raise RunError(f"{self.path} has no model yet: training had not begun; repeat fit with --resume")
        return contract

    @property
    def model_file(self) -> Path:
        """The weights of the best epoch; an ensemble has none of its own."""
        return self.path / "model.keras"

    def environment(self) -> dict[str, Any]:
        """Return what ``environment.json`` says."""
        content = self._read_json("environment.json")
        if not isinstance(content.get("files"), dict):
            raise RunError(f"{self.path / 'environment.json'} is damaged: it does not list the images as files")
        return content

    def split(self) -> dict[str, Any]:
        """Return what ``split.json`` says."""
        return self._read_json("split.json")

    def history(self) -> list[dict[str, float]]:
        """Return the rows of ``history.csv``."""
        import csv

        path = self.path / "history.csv"
        if not path.is_file():
            return []
        try:
            with path.open(newline="", encoding="utf-8") as file:
                return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
        except (OSError, ValueError, TypeError, csv.Error) as error:
            raise _unreadable(path, error) from None

    def members(self) -> "list[Run]":
        """Return the members of an ensemble; of any other run itself."""
        return [Run(self.path / name) for name in self.info.members] or [self]

    def fingerprint(self) -> str:
        """Return what tells this model from any other: the SHA-256 of its file, or for an ensemble of what makes it.

        Raises:
            RunError: If there is no model yet.
        """
        info = self.info
        if not info.members:
            try:
                return atomic.sha256(self._existing_model())
            except OSError as error:
                raise _unreadable(self.model_file, error) from None
        made = [[member.fingerprint() for member in self.members()], info.combine, info.augmented]
        return hashlib.sha256(json.dumps(made).encode()).hexdigest()

    def load_model(self, raw: bool = False) -> "keras.Model":
        """Rebuild the network and read the best epoch's weights; of an ensemble one network of all members.

        Its logits are divided by the contract's temperature, so that whatever is made from it gives
        calibrated probabilities; the file stays as it was trained. ``raw`` leaves them as they are.

        Raises:
            RunError: If there is no model yet, or its file is damaged.
        """
        info, contract = self.info, self.contract
        if info.members:
            return self._load_ensemble(info)
        from .models.loading import load_network  # here: reading run.json must not load TensorFlow

        model = load_network(self._existing_model(), self.config.model, contract.channels)
        if not raw and contract.temperature != 1:
            logits = model.get_layer("logits")
            logits.set_weights([weights / contract.temperature for weights in logits.get_weights()])
        return model

    def _load_ensemble(self, info: RunInfo) -> "keras.Model":
        from .models.ensemble import combined, turned

        models, thresholds = [], []
        for member in self.members():
            model = member.load_model()
            seen = turned(model) if info.augmented else [model]
            models += seen
            thresholds += [member.contract.threshold] * len(seen)
        return combined(models, info.combine, thresholds)

    def _existing_model(self) -> Path:
        _ = self.contract  # says so where training had not begun
        if not self.model_file.is_file():
            raise RunError(f"{self.path} has no model.keras yet: no epoch was finished; repeat fit with --resume")
        return self.model_file

    def _read_json(self, name: str) -> dict[str, Any]:
        try:
            content = json.loads((self.path / name).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise _unreadable(self.path / name, error) from None
        if not isinstance(content, dict):
            raise RunError(f"{self.path / name} is damaged: it should hold an object")
        return content


def _unreadable(path: Path, error: Exception) -> RunError:
    if isinstance(error, OSError):
        return RunError(f"{path} cannot be read: {error.strerror or error}")
    return RunError(f"{path} is damaged: {error}")
