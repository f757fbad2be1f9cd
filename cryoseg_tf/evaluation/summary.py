"""What ``summary.json`` says: means over images, counts of objects, and intervals that draw whole groups."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..config import Config
from ..data.preprocess import Status
from .objects import ObjectScores, TruthObject
from .scores import METRICS, Scores, or_null
from .statistics import Estimate, mean_interval, share_interval

if TYPE_CHECKING:
    from .evaluate import Evaluation
    from .scoring import Row

BOUNDARY_F1 = "boundary_f1"
FOREGROUND = "foreground"
"""All foreground classes as one; a key of ``Row.boundary`` beside the classes."""


class Summary:
    """Makes the content of ``summary.json``; null stands where there is no value."""

    def __init__(self, rows: Sequence["Row"], config: Config) -> None:
        self._rows = rows
        self._config = config
        self._names = config.data.classes[1:]
        self._groups = groups_of(rows)
        self._drawing = (config.evaluation.resamples, config.seed)

    def content(self) -> dict[str, Any]:
        """Return all of it but the calibration and what failed."""
        settings, several = self._config.evaluation, len(self._names) > 1
        counts = Counter(self._groups or ()).values()
        content: dict[str, Any] = {"images": len(self._rows), "metrics": self._metrics(None)}
        if several:
            content["classes"] = {name: self._metrics(name) for name in self._names}
            content["macro"] = self._metrics(*self._names)
        return content | {
            "micro": self._micro(),
            "boundary": {"tolerance_px": settings.boundary_px, "tolerance_nm": settings.boundary_nm},
            "objects": settings.model_dump(include={"connectivity", "minimum_area", "separate"})
            | {"classes": {name: self._objects(name) for name in self._names}},
            "groups": {"count": len(counts) or None, "largest": max(counts, default=None)},
            "seen_in_training": sum(row.seen for row in self._rows),
            "status": dict(Counter(row.status.name.lower() for row in self._rows if row.status != Status.OK)),
            "resamples": settings.resamples,
        }

    def _metrics(self, *classes: str | None) -> dict[str, Any]:
        """Return the mean of each metric over images, and then over classes where there are several."""
        table = [[row.metrics(name) for name in classes] for row in self._rows]
        return {
            metric: self._mean([[values[metric] for values in row] for row in table])
            for metric in (*METRICS, BOUNDARY_F1)
        }

    def _micro(self) -> dict[str, float | None]:
        counted = (row.classes[name] for row in self._rows for name in self._names)
        return {metric: or_null(value) for metric, value in sum(counted, Scores(0, 0, 0)).values().items()}

    def _objects(self, name: str) -> dict[str, Any]:
        images = [row.objects[name] for row in self._rows]
        every = ObjectScores.pooled(images)
        known = ObjectScores.pooled(scores for scores in images if scores.area_um2 is not None)
        area = known.area_um2
        return {
            "truth": len(every.truth),
            "predicted": len(every.predicted),
            "found": every.found,
            "recall": self._recall([scores.truth for scores in images]),
            "precision": or_null(every.precision),
            "f1": or_null(every.f1),
            "f1_mean": or_null(every.f1_mean),
            "false": every.false_objects,
            "false_per_image": every.false_objects / len(images),
            "false_per_1000_um2": 1000 * known.false_objects / area if area else None,
            "splits": every.splits,
            "merges": every.merges,
            "kinds": self._kinds([scores.truth for scores in images]),
        }

    def _kinds(self, images: Sequence[Sequence[TruthObject]]) -> dict[str, Any]:
        kinds = sorted({one.kind for objects in images for one in objects if one.kind})
        content = {}
        for kind in kinds:
            of_kind = [[one for one in objects if one.kind == kind] for objects in images]
            recall = self._recall(of_kind)
            content[kind] = {
                "objects": sum(map(len, of_kind)),
                "found": sum(one.found for objects in of_kind for one in objects),
                "recall": recall["mean"],
                "ci95": recall["ci95"],
            }
        return content

    def _recall(self, images: Sequence[Sequence[TruthObject]]) -> dict[str, Any]:
        found = [sum(one.found for one in objects) for objects in images]
        return _written(share_interval(found, [len(objects) for objects in images], *self._drawing, self._groups))

    def _mean(self, values: Sequence[Sequence[float]]) -> dict[str, Any]:
        return _written(mean_interval(values, *self._drawing, groups=self._groups))


def summarise(evaluation: "Evaluation") -> dict[str, Any]:
    """Return the content of ``summary.json``."""
    failed = [{"image": name, "error": error} for name, error in evaluation.failed.items()]
    content = Summary(evaluation.rows, evaluation.config).content()
    return content | {"calibration": evaluation.calibration.summary(), "failed": failed}


def groups_of(rows: Sequence["Row"]) -> list[str] | None:
    """Return the group of each image, or None where any is unknown."""
    groups = [row.group for row in rows if row.group is not None]
    return groups if len(groups) == len(rows) else None


def _written(estimate: Estimate) -> dict[str, Any]:
    mean, bounds = estimate
    return {"mean": or_null(mean), "ci95": [or_null(bound) for bound in bounds]}
