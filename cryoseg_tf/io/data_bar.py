"""The data bar: rows of text that a microscope adds below the image; as files state it, or as it looks.

What marks one where no file says so, together; each alone occurs in plain images::

    |  image: neighbouring pixels differ, by noise if by nothing else |
    |=================== a straight edge, side to side ===============|
    |  one flat gray value ...  15.0 kV   x2,500   10 um |---|  ...   |  sharp text of strong contrast
    |_________________________________________________________________|  to the last row
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ImageError
from .vendor import Metadata

Array = npt.NDArray[Any]

LEAST, MOST = 16, 0.3
"""A bar has at least this many rows, and at most this share of the image's."""

LARGEST = 2**26
"""Pixels of the largest image that is looked at: a montage is no screen grab, and it would take memory."""

EDGE_ROWS = 4
FLAT_JUMP = 0.35
"""By how much the share of flat pixels rises from the last rows of the image to the first of the bar."""

FLAT = 0.5
"""A bar's share of flat pixels, and of pixels at its background's value, is above this."""

TEXT = (0.003, 0.45)
"""The share of a bar that is text or a scale."""

STROKE = 5
"""Text is made of strokes; objects in a dark band have more than this many pixels for each edge."""

PLAIN_ROW, LINE_SPACE = 0.97, 0.08
"""Between and around lines of text some rows are plain; specks leave none."""


def bar_rows(metadata: Metadata, shape: tuple[int, ...], asked: int | None, path: Path) -> int:
    """Return how many rows at the bottom are data bar, and so are to be cropped.

    Thermo Fisher files with a bar have more rows than the image (``Image.ResolutionY``, and the
    scanned height over that of a pixel): those rows are the bar, and ``PrivateFei.DatabarHeight``,
    where it is not empty, must be their number. Files saved without a bar, or cropped later, have
    exactly the image's rows: nothing is cropped from them, though ``DatabarHeight`` may still name
    the bar they would have had. Where nothing says how many rows the image has, ``DatabarHeight``
    is believed by itself.

    Args:
        metadata: What the file says.
        shape: ``(height, width)`` of the file's image.
        asked: What the user says, or None. It decides where the file says nothing or contradicts
            itself; else it must agree. A bar that ``DatabarHeight`` names may lie in the image's
            own rows, so that number can be asked for as well.
        path: For messages.

    Raises:
        ImageError: If the file's statements do not agree with each other or with ``asked``, or
            nothing would be left of the image.
    """
    spoken = any(n is not None for n in (metadata.image_rows, metadata.field_rows, metadata.data_bar))
    allowed = _allowed(metadata, shape[0])
    if spoken and asked is None and not allowed:
        raise ImageError(_contradiction(metadata, shape, path))
    if spoken and asked is not None and allowed and asked not in allowed:
        raise ImageError(f"{path} says that its data bar has {allowed[0]} rows, but --data-bar says {asked}")
    rows = asked if asked is not None else allowed[0]
    if not 0 <= rows < shape[0]:
        raise ImageError(f"{path} has {shape[0]} rows: a data bar of {rows} would leave no image")
    return rows


def _allowed(metadata: Metadata, height: int) -> tuple[int, ...]:
    """Return the bar heights that fit all statements, the likeliest first; none if they do not agree."""
    bar = metadata.data_bar
    known = [rows for rows in (metadata.image_rows, metadata.field_rows) if rows]
    if not known:
        return (bar or 0,)
    extra = height - known[0]
    # lengths are written with six digits, which may round to the next row
    if max(known) - min(known) > 1 or extra < (0 if metadata.image_rows else -1):
        return ()
    if extra <= (0 if metadata.image_rows else 1):
        return (0, bar) if bar else (0,)
    return (extra,) if bar in (None, extra) else ()


def _contradiction(metadata: Metadata, shape: tuple[int, ...], path: Path) -> str:
    names = {"image_rows": "ResolutionY", "field_rows": "VerFieldsize/PixelHeight", "data_bar": "DatabarHeight"}
    values = {label: getattr(metadata, name) for name, label in names.items()}
    said = ", ".join(f"{label} {value}" for label, value in values.items() if value is not None)
    likely = max(shape[0] - (metadata.image_rows or metadata.field_rows or 0), 0)
    return (
        f"{path} is {shape[1]}x{shape[0]} but its metadata says {said}: "
        f"cannot tell the data bar's height; pass --data-bar {likely} (or what you see)"
    )


def find_data_bar(pixels: Array) -> int:
    """Return how many rows at the bottom of ``(height, width)`` pixels seem to be a data bar; 0 for none."""
    height, width = pixels.shape
    first = height - int(height * MOST)
    if width < 64 or height - first < LEAST or pixels.size > LARGEST:
        return 0
    bottom = pixels[max(0, first - EDGE_ROWS) :]
    flat = (bottom[:, 1:] == bottom[:, :-1]).mean(axis=1)
    means = np.convolve(flat, np.ones(EDGE_ROWS) / EDGE_ROWS, "valid")
    jumps = means[EDGE_ROWS:] - means[:-EDGE_ROWS]  # jumps[i]: at row i + EDGE_ROWS
    tops = np.flatnonzero(jumps > FLAT_JUMP) + EDGE_ROWS
    # the steepest first: its neighbours see the same edge
    for top in tops[np.argsort(-jumps[tops - EDGE_ROWS], kind="stable")].tolist():
        bar = bottom[top:].astype(np.float32)
        # without its first rows: the image's last one, a row off, is not text
        if len(bar) >= LEAST and flat[top:].mean() > FLAT and _flat_with_text(bar[EDGE_ROWS:]):
            return len(bar)
    return 0


def _flat_with_text(bar: npt.NDArray[np.float32]) -> bool:
    """Say whether a band has one background from side to side, and on it lines of sharp text that stands out."""
    spread = float(bar.max() - bar.min())
    distance = np.abs(bar - np.median(bar))
    plain = distance <= spread / 32  # a JPEG ripples round the text
    text = distance > spread / 3
    steps = (np.diff(text, axis=1) != 0).sum()
    return bool(
        spread > 0
        and plain.mean() > FLAT
        and min(part.mean() for part in np.array_split(plain, 3, axis=1)) > 0.3
        and TEXT[0] < text.mean() < TEXT[1]
        and steps > text.sum() / STROKE
        and (plain.mean(axis=1) > PLAIN_ROW).sum() > LINE_SPACE * len(bar)
    )
