"""Draw training patches as the network will see them, with their masks and what is not annotated."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from PIL import Image

from ..io import atomic
from .contact_sheet import overlay

COLUMNS, ROWS, GAP = 8, 5, 4
TILE = 192
"""Side of a patch on the sheet, in pixels."""


def write_preview(path: Path, batches: tf.data.Dataset) -> None:
    """Write the first patches as one PNG, outlined; what counts nowhere is darkened.

    Black is 0 and white 1 of the normalised gray scale, as the network takes it: a patch that looks
    washed out here is so for the network, too.

    Args:
        path: The file.
        batches: From ``pipeline.patches``.
    """
    sheet = Image.new("RGB", (COLUMNS * (TILE + GAP) - GAP, ROWS * (TILE + GAP) - GAP), "white")
    patches = batches.unbatch().take(COLUMNS * ROWS).as_numpy_iterator()
    for number, (pixels, mask) in enumerate(patches):
        place = ((number % COLUMNS) * (TILE + GAP), (number // COLUMNS) * (TILE + GAP))
        sheet.paste(_tile(pixels[..., 0], mask[..., 0]), place)
    with atomic.written(path) as part:
        sheet.save(part, format="PNG")


def _tile(pixels: npt.NDArray[np.float32], mask: npt.NDArray[np.uint8]) -> Image.Image:
    gray = Image.fromarray((np.clip(pixels, 0, 1) * 255).astype(np.uint8)).resize((TILE, TILE))
    picture = gray.convert("RGBA")
    picture.alpha_composite(overlay(mask, (TILE, TILE)).convert("RGBA"))
    return picture.convert("RGB")
