"""Score one annotated micrograph after another, and gather what is pooled over all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..config import IGNORE, Config
from ..data.pairs import AnnotatedMicrograph, Pair, read_annotated
from ..data.preprocess import EMPTY, Status
from ..io import atomic
from ..segmentation.method import Method
from ..segmentation.segmenter import Segmentation
from .boundary import boundary_f1
from .calibration import Calibration
from .kinds import points_of
from .objects import ObjectScores, Point, object_scores
from .precision_recall import PrecisionRecall
from .scores import Scores, foreground_scores, pixel_scores
from .summary import BOUNDARY_F1, FOREGROUND
from .views import overlay, save_overlay, save_view


@dataclass(frozen=True)
class Row:
    """What is known about one scored image.

    Attributes:
        name: The image's path below the data folder.
        image: The file.
        shape: ``(height, width)`` in pixels.
        pixel_size: In nm, or None where it is unknown.
        status: What the segmenter found; with some, the mask is empty and scored as such.
        foreground: Scores of all foreground classes as one.
        classes: Scores of each foreground class by name.
        boundary: F1 of the outlines of each foreground class, and of all as one under ``FOREGROUND``.
        objects: Scores by objects of each foreground class by name.
        group: Images of one group, as of one grid, are not independent; None where groups are unknown.
        seen: Whether the model was trained or chosen with this very file.
        overlay: The JPEG with both outlines.
        view: The PNG with image, truth and prediction as its channels; see ``save_view``.
    """

    name: str
    image: Path
    shape: tuple[int, int]
    pixel_size: float | None
    status: Status
    foreground: Scores
    classes: dict[str, Scores]
    boundary: dict[str, float]
    objects: dict[str, ObjectScores]
    group: str | None
    seen: bool
    overlay: Path
    view: Path

    def metrics(self, name: str | None = None) -> dict[str, float]:
        """Return the scores of a class, or of all foreground as one, by name; that of its outlines is the last."""
        scores = self.foreground if name is None else self.classes[name]
        return scores.values() | {BOUNDARY_F1: self.boundary[FOREGROUND if name is None else name]}


class Scoring:
    """Segments, scores and draws images one by one, and gathers what is pooled over all of them."""

    def __init__(
        self,
        segmenter: Method,
        config: Config,
        known: frozenset[str],
        kinds: Mapping[str, Sequence[Point]],
    ) -> None:
        self._segmenter = segmenter
        self._config = config
        self._known = known
        self._kinds = kinds
        self.calibration = Calibration(segmenter.contract)
        self.probabilities = PrecisionRecall()

    def row(self, pair: Pair, group: str | None, view: Path, drawn: Path) -> Row:
        """Score an image; its view goes to ``drawn`` for now, and its overlay beside that."""
        annotated = read_annotated(pair, self._config.data)
        result = self._segmented(annotated)
        pixels, truth = annotated.micrograph.pixels, annotated.mask
        save_overlay(overlay(pixels, truth, result.mask), drawn.with_suffix(".jpg"))
        save_view(pixels, truth, result.mask, drawn)
        return Row(
            name=pair.name,
            image=pair.image,
            shape=(truth.shape[0], truth.shape[1]),
            pixel_size=annotated.micrograph.pixel_size,
            status=result.status,
            group=group,
            seen=bool(self._known) and atomic.sha256(pair.image) in self._known,
            overlay=view.with_suffix(".jpg"),
            view=view,
            **self._scores(annotated, result, points_of(self._kinds, pair.name)),
        )

    def _segmented(self, annotated: AnnotatedMicrograph) -> Segmentation:
        micrograph = annotated.micrograph
        self._segmenter.check(micrograph)
        result = self._segmenter.segment(micrograph, self.calibration.takes(micrograph))
        self.calibration.add(annotated.mask, result)
        if result.probabilities is not None and result.status not in EMPTY:
            self.probabilities.add(annotated.mask, result.probabilities)
        return result

    def _scores(self, annotated: AnnotatedMicrograph, result: Segmentation, points: Sequence[Point]) -> dict[str, Any]:
        truth, found, size = annotated.mask, result.mask, annotated.micrograph.pixel_size
        settings, names = self._config.evaluation, self._config.data.classes
        indices = {name: index for index, name in enumerate(names) if index}
        nm = settings.boundary_nm
        tolerance = settings.boundary_px if nm is None or size is None else nm / size
        boundary = {name: boundary_f1(truth, found, index, tolerance) for name, index in indices.items()}
        together = boundary_f1(truth, found, None, tolerance) if len(indices) > 1 else boundary[names[1]]
        area = None if size is None else int(np.count_nonzero(truth != IGNORE)) * size**2 / 1e6
        objects = {name: object_scores(truth, found, index, settings, points) for name, index in indices.items()}
        return {
            "foreground": foreground_scores(truth, found),
            "classes": {name: pixel_scores(truth, found, index) for name, index in indices.items()},
            "boundary": boundary | {FOREGROUND: together},
            "objects": {name: replace(scores, area_um2=area) for name, scores in objects.items()},
        }
