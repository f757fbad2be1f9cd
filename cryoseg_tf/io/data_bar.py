"""Find a data bar that a microscope burnt into the bottom of an image, from the pixels alone.

What marks one, together; each alone occurs in plain images::

    |  image: neighbouring pixels differ, by noise if by nothing else |
    |=================== a straight edge, side to side ===============|
    |  one flat gray value ...  15.0 kV   x2,500   10 um |---|  ...   |  sharp text of strong contrast
    |_________________________________________________________________|  to the last row
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

LEAST, MOST = 16, 0.3
"""A bar has at least this many rows, and at most this share of the image's."""

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


def find_data_bar(pixels: Array) -> int:
    """Return how many rows at the bottom of ``(height, width)`` pixels seem to be a data bar; 0 for none."""
    height, width = pixels.shape
    first = height - int(height * MOST)
    if width < 64 or height - first < LEAST:
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
