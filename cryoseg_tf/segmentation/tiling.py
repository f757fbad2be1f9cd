"""Cut a large image into overlapping tiles and put predictions together again.

A tile is *read* with a halo and *written* without it; at the image's edge the window is
clamped inside, so that the network sees there exactly what it saw in the whole image::

    |--halo--|------ core ------|--halo--|   inside: read slice, a multiple of the stride
             |------ core ------|            write slice (the cores partition the image)
    |------ core ------|------ 2 halo ------|   at the left edge
"""

from collections.abc import Iterator
from typing import NamedTuple

from ..errors import ConfigError


class Span(NamedTuple):
    """Along one axis: the window that is read, and the core of it that is written."""

    read: slice
    write: slice

    @property
    def core(self) -> slice:
        """The core, counted from the window's start."""
        return slice(self.write.start - self.read.start, self.write.stop - self.read.start)


class Tile(NamedTuple):
    """A window of the padded image."""

    rows: Span
    columns: Span


def spans(length: int, window: int, halo: int, stride: int) -> list[Span]:
    """Cover ``length`` pixels with windows of equal length, at most ``window`` long.

    ``length``, ``window`` and ``halo`` are multiples of ``stride``; so are all starts.

    Raises:
        ConfigError: If the window leaves no core between its halos.
    """
    if length <= window:
        return [Span(slice(0, length), slice(0, length))]
    if window <= 2 * halo:
        raise ConfigError(f"a tile of {window} px holds only halo: it must be larger than {2 * halo}")
    count = -(-(length - 2 * halo) // (window - 2 * halo))
    # the shortest equal windows that still cover: less is computed twice
    window = -(-(length + (count - 1) * 2 * halo) // (count * stride)) * stride
    core = window - 2 * halo
    result: list[Span] = []
    for index in range(count):
        start = min(index * core, length - window)
        first = 0 if index == 0 else result[-1].write.stop
        last = length if index == count - 1 else start + window - halo
        result.append(Span(slice(start, start + window), slice(first, last)))
    return result


def tiles(height: int, width: int, window: int, halo: int, stride: int) -> Iterator[Tile]:
    """Yield the tiles of a padded image, row by row; their cores partition it."""
    columns = spans(width, window, halo, stride)
    for rows in spans(height, window, halo, stride):
        for across in columns:
            yield Tile(rows, across)
