"""Pictures of scored images: outlines on the micrograph as JPEG, and views for the report's viewer.

A view holds what was seen, what is true and what was found, each as a channel; the page makes image, truth,
prediction and difference of it::

    overlays/NAME.png   red: gray value, green: true class (255: not annotated), blue: predicted class
    in the page         the grays as JPEG, the pairs of classes as PNG, both no larger than the budget allows
"""

import base64
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import maximum_filter, minimum_filter

from ..config import IGNORE
from ..data.resampling import nearest

Array = npt.NDArray[Any]
Picture = npt.NDArray[np.uint8]

SIDE = 1024
"""Longest side of an overlay and of a view in pixels."""

YELLOW, RED, ORANGE = (255, 225, 25), (235, 40, 40), (255, 140, 0)
"""Outlines: the truth, the prediction, and where both run along the same pixels."""

DIFFERENCE = {"agreed": "#009e73", "missed": "#f0e442", "false": "#d55e00", "other": "#5a6eff"}
"""What truth and prediction make of a pixel; told apart by colour-blind eyes too."""

CLASSES = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#0072b2", "#d55e00")
"""Of the foreground classes, in turn; after Okabe & Ito 2008 (jfly.uni-koeln.de/color)."""

THUMBNAIL, SMALLEST = 640, 16
"""Longest side of an overlay inside the page, and of anything that has to be made smaller."""

VIEWS, OVERLAYS = 15 * 2**20, 2 * 2**20
"""Bytes of all views and of all overlays in a page; as base64 they take a third more."""

QUALITIES = (85, 70, 55, 40)
BYTES_PER_PIXEL = 0.2
"""Of a noisy micrograph as JPEG, at a quality between those; it gives the first size to be tried."""


class Embedded(NamedTuple):
    """A view as base64: grays as JPEG, and a PNG whose red is the true class and green the predicted one."""

    gray: str
    classes: str


