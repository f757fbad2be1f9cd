"""What kind each annotated object is of, from an optional table beside the images.

``objects.csv`` has the columns ``image,kind,y,x`` and perhaps others: a row says that the object at row y
and column x of that image is of that kind. The phantom writes such a file.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from ..errors import DataError
from .objects import Point

TABLE = "objects.csv"
COLUMNS = ("image", "kind", "y", "x")


def read_kinds(folder: Path | str) -> dict[str, list[Point]]:
    """Return the points of each image, ``(row, column, kind)`` by the image's name below ``images/``.

    Args:
        folder: The data folder. The table counts that lies in its ``test/``, else in itself, else in its
            ``train/``; without any nothing is returned.

    Raises:
        DataError: If the table cannot be read, lacks a column, or a place is no number of at least 0.
    """
    tables = [Path(folder) / place / TABLE for place in ("test", ".", "train")]  # as images are looked for
    table = next((path for path in tables if path.is_file()), None)
    kinds: dict[str, list[Point]] = {}
    for number, row in enumerate(_rows(table) if table else (), 2):
        name = (row["image"] or "").strip().replace("\\", "/")
        kinds.setdefault(name, []).append(_point(row, f"{table}: line {number}"))
    return kinds


def points_of(kinds: Mapping[str, Sequence[Point]], name: str) -> Sequence[Point]:
    """Return the points of an image by its path below the data folder; the table may leave folders and suffix out."""
    path = PurePosixPath(name)
    below = path.parts[path.parts.index("images") + 1 :] if "images" in path.parts else path.parts
    names = (name, "/".join(below), path.name, path.stem)
    return next((kinds[called] for called in names if called in kinds), ())


def _rows(table: Path) -> list[dict[str, str | None]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{table} lacks the column {missing[0]}: needed are {','.join(COLUMNS)}")
            return list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table} cannot be read as UTF-8 text: {error}") from None


def _point(row: Mapping[str, str | None], where: str) -> Point:
    try:
        y, x = float(row["y"] or ""), float(row["x"] or "")
    except ValueError:
        y = x = math.nan
    if not (0 <= y < math.inf and 0 <= x < math.inf):
        raise DataError(f"{where} has y {row['y']!r} and x {row['x']!r}: they must be a row and a column in pixels")
    return y, x, (row["kind"] or "").strip()
