"""Concerns that show only when images are compared: copies, and masks that belong to other images."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from .alignment import Shift, better_partners
from .check import Clues, Concern, Finding
from .similar import clusters, near_duplicates

Link = tuple[int, int]

NAMED = 5
"""So many copies of an image are named; of more, the number."""


def copies(good: Sequence[Finding]) -> Iterator[Concern]:
    """Report images that are there twice; across train and test they make every score worthless."""
    same, near = _links(good)
    leaks = [(i, j) for i, j in sorted(same | near) if good[i].part != good[j].part]
    if leaks:
        yield Concern(
            "error",
            "images are both in train and in test, so scores would be too good: keep each in one of them",
            tuple(_leak(good[i], good[j], (i, j) in same) for i, j in leaks),
        )
    if sets := _within_parts(good, same):
        details = tuple((good[s[0]].pair.name, f"same pixels as {_others(good, s)}{_masks(good, s)}") for s in sets)
        yield Concern("warning", "images are there twice: remove the copies", details)
    if sets := _within_parts(good, near):
        details = tuple((good[s[0]].pair.name, f"nearly the same as {_others(good, s)}") for s in sets)
        yield Concern("note", "images look nearly the same: keep them in one group when splitting", details)


def misplaced(good: Sequence[Finding]) -> Iterator[Concern]:
    """Report masks that fit another image better, and those that fit better after a shift."""
    swapped = dict(_other_partners(good))
    if swapped:
        yield Concern("warning", "masks seem to belong to other images: look at them", tuple(swapped.items()))
    moved = tuple((f.pair.name, describe(f.shift)) for f in good if f.shift and f.pair.name not in swapped)
    if moved:
        yield Concern("warning", "masks seem to be shifted against their images: look at them", moved)


def describe(shift: Shift) -> str:
    """Say where a mask fits better, and by how much."""
    ways = ((shift.down, "down", "up"), (shift.right, "right", "left"))
    where = " and ".join(f"{abs(by)} px further {plus if by > 0 else minus}" for by, plus, minus in ways if by)
    return f"mask fits {where} better: {shift.there:.2f} against {shift.here:.2f}"


def _links(good: Sequence[Finding]) -> tuple[set[Link], set[Link]]:
    """Return the pairs of numbers with equal pixels, and those that look the same but are not equal."""
    clues = [_clues(f) for f in good]
    if not clues:
        return set(), set()
    homes: dict[str, list[int]] = defaultdict(list)
    for number, clue in enumerate(clues):
        homes[clue.digest].append(number)
    same = {(i, j) for members in homes.values() for i in members for j in members if i < j}
    return same, set(near_duplicates(np.stack([c.signature for c in clues]))) - same


def _within_parts(good: Sequence[Finding], links: set[Link]) -> list[list[int]]:
    return clusters([(i, j) for i, j in sorted(links) if good[i].part == good[j].part])


def _leak(first: Finding, second: Finding, same: bool) -> tuple[str, str]:
    return first.pair.name, f"{'same pixels as' if same else 'nearly the same as'} {second.pair.name}"


def _others(good: Sequence[Finding], members: Sequence[int]) -> str:
    names = [good[i].pair.name for i in members[1:]]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _masks(good: Sequence[Finding], members: Sequence[int]) -> str:
    return "; their masks differ" if len({_clues(good[i]).mask_digest for i in members}) > 1 else ""


def _other_partners(good: Sequence[Finding]) -> Iterator[tuple[str, str]]:
    shapes: dict[tuple[int, int], list[Finding]] = defaultdict(list)
    for finding in good:
        if _clues(finding).image is not None:
            shapes[finding.shape].append(finding)
    for members in shapes.values():
        images, masks = (np.stack([getattr(_clues(f), kind) for f in members]) for kind in ("image", "mask"))
        for i, j, there, here in better_partners(images, masks):
            evidence = f"the mask of {members[j].pair.name} fits better: {there:.2f} against {here:.2f}"
            yield members[i].pair.name, evidence


def _clues(finding: Finding) -> Clues:
    if finding.clues is None:
        raise ValueError(f"{finding.pair.name} could not be read: it has nothing to compare")
    return finding.clues
