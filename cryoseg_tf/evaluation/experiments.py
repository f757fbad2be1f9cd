"""The experiments of the 2021 thesis: what each changes, on which images, and how they shrink for a CPU."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..config import Config
from ..data.groups import Groups
from ..data.pairs import Pair
from ..data.splits import split


@dataclass(frozen=True)
class Experiment:
    """One experiment of the thesis.

    Attributes:
        name: Its folder.
        table: Its table in the thesis.
        title: What it is about.
        preset: The settings that it starts from.
        changes: What it changes in them.
    """

    name: str
    table: str
    title: str
    preset: str
    changes: dict[str, Any]


EXPERIMENTS = (
    Experiment("plain", "Tab. 5.1", "No augmentation", "thesis", {"training.augmentation.enabled": False}),
    Experiment("augmentation", "Tab. 5.2", "Augmentation", "thesis", {}),
    Experiment("no_skips", "Tab. 5.3", "No skip connections", "thesis", {"model.skip_connections": False}),
    Experiment("optimised", "Tab. 5.4", "Optimised settings", "thesis-optimised", {}),
)

HONEST = EXPERIMENTS[1]
"""The experiment that the leaking one repeats."""


@dataclass(frozen=True)
class Material:
    """What a study is made on.

    Attributes:
        train: Images to divide into folds.
        test: Images that no experiment trains on or chooses by.
        groups: Which images to train on belong together.
        test_groups: The group of each test image; None: unknown.
        changes: Settings that hold for all experiments, by dotted name.
        scale: Of the thesis' width, epochs and copies; 1: as it was.
        count: How many folds.
        seed: Of folds, weights and patches.
    """

    train: tuple[Pair, ...]
    test: tuple[Pair, ...]
    groups: Groups
    test_groups: Sequence[str] | None
    changes: dict[str, Any]
    scale: float = 1.0
    count: int = 5
    seed: int = 0

    def config(self, experiment: Experiment) -> Config:
        """Return the settings of an experiment, scaled."""
        config = Config.preset(experiment.preset).replace({**experiment.changes, "seed": self.seed})
        return shrunk(config, self.scale).replace(self.changes)

    def asked(self) -> dict[str, Any]:
        """Return what tells this study from another, as plain values."""
        names = {"train": [pair.name for pair in self.train], "test": [pair.name for pair in self.test]}
        return {**names, "changes": self.changes, "scale": self.scale, "folds": self.count, "seed": self.seed}


def shrunk(config: Config, scale: float) -> Config:
    """Multiply width, epochs and copies of each image by the root of ``scale``, so that a CPU can do it."""
    root = math.sqrt(scale)
    return config.replace(
        {
            "model.base_filters": max(4, round(config.model.base_filters * root)),
            "training.epochs": max(2, round(config.training.epochs * root)),
            "data.patches_per_image": max(1, round(config.data.patches_per_image * root)),
        }
    )


def hold_back(pairs: Sequence[Pair], config: Config, groups: Groups) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """Return images to divide into folds, and a fifth of all, in whole groups, to test on."""
    held = split(pairs, config.data.model_copy(update={"validation": 0.2, "split": "images"}), config.seed, groups)
    return held.train, held.validation
