"""Which images belong together, so that none of them trains while another validates.

Images of one grid or session, of overlapping stage fields, or of the same place look alike: a
model scored on the one and trained on the other looks better than it is. What belongs together
is taken from ``data.group_pattern``, else from ``groups.csv`` in the data folder, else it is found.
"""

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from scipy.sparse import coo_matrix, csgraph

from ..config import DataConfig
from ..errors import DataError
from ..io.micrograph import SUFFIXES
from .pairs import Pair, read_annotated
from .similar import Floats, near_duplicates, signature
from .stage import StageField, overlaps, stage_field

TABLE = "groups.csv"
PATTERN = "data.group_pattern"


@dataclass(frozen=True)
class Groups:
    """The group of each image.

    Attributes:
        of: Group by the image's name.
        source: What says so: ``TABLE``, ``PATTERN``, or what was looked at.
        known: Whether images of different groups are known to be apart. Without, nothing says so;
            near-duplicates are together all the same.
    """

    of: Mapping[str, str]
    source: str
    known: bool

    @property
    def stated(self) -> bool:
        """Whether a person said so, rather than that it was found."""
        return self.source in (TABLE, PATTERN)

    @property
    def summary(self) -> str:
        """A line about them, for people."""
        count = len(set(self.of.values()))
        if self.known:
            return f"{count} groups of images, from {self.source}; each is kept together"
        together = sum(n for n in Counter(self.of.values()).values() if n > 1)
        extra = f" ({together} near-duplicates are kept together)" if together else ""
        return (
            f"groups unknown{extra}: if images share grids or sessions, name them in {TABLE}, "
            "or validation scores will be too good"
        )


def find_groups(folder: Path | str, pairs: Sequence[Pair], config: DataConfig) -> Groups:
    """Return which of the images belong together.

    Args:
        folder: The data folder; may hold ``groups.csv`` with the columns ``image,group``.
        pairs: The images.
        config: ``group_pattern``, and how images are read.

    Raises:
        DataError: If ``groups.csv`` or the pattern leaves an image out, or the table is wrong.
        ImageError: If an image has to be looked at and cannot be read.
    """
    return stated_groups(folder, pairs, config) or _found(pairs, config)


def stated_groups(folder: Path | str, pairs: Sequence[Pair], config: DataConfig) -> Groups | None:
    """Return the groups that ``groups.csv`` or the pattern states, without looking at an image; or None."""
    table = Path(folder) / TABLE
    if config.group_pattern is not None:
        return Groups(_from_pattern(config.group_pattern, pairs), PATTERN, True)
    if table.is_file():
        return Groups(_from_table(table, pairs), TABLE, True)
    return None


def groups_by_look(names: Sequence[str], signatures: Sequence[Floats], fields: Sequence[StageField | None]) -> Groups:
    """Return the groups of images that overlap on the stage or are near-duplicates.

    Args:
        names: Of the images.
        signatures: See ``similar.signature``.
        fields: Where they were taken, or None for an image whose file does not say.
    """
    links = near_duplicates(np.array(signatures)) + overlaps(fields)
    known = all(field is not None for field in fields)
    return Groups(join(links, names), "stage positions and near-duplicates", known)


def _from_table(table: Path, pairs: Sequence[Pair]) -> dict[str, str]:
    rows = _read_table(table)
    _check_names(rows, table)
    groups, missing = {}, []
    for pair in pairs:
        given = {rows[key] for key in _names(pair.name) if key in rows}
        if len(given) > 1:
            raise DataError(f"{table} gives {pair.name} to several groups, {', '.join(sorted(given))}: leave one")
        missing += [] if given else [pair.name]
        groups[pair.name] = "".join(given)
    if missing:
        raise DataError(f"{table} has no row for {_some(missing)}: give each image a group")
    return groups


def _read_table(table: Path) -> dict[str, str]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            if not {"image", "group"} <= set(reader.fieldnames or ()):
                raise DataError(f"{table} has the columns {', '.join(reader.fieldnames or ())}: needed are image,group")
            rows = [((row["image"] or "").strip(), (row["group"] or "").strip()) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} cannot be read as UTF-8 text: {error}") from None
    empty = [number for number, row in enumerate(rows, 1) if not all(row)]
    if empty:
        raise DataError(f"{table}: row {empty[0]} lacks its image or its group")
    twice = [image for image, count in Counter(image for image, _ in set(rows)).items() if count > 1]
    if twice:
        raise DataError(f"{table} gives {twice[0]} to several groups: leave one")
    return {image.replace("\\", "/"): group for image, group in rows}


def _check_names(rows: Mapping[str, str], table: Path) -> None:
    """Refuse names of no image, or of several; images that are not asked for, as of test/, may be named."""
    root = table.parent
    images = [p.relative_to(root).as_posix() for p in root.rglob("*") if p.suffix.lower() in SUFFIXES]
    known = {called for name in images for called in _names(name)}
    unknown = sorted(rows.keys() - known)
    if unknown:
        raise DataError(f"{table} names {_some(unknown)}, but {root} holds no such image")


def _names(name: str) -> set[str]:
    """What an image may be called: its path below the data folder, its file name, its stem, nnU-Net's case."""
    path = PurePosixPath(name)
    return {name, path.name, path.stem, path.stem.removesuffix("_0000")}


def _from_pattern(pattern: str, pairs: Sequence[Pair]) -> dict[str, str]:
    matches = {pair.name: re.search(pattern, pair.name) for pair in pairs}
    missing = [name for name, match in matches.items() if not match or not match[1]]
    if missing:
        raise DataError(f"{PATTERN} is {pattern!r}: it finds no group in {_some(missing)}")
    return {name: match[1] for name, match in matches.items() if match}


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" (and {len(names) - 3} more)" if len(names) > 3 else "")


def _found(pairs: Sequence[Pair], config: DataConfig) -> Groups:
    signatures, fields = [], []
    for pair in pairs:
        micrograph = read_annotated(pair, config).micrograph
        signatures.append(signature(micrograph.pixels))
        fields.append(stage_field(micrograph))
    return groups_by_look([pair.name for pair in pairs], signatures, fields)


def join(links: Sequence[tuple[int, int]], names: Sequence[str]) -> dict[str, str]:
    """Name the group of each image after its first one; linked images, also through others, are of one group."""
    firsts, seconds = np.array(links, int).reshape(-1, 2).T
    graph = coo_matrix((np.ones(len(links)), (firsts, seconds)), shape=(len(names), len(names)))
    _, label = csgraph.connected_components(graph, directed=False)
    first = {int(index): name for index, name in reversed(list(zip(label, names, strict=True)))}
    return {name: first[int(index)] for index, name in zip(label, names, strict=True)}
