"""Which files are to be segmented, and where their masks go: none over another, an input, or what is not ours."""

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from ..data.layouts import is_laid_out, micrographs_in
from ..errors import DataError
from ..io import atomic
from ..io.micrograph import SUFFIXES, is_montage
from ..io.ome_zarr import SUFFIX as ZARR
from ..io.ome_zarr import is_ome_zarr
from ..io.pyramid import SUFFIX
from ..run import Run
from .records import RECORDS, is_records, read_records
from .uncertainty import beside

log = logging.getLogger(__name__)


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
                places = [path / place for place in ("images", "test", "test/images", "train", "train/images")]
                likely = [str(place) for place in places if _holds_images(place)]
                hint = f"; did you mean {' or '.join(likely)}?" if likely else ""
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
    return image.stem.removesuffix(".ome") + SUFFIX if is_montage(image) else plain_name(image)


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
    if out.resolve().name == "images" and is_laid_out(out.resolve().parent) and micrographs_in(out):
        raise DataError(f"{out} holds the images of annotated data: choose another --out for masks")
    atomic.check_writable(out)
    if not is_records(out / RECORDS):
        raise DataError(f"{out / RECORDS} exists and is not a record of masks: choose another --out")
    records = read_records(out / RECORDS)
    new = [target for target in targets.values() if target.relative_to(out).as_posix() not in records]
    for place in [*new, *(beside(target) for target in new if unsure)]:
        if place.exists() and not overwrite:
            raise DataError(f"{place} exists and is not a mask from here: choose another --out, or --overwrite")
    return targets


def _holds_images(folder: Path) -> bool:
    return folder.is_dir() and not is_ome_zarr(folder) and not Run(folder).exists and bool(micrographs_in(folder))


def _unique(names: dict[Path, Path]) -> set[str]:
    # Windows and macOS do not tell A.png from a.png
    return {str(name).casefold() for name in names.values()}
