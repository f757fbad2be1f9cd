"""What a file may declare: checked before memory is taken for it."""

import math
from pathlib import Path

from ..errors import ImageError

MAXIMUM_PIXELS = 2**32
FREE = 2**26
"""Bytes that any file may take, however small it is."""

EXPANSION = 1100
"""Bytes that one stored byte can become: deflate reaches 1032, JPEG 512, run lengths 128."""


def check_size(shape: tuple[int, ...], path: Path) -> None:
    """Refuse a declared shape without pixels or with more than 2**32 of them.

    Raises:
        ImageError: Naming the shape.
    """
    if min(shape, default=0) < 1 or math.prod(shape) > MAXIMUM_PIXELS:
        raise ImageError(f"{path} declares {'x'.join(map(str, shape))} pixels: between 1 and 2**32 can be read")


def check_expansion(needed: int, stored: int, path: Path, expansion: int = EXPANSION) -> None:
    """Refuse a file that declares more bytes than its ``stored`` bytes can hold.

    Raises:
        ImageError: If ``needed`` is above both ``FREE`` and ``expansion`` times ``stored``.
    """
    if needed > max(FREE, expansion * stored):
        raise ImageError(f"{path} declares {needed} bytes of pixels but holds {stored}: it is truncated or damaged")