def overlay(pixels: Array, truth: Array, prediction: Array) -> Picture:
    """Draw the outlines of truth (yellow) and prediction (red; orange where both) on a micrograph.

    Outlines run just inside each object. Pixels marked ``IGNORE`` are darkened and hold no prediction.

    Args:
        pixels: ``(height, width)`` gray values of any range; percentiles 1 and 99.8 become black and white.
        truth: ``(height, width)`` class indices, with ``IGNORE``.
        prediction: ``(height, width)`` class indices.

    Returns:
        ``(h, w, 3)`` uint8 RGB, scaled down so that its longer side is at most ``SIDE``.
    """
    gray = _gray(pixels)
    truth, prediction = nearest(truth, gray.shape), nearest(prediction, gray.shape)
    ignored = truth == IGNORE
    gray = np.where(ignored, gray // 2, gray)
    width = 2 if max(gray.shape) > SIDE // 2 else 1
    there = _outline(np.where(ignored, 0, truth), width)
    found = _outline(np.where(ignored, 0, prediction), width)
    picture = np.repeat(gray[:, :, None], 3, axis=2)
    picture[there] = YELLOW
    picture[found] = RED
    picture[there & found] = ORANGE
    return picture


def save_overlay(picture: Picture, path: Path) -> None:
    """Write an overlay as JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    # full colour resolution: halved, thin outlines turn gray
    Image.fromarray(picture).save(buffer, format="JPEG", quality=88, subsampling=0)
    path.write_bytes(buffer.getvalue())  # Pillow's own writing of JPEG is silent on a full disk


def save_view(pixels: Array, truth: Array, prediction: Array, path: Path) -> None:
    """Write a PNG whose red is the image, green the true class and blue the predicted one.

    Classes are indices and take the nearest pixel, 255 where nothing was annotated; grays are averaged.
    The longer side is at most ``SIDE``.

    Args:
        pixels: ``(height, width)`` gray values of any range; percentiles 1 and 99.8 become black and white.
        truth: ``(height, width)`` class indices, with ``IGNORE``.
        prediction: ``(height, width)`` class indices.
        path: The file to write.
    """
    gray = _gray(pixels)
    channels = [gray, *(nearest(mask, gray.shape).astype(np.uint8) for mask in (truth, prediction))]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.stack(channels, axis=-1)).save(path, format="PNG")


def embed_view(path: Path, allowed: int) -> Embedded:
    """Read a view and make it small enough to be one of many in a page.

    Quality goes first, then size: classes stay exact, to the pixel of the smaller picture.

    Args:
        path: A file from ``save_view``.
        allowed: Bytes it may take before base64; the smallest there is takes what it takes.
    """
    with Image.open(path) as file:
        view = np.asarray(file.convert("RGB"))
    for side in _sides(SIDE, allowed):
        gray, *masks = _shrunk(view, side)
        classes = _png(*masks)
        grays = _jpeg(Image.fromarray(gray), allowed - len(classes))
        if grays or side == SMALLEST:
            break
    return Embedded(_base64(grays or _compressed(Image.fromarray(gray), QUALITIES[-1])), _base64(classes))


def embed_overlay(path: Path, allowed: int) -> str:
    """Read an overlay and make it as small as ``embed_view`` does; return it as a ``data:`` address."""
    with Image.open(path) as file:
        for side in _sides(THUMBNAIL, allowed):
            picture = file.copy()
            picture.thumbnail((side, side))
            content = _jpeg(picture, allowed)
            if content or side == SMALLEST:
                break
    return "data:image/jpeg;base64," + _base64(content or _compressed(picture, QUALITIES[-1]))


def _sides(largest: int, allowed: int) -> Iterator[int]:
    """Yield smaller and smaller sides to be tried, from one that may fit in so many bytes."""
    side = min(largest, int(math.sqrt(allowed / BYTES_PER_PIXEL)))
    while side > SMALLEST:
        yield side
        side = side * 4 // 5
    yield SMALLEST


def _shrunk(view: Picture, side: int) -> list[Picture]:
    """Return the channels with a longer side of at most ``side``."""
    gray, truth, prediction = np.moveaxis(view, -1, 0)
    shape = _fitted(gray.shape, side)
    smaller = Image.fromarray(np.ascontiguousarray(gray)).resize(shape[::-1], Image.Resampling.BOX)
    return [np.asarray(smaller), nearest(truth, shape), nearest(prediction, shape)]


def _png(truth: Picture, prediction: Picture) -> bytes:
    pairs = truth.astype(np.uint16) << 8 | prediction
    there = np.flatnonzero(np.bincount(pairs.ravel(), minlength=2**16))
    colours = np.stack([there >> 8, there & 255, np.zeros_like(there)], axis=1).astype(np.uint8)
    if len(there) <= 256:  # a palette takes a third of the bytes
        picture = Image.fromarray(np.searchsorted(there, pairs).astype(np.uint8))
        picture.putpalette(colours.tobytes())
    else:
        picture = Image.fromarray(np.stack([truth, prediction, np.zeros_like(truth)], axis=-1))
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _jpeg(picture: Image.Image, allowed: int) -> bytes | None:
    """Return the best JPEG in so many bytes, or None if there is none."""
    contents = (_compressed(picture, quality) for quality in QUALITIES)
    return next((content for content in contents if len(content) <= allowed), None)


def _compressed(picture: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    # full colour resolution: halved, thin outlines turn gray
    picture.save(buffer, format="JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _gray(pixels: Array) -> Picture:
    step = max(1, max(pixels.shape) // (2 * SIDE))  # whole montages: never a float copy of all of it
    values = pixels[::step, ::step].astype(np.float64)
    low, high = np.percentile(values, (1, 99.8))
    gray: Picture = np.clip((values - low) * (255 / max(high - low, 1e-12)), 0, 255).astype(np.uint8)
    shape = _fitted(pixels.shape, SIDE)
    if shape == pixels.shape:
        return gray
    return np.asarray(Image.fromarray(gray).resize(shape[::-1], Image.Resampling.BOX))


def _fitted(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    factor = min(1.0, side / max(shape))
    height, width = (max(1, round(length * factor)) for length in shape)
    return height, width


def _outline(mask: Array, width: int) -> npt.NDArray[np.bool_]:
    """Return the pixels of each object within ``width`` of another class; the image's edge is none."""
    size = 2 * width + 1
    edges = maximum_filter(mask, size, mode="nearest") != minimum_filter(mask, size, mode="nearest")
    return np.asarray((mask > 0) & edges, np.bool_)
