"""Golden images: what the trained model makes of a few images, kept in the bundle for every host to compare with."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from skimage.transform import resize

from cryoseg_tf.config import Contract
from cryoseg_tf.data.preprocess import Status
from cryoseg_tf.io.micrograph import Micrograph, Pixels
from cryoseg_tf.segmentation.segmenter import Segmentation, Segmenter, examine

from .bundle import GoldenCase

SIDE = 320
"""Largest side in pixels, at the network's scale, of a golden image."""

ROUNDINGS = 8
"""A runtime may differ from the trained model by so many times what float32 itself leaves undecided."""

TOLERANCE = 2e-5
"""A runtime may always differ by so much in float32."""


class Golden(NamedTuple):
    """What ``write_golden`` wrote.

    Attributes:
        cases: One an image.
        tolerance: How far a float32 probability may be off.
        unseen: Classes that the model finds in none of the images.
    """

    cases: tuple[GoldenCase, ...]
    tolerance: float
    unseen: tuple[str, ...]


def write_golden(segmenter: Segmenter, examples: Sequence[Micrograph], folder: Path) -> Golden:
    """Segment golden images made from ``examples`` by the trained model, and write both.

    Args:
        segmenter: Of the trained model, in float32, without tiles.
        examples: Micrographs that it can segment.
        folder: Where to write, the bundle's ``golden``.
    """
    contract = segmenter.contract
    crops, unseen = _chosen(segmenter, [_crop(image, contract) for image in examples])
    folder.mkdir()
    cases = []
    for name, micrograph in _cases(crops, contract):
        result = segmenter.segment(micrograph, probabilities=True)
        files = {"image": micrograph.pixels, "mask": result.mask, "probability": result.probabilities}
        for what, array in files.items():
            np.save(folder / f"{name}.{what}.npy", np.ascontiguousarray(array))
        places = {what: f"{folder.name}/{name}.{what}.npy" for what in files}
        pixel_size = micrograph.pixel_size or 0.0
        cases.append(GoldenCase(name=name, pixel_size=pixel_size, status=int(result.status), **places))
    undecided = max(_rounding(segmenter, crop) for crop in crops)
    return Golden(tuple(cases), max(TOLERANCE, ROUNDINGS * undecided), unseen)


def mirrored(pixels: Pixels, shape: tuple[int, int]) -> Pixels:
    """Return pixels, mirrored at the bottom and right until they are at least of ``shape``."""
    missing = [(0, max(0, wanted - side)) for wanted, side in zip(shape, pixels.shape, strict=True)]
    return np.pad(pixels, missing, mode="symmetric")


def _cases(crops: Sequence[Micrograph], contract: Contract) -> Iterator[tuple[str, Micrograph]]:
    """Yield each way in which an image can be unlike another, by name; all but the first need no second image."""
    first, other = crops[0], crops[-1]
    yield "uint8", _with(first, _eight_bit(first.pixels))
    yield "uint16", _with(first, _eight_bit(first.pixels).astype(np.uint16) * 211 + 1009)
    height, width = other.pixels.shape
    yield "odd", _with(other, other.pixels[: _odd(height * 0.8), : _odd(width * 0.6)])
    yield "pixel_size_1.5", _coarser(first, 1.5)
    low, high = contract.pixel_size_range or (0.0, np.inf)
    if not low <= 1.5 * (first.pixel_size or 0.0) <= high and contract.scale == "pixel_size":
        yield "pixel_size_largest", _coarser(first, high / (first.pixel_size or 1.0) * 0.999)
    noise = np.random.default_rng(0).normal(120, 6, first.pixels.shape)
    yield "empty", _with(first, noise.round().astype(np.uint8))
    yield "blank", _with(first, np.full((64, 80), 7, np.uint8))
    yield "too_small", _with(first, np.arange(15, dtype=np.uint8).reshape(3, 5))
    gap = _eight_bit(first.pixels)[:64, :80].astype(np.float32)
    gap[5, 7] = np.nan
    yield "not_finite", _with(first, gap)
    if contract.scale == "pixel_size":
        yield "pixel_size_unknown", Micrograph(_eight_bit(first.pixels)[:64, :80], None)
    for number, crop in enumerate(crops[1:], 2):
        yield f"image_{number}", _with(crop, _eight_bit(crop.pixels))


def _chosen(segmenter: Segmenter, crops: Sequence[Micrograph]) -> tuple[list[Micrograph], tuple[str, ...]]:
    """Return the crops that together show each class that the model finds, and the classes it finds in none."""
    results = [segmenter.segment(crop) for crop in crops]
    names = segmenter.contract.classes
    shares = np.array([[np.mean(result.mask == index) for index in range(len(names))] for result in results])
    # the liveliest of all, then the one that shows most of each class
    best = [int(np.argmax([_liveliness(result) for result in results])), *np.argmax(shares, axis=0).tolist()]
    unseen = tuple(name for name, share in zip(names, shares.max(axis=0), strict=True) if not share)
    return [crops[index] for index in dict.fromkeys(best)], unseen


def _liveliness(result: Segmentation) -> float:
    """Return how evenly an image is divided between background and the rest; one of low contrast comes last."""
    share = float(np.mean(result.mask > 0))
    return share * (1 - share) - (result.status != Status.OK)


def _rounding(segmenter: Segmenter, crop: Micrograph) -> float:
    """Return how far probabilities move when inputs are rounded otherwise: a third of all counts is the same image."""
    pixels = _eight_bit(crop.pixels).astype(np.float32)
    one, other = (
        segmenter.segment(_with(crop, image), probabilities=True).probabilities
        for image in (pixels, pixels / np.float32(3))
    )
    return 0.0 if one is None or other is None else float(np.abs(one - other).max())


def _crop(micrograph: Micrograph, contract: Contract) -> Micrograph:
    """Cut the middle out of an image, ``SIDE`` pixels at the network's scale."""
    shape = examine(micrograph, contract).shape
    spans = []
    for side, shown in zip(micrograph.pixels.shape, shape, strict=True):
        wanted = min(side, round(SIDE * side / shown))
        spans.append(slice((side - wanted) // 2, (side - wanted) // 2 + wanted))
    return _with(micrograph, micrograph.pixels[spans[0], spans[1]])


def _coarser(crop: Micrograph, factor: float) -> Micrograph:
    pixels = _eight_bit(crop.pixels)
    shape = [max(8, round(side / factor)) for side in pixels.shape]
    smaller = resize(pixels, shape, preserve_range=True, anti_aliasing=True).round().astype(np.uint8)
    return Micrograph(smaller, crop.pixel_size and crop.pixel_size * factor)


def _eight_bit(pixels: Pixels) -> npt.NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return pixels
    low, high = np.percentile(pixels, (0.5, 99.5))
    stretched = (pixels.astype(np.float64) - low) / max(high - low, np.finfo(float).tiny) * 230 + 10
    return stretched.clip(0, 255).round().astype(np.uint8)


def _odd(side: float) -> int:
    return max(9, int(side) // 2 * 2 - 1)


def _with(micrograph: Micrograph, pixels: Pixels) -> Micrograph:
    return Micrograph(np.ascontiguousarray(pixels), micrograph.pixel_size)
