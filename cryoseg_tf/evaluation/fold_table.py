"""The table of a cross-validation: what the network of each fold reached, their average and their spread."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from ..io.table import csv_text

FOLDS = "folds.csv"


@dataclass(frozen=True)
class Fold:
    """What the network of one fold reached, as in Tab. 5.1 to 5.4 of the thesis.

    Attributes:
        number: From 1.
        images: How many images were held back.
        loss: That on them at the best epoch, in patches as training sees them.
        best_epoch: From 1.
        recall, precision, dice: Means over the images held back, of masks as they are deployed; NaN with none.
    """

    number: int
    images: int
    loss: float
    best_epoch: int
    recall: float
    precision: float
    dice: float


def folds_csv(folds: Sequence[Fold]) -> str:
    """Return a row for each fold, their average, and their standard deviation."""
    names = list(vars(folds[0]))
    rows = [list(vars(fold).values()) for fold in folds]
    return csv_text(names, [*rows, *([name, *values] for name, values in spread(folds).items())])


def read_folds(path: Path) -> list[Fold]:
    """Read what ``folds_csv`` wrote."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["number"].isdigit()]
    return [
        Fold(
            number=int(row["number"]),
            images=int(row["images"]),
            best_epoch=int(row["best_epoch"]),
            **{name: float(row[name]) for name in ("loss", "recall", "precision", "dice")},
        )
        for row in rows
    ]


def spread(folds: Sequence[Fold]) -> dict[str, list[float]]:
    """Return the average of each number over the folds, and its standard deviation."""
    columns = list(zip(*(list(vars(fold).values())[1:] for fold in folds), strict=True))
    return {"average": [fmean(values) for values in columns], "deviation": [stdev(values) for values in columns]}
