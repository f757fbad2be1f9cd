"""Find annotated images on disk: each image with its mask."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..config import DataConfig
from ..errors import DataError, ImageError
from ..io.mask import Mask, read_mask
from ..io.micrograph import SUFFIXES, Micrograph, read_micrograph


@dataclass(frozen=True, order=True)
class Pair:
    """An image file and its mask file; ``name`` is the image's path below the data folder."""

    name: str
    image: Path
    mask: Path


@dataclass(frozen=True)
class AnnotatedMicrograph:
    """A micrograph with its mask: ``(height, width)`` uint8 class indices, ``IGNORE`` = not annotated."""

    micrograph: Micrograph
    mask: Mask


def find_pairs(folder: Path | str, part: str | None = None) -> list[Pair]:
    """Return the pairs in ``folder``, by name: ``images/x.tif`` with ``masks/x.png``.

    Args:
        folder: Holds ``images/`` and ``masks/``, or ``train/`` and ``test/`` that do.
        part: "train" or "test": that subfolder where it exists, else all of ``folder``.

    Raises:
        DataError: If there are no pairs, or an image or mask has no partner or two.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DataError(f"{root} is not a folder")
    parts = [root / name for name in ("train", "test") if (root / name / "images").is_dir()]
    if part and root / part in parts:
        parts = [root / part]
    elif not parts or (root / "images").is_dir():
        parts = [root]
    elif part == "train":
        raise DataError(f"{root} has test/ but no train/: images to test on are not for training")
    pairs = [pair for place in parts for pair in _pairs_in(place, root)]
    if not pairs:
        raise DataError(f"{root / 'images'} holds no image ({', '.join(sorted(SUFFIXES))})")
    return sorted(pairs)


def image_files(folder: Path) -> list[Path]:
    """Return the image files directly in a folder, by name."""
    return sorted(
        p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file() and not p.name.startswith(".")
    )


def read_annotated(pair: Pair, config: DataConfig) -> AnnotatedMicrograph:
    """Read an image and its mask, both without the image's data bar.

    Raises:
        ImageError: If either cannot be used, or the image holds NaN or infinity.
    """
    micrograph = read_micrograph(pair.image, pixel_size=config.image_pixel_size, data_bar=config.data_bar)
    mask = read_mask(pair.mask, config.classes, config.ignore, micrograph.pixels.shape, micrograph.data_bar)
    bad = 0 if micrograph.pixels.dtype.kind in "bui" else int((~np.isfinite(micrograph.pixels)).sum())
    if bad:
        raise ImageError(f"{pair.image} holds {bad} pixels that are NaN or infinite: mend or remove the image")
    return AnnotatedMicrograph(micrograph, mask)


def _pairs_in(place: Path, root: Path) -> list[Pair]:
    for name in ("images", "masks"):
        if not (place / name).is_dir():
            raise DataError(f"{place} has no folder {name}/: annotated images are images/x.tif with masks/x.png")
    images, masks = _by_stem(place / "images"), _by_stem(place / "masks")
    for here, there, kind in ((images, masks, "mask"), (masks, images, "image")):
        alone = [str(here[stem]) for stem in sorted(here.keys() - there.keys())]
        if alone:
            more = f" (and {len(alone) - 3} more)" if len(alone) > 3 else ""
            raise DataError(f"no {kind} for {', '.join(alone[:3])}{more}: partners share the name before the suffix")
    return [Pair(images[s].relative_to(root).as_posix(), images[s], masks[s]) for s in images]


def _by_stem(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in image_files(folder):
        if path.stem in found:
            raise DataError(f"{found[path.stem]} and {path} share a name: which of them is meant?")
        found[path.stem] = path
    return found
