"""Read PNG, JPEG and BMP."""

import io
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
from PIL import Image

from ..errors import ImageError
from .limits import check_expansion, check_size

Image.MAX_IMAGE_PIXELS = None  # a grid montage is no bomb; the declared size is checked here instead

_BANDS = {"1": 1, "L": 1, "I;16": 2, "I": 4, "P": 1, "PA": 4, "LA": 4, "RGB": 4, "RGBA": 4}
"""The modes that are read, with the bytes that Pillow takes for a pixel."""


def read_picture(path: Path, indices: bool) -> npt.NDArray[Any]:
    """Return pixels ``(height, width)``, or with colours last.

    Args:
        path: The file.
        indices: Return a palette image's indices, as masks need, instead of its colours.
    """
    content = path.read_bytes()
    with Image.open(io.BytesIO(content), formats=["PNG", "JPEG", "BMP"]) as picture:
        check_size(picture.size, path)
        if picture.mode not in _BANDS:
            raise ImageError(f"{path} has colours of kind {picture.mode}: a micrograph is gray; export it as gray")
        check_expansion(picture.width * picture.height * _BANDS[picture.mode], len(content), path, 8 * 1100)
        # PNG header: bit depth, then colour type; Pillow would cut 16-bit colour down to 8 bit
        if picture.format == "PNG" and content[24] == 16 and content[25] != 0:
            return _deep_png(content)
        if picture.mode in ("P", "PA") and not indices:
            return np.asarray(picture.convert("RGB"))
        return np.asarray(picture.convert("L") if picture.mode == "LA" else picture)


def _deep_png(content: bytes) -> npt.NDArray[Any]:
    pixels = imagecodecs.png_decode(content)
    return pixels[..., 0] if pixels.shape[-1] == 2 else pixels
