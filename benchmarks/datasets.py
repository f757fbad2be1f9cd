"""The data sets of the quality benchmark, each as a folder to train on and to test on.

::

    NAME/classes.txt                background first
    NAME/train/images, train/masks
    NAME/test/images, test/masks

The real sets are not part of this repository; their folder has a README with sources and licences.
Where a set is a single image, the image is cut in two.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from cryoseg_tf import Config, PhantomOptions, find_pairs, with_labels, write_phantom
from cryoseg_tf.data.pairs import Pair, read_annotated
from cryoseg_tf.io.mask import write_mask

CELL = ("background", "cell")
PLATELET = (*CELL, "mitochondrion", "alpha granule", "canalicular vessel", "dense body", "dense core")

YEAST_TEST = ("evolve_testA", "evolve_testD", "evolve_testE", "evolve_testF_tp3", "evolve_testF_tp4", "prime95b_testA")
"""Three scenes with cells and three images without; what was taken of one scene at several times stays together."""

CUTS = (0.6, 0.55, 0.5, 0.45, 0.4)
"""Shares of an image to train on; the first that leaves each part ``LEAST`` of each class's pixels is taken."""

LEAST = 0.1


@dataclass(frozen=True)
class Set:
    """A real set: its folder's name, its classes, and how to tell what to train on from what to test on."""

    folder: str
    classes: tuple[str, ...]
    write: Callable[[list[Pair], Path], None]


def prepare(name: str, data: Path, out: Path) -> Path | None:
    """Write a set below ``out`` and return its folder; None where ``data`` does not hold it."""
    folder = out / name
    if name == "phantom":
        write_phantom(folder, images=24, test=8, options=PhantomOptions(256, 200, ("cell",)))
        name_classes(folder, CELL)
        return folder
    found = SETS[name]
    if not (data / found.folder).is_dir():
        return None
    for part in ("train", "test"):
        for kind in ("images", "masks"):
            (folder / part / kind).mkdir(parents=True)
    name_classes(folder, found.classes)
    found.write(find_pairs(data / found.folder), folder)
    return folder


def name_classes(folder: Path, classes: Iterable[str]) -> None:
    (folder / "classes.txt").write_text("\n".join(classes) + "\n", "utf-8")


def annotated(folder: Path, part: str) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield the name, pixels and mask of each image of ``part``, by name."""
    config = with_labels(Config(), folder, part)
    for pair in find_pairs(folder, part):
        content = read_annotated(pair, config.data)
        yield pair.name, content.micrograph.pixels, content.mask


def classes_of(folder: Path) -> tuple[str, ...]:
    return with_labels(Config(), folder).data.classes


def _nuclei(count: int) -> Callable[[list[Pair], Path], None]:
    def write(pairs: list[Pair], folder: Path) -> None:
        _copy(pairs[-24:], folder / "test")
        chosen = np.random.default_rng(0).permutation(len(pairs) - 24)[:count]
        _copy([pairs[i] for i in chosen], folder / "train")

    return write


def _yeast(pairs: list[Pair], folder: Path) -> None:
    _copy([p for p in pairs if p.image.stem in YEAST_TEST], folder / "test")
    _copy([p for p in pairs if p.image.stem not in YEAST_TEST], folder / "train")


def _one_each(pairs: list[Pair], folder: Path) -> None:
    first, second = pairs
    _copy([first], folder / "train")
    _copy([second], folder / "test")


def _copy(pairs: Iterable[Pair], place: Path) -> None:
    for pair in pairs:
        shutil.copyfile(pair.image, place / "images" / pair.image.name)
        shutil.copyfile(pair.mask, place / "masks" / pair.mask.name)


def _cut(pairs: list[Pair], folder: Path) -> None:
    """Write the left (or upper) part of the only image to train on, and the rest to test on."""
    (pair,) = pairs
    content = read_annotated(pair, with_labels(Config(), folder).data)
    pixels, mask = content.micrograph.pixels, content.mask
    axis, at = _where(mask)
    for part, image, truth in zip(
        ("train", "test"), np.split(pixels, [at], axis), np.split(mask, [at], axis), strict=True
    ):
        tifffile.imwrite(folder / part / "images" / f"{pair.image.stem}.tif", np.ascontiguousarray(image))
        write_mask(folder / part / "masks" / f"{pair.image.stem}.png", np.ascontiguousarray(truth))


def _where(mask: np.ndarray) -> tuple[int, int]:
    """Return the axis and the index to cut at: along the longer side if each part then shows every class."""
    whole = np.bincount(mask.ravel())
    longer = int(np.argmax(mask.shape))
    for axis in (longer, 1 - longer):
        for at in (round(share * mask.shape[axis]) for share in CUTS):
            first = np.bincount(np.take(mask, range(at), axis).ravel(), minlength=len(whole))
            if (np.minimum(first, whole - first) >= LEAST * whole).all():
                return axis, at
    return longer, round(CUTS[0] * mask.shape[longer])


SETS = {
    "dsb2018": Set("dsb2018_nuclei_gray120", ("background", "nucleus"), _nuclei(30)),
    "dsb2018_all": Set("dsb2018_nuclei_gray120", ("background", "nucleus"), _nuclei(96)),
    "yeast_bf_baby": Set("yeast_bf_baby", CELL, _yeast),
    "yeast_phase_ep": Set("yeast_phase_ep", CELL, _one_each),
    "platelet_em": Set("platelet_em", PLATELET, _one_each),
    "cryosem_okapi_charge": Set("cryosem_okapi_charge", (*CELL, "charging centre"), _cut),
    "fibsem_liftout": Set("fibsem_liftout", ("background", "needle", "lamella"), _cut),
}
