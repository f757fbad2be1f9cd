"""Masks that any other program made, in a folder, in the place of a segmenter.

A mask goes with the image whose path ends as its own does, the longer the better: ``x.png``, ``images/x.tif`` and
``test/images/x.tif`` all fit ``test/images/x.tif``, the last one best. ``x_masks`` and ``x_cp_masks`` of Cellpose,
which may lie beside the images themselves, count as ``x``, and so does nnU-Net's image ``x_0000``.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path, PurePath

import numpy as np

from ..config import DataConfig
from ..data.pairs import Pair
from ..data.preprocess import EMPTY
from ..errors import DataError, ImageError
from ..io.mask import Mask, read_mask
from ..io.micrograph import SUFFIXES, Micrograph, read_pixels
from .segmenter import Segmentation, examine
from .thresholds import as_it_is

CELLPOSE = re.compile(r"(_cp)?_masks$")

NO_VALUE = 2**40
"""Of no pixel: what another program found is known everywhere."""


class GivenMasks:
    """Gives the mask of each image that lies in a folder; a ``Method``.

    Args:
        folder: Holds the masks, in folders below it or not.
        pairs: The images that will be asked for.
        data: Names the classes; with ``instances`` a mask numbers its objects.

    Raises:
        DataError: If the folder has a mask for none of them, or it is not clear which is meant.
    """

    def __init__(self, folder: Path, pairs: Sequence[Pair], data: DataConfig) -> None:
        self.contract = as_it_is(data)
        self.masks = find_masks(folder, pairs)
        self._folder, self._instances = folder, data.instances

    def check(self, micrograph: Micrograph) -> None:
        """See ``Method.check``: there is nothing that an image must have."""

    def segment(self, micrograph: Micrograph, probabilities: bool = False) -> Segmentation:
        """See ``Method.segment``; there are no probabilities.

        Raises:
            ImageError: If the image has no mask, or one that cannot be used.
        """
        path = self.masks.get(micrograph.source) if micrograph.source else None
        if path is None:
            raise ImageError(f"{self._folder} has no mask for {micrograph.source}")
        status = examine(micrograph, self.contract).status
        mask = self._read(path, micrograph)
        return Segmentation(np.zeros_like(mask) if status in EMPTY else mask, status)

    def _read(self, path: Path, micrograph: Micrograph) -> Mask:
        classes, shape = self.contract.classes, micrograph.pixels.shape
        if not self._instances:
            _check_values(path, len(classes))
        return read_mask(path, classes, NO_VALUE, shape, micrograph.data_bar, instances=self._instances)


def find_masks(folder: Path, pairs: Sequence[Pair]) -> dict[Path, Path]:
    """Return the mask in a folder of each image that has one; see above for which it is.

    Raises:
        DataError: If no image has one, or an image has two, or two images one.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    by_name: dict[str, list[Path]] = {}
    for path in paths:
        by_name.setdefault(_parts(path)[-1], []).append(path)
    found: dict[Path, Path] = {}
    for pair in pairs:
        mask = _best(PurePath(pair.name), by_name.get(_parts(PurePath(pair.name))[-1], []), folder)
        if mask is not None:
            found[pair.image] = mask
    if not found:
        raise DataError(f"{folder} has a mask for none of the {len(pairs)} images: a mask is named as its image is")
    _check_shared(found)
    return found


def _best(image: PurePath, masks: Sequence[Path], folder: Path) -> Path | None:
    if not masks:
        return None
    alike = {mask: _shared(_parts(image), _parts(mask.relative_to(folder))) for mask in masks}
    best = [mask for mask in masks if alike[mask] == max(alike.values())]
    best = [mask for mask in best if CELLPOSE.search(mask.stem)] or best
    if len(best) > 1:
        raise DataError(f"{best[0]} and {best[1]} could both be the mask of {image}: remove one of them")
    return best[0]


def _check_shared(found: Mapping[Path, Path]) -> None:
    images: dict[Path, Path] = {}
    for image, mask in found.items():
        other = images.setdefault(mask, image)
        if other != image:
            raise DataError(f"{mask} could be the mask of {other} and of {image}: put it into a folder named as theirs")


def _check_values(path: Path, classes: int) -> None:
    """Refuse numbered objects, which a few classes could be taken for."""
    pixels, _ = read_pixels(path, indices=True)
    highest = pixels.max()
    if highest >= classes and not (classes == 2 and highest == 255):
        rule = "0 and 1, or 0 and 255" if classes == 2 else f"0 to {classes - 1}"
        hint = "; if it numbers the objects, pass --instances" if classes == 2 else ""
        raise ImageError(f"{path} holds values up to {highest:g}: a mask of {classes} classes holds {rule}{hint}")


def _parts(path: PurePath) -> tuple[str, ...]:
    """Return the folders and the name of what an image or mask is of."""
    stem = path.stem.removesuffix(".ome")
    return (*path.parts[:-1], CELLPOSE.sub("", stem).removesuffix("_0000") or stem)


def _shared(first: Sequence[str], second: Sequence[str]) -> int:
    """Return how many parts both paths end with."""
    backwards = zip(reversed(first), reversed(second), strict=False)
    return sum(1 for _ in takewhile(lambda both: both[0] == both[1], backwards))
