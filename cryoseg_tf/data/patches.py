"""How large training's patches are."""

import statistics
from collections.abc import Sequence


def patch_side(sides: Sequence[int], stride: int) -> int:
    """Choose the patch: half the images' typical shorter side, as the thesis did, within 128 to 256.

    Images shorter than 128 are taken whole. The result is a multiple of ``stride``.
    """
    side = statistics.median(sides)
    chosen = min(max(side / 2, 128), 256, side)
    return max(1, round(-(-chosen // stride))) * stride
