"""Score a model on annotated micrographs, one image in memory at a time.

Overlays go to disk while it runs; what stays is one small ``Row`` an image.
"""

import functools
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy.typing as npt

from ..config import Config
from ..data.pairs import Pair, note_instances
from ..errors import ConfigError, DataError, ImageError
from ..io import atomic
from ..segmentation.files import destinations
from ..segmentation.method import Method
from .calibration import Calibration
from .objects import Point
from .scoring import Row, Scoring
from .summary import summarise

OVERLAYS = "overlays"
SUMMARY = "summary.json"
BEGUN = ".part-report"
"""Says that the overlays beside it are ours, until the summary does."""


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
    scoring = Scoring(segmenter, config, frozenset(known), kinds or {})
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
