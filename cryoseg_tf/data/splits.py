"""Divide annotated images into those to learn from and those to choose the best epoch by."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..config import DataConfig
from ..errors import DataError
from .groups import Groups
from .pairs import Pair

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """Pairs to train on and pairs to validate on; none is in both.

    Attributes:
        train: To learn from.
        validation: To choose the best epoch by.
        groups: The group of each image by its name, or None where they are unknown.
    """

    train: tuple[Pair, ...]
    validation: tuple[Pair, ...]
    groups: Mapping[str, str] | None = None


def split(pairs: Sequence[Pair], config: DataConfig, seed: int = 0, groups: Groups | None = None) -> Split:
    """Draw about ``config.validation`` of the pairs, at least one, for validation.

    Whole groups are drawn, so that the share comes as near as they allow. Groups that were found
    (not stated), and put all images together, are not kept: there would be nothing to validate on.

    Raises:
        DataError: If there are fewer than two pairs, or all are of one stated group.
    """
    if len(pairs) < 2:
        raise DataError(f"training needs at least 2 annotated images, one of them for validation: found {len(pairs)}")
    members = _members(pairs, groups)
    wanted = min(max(1, round(len(pairs) * config.validation)), len(pairs) - 1)
    order = np.random.default_rng(seed).permutation(len(members)).tolist()
    drawn = _nearest([len(members[i]) for i in order], wanted)
    chosen = {number for i in drawn for number in members[order[i]]}
    return Split(
        train=tuple(p for i, p in enumerate(pairs) if i not in chosen),
        validation=tuple(p for i, p in enumerate(pairs) if i in chosen),
        groups={p.name: groups.of[p.name] for p in pairs} if groups and groups.known else None,
    )


def _members(pairs: Sequence[Pair], groups: Groups | None) -> list[list[int]]:
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
