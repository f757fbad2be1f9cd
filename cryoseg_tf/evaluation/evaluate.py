"""Score a model on annotated micrographs, one image in memory at a time.

Overlays go to disk while it runs; what stays is one small ``Row`` an image.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import Config
from ..data.pairs import AnnotatedMicrograph, Pair, note_instances, read_annotated
from ..data.preprocess import Status
from ..errors import ConfigError, DataError
from ..io import atomic
from ..segmentation.batch import destinations
from ..segmentation.segmenter import Segmentation, Segmenter
from .calibration import Calibration
from .figures import overlay, save_overlay
from .scores import METRICS, Scores, foreground_scores, pixel_scores
from .statistics import mean_interval

OVERLAYS = "overlays"
SUMMARY = "summary.json"
BEGUN = f".part-{SUMMARY}"
"""Says that the overlays beside it are ours; the summary takes its place."""


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
        seen: Whether the model was trained or chosen with this very file.
        overlay: The JPEG with both outlines.
    """

    name: str
    image: Path
    shape: tuple[int, int]
    pixel_size: float | None
    status: Status
    foreground: Scores
    classes: dict[str, Scores]
    seen: bool
    overlay: Path


@dataclass(frozen=True)
class Evaluation:
    """The scores of a set of images.

    Attributes:
        rows: One for each image, in the order given.
        config: The settings; ``evaluation.resamples`` and ``seed`` fix the intervals.
        calibration: Whether the probabilities can be taken at their word.
    """

    rows: tuple[Row, ...]
    config: Config
    calibration: Calibration

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
        names = self.config.data.classes[1:]
        content: dict[str, Any] = {
            "images": len(self.rows),
            "metrics": self._means(row.foreground for row in self.rows),
        }
        if len(names) > 1:
            content["classes"] = {name: self._means(row.classes[name] for row in self.rows) for name in names}
        return content | {
            "seen_in_training": self.seen,
            "status": dict(Counter(r.status.name.lower() for r in self.rows if r.status != Status.OK)),
            "resamples": self.config.evaluation.resamples,
            "calibration": self.calibration.summary(),
        }

    def _means(self, scores: Iterable[Scores]) -> dict[str, Any]:
        scores, means = list(scores), {}
        for metric in METRICS:
            values = [getattr(s, metric) for s in scores]
            mean, interval = mean_interval(values, self.config.evaluation.resamples, self.config.seed)
            means[metric] = {"mean": _or_null(mean), "ci95": [_or_null(bound) for bound in interval]}
        return means


def evaluate(
    segmenter: Segmenter,
    pairs: Sequence[Pair],
    config: Config,
    out: Path | str,
    *,
    known: Collection[str] = (),
    progress: Callable[[int, int, str], None] | None = None,
) -> Evaluation:
    """Segment and score annotated images, and draw each into ``out/overlays``.

    Args:
        segmenter: What segments them.
        pairs: Images with their masks.
        config: ``data`` says how images and masks are read, ``evaluation`` and ``seed`` how scores are summarised.
        out: The folder for the report; see ``check_out``.
        known: SHA-256 of the files that the model was trained with, as in ``environment.json``.
        progress: Called after each image with how many are done, how many there are, and its name.

    Raises:
        ConfigError: If ``config`` and the model do not have the same classes.
        DataError: If there is no pair, ``out`` holds other things, or the model needs a pixel size that
            an image lacks.
        ImageError: If an image or mask cannot be used.
    """
    if config.data.classes != segmenter.contract.classes:
        raise ConfigError(
            f"data.classes is {', '.join(config.data.classes)}, "
            f"but the model tells apart {', '.join(segmenter.contract.classes)}"
        )
    if not pairs:
        raise DataError("there is no annotated image to score")
    out = Path(out)
    check_out(out)
    note_instances(pairs, config.data)
    targets = destinations([pair.image for pair in pairs], out / OVERLAYS)
    seen, rows, calibration = frozenset(known), [], Calibration(segmenter.contract)
    # as a whole beside the old ones: a failure leaves the report that was there as it was
    with atomic.written(out / OVERLAYS) as part:
        part.mkdir()
        for done, pair in enumerate(pairs, 1):
            annotated = read_annotated(pair, config.data)
            segmenter.check(annotated.micrograph)
            result = segmenter.segment(annotated.micrograph, calibration.takes(annotated.micrograph))
            calibration.add(annotated.mask, result)
            file = targets[pair.image].relative_to(out / OVERLAYS).with_suffix(".jpg")
            save_overlay(overlay(annotated.micrograph.pixels, annotated.mask, result.mask), part / file)
            trained_on = bool(seen) and atomic.sha256(pair.image) in seen
            rows.append(_row(pair, annotated, result, config.data.classes, trained_on, out / OVERLAYS / file))
            if progress:
                progress(done, len(pairs), pair.name)
        (out / BEGUN).touch()
    return Evaluation(tuple(rows), config, calibration)


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


def _row(
    pair: Pair,
    annotated: AnnotatedMicrograph,
    result: Segmentation,
    classes: Sequence[str],
    seen: bool,
    picture: Path,
) -> Row:
    truth, found = annotated.mask, result.mask
    height, width = truth.shape
    return Row(
        name=pair.name,
        image=pair.image,
        shape=(height, width),
        pixel_size=annotated.micrograph.pixel_size,
        status=result.status,
        foreground=foreground_scores(truth, found),
        classes={name: pixel_scores(truth, found, index) for index, name in enumerate(classes) if index},
        seen=seen,
        overlay=picture,
    )


def _is_summary(path: Path) -> bool:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and {"images", "metrics"} <= content.keys()


def _or_null(value: float) -> float | None:
    return None if math.isnan(value) else value
