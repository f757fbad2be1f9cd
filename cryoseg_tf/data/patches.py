"""How large training's patches are."""

import statistics
from collections.abc import Sequence

OBJECTS = 4.0
"""So many objects fit across a patch, within the bounds below."""

SMALLEST, LARGEST = 128, 256


def patch_side(sides: Sequence[int], stride: int, across: float) -> int:
    """Choose the patch: room for some objects, within 128 to 256 pixels, and no more than an image's shorter side.

    The smaller the patch, the more of them, and of steps, go into the same minutes.

    Args:
        sides: The images' shorter sides in pixels.
        stride: The result is a multiple of it.
        across: The objects' typical diameter.
    """
    side = statistics.median(sides)
    chosen = min(max(OBJECTS * across, SMALLEST), LARGEST, side)
    return max(1, round(-(-chosen // stride))) * stride
