"""Write a mask that is too large for most viewers to load: tiled, compressed, and in coarser versions of itself."""

import math
from collections.abc import Iterator
from pathlib import Path
from uuid import NAMESPACE_OID, uuid5

import numpy as np
import tifffile

from .mask import Mask
from .raw import Raw

TILE = 512

SMALLEST = 1024
"""The longer side of the coarsest version is at most this."""

SUFFIX = ".ome.tif"


def write_pyramid(path: Path, mask: Mask | Raw, pixel_size: float | None, origin: str = "") -> None:
    """Write an OME-TIFF, whose coarser versions lie in SubIFDs, as OME asks for; BigTIFF where 4 GB may not do.

    Of every two rows and columns the first is kept: class indices have no mean. Deflate is what every reader knows.

    Args:
        path: The file.
        mask: ``(height, width)`` uint8; read by rows of tiles.
        pixel_size: In nm, or None where it is unknown.
        origin: What the mask was made of; the same gives the same file, whose identifier is made from it.
    """
    steps = [1]
    while max(mask.shape) / steps[-1] > SMALLEST:
        steps.append(2 * steps[-1])
    size = {} if pixel_size is None else {"PhysicalSizeX": pixel_size, "PhysicalSizeY": pixel_size}
    units = {f"{name}Unit": "nm" for name in size}
    uuid = uuid5(NAMESPACE_OID, origin).urn
    with tifffile.TiffWriter(path, bigtiff=math.prod(mask.shape) > 2**31, ome=True) as tiff:
        for step in steps:
            tiff.write(
                _tiles(mask, step),
                shape=tuple(-(-side // step) for side in mask.shape),
                dtype=mask.dtype,
                tile=(TILE, TILE),
                compression="zlib",
                photometric="minisblack",
                subifds=len(steps) - 1 if step == 1 else None,
                subfiletype=0 if step == 1 else 1,
                metadata={"axes": "YX", "UUID": uuid, **size, **units} if step == 1 else None,
            )


def _tiles(mask: Mask | Raw, step: int) -> Iterator[Mask]:
    for top in range(0, mask.shape[0], TILE * step):
        # piece by piece, each copied: whole rows are read, of which only every so manieth is kept
        pieces = range(top, min(top + TILE * step, mask.shape[0]), TILE)
        rows = np.concatenate([np.array(mask[first : first + TILE : step, ::step]) for first in pieces])
        for left in range(0, rows.shape[1], TILE):
            tile = np.zeros((TILE, TILE), mask.dtype)
            part = rows[:, left : left + TILE]
            tile[: part.shape[0], : part.shape[1]] = part
            yield tile
