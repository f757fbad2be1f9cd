"""Concerns that show only when images are compared: copies, and masks that belong to other images."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from .alignment import Shift, better_partners
from .check import Clues, Concern, Finding
from .groups import Groups, groups_by_look
from .similar import clusters, near_duplicates

Link = tuple[int, int]
Detail = tuple[str, str]

NAMED = 5
"""So many copies of an image are named; of more, the number."""


def copies(good: Sequence[Finding]) -> Iterator[Concern]:
    """Report images that are there twice; across train and test they make every score worthless."""
    same, near = _links(good)
    leaks = [link for link in sorted(same | near) if good[link[0]].part != good[link[1]].part]
    if leaks:
        evidence = tuple(line for link in leaks for line in _leak(good, link, link in same))
        title = f"{images_are(evidence)} in both train and test, scores would be too good: keep each in one of them"
        yield Concern("error", title, evidence)
    if evidence := tuple(_members(good, same, "same pixels as")):
        yield Concern("warning", f"{images_are(evidence)} there more than once: remove the copies", evidence)
    if evidence := tuple(_members(good, near, "nearly the same as")):
        title = f"{images_are(evidence)} nearly the same as another: keep such images in one group when splitting"
        yield Concern("note", title, evidence)


def grouped(good: Sequence[Finding], stated: Groups | None) -> Groups:
    """Return the groups that were stated, or those that the images show."""
    clues = [_clues(f) for f in good]
    return stated or groups_by_look([f.pair.name for f in good], [c.signature for c in clues], [c.field for c in clues])


def divided(good: Sequence[Finding], groups: Groups) -> Iterator[Concern]:
    """Report groups that are both in train and in test."""
    homes: dict[str, set[str]] = defaultdict(set)
    for finding in good:
        homes[groups.of[finding.pair.name]].add(finding.part)
    split = {group for group, parts in homes.items() if len(parts) > 1}
    named = tuple((f.pair.name, f"of group {g}") for f in good if (g := groups.of[f.pair.name]) in split)
    if groups.known and named:
        title = f"{images_are(named)} of groups that are in both train and test: scores will be too good"
        yield Concern("warning", title, named)


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
    return f"mask fits {where} better: {shift.there:.2f} against {max(shift.here, 0):.2f}"


def images_are(details: Sequence[Detail]) -> str:
    """Begin a sentence about the images that are named: "1 image is", "2 images are"."""
    number = len({name for name, _ in details})
    return f"{number} image{' is' if number == 1 else 's are'}"


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


def _leak(good: Sequence[Finding], link: Link, same: bool) -> Iterator[Detail]:
    for mine, other in (link, link[::-1]):
        yield good[mine].pair.name, f"{'same pixels as' if same else 'nearly the same as'} {good[other].pair.name}"


def _members(good: Sequence[Finding], links: set[Link], text: str) -> Iterator[Detail]:
    """Name each image that links join with others of its part."""
    for members in clusters([(i, j) for i, j in sorted(links) if good[i].part == good[j].part]):
        # copies with unlike masks: at least one of them is wrong
        pixels, masks = ({getattr(_clues(good[i]), key) for i in members} for key in ("digest", "mask_digest"))
        differ = "; their masks differ" if len(pixels) == 1 < len(masks) else ""
        for i in members:
            names = [good[j].pair.name for j in members if j != i]
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            yield good[i].pair.name, f"{text} {', '.join(names[:NAMED])}{more}{differ}"


def _other_partners(good: Sequence[Finding]) -> Iterator[tuple[str, str]]:
    shapes: dict[tuple[int, int], list[Finding]] = defaultdict(list)
    for finding in good:
        if _clues(finding).image is not None:
            shapes[finding.shape].append(finding)
    for members in shapes.values():
        images, masks = (np.stack([getattr(_clues(f), kind) for f in members]) for kind in ("image", "mask"))
        for i, j, there, here in better_partners(images, masks):
            evidence = f"the mask of {members[j].pair.name} fits better: {there:.2f} against {max(here, 0):.2f}"
            yield members[i].pair.name, evidence


def _clues(finding: Finding) -> Clues:
    if finding.clues is None:
        raise ValueError(f"{finding.pair.name} could not be read: it has nothing to compare")
    return finding.clues
