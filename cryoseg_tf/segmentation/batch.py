"""Segment many files: restartable, and one bad file does not stop the rest.

A mask is done when its record (see ``records``) says so, with the SHA-256 of image, model and mask and
the settings, not because a file exists.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import DataConfig
from ..data.layouts import micrographs_in
from ..data.preprocess import Status
from ..errors import DataError
from ..io import atomic
from ..io.micrograph import SUFFIXES, is_montage
from ..io.ome_zarr import SUFFIX as ZARR
from ..io.ome_zarr import is_ome_zarr
from ..io.pyramid import SUFFIX
from ..run import Run
from .records import RECORDS, append_record, is_records, read_records
from .segmenter import Segmenter
from .uncertainty import beside
from .work import Here, Made, Task, Workforce

log = logging.getLogger(__name__)


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


def collect(inputs: Sequence[Path]) -> list[Path]:
    """Return the images that ``inputs`` name: files and OME-Zarr as they are, folders by what lies in them.

    Raises:
        DataError: If an input does not exist or a folder holds no image.
    """
    files: list[Path] = []
    for path in inputs:
        if is_ome_zarr(path):
            files.append(path)
        elif path.is_dir():
            found = sorted([*micrographs_in(path), *filter(is_ome_zarr, path.iterdir())])
            if not found:
                hint = f"; did you mean {path / 'images'}?" if (path / "images").is_dir() else ""
                raise DataError(f"{path} itself holds no image ({', '.join([*sorted(SUFFIXES), ZARR])}){hint}")
            named = {other.resolve() for other in inputs}
            rest = (folder for folder in sorted(path.iterdir()) if folder.resolve() not in named)
            if deeper := next(filter(_holds_images, rest), None):
                log.info("%s is left out, since folders are not searched: name it too, if it is meant", deeper)
            files += found
        elif path.is_file():
            files.append(path)
        else:
            raise DataError(f"{path} does not exist")
    return list(dict.fromkeys(files))


def _holds_images(folder: Path) -> bool:
    return folder.is_dir() and not is_ome_zarr(folder) and not Run(folder).exists and bool(micrographs_in(folder))


def plain_name(image: Path) -> str:
    """Return ``STEM.png``."""
    return f"{image.stem}.png"


def destinations(images: Sequence[Path], out: Path, name_of: Callable[[Path], str] = plain_name) -> dict[Path, Path]:
    """Return a file for each image, named by ``name_of``; below relative folders where names collide.

    Raises:
        DataError: If two images would share a mask, or a mask would replace an input.
    """
    names = {image: Path(name_of(image)) for image in images}
    if len(_unique(names)) < len(names):
        root = Path(os.path.commonpath([image.resolve().parent for image in images]))
        names = {i: i.resolve().relative_to(root).with_name(name.name) for i, name in names.items()}
    if len(_unique(names)) < len(names):
        seen: dict[str, Path] = {}
        for image, name in names.items():
            other = seen.setdefault(str(name).casefold(), image)
            if other != image:
                raise DataError(f"{other} and {image} would both become {out / name}: rename one")
    if any(image.resolve().parent == out.resolve() for image in images):
        raise DataError(f"{out} holds the images: masks would lie among them; choose another --out")
    sources = {image.resolve() for image in images}
    for name in names.values():
        if (out / name).resolve() in sources:
            raise DataError(f"{out / name} is an input and would be replaced by a mask: choose another --out")
    return {image: out / name for image, name in names.items()}


def mask_name(image: Path) -> str:
    """Return ``STEM.png``; for a montage, which hardly any viewer loads as a whole, ``STEM.ome.tif``."""
    return image.stem + SUFFIX if is_montage(image) else plain_name(image)


def claim(images: Sequence[Path], out: Path, overwrite: bool = False, unsure: bool = False) -> dict[Path, Path]:
    """Return ``destinations``, where masks may be written to them: no other file in ``out`` would be changed.

    Args:
        images: Files, as from ``collect``.
        out: The folder for masks, new or not.
        overwrite: Replace files in the place of masks that ``segment_files`` did not write.
        unsure: Whether the uncertainty of each will be written beside it.

    Raises:
        DataError: If a mask would replace another file, or lie in a run or an image.
        OSError: If ``out`` cannot be made or written to.
    """
    if out.suffix.lower() in SUFFIXES and not out.exists():
        raise DataError(f"{out} is named like an image: --out is the folder that masks are put in")
    targets = destinations(images, out, mask_name)
    for folder in (out.resolve(), *out.resolve().parents):
        if is_ome_zarr(folder):
            raise DataError(f"{folder} is an image, of OME-Zarr: choose another --out for masks")
        if Run(folder).exists:
            raise DataError(f"{folder} is a run, which fit may empty: choose another --out for masks")
    atomic.check_writable(out)
    if not is_records(out / RECORDS):
        raise DataError(f"{out / RECORDS} exists and is not a record of masks: choose another --out")
    records = read_records(out / RECORDS)
    new = [target for target in targets.values() if target.relative_to(out).as_posix() not in records]
    for place in [*new, *(beside(target) for target in new if unsure)]:
        if place.exists() and not overwrite:
            raise DataError(f"{place} exists and is not a mask from here: choose another --out, or --overwrite")
    return targets


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


def _unique(names: dict[Path, Path]) -> set[str]:
    # Windows and macOS do not tell A.png from a.png
    return {str(name).casefold() for name in names.values()}
