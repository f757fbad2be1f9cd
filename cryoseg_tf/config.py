"""The settings of a run, as one frozen tree, and the contract that a trained model carries.

``Config`` is what a user chooses; ``Contract`` is what inference needs to know about an image
before and after the network. Both are written to the run folder.
"""

import difflib
import functools
from collections.abc import Mapping
from operator import attrgetter, getitem
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, Field, PositiveInt, ValidationError, model_validator
from pydantic.fields import FieldInfo

from .errors import ConfigError
from .expressions import describe, read_yaml
from .settings import (
    IGNORE,
    AugmentationConfig,
    Branch,
    DataConfig,
    EvaluationConfig,
    ModelConfig,
    TrainingConfig,
)

__all__ = [
    "IGNORE",
    "PRESETS",
    "AugmentationConfig",
    "Branch",
    "Config",
    "Contract",
    "DataConfig",
    "EvaluationConfig",
    "ModelConfig",
    "TrainingConfig",
    "channels",
]

PRESETS = Path(__file__).with_name("presets")
"""The recipes that come with the package, a YAML file each."""


class Config(Branch):
    """All settings of a run; ``config.yaml`` in its folder."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    training: TrainingConfig = TrainingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    seed: int = Field(0, ge=0, lt=2**31)

    @model_validator(mode="after")
    def _patch_fits(self) -> Self:
        if self.data.patch is not None and self.data.patch % self.model.stride:
            raise ValueError(
                f"data.patch is {self.data.patch}: with model.depth {self.model.depth} it must be "
                f"a multiple of {self.model.stride}"
            )
        return self

    @model_validator(mode="after")
    def _weight_each_class(self) -> Self:
        weights, names = self.training.class_weights, self.data.classes
        # otherwise the data folder may name other classes: then it is asked again
        if isinstance(weights, tuple) and len(weights) != len(names) and "classes" in self.data.model_fields_set:
            raise ValueError(
                f"training.class_weights holds {len(weights)} numbers for {len(names)} classes: "
                f"it must hold one for each of {', '.join(names)}"
            )
        return self

    @model_validator(mode="after")
    def _weights_are_used(self) -> Self:
        weights, loss = self.training.class_weights, self.training.loss
        if isinstance(weights, tuple) and len(set(weights)) > 1 and not self.training.weighs_classes:
            raise ValueError(
                f"training.class_weights is {','.join(f'{weight:g}' for weight in weights)}, but training.loss is "
                f"{loss!r}, which weighs no class: add weighted_bce to it, as dice + 0.5*weighted_bce"
            )
        return self

    @classmethod
    def parse(cls, tree: object, source: str = "") -> "Config":
        """Make a config from nested dictionaries.

        Raises:
            ConfigError: One line for each unknown or wrong setting.
        """
        try:
            return cls.model_validate(tree)
        except ValidationError as error:
            where = f"{source}: " if source else ""
            problems = dict.fromkeys(_problem(dict(e), tree) for e in error.errors())  # a union has several of one
            raise ConfigError("\n".join(where + problem for problem in problems)) from None

    @classmethod
    def preset(cls, name: str) -> "Config":
        """Return one of the recipes that come with the package; see the folder ``presets``.

        Raises:
            ConfigError: If there is none of that name.
        """
        known = sorted(path.stem for path in PRESETS.glob("*.yaml"))
        if name not in known:
            raise ConfigError(f"there is no preset {name!r}: known are {', '.join(known)}")
        return cls.load(PRESETS / f"{name}.yaml")

    @classmethod
    def load(cls, path: Path, base: "Config | None" = None) -> "Config":
        """Read a YAML file, such as the ``config.yaml`` of a run; what it leaves out is as in ``base``."""
        try:
            tree = read_yaml(Path(path).read_text("utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}") from None
        tree = {} if tree is None else tree  # an empty file
        if base is not None and isinstance(tree, dict):
            tree = _merged(base.model_dump(exclude_unset=True), tree)
        return cls.parse(tree, str(path))

    def save(self, path: Path) -> None:
        """Write as YAML, to be read by ``load``."""
        path.write_text(yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False), "utf-8")

    def differences(self, other: "Config") -> list[str]:
        """Return the dotted names of the settings that differ."""
        return [name for name in _fields(Config) if attrgetter(name)(self) != attrgetter(name)(other)]

    def replace(self, settings: Mapping[str, Any]) -> "Config":
        """Return a copy with dotted settings changed, as ``{"training.epochs": 50}``.

        What was not set before and is not set now still counts as not set (``model_fields_set``).
        """
        known = _fields(Config)
        tree = self.model_dump(exclude_unset=True)
        for name, value in settings.items():
            if name not in known:
                raise ConfigError(_unknown(name))
            *branches, leaf = name.split(".")
            node = tree
            for branch in branches:
                node = node.setdefault(branch, {})
            node[leaf] = value
        return Config.parse(tree)


class Contract(Branch):
    """What turns a raw image into network input, and network output into a mask.

    Attributes:
        pixel_size: The network's own pixel size in nm; with ``scale`` "pixel_size" only.
        pixel_size_range: Pixel sizes in nm outside which an image is not segmented.
        factor: Network pixels per image pixel, along a side; with ``scale`` "factor" only.
        minimum_contrast: The smallest contrast-to-noise of any training image.
        field: Height and width of the median training image in network pixels; None where all have the same there.
        temperature: Logits are divided by it, so that probabilities mean something (``Run.load_model`` does).
    """

    classes: tuple[str, ...]
    threshold: float = Field(0.5, gt=0, lt=1)
    temperature: float = Field(1.0, gt=0)
    scale: Literal["none", "pixel_size", "factor", "shape"] = "none"
    pixel_size: float | None = None
    factor: float | None = None
    pixel_size_range: tuple[float, float] | None = None
    shape: tuple[int, int] | None = None
    percentiles: tuple[float, float] = (1.0, 99.8)
    minimum_contrast: float = Field(0.0, ge=0)
    field: tuple[PositiveInt, PositiveInt] | None = None

    @property
    def channels(self) -> int:
        """Output channels of the network: one sigmoid for two classes, else one per class."""
        return channels(self.classes)


def channels(classes: tuple[str, ...]) -> int:
    """Return how many channels the network has for these classes."""
    return 1 if len(classes) == 2 else len(classes)


def _fields(branch: type[BaseModel], prefix: str = "") -> dict[str, FieldInfo]:
    """Return all settings of a branch by their dotted names."""
    fields: dict[str, FieldInfo] = {}
    for name, field in branch.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            fields |= _fields(kind, f"{prefix}{name}.")
        else:
            fields[prefix + name] = field
    return fields


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = {name: _merged(base[name], over[name]) for name in base.keys() & over.keys()
            if isinstance(base[name], dict) and isinstance(over[name], dict)}  # fmt: skip
    return {**base, **over, **both}


def _unknown(name: str) -> str:
    known = list(_fields(Config))
    leaf = name.rpartition(".")[2]
    close = difflib.get_close_matches(name, known, 1) or [n for n in known if n.rpartition(".")[2] == leaf]
    return f"{name} is not a setting" + (f"; did you mean {close[0]}?" if close else "")


def _misplaced(name: str) -> str:
    """Say of a key in a tree that is unknown where else it is known."""
    known = list(_fields(Config))
    branches = {n.rpartition(".")[0] for n in known} - {""}
    places = [place.rpartition(".") for place in (*known, *sorted(branches))]
    leaf = name.rpartition(".")[2]
    homes = [f"under {branch}:" if branch else "at the top" for branch, _, last in places if last == leaf]
    return f"{name} is not a setting: {leaf} belongs {' or '.join(homes)}" if homes else _unknown(name)


def _problem(error: dict[str, Any], tree: Any) -> str:
    """Say what is wrong with a tree of settings, and what would be right."""
    fields, place, text = _fields(Config), [str(part) for part in error["loc"]], str(error["msg"])
    if error["type"] in ("extra_forbidden", "invalid_key"):
        return _misplaced(".".join(place))
    own = text.removeprefix("Value error, ") if error["type"] == "value_error" else ""
    # the place may go on into a list, or a choice of types
    name = next((".".join(place[:end]) for end in range(len(place), 0, -1) if ".".join(place[:end]) in fields), None)
    if name:
        value = functools.reduce(getitem, name.split("."), tree)
        return f"{name} is {value!r}: {own or f'it must be {describe(fields[name])}'}"
    branch = ".".join(place)
    example = next(setting for setting in fields if setting.startswith(branch) and "." in setting)
    return own or f"{branch or 'this'} is {error['input']!r}: it must hold settings, as {example}"
