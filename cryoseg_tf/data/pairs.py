"""Find annotated images on disk: each image with its mask."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..config import DataConfig
from ..errors import DataError, ImageError
from ..io.mask import Mask, read_mask
from ..io.micrograph import SUFFIXES, Micrograph, read_micrograph
from .layouts import Files, find_layout, is_laid_out

log = logging.getLogger(__name__)


@dataclass(frozen=True, order=True)
class Area:
    """A strip across an image, from edge to edge of its other side.

    Attributes:
        axis: The side that is cut: 0 for rows, 1 for columns.
        start: Where the strip begins, as a share of that side without data bar.
        stop: Where it ends.
    """

    axis: int
    start: float
    stop: float

    def window(self, shape: tuple[int, int]) -> tuple[slice, slice]:
        """Return the rows and columns of an image of ``(height, width)``; strips that share a cut meet there."""
        ends = slice(*(round(share * shape[self.axis]) for share in (self.start, self.stop)))
        return (ends, slice(None)) if self.axis == 0 else (slice(None), ends)


@dataclass(frozen=True, order=True)
class Pair:
    """An image file and its mask file.

    Attributes:
        name: The image's path below the data folder.
        image: The file.
        mask: The file with its mask, or with LabelMe's shapes.
        instances: Whether the mask numbers the objects, as Cellpose's do.
        part: What of both is read, or None for all; pairs of one name may differ in it alone.
    """

    name: str
    image: Path
    mask: Path
    instances: bool = False
    part: Area | None = None


@dataclass(frozen=True)
class AnnotatedMicrograph:
    """A micrograph with its mask: ``(height, width)`` uint8 class indices, ``IGNORE`` = not annotated."""

    micrograph: Micrograph
    mask: Mask


def find_pairs(folder: Path | str, part: str | None = None) -> list[Pair]:
    """Return the pairs in ``folder``, by name; see ``layouts`` for how they may lie there.

    Args:
        folder: Holds annotated images, or ``train/`` and ``test/`` that do.
        part: "train" or "test": that subfolder (or nnU-Net's) where it exists, else all of ``folder``.

    Raises:
        DataError: If there are no pairs, no layout or two fit, or an image or mask has no partner or two.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DataError(f"{root} is not a folder")
    if part not in (None, "train", "test"):
        raise DataError(f"part is {part!r}: it must be 'train', 'test' or None")
    parts = [root / name for name in ("train", "test") if is_laid_out(root / name)]
    if part and root / part in parts:
        parts = [root / part]
    elif not parts or is_laid_out(root):
        parts = [root]
    elif part == "train":
        raise DataError(f"{root} has test/ but no train/: images to test on are not for training")
    return sorted(pair for place in parts for pair in _pairs_in(place, part, root))


def note_instances(pairs: Sequence[Pair], config: DataConfig) -> None:
    """Say once, for a whole data set, that masks are taken for instance labels."""
    if any(_numbered(pair, config) for pair in pairs):
        log.info("masks hold instances: any label above 0 is %s", config.classes[1])


def read_annotated(pair: Pair, config: DataConfig) -> AnnotatedMicrograph:
    """Read an image and its mask, both without the image's data bar, and only the pair's part of them.

    What the file says of itself, as where on the stage it was taken, stays that of the whole image.

    Raises:
        ImageError: If either cannot be used, or the image holds NaN or infinity.
    """
    micrograph = read_micrograph(pair.image, pixel_size=config.image_pixel_size, data_bar=config.data_bar)
    shape, instances = micrograph.pixels.shape, _numbered(pair, config)
    mask = read_mask(pair.mask, config.classes, config.ignore, shape, micrograph.data_bar, instances=instances)
    bad = 0 if micrograph.pixels.dtype.kind in "bui" else int((~np.isfinite(micrograph.pixels)).sum())
    if bad:
        raise ImageError(f"{pair.image} holds {bad} pixels that are NaN or infinite: mend or remove the image")
    if pair.part is None:
        return AnnotatedMicrograph(micrograph, mask)
    window = pair.part.window(mask.shape)
    # copies: a view would keep the whole image in memory
    return AnnotatedMicrograph(replace(micrograph, pixels=micrograph.pixels[window].copy()), mask[window].copy())


def _numbered(pair: Pair, config: DataConfig) -> bool:
    return pair.mask.suffix.lower() != ".json" and (pair.instances or config.instances)


def _pairs_in(place: Path, part: str | None, root: Path) -> list[Pair]:
    layout, pairs = find_layout(place), []
    for images, masks in layout.files(place, part):
        _check_partners(images, masks, layout.partners)
        pairs += [Pair(images[s].relative_to(root).as_posix(), images[s], masks[s], layout.instances) for s in images]
    if not pairs:
        raise DataError(f"{place} is laid out as {layout.name} but holds no image ({', '.join(sorted(SUFFIXES))})")
    return pairs


def _check_partners(images: Files, masks: Files, rule: str) -> None:
    for here, there, kind in ((images, masks, "mask"), (masks, images, "image")):
        alone = [str(here[name]) for name in sorted(here.keys() - there.keys())]
        if alone:
            more = f" (and {len(alone) - 3} more)" if len(alone) > 3 else ""
            raise DataError(f"no {kind} for {', '.join(alone[:3])}{more}: {rule}")
