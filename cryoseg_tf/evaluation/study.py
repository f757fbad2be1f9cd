"""The experiments of the 2021 thesis, repeated: each a cross-validation, compared with the one before, image by image.

::

    OUT/study.json      what was asked for, which a later call must ask for again
    OUT/augmentation/   and so on: the run of each experiment, with its ``report/``
    OUT/final/          one network with the last settings, scored on the test images
    OUT/study.html      all of it

Whatever was done before an interruption is not done again.
"""

import csv
import json
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from ..config import IGNORE, Config
from ..data.copies import write_copies
from ..data.folds import folds
from ..data.pairs import find_pairs, read_annotated
from ..data.splits import Split, split
from ..errors import DataError
from ..io import atomic
from ..io.lock import locked
from ..run import Run
from ..segmentation.keras_predictor import KerasPredictor
from ..segmentation.segmenter import Segmenter
from ..training.crossval import Watch, fit_folds
from ..training.fit import fit
from .crossval import score_folds
from .evaluate import SUMMARY, evaluate
from .experiments import EXPERIMENTS, HONEST, Experiment, Material
from .fold_table import FOLDS, Fold, read_folds
from .report import write_report
from .scores import foreground_scores
from .statistics import known_mean

log = logging.getLogger(__name__)

ASKED = "study.json"
LEAKING = "leaking"
FINAL = "final"


PARTS = len(EXPERIMENTS) + 2
"""The experiments, the leaking division and the final model."""

Watcher = Callable[[str, Config], Watch]
"""Gives, for what is being trained and its settings, the callbacks of each fold."""


@dataclass(frozen=True)
class Reached:
    """What an experiment reached.

    Attributes:
        experiment: Which.
        folds: A row for each fold.
        dice: Of each image by the network that did not learn from it, by name; NaN where it is not defined.
    """

    experiment: Experiment
    folds: list[Fold]
    dice: dict[str, float]


@dataclass(frozen=True)
class Leak:
    """How far validation misled, of the thesis' division ("leaking") and ours of the same images ("honest").

    Attributes:
        loss: Mean validation loss of the networks of all folds.
        validation: Their mean Dice in validation.
        test: Their mean Dice on the test images.
    """

    loss: dict[str, float]
    validation: dict[str, float]
    test: dict[str, float]


@dataclass(frozen=True)
class Study:
    """A whole study.

    Attributes:
        material: What it was made on.
        reached: The experiments, in the thesis' order.
        leaking: The folds of the thesis' own division of copies.
        leak: How far they misled.
        final: ``summary.json`` of the last network on the test images.
    """

    material: Material
    reached: list[Reached]
    leaking: list[Fold]
    leak: Leak
    final: dict[str, Any]


def run_study(material: Material, out: Path | str, watch: Watcher = lambda what, config: lambda fold: ()) -> Study:
    """Do what of the study is not done yet.

    Args:
        material: What to make it on.
        out: The folder; new, or of the same study.
        watch: For progress.

    Raises:
        DataError: If the folder holds something else, another study, or one that another process works on.
    """
    out = Path(out)
    check_out(out, material)
    out.mkdir(parents=True, exist_ok=True)
    with locked(out, DataError(f"{out} is being written by another process")):
        atomic.write_json(out / ASKED, material.asked())
        work = _Work(material, out, watch)
        reached = [work.cross_validated(experiment) for experiment in EXPERIMENTS]
        leaking = work.leaking()
        honest = next(one.folds for one in reached if one.experiment == HONEST)
        return Study(material, reached, leaking, work.leak(honest, leaking), work.final())


