"""The branches of the settings: what each may hold, and its default.

``balanced.yaml`` among the presets has the recipe's values once more, to be read; a test keeps them equal.
"""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, field_validator, model_validator

from .expressions import read_plain, read_sum, read_term

IGNORE = 255
"""The value of unannotated pixels inside the package, whatever ``data.ignore`` is in the files."""

PERCENTILES = "two rising numbers between 0 and 100, in tenths, as 1,99.8"


class Branch(BaseModel):
    """A frozen part of the tree; unknown keys are refused.

    What a setting may be is told by its type and bounds, or else by its description.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, tree: Any) -> Any:
        if not isinstance(tree, dict):
            return tree
        kinds = {name: field.annotation for name, field in cls.model_fields.items()}
        return {name: read_plain(value, kinds.get(name)) for name, value in tree.items()}


class DataConfig(Branch):
    """What the images and masks mean, and how patches are taken from them."""

    classes: tuple[str, ...] = Field(
        ("background", "cell"), min_length=2, max_length=254, description="2 to 254 different names, as background,cell"
    )
    ignore: int | None = Field(None, ge=0, le=255)
    instances: bool = False
    group_pattern: str | None = None
    scale: Literal["auto", "none", "pixel_size", "factor", "shape"] = "auto"
    pixel_size: float | None = Field(None, gt=0, allow_inf_nan=False)
    factor: float | None = Field(None, ge=1 / 64, le=4)
    image_pixel_size: float | None = Field(None, ge=1e-3, le=1e6)
    data_bar: int | None = Field(None, ge=0)
    shape: tuple[PositiveInt, PositiveInt] = Field((512, 512), description="height and width in pixels, as 512,512")
    percentiles: tuple[float, float] = Field((1.0, 99.8), description=PERCENTILES)
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

    @model_validator(mode="after")
    def _ignore_is_no_class(self) -> Self:
        # of numbered objects only the background has a number of its own
        taken = self.classes[:1] if self.instances else self.classes
        if self.ignore is not None and self.ignore < len(taken):
            raise ValueError(
                f"data.ignore is {self.ignore}: in masks that is the class {taken[self.ignore]}; "
                "it must be a value that no class has, as 255"
            )
        return self

    @model_validator(mode="after")
    def _factor_is_used(self) -> Self:
        if self.factor is not None and self.scale in ("none", "shape"):
            raise ValueError(
                f"data.factor is {self.factor:g}, but data.scale is {self.scale}: set it to factor or auto"
            )
        return self

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if self.foreground_patches + self.hard_patches > 1:
            raise ValueError(
                f"data.foreground_patches and data.hard_patches are {self.foreground_patches:g} and "
                f"{self.hard_patches:g}: together they must be at most 1"
            )
        return self

    @field_validator("percentiles")
    @classmethod
    def _percentiles(cls, bounds: tuple[float, float]) -> tuple[float, float]:
        low, high = bounds
        if not 0 < low < high < 100 or any(abs(p * 10 - round(p * 10)) > 1e-6 for p in bounds):
            # tenths keep the rank an exact integer in every runtime
            raise ValueError(f"it must be {PERCENTILES}")
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

    @model_validator(mode="after")
    def _dropout_drops(self) -> Self:
        if self.spatial_dropout and not self.dropout:
            raise ValueError("model.spatial_dropout is true, but model.dropout is 0: set that too, as 0.2")
        return self

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


Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""Of a class, in the loss."""


class TrainingConfig(Branch):
    """How the network is trained.

    Attributes:
        best_of_last: The model is the epoch with the best validation Dice among this last share of all; 1: among all.
        snapshots: With the schedule ``cosine_restarts``: keep the weights at the end of each cycle, for an ensemble.
        strategy: On what it computes: one device, all graphics cards of this machine, or several processes.
    """

    loss: str = "dice + 0.5*weighted_bce"
    class_weights: Literal["auto", "none"] | tuple[Weight, ...] = Field(
        "auto", description="auto, none, or a positive number for each class, as 1,4"
    )
    optimizer: str = "adamw"
    learning_rate: float = Field(1e-2, gt=0, allow_inf_nan=False)
    weight_decay: float = Field(1e-4, ge=0, allow_inf_nan=False)
    schedule: str = "cosine"
    clip_norm: float | None = Field(None, gt=0, allow_inf_nan=False)
    ema: float | None = Field(None, gt=0, lt=1)
    batch_size: int = Field(8, ge=1)
    epochs: int = Field(60, ge=1)
    best_of_last: float = Field(0.2, gt=0, le=1)
    patience: int | None = Field(None, ge=1)
    calibrate: bool = True
    snapshots: bool = False
    augmentation: AugmentationConfig = AugmentationConfig()
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    strategy: Literal["auto", "one", "mirrored", "multiworker"] = "auto"

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

    @property
    def weighs_classes(self) -> bool:
        """Whether the loss uses ``class_weights``."""
        return any(term.name == "weighted_bce" for term in read_sum(self.loss))


class EvaluationConfig(Branch):
    """How masks are scored, and how scores are summarised.

    Attributes:
        resamples: How often images, or groups of them, are drawn anew for an interval.
        boundary_px: Outlines that lie within so many pixels of each other agree.
        boundary_nm: The same in nm; it takes the place of ``boundary_px`` where the pixel size is known.
        connectivity: Whether pixels that share a corner alone (8) touch, or only those that share a side (4).
        minimum_area: In pixels. What is smaller is no object, and no false one.
        separate: Whether touching cells are divided, in truth and prediction alike.
    """

    resamples: int = Field(5000, ge=100)
    boundary_px: float = Field(2.0, gt=0, le=100)
    boundary_nm: float | None = Field(None, gt=0, allow_inf_nan=False)
    connectivity: Literal[4, 8] = 8
    minimum_area: int = Field(16, ge=1)
    separate: Literal["none", "watershed"] = "none"
