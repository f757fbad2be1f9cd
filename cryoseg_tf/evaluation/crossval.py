"""Score a cross-validation: each image by the network that did not learn from it."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from ..config import Contract
from ..data.splits import Split
from ..io import atomic
from ..io.micrograph import Micrograph
from ..run import Run
from ..segmentation.segmenter import Segmentation, Segmenter
from .evaluate import Evaluation, evaluate
from .fold_table import FOLDS, Fold, folds_csv
from .report import write_report
from .scoring import Row
from .statistics import known_mean

METRICS = ("recall", "precision", "dice")


class OutOfFold:
    """Segments each image with the network of the fold that held it back.

    Args:
        runs: The run of each fold.
        splits: Their images; each image is held back in one of them.
        contract: Of the ensemble: for what asks about all images.
    """

    def __init__(self, runs: Sequence[Run], splits: Sequence[Split], contract: Contract) -> None:
        self.contract = contract
        self._segmenters = [Segmenter.from_run(run) for run in runs]
        self._fold: dict[Path | None, int] = {
            pair.image: number for number, split in enumerate(splits) for pair in split.validation
        }

    def check(self, micrograph: Micrograph) -> None:
        """See ``Segmenter.check``."""
        self._of(micrograph).check(micrograph)

    def segment(self, micrograph: Micrograph, probabilities: bool = False) -> Segmentation:
        """See ``Segmenter.segment``."""
        return self._of(micrograph).segment(micrograph, probabilities)

    def _of(self, micrograph: Micrograph) -> Segmenter:
        return self._segmenters[self._fold[micrograph.source]]


def score_folds(
    run: Run, splits: Sequence[Split], progress: Callable[[int, int, str], None] | None = None
) -> tuple[Evaluation, list[Fold]]:
    """Score a run of ``fit_folds`` on the images that each fold held back, and write its ``report/``.

    The images chose each fold's best epoch and threshold, as in the thesis: scores are somewhat too
    high, though far less so than on images that were learned from.

    Raises:
        RunError: If a fold has no model.
        DataError: If no image can be used.
    """
    config, members, out = run.config, run.members(), run.path / "report"
    pairs = [pair for split in splits for pair in split.validation]
    groups = splits[0].groups
    evaluation = evaluate(
        OutOfFold(members, splits, run.contract),
        pairs,
        config,
        out,
        groups=None if groups is None else [groups[pair.name] for pair in pairs],
        progress=progress,
    )
    rows = {row.name: row for row in evaluation.rows}
    folds = [
        _fold(number, member, [rows[pair.name] for pair in split.validation if pair.name in rows])
        for number, (member, split) in enumerate(zip(members, splits, strict=True), 1)
    ]
    write_report(evaluation, run, out, folds)
    atomic.write_text(out / FOLDS, folds_csv(folds))
    return evaluation, folds


def _fold(number: int, run: Run, rows: Sequence[Row]) -> Fold:
    best = run.info.best_epoch or 0
    history = run.history()
    scores = {name: known_mean([row.metrics()[name] for row in rows]) for name in METRICS}
    return Fold(number, len(rows), history[best - 1]["val_loss"] if best else math.nan, best, **scores)
