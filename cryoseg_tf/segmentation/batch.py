"""Segment many files: restartable, and one bad file does not stop the rest.

A mask is done when its record (see ``records``) says so, with the SHA-256 of image, model and mask and
the settings, not because a file exists.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import DataConfig
from ..data.preprocess import Status
from ..io import atomic
from .files import claim
from .records import RECORDS, append_record, read_records
from .segmenter import Segmenter
from .uncertainty import beside
from .work import Here, Made, Task, Workforce


@dataclass(frozen=True)
class Outcome:
    """What became of one image.

    Attributes:
        image: The input file.
        mask: The mask file, or None if there was an error.
        status: What was found about the image; None if it could not be read.
        foreground: The share of foreground pixels.
        skipped: Whether it was done before.
        error: Why there is no mask, or empty.
    """

    image: Path
    mask: Path | None = None
    status: Status | None = None
    foreground: float = 0.0
    skipped: bool = False
    error: str = ""


def segment_files(
    workforce: Workforce | Segmenter,
    images: Sequence[Path],
    out: Path,
    *,
    model: str,
    data: DataConfig | None = None,
    overwrite: bool = False,
    unsure: bool = False,
) -> Iterator[Outcome]:
    """Segment image files into ``out``, skipping what is done; yields one outcome an image.

    Args:
        workforce: What segments them; a segmenter does it here, in order.
        images: Files, as from ``collect``.
        out: The folder for masks.
        model: The model's SHA-256, for the records.
        data: Its ``image_pixel_size`` and ``data_bar`` are for images whose file does not say.
        overwrite: See ``claim``.
        unsure: Write the uncertainty of each pixel beside the mask, ``STEM.uncertainty.tif``; see ``uncertainty``.

    Raises:
        DataError, OSError: Before any work, as ``claim``.
    """
    targets = claim(images, out, overwrite, unsure)
    workforce = Here(workforce) if isinstance(workforce, Segmenter) else workforce
    data = data or DataConfig()
    reading = {"pixel_size": data.image_pixel_size, "data_bar": data.data_bar}
    settings = {"model": model, "contract": workforce.contract.model_dump(mode="json"), **reading}
    if unsure:
        settings["uncertainty"] = True
    return MaskFolder(out, targets, settings).filled_by(workforce)


class MaskFolder:
    """The folder for masks, while it is filled."""

    def __init__(self, out: Path, targets: dict[Path, Path], settings: dict[str, Any]) -> None:
        self.path, self.targets, self.settings = out / RECORDS, targets, settings
        self.names = {image: target.relative_to(out).as_posix() for image, target in targets.items()}
        self.records = read_records(self.path)

    def filled_by(self, workforce: Workforce) -> Iterator[Outcome]:
        """Have the images segmented, and write what comes of them."""
        for task, made in workforce.map(map(self._task, self.targets)):
            yield self._finished(task, made)

    def _task(self, image: Path) -> Task:
        unsure = "uncertainty" in self.settings
        return Task(
            image,
            self.settings["pixel_size"],
            self.settings["data_bar"],
            unsure,
            self._known(image, unsure),
            atomic.beside(self.targets[image]).with_suffix(".d").absolute(),
            self.settings,
        )

    def _known(self, image: Path, unsure: bool) -> str:
        """Return the SHA-256 of the image that the mask there was made of, with these settings; or empty."""
        record = self.records.get(self.names[image])
        if record is None or record["key"] != {"image": record["image"], **self.settings}:
            return ""
        return str(record["image"]) if _is_whole(self.targets[image], record["mask"], unsure) else ""

    def _finished(self, task: Task, made: Made) -> Outcome:
        image, target = task.image, self.targets[task.image]
        if made.error:
            return Outcome(image, error=made.error)
        if made.sha256 == task.known:
            record = self.records[self.names[image]]
            return Outcome(image, target, Status(record["status"]), record["foreground"], skipped=True)
        try:
            self.write(task, made)
        except OSError as error:  # a disk that is full
            return Outcome(image, error=atomic.explain(error))
        return Outcome(image, target, made.status, made.foreground)

    def write(self, task: Task, made: Made) -> None:
        """Write what was made of an image, its record first."""
        target = self.targets[task.image]
        if made.uncertainty:
            with atomic.written(beside(target)) as part:
                part.write_bytes(made.uncertainty)
        found = {"status": int(made.status), "foreground": made.foreground}
        key = {"image": made.sha256, **self.settings}
        with atomic.written(target) as part:
            part.write_bytes(made.mask)
            record = {"name": self.names[task.image], "key": key, **found, "mask": atomic.sha256(part)}
            append_record(self.path, record)
        atomic.remove(task.scratch)


def _is_whole(target: Path, sha256: str, unsure: bool) -> bool:
    there = target.is_file() and (not unsure or beside(target).is_file())
    return there and atomic.sha256(target) == sha256
