"""The data bar: rows of text that a microscope adds below the image."""

from pathlib import Path

from ..errors import ImageError
from .vendor import Metadata


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
