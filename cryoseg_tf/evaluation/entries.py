"""Those that are compared, and what each of them scored; what was done before is not done again."""

import hashlib
import json
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from .. import __version__
from ..config import Branch, Config
from ..data.pairs import Pair
from ..errors import CryoSegError
from ..io import atomic
from ..segmentation.method import Loaded, Watch
from .evaluate import BEGUN, SUMMARY, Evaluation, evaluate
from .scores import or_null
from .scoring import Row
from .tables import objects_csv, scores_csv

log = logging.getLogger(__name__)

RECORD = "entry.json"

Kind = Literal["run", "bundle", "masks", "method"]


@dataclass(frozen=True)
class Entry:
    """One of those that are compared.

    Attributes:
        name: Short, and unlike any other; see ``check_names``.
        kind: What it is.
        source: Where it is, or how it is written.
        identity: Tells its masks from those of any other.
        load: Makes it ready.
        known: SHA-256 of the files that it was trained with.
    """

    name: str
    kind: Kind
    source: str
    identity: str
    load: Callable[[], Loaded]
    known: Collection[str] = ()


class ImageScores(Branch):
    """An image as ``entry.json`` has it.

    Attributes:
        values: Scores by name; null where there is none.
        status: See ``Status``.
        seen: Whether the entry was trained with this very file.
        overlay: The picture with both outlines, below the entry's folder.
    """

    values: dict[str, float | None]
    status: int
    seen: bool
    overlay: str


class Scored(Branch):
    """The content of ``entry.json``.

    Attributes:
        key: Says for which entry, images and settings it holds.
        about: What was stated, learned or assumed for the entry.
        images: By name, those that could be scored.
        failed: What is wrong with each of the others.
    """

    key: str
    about: str
    images: dict[str, ImageScores]
    failed: dict[str, str]


class Scoring:
    """Scores entries one by one into ``out/NAME``, but none twice; see ``compare`` for what it is told."""

    def __init__(
        self, pairs: Sequence[Pair], config: Config, groups: Sequence[str] | None, out: Path, watch: Watch
    ) -> None:
        self._pairs, self._config, self._groups = pairs, config, groups
        self._out, self._watch = out, watch
        files = [(pair.name, atomic.sha256(pair.image), atomic.sha256(pair.mask)) for pair in pairs]
        settings = config.model_dump(mode="json", include={"data", "evaluation", "seed"})
        self._same = [__version__, files, list(groups or []), settings]

    def scored(self, entry: Entry, place: str) -> Scored:
        """Return what is known of an entry, or find it."""
        folder = self._out / entry.name
        key = hashlib.sha256(json.dumps([entry.identity, sorted(entry.known), *self._same]).encode()).hexdigest()
        before = _read(folder)
        if before and before.key == key:
            log.info("%s (%s) was scored before", entry.name, place)
            return before
        try:
            loaded = entry.load()
            evaluation = self._evaluated(entry, loaded, place)
        except CryoSegError as error:
            raise type(error)(f"{entry.name}: {error}") from None
        images = {row.name: _image(row, folder) for row in evaluation.rows}
        scored = Scored(key=key, about=loaded.about, images=images, failed=dict(evaluation.failed))
        atomic.write_texts(
            {
                folder / SUMMARY: atomic.json_text(evaluation.summary()),
                folder / "scores.csv": scores_csv(evaluation),
                folder / "objects.csv": objects_csv(evaluation),
                folder / RECORD: atomic.json_text(scored.model_dump(mode="json")),
            }
        )
        (folder / BEGUN).unlink(missing_ok=True)
        return scored

    def _evaluated(self, entry: Entry, loaded: Loaded, place: str) -> Evaluation:
        with self._watch(len(self._pairs), f"{entry.name} ({place})") as progress:
            return evaluate(
                loaded.method,
                self._pairs,
                self._config,
                self._out / entry.name,
                known=entry.known,
                groups=self._groups,
                progress=progress,
            )


def _image(row: Row, folder: Path) -> ImageScores:
    values = row.metrics()
    if len(row.classes) > 1:
        values |= {f"{metric}_{name}": value for name in row.classes for metric, value in row.metrics(name).items()}
    return ImageScores(
        values={metric: or_null(value) for metric, value in values.items()},
        status=int(row.status),
        seen=row.seen,
        overlay=row.overlay.relative_to(folder).as_posix(),
    )


def _read(folder: Path) -> Scored | None:
    """Return what is known of an entry; None where nothing is, or pictures are gone."""
    try:
        scored = Scored.model_validate_json((folder / RECORD).read_bytes())
    except (OSError, ValidationError):
        return None
    return scored if all((folder / image.overlay).is_file() for image in scored.images.values()) else None
