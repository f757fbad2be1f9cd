"""Score a model on annotated micrographs, one image in memory at a time.

Overlays go to disk while it runs; what stays is one small ``Row`` an image.
"""

import functools
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..config import IGNORE, Config
from ..data.pairs import AnnotatedMicrograph, Pair, note_instances, read_annotated
from ..data.preprocess import EMPTY, Status
from ..errors import ConfigError, DataError, ImageError
from ..io import atomic
from ..segmentation.batch import destinations
from ..segmentation.method import Method
from ..segmentation.segmenter import Segmentation
from .boundary import boundary_f1
from .calibration import Calibration
from .kinds import points_of
from .objects import ObjectScores, Point, object_scores
from .precision_recall import PrecisionRecall
from .scores import Scores, foreground_scores, pixel_scores
from .summary import BOUNDARY_F1, FOREGROUND, summarise
from .views import overlay, save_overlay, save_view

OVERLAYS = "overlays"
SUMMARY = "summary.json"
BEGUN = ".part-report"
"""Says that the overlays beside it are ours, until the summary does."""


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


@dataclass(frozen=True)
class Evaluation:
    """The scores of a set of images.

    Attributes:
        rows: One for each image, in the order given.
        config: The settings; ``evaluation.resamples`` and ``seed`` fix the intervals.
        calibration: Whether the probabilities can be taken at their word.
        precision_recall: ``(n, 3)`` rows of threshold, recall and precision of the foreground over all
            pixels; None where there is no probability or no foreground.
        failed: What is wrong with each image, by name, that could not be scored.
    """

    rows: tuple[Row, ...]
    config: Config
    calibration: Calibration
    precision_recall: npt.NDArray[Any] | None
    failed: Mapping[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        """The folder that all images lie in."""
        first = self.rows[0]
        return first.image.parents[len(Path(first.name).parts) - 1]

    @property
    def seen(self) -> int:
        """How many images the model has seen in training."""
        return sum(row.seen for row in self.rows)

    def summary(self) -> dict[str, Any]:
        """Return the content of ``summary.json``: means over images with 95 % intervals; null where there is none."""
        return self._summary

    @functools.cached_property
    def _summary(self) -> dict[str, Any]:
        # intervals of many images take seconds, and both the report and the command line ask
        return summarise(self)


def evaluate(
    segmenter: Method,
    pairs: Sequence[Pair],
    config: Config,
    out: Path | str,
    *,
    known: Collection[str] = (),
    groups: Sequence[str] | None = None,
    kinds: Mapping[str, Sequence[Point]] | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Evaluation:
    """Segment and score annotated images, and draw each into ``out/overlays``.

    An image or mask that cannot be used does not stop the others: it is in ``Evaluation.failed``.

    Args:
        segmenter: What segments them.
        pairs: Images with their masks.
        config: ``data`` says how images and masks are read, ``evaluation`` and ``seed`` how they are scored.
        out: The folder for the report; see ``check_out``.
        known: SHA-256 of the files that the model was trained with, as in ``environment.json``.
        groups: The group of each image, as from ``find_groups``; None: unknown, each is taken to be its own.
        kinds: Kinds of objects by image, as from ``read_kinds``.
        progress: Called after each image with how many are done, how many there are, and its name.

    Raises:
        ConfigError: If ``config`` and the model do not have the same classes.
        DataError: If there is no pair, ``out`` holds other things, or the model needs a pixel size that
            an image lacks, or no image can be used.
        OSError: If ``out`` cannot be written.
    """
    _check_classes(config, segmenter)
    if not pairs:
        raise DataError("there is no annotated image to score")
    out = Path(out)
    check_out(out)
    atomic.check_writable(out)
    note_instances(pairs, config.data)
    grouped = list(zip(pairs, [None] * len(pairs) if groups is None else groups, strict=True))
    scoring = _Scoring(segmenter, config, frozenset(known), kinds or {})
    targets, rows = destinations([pair.image for pair in pairs], out / OVERLAYS), []
    failed: dict[str, str] = {}
    # as a whole beside the old ones: a failure leaves the report that was there as it was
    with atomic.written(out / OVERLAYS) as part:
        part.mkdir()
        for done, (pair, group) in enumerate(grouped, 1):
            view = targets[pair.image]
            try:
                rows.append(scoring.row(pair, group, view, part / view.relative_to(out / OVERLAYS)))
            except ImageError as error:
                failed[pair.name] = str(error)
            if progress:
                progress(done, len(pairs), pair.name)
        if not rows:
            raise DataError("\n".join(["no image could be scored", *failed.values()]))
        (out / BEGUN).touch()
    return Evaluation(tuple(rows), config, scoring.calibration, scoring.probabilities.curve, failed)


class _Scoring:
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


def check_out(out: Path) -> None:
    """Make sure that a report may be written to ``out``: it is new, empty, or holds an earlier report.

    Raises:
        DataError: If it holds anything else.
    """
    if not out.exists() or _is_summary(out / SUMMARY):
        return
    names = {p.name for p in out.iterdir()} if out.is_dir() else {out.name}
    # overlays alone may be someone's own: ours, of a report that was cut short, are marked
    begun = {OVERLAYS, BEGUN} if BEGUN in names else set()
    if not names <= begun | {f".part-{OVERLAYS}"}:
        raise DataError(f"{out} exists and holds no report from here: choose another --out")


def _check_classes(config: Config, segmenter: Method) -> None:
    if config.data.classes != segmenter.contract.classes:
        raise ConfigError(
            f"data.classes is {', '.join(config.data.classes)}, "
            f"but the model tells apart {', '.join(segmenter.contract.classes)}"
        )


def _is_summary(path: Path) -> bool:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and {"images", "metrics"} <= content.keys()
