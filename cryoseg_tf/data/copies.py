"""Augmented copies of annotated images as files, as the 2021 thesis made them before it divided its images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile

from ..config import DataConfig
from ..io.mask import write_mask
from .pairs import Pair, read_annotated


def write_copies(pairs: Sequence[Pair], config: DataConfig, folder: Path, count: int, seed: int = 0) -> None:
    """Write ``count`` copies of each image with its mask: half its height and width, mirrored and turned at random.

    What is not annotated has the value 255 in the masks written.

    Args:
        pairs: Images with their masks.
        config: How they are read.
        folder: Where to write ``images`` and ``masks``.
        count: Copies of each.
        seed: The same seed gives the same copies.

    Raises:
        ImageError: If an image or mask cannot be read.
    """
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    for number, pair in enumerate(pairs):
        annotated = read_annotated(pair, config)
        pixels, mask = annotated.micrograph.pixels, annotated.mask
        for copy in range(count):
            height, width = (side // 2 for side in mask.shape)
            top, left = (
                random.integers(side - half + 1) for side, half in zip(mask.shape, (height, width), strict=True)
            )
            flip, quarters = random.integers(2), int(random.integers(4))
            window = slice(top, top + height), slice(left, left + width)
            name = f"{number:04d}_{Path(pair.name).stem}_{copy:02d}"
            image, truth = (np.rot90(some[window][:, :: 1 - 2 * flip], quarters) for some in (pixels, mask))
            tifffile.imwrite(folder / "images" / f"{name}.tif", np.ascontiguousarray(image))
            write_mask(folder / "masks" / f"{name}.png", np.ascontiguousarray(truth))