def check_out(out: Path, material: Material) -> None:
    """Make sure that a study may be written to ``out``.

    Raises:
        DataError: If it holds something else, or another study.
    """
    place = out / ASKED
    if not out.exists() or (out.is_dir() and not {p.name for p in out.iterdir()} - {".lock"}):
        return
    if not place.is_file():
        raise DataError(f"{out} exists and holds no study: choose another --out")
    try:
        begun = json.loads(place.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{place} cannot be read: {error}") from None
    asked = json.loads(atomic.json_text(material.asked()))
    other = [name for name in asked if begun.get(name) != asked[name]]
    if other:
        raise DataError(f"{out} holds a study of other {', '.join(other)}: ask for the same, or choose another --out")


class _Work:
    """Does each part of a study, or reads what was done of it before."""

    def __init__(self, material: Material, out: Path, watch: Watcher) -> None:
        self.material, self.out, self.watch = material, out, watch
        data = Config().replace(material.changes).data
        self.splits = folds(material.train, material.count, data, material.seed, material.groups)

    def cross_validated(self, experiment: Experiment) -> Reached:
        """Train and score a network for each fold."""
        number = EXPERIMENTS.index(experiment) + 1
        log.info("part %d of %d, %s: %s", number, PARTS, experiment.table, experiment.title)
        place = self.out / experiment.name
        found = self._folds(place, self.material.config(experiment), self.splits, experiment.title)
        with (place / "report" / "scores.csv").open(newline="", encoding="utf-8") as file:
            dice = {row["image"]: float(row["dice"] or math.nan) for row in csv.DictReader(file)}
        return Reached(experiment, found, dice)

    def leaking(self) -> list[Fold]:
        """Divide copies of images as if each were an image of its own, as the thesis did."""
        log.info("part %d of %d: the thesis' own division, of copies", PARTS - 1, PARTS)
        config, copies = self.material.config(HONEST), self.out / LEAKING / "copies"
        if not copies.exists():
            with atomic.written(copies) as part:
                write_copies(self.material.train, config.data, part, config.data.patches_per_image, self.material.seed)
        # as they are: they were cut, mirrored and turned when they were written
        settings = {
            "data.shape": (config.data.patch, config.data.patch),
            "data.patches_per_image": 1,
            "data.ignore": IGNORE,
            "data.instances": False,
            "data.data_bar": None,
            "data.image_pixel_size": None,
            "training.augmentation.enabled": False,
        }
        config = config.replace(settings)
        splits = folds(find_pairs(copies), self.material.count, config.data, self.material.seed)
        return self._folds(self.out / LEAKING / "run", config, splits, "copies divided at random")

    def leak(self, honest: Sequence[Fold], leaking: Sequence[Fold]) -> Leak:
        """Let the networks of both divisions segment the test images."""
        place = self.out / "leak.json"
        if not place.is_file():
            shape = self.material.config(HONEST).data.shape
            runs = {"honest": self.out / HONEST.name, "leaking": self.out / LEAKING / "run"}
            test = {name: self._tested(Run(path), shape) for name, path in runs.items()}
            atomic.write_json(place, test)
        test = json.loads(place.read_text("utf-8"))
        both = {"honest": honest, "leaking": leaking}
        return Leak(
            validation={name: fmean(fold.dice for fold in some) for name, some in both.items()},
            loss={name: fmean(fold.loss for fold in some) for name, some in both.items()},
            test=test,
        )

    def final(self) -> dict[str, Any]:
        """Train one network with the last settings on all training images, and score it on the test images."""
        log.info("part %d of %d: the final model, on %d test images", PARTS, PARTS, len(self.material.test))
        config, place = self.material.config(EXPERIMENTS[-1]), self.out / FINAL
        report = place / "report"
        if not (report / SUMMARY).is_file():
            divided = split(self.material.train, config.data, config.seed, self.material.groups)
            fit(config, divided, place, existing="resume", callbacks=self.watch("the final model", config)(1))
            run = Run(place)
            of = self.material.test_groups
            found = evaluate(Segmenter.from_run(run), self.material.test, run.config, report, groups=of)
            write_report(found, run, report)
        summary: dict[str, Any] = json.loads((report / SUMMARY).read_text("utf-8"))
        return summary

    def _folds(self, place: Path, config: Config, splits: Sequence[Split], what: str) -> list[Fold]:
        if not (place / "report" / FOLDS).is_file():
            run = fit_folds(config, splits, place, existing="resume", watch=self.watch(what, config))
            score_folds(run, splits)
        return read_folds(place / "report" / FOLDS)

    def _tested(self, run: Run, shape: tuple[int, int]) -> float:
        """Return the mean Dice on the test images of the networks of all folds, each on its own."""
        dices, data = [], Config().replace(self.material.changes).data
        for member in run.members():
            # copies are half of an image: a whole one is to be seen at the same scale
            contract = member.contract.model_copy(update={"shape": shape})
            segmenter = Segmenter(KerasPredictor(member.load_model(), member.config.model), contract)
            for annotated in (read_annotated(pair, data) for pair in self.material.test):
                found = foreground_scores(annotated.mask, segmenter.segment(annotated.micrograph).mask).dice
                dices.append(found)
        return known_mean(dices)
