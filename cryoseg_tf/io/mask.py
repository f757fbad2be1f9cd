"""Read and write masks: one uint8 class index per pixel."""

from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..config import IGNORE
from ..errors import ConfigError, ImageError
from .labelme import read_labelme
from .micrograph import Pixels, read_pixels

Mask = npt.NDArray[np.uint8]


def read_mask(
    path: Path,
    classes: Sequence[str],
    ignore: int | None,
    shape: tuple[int, int],
    data_bar: int = 0,
    *,
    instances: bool = False,
) -> Mask:
    """Read a mask as class indices, with unannotated pixels as ``IGNORE``.

    With two classes a mask of 0 and 255 (or true and false) means background and foreground. The
    shapes in a JSON file of LabelMe are drawn.

    Args:
        path: The file.
        classes: Their names, background first.
        ignore: The value of unannotated pixels in the file.
        shape: The image's ``(height, width)``.
        data_bar: Rows that were cropped off the image; a mask that still has them loses its own.
        instances: The file numbers the objects; any label above 0 is foreground.

    Raises:
        ConfigError: If there are ``instances`` of more than two classes.
        ImageError: If the file is unreadable, has another shape than its image, or holds
            values that are neither a class index nor ``ignore``.
    """
    if path.suffix.lower() == ".json":
        return read_labelme(path, classes, ignore, shape, data_bar)
    if instances and len(classes) != 2:
        raise ConfigError(
            f"{path} holds instance labels, which tell foreground from background only, "
            f"but data.classes is {', '.join(classes)}: set two classes, or give masks of class indices"
        )
    pixels = _plane(path, shape, data_bar)
    return _foreground(pixels, ignore, path) if instances else _class_indices(pixels, classes, ignore, path)


def write_mask(file: Path | IO[bytes], mask: Mask) -> None:
    """Write class indices as an 8-bit gray PNG."""
    Image.fromarray(mask).save(file, "PNG", compress_level=1)


def _plane(path: Path, shape: tuple[int, int], data_bar: int) -> Pixels:
    pixels, _ = read_pixels(path, indices=True)
    if pixels.ndim == 3 and (pixels[..., :3] == pixels[..., :1]).all():
        pixels = pixels[..., 0]
    if pixels.ndim != 2:
        raise ImageError(f"{path} is in colour: a mask needs one class index per pixel")
    if pixels.shape == (shape[0] + data_bar, shape[1]):
        pixels = pixels[: shape[0]]
    if pixels.shape != shape:
        size = f"{pixels.shape[1]}x{pixels.shape[0]}"
        raise ImageError(f"{path} is {size} but its image is {shape[1]}x{shape[0]}: they must have one size")
    return pixels


def _foreground(labels: Pixels, ignore: int | None, path: Path) -> Mask:
    # NaN is not whole either
    whole = labels.dtype.kind in "bui" or bool((np.isfinite(labels) & (labels == np.floor(labels))).all())
    if not whole or labels.min() < 0:
        raise ImageError(
            f"{path} holds values from {labels.min():g} to {labels.max():g}: instance labels are 0, 1, 2, ..."
        )
    mask = (labels > 0).astype(np.uint8)
    if ignore is not None:
        mask[labels == ignore] = IGNORE
    return mask


def _class_indices(pixels: Pixels, classes: Sequence[str], ignore: int | None, path: Path) -> Mask:
    values = np.unique(pixels)
    ignored = pixels == ignore if ignore is not None else None
    found = values[values != ignore] if ignore is not None else values
    if len(classes) == 2 and set(found.tolist()) <= {0, 255} and 255 in found:
        pixels, found = pixels == 255, np.array([0, 1])
    allowed = np.isin(found, np.arange(len(classes)))
    if not allowed.all():
        raise ImageError(_unexpected(path, found, classes, ignore))
    mask = pixels.astype(np.uint8)
    if ignored is not None:
        mask[ignored] = IGNORE
    return mask


def _unexpected(path: Path, values: Pixels, classes: Sequence[str], ignore: int | None) -> str:
    shown = ", ".join(f"{v:g}" for v in values[:3]) + (f" ... {values[-1]:g}" if len(values) > 3 else "")
    text = f"{path} holds {len(values)} different values ({shown}): a mask needs class indices"
    if len(values) > len(classes) + 8:
        labels = " If it numbers the objects, pass --instances." if len(classes) == 2 else ""
        return f"{text}; was it saved with anti-aliasing or as JPEG?{labels}"
    rule = f"0 to {len(classes) - 1} for {', '.join(classes)}"
    last = values[-1]
    if ignore is None and len(classes) <= last <= 255 and last == int(last):
        return f"{text}, {rule}; if {last:g} means not annotated, pass --set data.ignore={last:g}"
    return f"{text}, {rule}"
