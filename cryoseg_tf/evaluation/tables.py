"""The tables of an evaluation: ``scores.csv``, a row an image, and ``objects.csv``, a row an object.

An empty cell means that a value is not defined, or that the pixel size is unknown.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..io.table import csv_text
from .evaluate import Evaluation
from .objects import FoundObject, TruthObject
from .scores import METRICS
from .scoring import Row
from .summary import BOUNDARY_F1

OBJECT_COLUMNS = (
    "image", "class", "kind", "what", "area_px", "area_um2", "diameter_nm",
    "y_px", "x_px", "y_nm", "x_nm", "best_iou", "coverage",
)  # fmt: skip


def scores_csv(evaluation: Evaluation) -> str:
    """Return one row an image: the foreground's scores, and those of each class where there are several."""
    names = evaluation.config.data.classes[1:]
    several = names if len(names) > 1 else ()
    metrics = (*METRICS, BOUNDARY_F1)
    header = ["image", *metrics, "status", "seen_in_training", *(f"{m}_{name}" for name in several for m in metrics)]
    return csv_text(header, (_scores(row, several) for row in evaluation.rows))


def objects_csv(evaluation: Evaluation) -> str:
    """Return one row for each truth object, found or missed, and for each false one.

    Places are centroids, from the centre of the first pixel; the diameter is that of a circle of the same area.
    """
    return csv_text(OBJECT_COLUMNS, (line for row in evaluation.rows for line in _objects(row)))


def _scores(row: Row, several: Sequence[str]) -> list[Any]:
    classes = [value for name in several for value in row.metrics(name).values()]
    values = row.metrics().values()
    return [row.name, *_cells(values), row.status.name.lower(), str(row.seen).lower(), *_cells(classes)]


def _objects(row: Row) -> Iterator[list[Any]]:
    for name, scores in row.objects.items():
        for true in scores.truth:
            what = "found" if true.found else "missed"
            yield [row.name, name, true.kind, what, *_measures(true, row.pixel_size), true.coverage]
        for wrong in scores.predicted:
            if wrong.false:
                yield [row.name, name, "", "false", *_measures(wrong, row.pixel_size), ""]


def _measures(one: TruthObject | FoundObject, pixel_size: float | None) -> list[Any]:
    at, size = one.measured, pixel_size if pixel_size is not None else math.nan
    in_nm = _cells([at.area * size**2 / 1e6, at.diameter * size])
    return [at.area, *in_nm, at.y, at.x, *_cells([at.y * size, at.x * size]), one.best_iou]


def _cells(values: Iterable[float]) -> list[float | str]:
    return ["" if math.isnan(value) else value for value in values]
