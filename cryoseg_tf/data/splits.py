"""Divide annotated images into those to learn from and those to choose the best epoch by.

With ``data.split`` "images" whole images are held back. With "area" it is a strip of each image
along that edge, of the four, where it shows best what the image holds; wider where there is little to see::

    |------------ train ------------|-- validation --|      or      |-- validation --|-- train ...
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..config import IGNORE, DataConfig
from ..errors import DataError
from ..io.mask import Mask
from .groups import Groups
from .pairs import Area, Pair, read_annotated

log = logging.getLogger(__name__)

WIDER = (1.25, 1.5, 2.0, 2.5)
"""A strip may be so many times wider than asked for, up to half of the image."""


@dataclass(frozen=True)
class Split:
    """Pairs to train on and pairs to validate on; no pixel is in both.

    Attributes:
        train: To learn from.
        validation: To choose the best epoch by; a name may also be in ``train``, with another part.
        groups: The group of each image by its name, or None where they are unknown.
    """

    train: tuple[Pair, ...]
    validation: tuple[Pair, ...]
    groups: Mapping[str, str] | None = None

    @property
    def summary(self) -> str:
        """How many images there are and how many of them validate, for people."""
        train, validation = ({pair.name for pair in pairs} for pairs in (self.train, self.validation))
        held = "a part of each" if train == validation else f"{len(validation - train)} of them"
        return f"{len(train | validation)} annotated images, {held} held back to validate on"

    def facts(self) -> dict[str, Any]:
        """Return the names, groups and validation areas (or None) as plain values, for JSON."""
        areas = {p.name: vars(p.part) for p in self.validation if p.part}
        return {
            "train": [p.name for p in self.train],
            "validation": [p.name for p in self.validation],
            "groups": self.groups,
            "areas": areas or None,
        }


def split(pairs: Sequence[Pair], config: DataConfig, seed: int = 0, groups: Groups | None = None) -> Split:
    """Hold about ``config.validation`` of the images, or of each image's area, back for validation.

    With ``config.split`` "images" at least one image is drawn. Whole groups are drawn, so that the
    share comes as near as they allow. Groups that were found (not stated), and put all images
    together, are not kept: there would be nothing to validate on.

    With "area" every image is divided, whatever its group. Masks are read to choose the edge.

    Raises:
        DataError: If there are no pairs, or for "images" fewer than two, or all are of one stated
            group; for "area" if an image is too short to divide, or would be brought to ``config.shape``.
        ImageError: If an image or mask cannot be read, for "area".
    """
    if config.split == "area":
        train, validation = _by_area(pairs, config, seed)
    else:
        train, validation = _by_image(pairs, config, seed, groups)
    return Split(train, validation, {p.name: groups.of[p.name] for p in pairs} if groups and groups.known else None)


def _by_image(
    pairs: Sequence[Pair], config: DataConfig, seed: int, groups: Groups | None
) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    if len(pairs) < 2:
        raise DataError(
            f"training needs at least 2 annotated images, one of them for validation: found {len(pairs)}; annotate "
            "another, or pass --set data.split=area to hold back a strip of each image instead"
        )
    members = members_of(pairs, groups)
    wanted = min(max(1, round(len(pairs) * config.validation)), len(pairs) - 1)
    order = np.random.default_rng(seed).permutation(len(members)).tolist()
    drawn = _nearest([len(members[i]) for i in order], wanted)
    chosen = {number for i in drawn for number in members[order[i]]}
    train = tuple(p for i, p in enumerate(pairs) if i not in chosen)
    return train, tuple(p for i, p in enumerate(pairs) if i in chosen)


def _by_area(pairs: Sequence[Pair], config: DataConfig, seed: int) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    if not pairs:
        raise DataError("training needs at least 1 annotated image: found none")
    if config.scale == "shape":
        raise DataError(
            "data.split is area and data.scale is shape: strips of different widths would be stretched to one shape; "
            "pass --set data.scale=none or --set data.split=images"
        )
    random = np.random.default_rng(seed)
    parts = [_parts(pair, config, random) for pair in pairs]
    log.info(
        "each image is divided: a strip of %g of a side, or somewhat more, is for validation, the rest for training; "
        "the validation score says little about other images, and both parts look alike along the cut",
        config.validation,
    )
    train, validation = zip(*parts, strict=True)
    return train, validation


def _parts(pair: Pair, config: DataConfig, random: np.random.Generator) -> tuple[Pair, Pair]:
    """Return the part of an image to train on and that to validate on."""
    from .preprocess import SMALLEST_SIDE  # here: it brings TensorFlow, which most that import this do without

    mask = read_annotated(pair, config).mask
    shortest = {axis: _shortest(mask.shape[axis], config.validation) for axis in (0, 1)}
    if max(shortest.values()) < SMALLEST_SIDE:
        raise DataError(
            f"{pair.image} is {mask.shape[1]}x{mask.shape[0]}: divided by data.validation={config.validation:g}, one "
            f"part has {max(shortest.values())} pixels along the longer side; it must have at least {SMALLEST_SIDE}: "
            "change data.validation, or leave the image out"
        )
    edges = [e for axis in (0, 1) if shortest[axis] >= SMALLEST_SIDE for e in _edges(axis, config.validation)]
    # drawn for each image, whether it is needed or not; the first of equals is taken
    drawn = [edges[i] for i in random.permutation(len(edges))]
    train, validation = min(drawn, key=lambda areas: _flaws(mask, areas, config))
    return replace(pair, part=train), replace(pair, part=validation)


def _shortest(length: int, share: float) -> int:
    """Return the pixels of the shorter part, wherever a side is cut."""
    return min(round(length * share), length - round(length * share), round(length * (1 - share)))


def _edges(axis: int, share: float) -> list[tuple[Area, Area]]:
    """Return the ways to hold a strip at an end of a side back: what is left, and the strip."""
    widths = [share] + [share * wider for wider in WIDER if share * wider <= 0.5]
    starts = [(Area(axis, width, 1.0), Area(axis, 0.0, width)) for width in widths]
    return starts + [(Area(axis, 0.0, 1 - width), Area(axis, 1 - width, 1.0)) for width in widths]


def _flaws(mask: Mask, areas: tuple[Area, Area], config: DataConfig) -> tuple[int, int, float]:
    """Return what speaks against training on the one area and validating on the other, the worst first.

    The last is how far the latter is from holding its share of each class.
    """
    counts = (np.bincount(mask[a.window(mask.shape)].ravel(), minlength=IGNORE + 1) for a in areas)
    learnt, scored = (some[: len(config.classes)] for some in counts)
    held = scored / np.maximum(learnt + scored, 1)
    far = np.abs(held - config.validation)[learnt + scored > 0].sum()
    return _lacks(learnt), _lacks(scored), round(float(far), 9)


def _lacks(counts: npt.NDArray[np.intp]) -> int:
    """Return 2 for a part without an annotated pixel, 1 for one without foreground, else 0."""
    return int(not counts.any()) + int(not counts[1:].any())


def members_of(pairs: Sequence[Pair], groups: Groups | None) -> list[list[int]]:
    """Return the numbers of the images of each group."""
    members: dict[str, list[int]] = {}
    for number, pair in enumerate(pairs):
        members.setdefault(groups.of[pair.name] if groups else pair.name, []).append(number)
    if len(members) > 1 or groups is None:
        return list(members.values())
    if groups.stated:
        raise DataError(
            f"all {len(pairs)} images are of one group, {next(iter(members))!r}, by {groups.source}: "
            "training needs another for validation; name finer groups, or add images of another"
        )
    log.warning("all images overlap or repeat each other: the validation score will be too good")
    return [[number] for number in range(len(pairs))]


def _nearest(sizes: Sequence[int], wanted: int) -> list[int]:
    """Return the numbers of those sizes whose sum comes nearest to ``wanted``, being neither none nor all.

    Of several choices the one with the earliest sizes is taken.
    """
    total = sum(sizes)
    last = np.full(total + 1, -1)  # the number of the size that first brought a sum about
    reached = np.zeros(total + 1, bool)
    reached[0] = True
    for number, size in enumerate(sizes):
        new = np.flatnonzero(reached[: total + 1 - size] & ~reached[size:]) + size
        reached[new], last[new] = True, number
    sums = np.flatnonzero(reached)[1:-1]
    rest = int(sums[np.argmin(np.abs(sums - wanted))])
    chosen = []
    while rest:
        chosen.append(int(last[rest]))
        rest -= sizes[chosen[-1]]
    return chosen
