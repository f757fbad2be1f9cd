"""Segment many files: restartable, and one bad file does not stop the rest.

Beside the masks lies ``records.jsonl``, one line for each mask: the SHA-256 of image, model and
mask, and the settings. A mask is done when its record says so, not because a file exists. The
record is written before the mask appears, so no mask of ours is ever without one.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..config import DataConfig
from ..data.layouts import micrographs_in
from ..data.preprocess import Status
from ..errors import CryoSegError, DataError
from ..io import atomic
from ..io.mask import Mask, write_mask
from ..io.micrograph import SUFFIXES, read_micrograph
from ..run import Run
from .segmenter import Segmentation, Segmenter
from .uncertainty import beside, uncertainty, write_uncertainty

RECORDS = "records.jsonl"

HEAD = '{"name": "'
"""So begins each record."""


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
    """Return the image files that ``inputs`` name: files as they are, folders by what lies in them.

    Raises:
        DataError: If an input does not exist or a folder holds no image.
    """
    files: list[Path] = []
    for path in inputs:
        if path.is_dir():
            found = micrographs_in(path)
            if not found:
                hint = f"; did you mean {path / 'images'}?" if (path / "images").is_dir() else ""
                raise DataError(f"{path} holds no image ({', '.join(sorted(SUFFIXES))}){hint}")
            files += found
        elif path.is_file():
            files.append(path)
        else:
            raise DataError(f"{path} does not exist")
    return list(dict.fromkeys(files))


def destinations(images: Sequence[Path], out: Path) -> dict[Path, Path]:
    """Return the mask file for each image: ``STEM.png``, below relative folders where stems collide.

    Raises:
        DataError: If two images would share a mask, or a mask would replace an input.
    """
    names = {image: Path(f"{image.stem}.png") for image in images}
    if len(_unique(names)) < len(names):
        root = Path(os.path.commonpath([image.resolve().parent for image in images]))
        names = {i: i.resolve().relative_to(root).with_suffix(".png") for i in images}
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


def claim(images: Sequence[Path], out: Path, overwrite: bool = False, unsure: bool = False) -> dict[Path, Path]:
    """Return ``destinations``, where masks may be written to them: no other file in ``out`` would be changed.

    Args:
        images: Files, as from ``collect``.
        out: The folder for masks, new or not.
        overwrite: Replace files in the place of masks that ``segment_files`` did not write.
        unsure: Whether the uncertainty of each will be written beside it.

    Raises:
        DataError: If a mask would replace another file, or lie in a run.
        OSError: If ``out`` cannot be made or written to.
    """
    targets = destinations(images, out)
    if inside := next((folder for folder in (out.resolve(), *out.resolve().parents) if Run(folder).exists), None):
        raise DataError(f"{inside} is a run, which fit may empty: choose another --out for masks")
    atomic.check_writable(out)
    if not _is_records(out / RECORDS):
        raise DataError(f"{out / RECORDS} exists and is not a record of masks: choose another --out")
    records = _read_records(out / RECORDS)
    new = [target for target in targets.values() if target.relative_to(out).as_posix() not in records]
    for place in [*new, *(beside(target) for target in new if unsure)]:
        if place.exists() and not overwrite:
            raise DataError(f"{place} exists and is not a mask from here: choose another --out, or --overwrite")
    return targets


def segment_files(
    segmenter: Segmenter,
    images: Sequence[Path],
    out: Path,
    *,
    model: str,
    data: DataConfig | None = None,
    overwrite: bool = False,
    unsure: bool = False,
) -> Iterator[Outcome]:
    """Segment image files into ``out``, skipping what is done; yields one outcome an image, in order.

    Args:
        segmenter: What segments them.
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
    data = data or DataConfig()
    reading = {"pixel_size": data.image_pixel_size, "data_bar": data.data_bar}
    settings = {"model": model, "contract": segmenter.contract.model_dump(mode="json"), **reading}
    if unsure:
        settings["uncertainty"] = True
    return _segment_each(segmenter, targets, out, _read_records(out / RECORDS), settings)


def _segment_each(
    segmenter: Segmenter, targets: dict[Path, Path], out: Path, records: dict[str, Any], settings: dict[str, Any]
) -> Iterator[Outcome]:
    for image, target in targets.items():
        name = target.relative_to(out).as_posix()
        try:
            key = {"image": atomic.sha256(image), **settings}
            record = records.get(name)
            if record and record["key"] == key and _is_whole(target, record["mask"], "uncertainty" in settings):
                status, foreground = Status(record["status"]), record["foreground"]
                yield Outcome(image, target, status, foreground, skipped=True)
                continue
            micrograph = read_micrograph(image, pixel_size=settings["pixel_size"], data_bar=settings["data_bar"])
            segmenter.check(micrograph)
            result = segmenter.segment(micrograph, probabilities="uncertainty" in settings)
            foreground = float((result.mask > 0).mean())
            found = {"status": int(result.status), "foreground": foreground}
            _write_uncertainty(target, result, micrograph.data_bar)
            mask = _with_bar(result.mask, micrograph.data_bar)
            _write(target, mask, out / RECORDS, {"name": name, "key": key, **found})
            yield Outcome(image, target, result.status, foreground)
        except CryoSegError as error:
            yield Outcome(image, error=str(error))
        except OSError as error:  # a disk that is full
            yield Outcome(image, error=atomic.explain(error))
        except MemoryError:
            yield Outcome(image, error=f"{image} needs more memory than there is")


def _is_whole(target: Path, sha256: str, unsure: bool) -> bool:
    there = target.is_file() and (not unsure or beside(target).is_file())
    return there and atomic.sha256(target) == sha256


def _with_bar(values: npt.NDArray[Any], bar: int) -> npt.NDArray[Any]:
    """Return values at the file's own size, so that they lie on the image in any viewer; a bar shows no cell."""
    return np.pad(values, ((0, bar), (0, 0))) if bar else values  # no second one of a montage


def _write_uncertainty(target: Path, result: Segmentation, bar: int) -> None:
    if result.probabilities is not None:
        with atomic.written(beside(target)) as part:
            write_uncertainty(part, _with_bar(uncertainty(result.probabilities), bar))


def _write(target: Path, mask: Mask, records: Path, record: dict[str, Any]) -> None:
    with atomic.written(target) as part:
        write_mask(part, mask)
        record["mask"] = atomic.sha256(part)
        _end_line(records)
        with records.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _is_records(path: Path) -> bool:
    """Say whether a file is ours to append to: there is none, or it begins as ours do, even if a kill cut it."""
    if not path.is_file():
        return not path.exists()
    with path.open("rb") as file:
        return HEAD.encode().startswith(file.readline(len(HEAD)).rstrip(b"\n"))


def _read_records(path: Path) -> dict[str, Any]:
    records = {}
    for line in path.read_text("utf-8", "replace").splitlines() if path.is_file() else []:
        try:
            record = json.loads(line)
            records[record["name"]] = {name: record[name] for name in ("key", "mask", "status", "foreground")}
        except (ValueError, KeyError, TypeError):
            continue  # empty, or cut by a kill: that mask is made again
    return records


def _end_line(path: Path) -> None:
    """End a last line that a kill or a full disk cut short, so that the next record stands on its own."""
    if not path.is_file() or path.stat().st_size == 0:
        return
    with path.open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        if file.read() != b"\n":
            file.write(b"\n")


def _unique(names: dict[Path, Path]) -> set[str]:
    # Windows and macOS do not tell A.png from a.png
    return {str(name).casefold() for name in names.values()}
