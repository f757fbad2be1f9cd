"""Bands of rows: what is computed pixel by pixel needs memory for one of them, not for a whole montage."""

from collections.abc import Iterator

BAND = 2**22
"""Pixels in a band."""


def bands(shape: tuple[int, ...]) -> Iterator[slice]:
    """Yield the rows of each band of an image of ``(height, width)``, from the top."""
    height, width = shape[:2]
    step = max(1, BAND // max(width, 1))
    for top in range(0, height, step):
        yield slice(top, min(top + step, height))
