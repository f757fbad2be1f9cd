"""How large training's patches are."""

import statistics
from collections.abc import Sequence

OBJECTS = 4.0
"""So many objects fit across a patch, within the bounds below."""

SMALLEST, LARGEST = 128, 256


def patch_side(sides: Sequence[int], stride: int, across: float = 0.0) -> int:
    """Choose the patch: half the images' typical shorter side, as the thesis did, but room for some objects.

    It is kept within 128 to 256; images shorter than 128 are taken whole.

    Args:
        sides: The images' shorter sides in pixels.
        stride: The result is a multiple of it.
        across: The objects' typical diameter.
    """
    side = statistics.median(sides)
    chosen = min(max(side / 2, OBJECTS * across, SMALLEST), LARGEST, side)
    return max(1, round(-(-chosen // stride))) * stride
