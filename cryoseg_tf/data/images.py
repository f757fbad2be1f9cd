"""Annotated images at the network's scale: read once, kept up to a bound, cut into windows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import cachetools
import numpy as np
import numpy.typing as npt

from ..config import IGNORE, Config, Contract
from ..io.mask import Mask
from .objects import diameters
from .pairs import AnnotatedMicrograph, Pair, read_annotated
from .preprocess import image_statistics, model_shape
from .resampling import nearest, resample
from .sampling import Draw, Points, corner, foreground


@dataclass(frozen=True)
class Facts:
    """What is known of an image once it was read: enough to plan training without its pixels.

    Attributes:
        classes: How many pixels of the mask each class has.
        diameters: The typical diameter of each foreground class' objects, in the image's pixels.
    """

    source: Path | None
    shape: tuple[int, int]
    pixel_size: float | None
    offset: float
    scale: float
    contrast: float
    classes: Mapping[int, int]
    diameters: Mapping[int, float]


@dataclass(frozen=True)
class Prepared:
    """An image at the network's scale, not yet normalised, in its own dtype where that was kept."""

    pixels: npt.NDArray[Any]
    mask: Mask


class Images:
    """Annotated images by number; decoded ones are kept, up to ``data.cache_mb``."""

    def __init__(self, pairs: Sequence[Pair], config: Config, contract: Contract) -> None:
        self.pairs = tuple(pairs)
        self.config = config
        self.contract = contract
        self._cache: cachetools.LRUCache[int, Prepared] = cachetools.LRUCache(
            config.data.cache_mb * 2**20, getsizeof=lambda p: p.pixels.nbytes + p.mask.nbytes
        )
        self._lock = Lock()
        self._foreground: dict[int, list[Points]] = {}
        self.hard: list[Points] = []
        """Where the network erred, for each image; empty while nobody looked."""

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Prepared:
        with self._lock:
            kept = self._cache.get(index)
        if kept is not None:
            return kept
        prepared = prepare(read_annotated(self.pairs[index], self.config.data), self.contract)
        with self._lock:
            if self._cache.getsizeof(prepared) <= self._cache.maxsize:
                self._cache[index] = prepared
        return prepared

    def shape(self, facts: Facts) -> tuple[int, int]:
        """Return an image's ``(height, width)`` at the network's scale."""
        native, size = facts.shape, facts.pixel_size or 0.0
        height, width = model_shape(native[0], native[1], size, self.contract).numpy().tolist()
        return height, width

    def window(self, index: int, top: int, left: int, height: int, width: int) -> tuple[npt.NDArray[Any], Mask]:
        """Return float32 pixels and mask of a window; beyond the image, its edge, not annotated."""
        image = self[index]
        spans, missing, overlaps = [], [], True
        for start, length, side in zip((top, left), (height, width), image.mask.shape, strict=True):
            # at least one row or column, for its edge to repeat
            first, last = min(max(start, 0), side - 1), max(min(start + length, side), 1)
            spans.append(slice(first, last))
            before = min(max(-start, 0), length - 1)
            missing.append((before, length - before - (last - first)))
            overlaps = overlaps and start < side and start + length > 0
        pixels, mask = image.pixels[tuple(spans)].astype(np.float32), image.mask[tuple(spans)]
        if not overlaps:
            mask = np.full_like(mask, IGNORE)
        if np.any(missing):
            pixels = np.pad(pixels, missing, mode="edge")
            mask = np.pad(mask, missing, constant_values=IGNORE)
        return pixels, mask

    def corner(self, index: int, draw: Draw) -> Any:
        """Return where a training patch is taken, as ``sampling.corner`` does."""
        data = self.config.data
        mask = self[index].mask
        if index not in self._foreground:
            self._foreground[index] = foreground(mask)
        hard = [self.hard[index]] if self.hard and len(self.hard[index]) else []
        tables = [(data.hard_patches if self.hard else 0.0, hard), (data.foreground_patches, self._foreground[index])]
        return corner(draw, mask.shape, data.patch or 256, tables)


def examine(annotated: AnnotatedMicrograph, contract: Contract) -> Facts:
    """Measure an annotated image: its statistics, and which classes its mask holds."""
    pixels, mask = annotated.micrograph.pixels, annotated.mask
    offset, scale, contrast = image_statistics(pixels, contract)
    counts = np.bincount(mask.ravel(), minlength=IGNORE + 1)[:IGNORE]
    classes = {int(index): int(counts[index]) for index in np.flatnonzero(counts)}
    micrograph = annotated.micrograph
    return Facts(
        micrograph.source, pixels.shape, micrograph.pixel_size, offset, scale, contrast, classes, diameters(mask)
    )


def prepare(annotated: AnnotatedMicrograph, contract: Contract) -> Prepared:
    """Bring an image and its mask to the network's scale; native pixels stay where the size does."""
    micrograph, mask = annotated.micrograph, annotated.mask
    height, width = mask.shape
    shape = tuple(model_shape(height, width, micrograph.pixel_size or 0.0, contract).numpy().tolist())
    if shape == mask.shape:
        return Prepared(micrograph.pixels, mask)
    pixels = resample(micrograph.pixels.astype(np.float32)[None, :, :, None], shape)
    return Prepared(pixels.numpy()[0, :, :, 0], nearest(mask, shape))
