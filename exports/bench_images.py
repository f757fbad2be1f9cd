"""Images to measure with: those given, or one made of the bundle's golden images."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile

from cryoseg_tf.data.preprocess import EMPTY, Status
from cryoseg_tf.errors import DataError, ExportError
from cryoseg_tf.io.micrograph import read_micrograph, warn_of_data_bar
from cryoseg_tf.segmentation.segmenter import examine

from .bundle import Bundle
from .golden import mirrored

GOLDEN = "uint16"
"""The golden image that one is made of."""


class Picture(NamedTuple):
    """An image to measure with.

    Attributes:
        path: The file.
        width: In pixels.
        height: In pixels, without data bar.
        dtype: Of its counts.
        pixel_size: In nm, or None.
        made: Whether it was made here, and is gone afterwards.
    """

    path: Path
    width: int
    height: int
    dtype: str
    pixel_size: float | None
    made: bool = False

    def facts(self) -> dict[str, Any]:
        """Return what JSON says of it."""
        return {**self._asdict(), "path": None if self.made else str(self.path)}


def look(path: Path, bundle: Bundle, pixel_size: float | None = None, data_bar: int | None = None) -> Picture:
    """Look at an image before it is measured.

    Raises:
        ImageError: If it cannot be read.
        DataError: If its mask is empty whatever the network says, which then is not run.
    """
    micrograph = read_micrograph(path, pixel_size=pixel_size, data_bar=data_bar)
    status = examine(micrograph, bundle.manifest.contract).status
    if status in EMPTY:
        what = status.name.lower().replace("_", " ")
        remedy = "pass --pixel-size" if status == Status.PIXEL_SIZE_UNKNOWN else "leave it out"
        raise DataError(f"{path} gets an empty mask without the network ({what}), which is soon done: {remedy}")
    warn_of_data_bar(micrograph)
    height, width = micrograph.pixels.shape
    return Picture(path, width, height, str(micrograph.pixels.dtype), micrograph.pixel_size)


def golden_picture(bundle: Bundle, size: tuple[int, int], folder: Path) -> Picture:
    """Write a 16-bit TIFF of ``(width, height)``: a golden image, mirrored at its edges until it is as large.

    Raises:
        ExportError: If the bundle has no such golden image.
    """
    case = next((case for case in bundle.manifest.golden if case.name == GOLDEN), None)
    if case is None:
        raise ExportError(f"{bundle.path} has no golden image {GOLDEN!r} to make one of: name images to measure with")
    source = bundle.path / case.image
    try:
        pixels = mirrored(np.load(source, allow_pickle=False), (size[1], size[0]))[: size[1], : size[0]]
        pixels = pixels.astype(np.uint16)
    except (OSError, ValueError, EOFError) as error:
        raise ExportError(f"{source} cannot be read ({error}): verify the bundle, or name images") from None
    path = folder / "golden.tif"
    scale: dict[str, Any] = {}
    if case.pixel_size:
        per_um = 1000 / case.pixel_size
        scale = {"imagej": True, "resolution": (per_um, per_um), "metadata": {"unit": "um"}}
    tifffile.imwrite(path, pixels, **scale)
    return look(path, bundle)._replace(made=True)
