"""The settings of a run, as one frozen tree, and the contract that a trained model carries.

``Config`` is what a user chooses; ``Contract`` is what inference needs to know about an image
before and after the network. Both are written to the run folder.
"""

import difflib
import re
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from .errors import ConfigError
from .expressions import read_sum, read_term

IGNORE = 255
"""The value of unannotated pixels inside the package, whatever ``data.ignore`` is in the files."""


PRESETS = Path(__file__).with_name("presets")


class Branch(BaseModel):
    """A frozen part of the tree; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(Branch):
    """What the images and masks mean, and how patches are taken from them."""

    classes: tuple[str, ...] = Field(("background", "cell"), min_length=2, max_length=254)
    ignore: int | None = Field(None, ge=0, le=255)
    instances: bool = False
    group_pattern: str | None = None
    scale: Literal["auto", "none", "pixel_size", "factor", "shape"] = "auto"
    pixel_size: float | None = Field(None, gt=0, allow_inf_nan=False)
    factor: float | None = Field(None, ge=1 / 64, le=4)
    image_pixel_size: float | None = Field(None, ge=1e-3, le=1e6)
    data_bar: int | None = Field(None, ge=0)
    shape: tuple[int, int] = (512, 512)
    percentiles: tuple[float, float] = (1.0, 99.8)
    patch: int | None = Field(None, ge=2)
    patches_per_image: int = Field(10, ge=1)
    foreground_patches: float = Field(0.5, ge=0, le=1)
    hard_patches: float = Field(0.0, ge=0, le=1)
    split: Literal["images", "area"] = "images"
    validation: float = Field(0.2, gt=0, lt=1)
    cache_mb: int = Field(4096, ge=0)

    @field_validator("classes")
    @classmethod
    def _unique(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("class names must differ")
        return names

    @field_validator("group_pattern")
    @classmethod
    def _one_group(cls, pattern: str | None) -> str | None:
        try:
            count = 1 if pattern is None else re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"it is no regular expression: {error}") from None
        if count != 1:
            raise ValueError(f"it must mark one part of the name by brackets, as (grid\\d+): it marks {count}")
        return pattern

    @field_validator("shape")
    @classmethod
    def _positive(cls, shape: tuple[int, int]) -> tuple[int, int]:
        if min(shape) < 1:
            raise ValueError("both sides must be at least 1")
        return shape

    @field_validator("percentiles")
    @classmethod
    def _percentiles(cls, bounds: tuple[float, float]) -> tuple[float, float]:
        low, high = bounds
        if not 0 < low < high < 100 or any(abs(p * 10 - round(p * 10)) > 1e-6 for p in bounds):
            # tenths keep the rank an exact integer in every runtime
            raise ValueError("it must be two rising numbers between 0 and 100, in tenths, as 1, 99.8")
        return bounds


class ModelConfig(Branch):
    """The network. ``base_filters`` doubles at each of ``depth`` halvings of the resolution."""

    architecture: str = "unet"
    base_filters: int = Field(16, ge=1, le=256)
    depth: int = Field(4, ge=1, le=6)
    kernel_size: int = Field(3, ge=1, le=9)
    dilation: int = Field(1, ge=1, le=8)
    skip_connections: bool = True
    residual: bool = False
    squeeze_excitation: bool = False
    deep_supervision: bool = False
    activation: Literal["relu", "leaky_relu", "noisy_relu", "swish", "hard_swish"] = "relu"
    normalisation: Literal["batch", "group", "none"] = "batch"
    upsampling: Literal["transposed", "bilinear"] = "transposed"
    initializer: Literal["he", "glorot"] = "he"
    dropout: float = Field(0.0, ge=0, lt=1)
    spatial_dropout: bool = False

    @field_validator("kernel_size")
    @classmethod
    def _odd(cls, size: int) -> int:
        if size % 2 == 0:
            raise ValueError("it must be odd, so that the kernel has a centre")
        return size

    @property
    def stride(self) -> int:
        """The network halves its input ``depth`` times: sides are padded to multiples of this."""
        return int(2**self.depth)


Share = Annotated[float, Field(ge=0, le=1)]
"""Of all training patches."""


class AugmentationConfig(Branch):
    """Random changes to training patches. What is a share says how many are changed; 0 switches it off.

    Attributes:
        warp: The share of patches that is rotated, scaled, sheared, tilted and bent at once.
        rotation: Up to so many degrees either way.
        scale: Larger or smaller by up to this factor.
        shear: Up to so many degrees.
        tilt: Of the stage, up to so many degrees.
        elastic: Points move by about so many pixels.
    """

    enabled: bool = True
    flips: bool = True
    warp: Share = 0.15
    rotation: float = Field(180.0, ge=0, le=180)
    scale: float = Field(1.4, ge=1, le=4)
    shear: float = Field(8.0, ge=0, le=45)
    tilt: float = Field(20.0, ge=0, le=60)
    elastic: float = Field(2.0, ge=0, le=20)
    contrast: Share = 0.25
    gamma: Share = 0.1
    blur: Share = 0.05
    sharpen: Share = 0.0
    noise: Share = 0.05
    shot_noise: Share = 0.05
    streaks: Share = 0.05
    coarse_dropout: Share = 0.0
    cutmix: Share = 0.0
    coarser_scan: Share = 0.25


class TrainingConfig(Branch):
    """How the network is trained."""

    loss: str = "dice + 0.3*bce"
    class_weights: Literal["auto", "none"] | tuple[float, ...] = "auto"
    optimizer: str = "adamw"
    learning_rate: float = Field(1e-2, gt=0, allow_inf_nan=False)
    weight_decay: float = Field(1e-4, ge=0, allow_inf_nan=False)
    schedule: str = "cosine"
    clip_norm: float | None = Field(None, gt=0, allow_inf_nan=False)
    ema: float | None = Field(None, gt=0, lt=1)
    batch_size: int = Field(8, ge=1)
    epochs: int = Field(60, ge=1)
    patience: int | None = Field(30, ge=1)
    calibrate: bool = True
    augmentation: AugmentationConfig = AugmentationConfig()
    precision: Literal["float32"] = "float32"
    strategy: Literal["one"] = "one"

    @field_validator("loss")
    @classmethod
    def _sum(cls, text: str) -> str:
        read_sum(text)
        return text

    @field_validator("optimizer", "schedule")
    @classmethod
    def _term(cls, text: str) -> str:
        read_term(text)
        return text

    @field_validator("class_weights")
    @classmethod
    def _weights(cls, weights: Any) -> Any:
        if isinstance(weights, tuple) and not (weights and all(0 < w < float("inf") for w in weights)):
            raise ValueError("each class needs a weight above 0")
        return weights


class EvaluationConfig(Branch):
    """How scores are summarised."""

    resamples: int = Field(5000, ge=100)


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
        weights, classes = self.training.class_weights, self.data.classes
        if isinstance(weights, tuple) and len(weights) != len(classes):
            raise ValueError(f"training.class_weights holds {len(weights)} numbers for {len(classes)} classes")
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
            raise ConfigError("\n".join(where + _problem(dict(e)) for e in error.errors())) from None

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
            tree = yaml.safe_load(Path(path).read_text("utf-8"))
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
        return [name for name in _names(Config) if attrgetter(name)(self) != attrgetter(name)(other)]

    def replace(self, settings: Mapping[str, Any]) -> "Config":
        """Return a copy with dotted settings changed, as ``{"training.epochs": 50}``.

        What was not set before and is not set now still counts as not set (``model_fields_set``).
        """
        known = _names(Config)
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

    @property
    def channels(self) -> int:
        """Output channels of the network: one sigmoid for two classes, else one per class."""
        return channels(self.classes)


def channels(classes: tuple[str, ...]) -> int:
    """Return how many channels the network has for these classes."""
    return 1 if len(classes) == 2 else len(classes)


def _names(branch: type[BaseModel], prefix: str = "") -> list[str]:
    names = []
    for name, field in branch.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names += _names(kind, f"{prefix}{name}.")
        else:
            names.append(prefix + name)
    return names


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = {name: _merged(base[name], over[name]) for name in base.keys() & over.keys()
            if isinstance(base[name], dict) and isinstance(over[name], dict)}  # fmt: skip
    return {**base, **over, **both}


def _unknown(name: str) -> str:
    known = _names(Config)
    leaf = name.rpartition(".")[2]
    close = difflib.get_close_matches(name, known, 1) or [n for n in known if n.rpartition(".")[2] == leaf]
    return f"{name} is not a setting" + (f"; did you mean {close[0]}?" if close else "")


def _problem(error: dict[str, Any]) -> str:
    name = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return _unknown(name)
    text = str(error["msg"]).removeprefix("Value error, ").replace("Input should be", "it must be")
    return f"{name} is {error['input']!r}: {text}" if name else text
