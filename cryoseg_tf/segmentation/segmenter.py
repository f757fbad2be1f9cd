"""Segment a micrograph: statistics, scale, tiles, decision, and back to its own size."""

import itertools
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ..config import Contract
from ..data.preprocess import (
    EMPTY,
    Status,
    finite,
    image_statistics,
    model_shape,
    normalise,
    status,
)
from ..data.resampling import needed_rows, resample_part
from ..errors import DataError
from ..io.mask import Mask
from ..io.micrograph import Micrograph, Pixels, warn_of_data_bar
from ..models.metrics import decide
from ..run import Run
from .keras_predictor import KerasPredictor
from .local import LocalStatistics, local_statistics
from .predictor import Array, Predictor
from .rescaling import BAND, Band, scaled_back
from .tiling import Tile, tiles

TILE = 1536
"""Largest side of a window in pixels; beyond it images are tiled to bound memory, if the network allows."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Segmentation:
    """A mask, what was found about the image, and the probabilities if asked for.

    Attributes:
        mask: ``(height, width)`` uint8 class indices at the image's own size.
        status: With some, the mask is empty: see ``Status``.
        probabilities: ``(height, width, channels)`` float32, or None.
    """

    mask: Mask
    status: Status
    probabilities: Array | None = None


class Facts(NamedTuple):
    """What is found about an image before the network sees it.

    Attributes:
        offset: ``(pixels - offset) * scale`` is what the network sees.
        scale: See ``offset``.
        shape: ``(height, width)`` at the network's scale.
        status: See ``Status``.
        local: Of a montage: what takes the place of offset and scale, where they differ from place to place.
    """

    offset: np.float32
    scale: np.float32
    shape: tuple[int, int]
    status: Status
    local: LocalStatistics | None = None

    def normalised(self, pixels: Array, tile: Tile) -> Array:
        """Return the pixels of a tile as the network sees them."""
        if self.local is None:
            return normalise(pixels, self.offset, self.scale)
        return normalise(pixels, *self.local.at(tile.rows.read, tile.columns.read))


def examine(micrograph: Micrograph, contract: Contract, by_windows: bool = False) -> Facts:
    """Find how an image is to be shown to the network, and whether it can be.

    ``by_windows``, as a montage is, an image larger than two training images has statistics for each window, and
    low contrast where all of them have.
    """
    pixels = micrograph.pixels
    pixel_size = tf.constant(micrograph.pixel_size or 0.0, tf.float32)
    shape = model_shape(pixels.shape[0], pixels.shape[1], pixel_size, contract)
    height, width = shape.numpy().tolist()
    if local := local_statistics(pixels, (height, width), contract) if by_windows else None:
        offset, scale, contrast = 0.0, 1.0, float(local.contrast.max())
    else:
        offset, scale, contrast = image_statistics(pixels, contract)
    found = status(pixel_size, shape, tf.constant([_all_finite(pixels)]), tf.constant([contrast]), contract)
    return Facts(np.float32(offset), np.float32(scale), (height, width), Status(int(found[0])), local)


def at_network_scale(pixels: Pixels, shape: tuple[int, int], rows: slice, columns: slice) -> Array:
    """Return a window of pixels resampled to ``shape``, as float32: of the same ones if they have it."""
    if shape == pixels.shape:
        return pixels[rows, columns].astype(np.float32)
    return resample_part(pixels, shape, rows, columns)


class Segmenter:
    """Segments micrographs of any size with a predictor and the contract of its model.

    Args:
        predictor: What runs the network. If that sees the whole image (halo None), nothing is tiled.
        contract: What the network needs to know of an image, and what its output means.
        tile: Largest side of a window in pixels; None: never tile.
    """

    def __init__(self, predictor: Predictor, contract: Contract, tile: int | None = TILE) -> None:
        self.predictor = predictor
        self.contract = contract
        self.tile = tile

    @classmethod
    def from_run(cls, run: Run | Path | str, tile: int | None = TILE) -> "Segmenter":
        """Load the model of a run.

        Raises:
            RunError: If there is no such run, or it has no usable model.
        """
        run = run if isinstance(run, Run) else Run(run)
        return cls(KerasPredictor(run.load_model(), run.config.model), run.contract, tile)

    def check(self, micrograph: Micrograph) -> None:
        """Refuse a micrograph without the pixel size that the model needs; warn of one it is not for, or a data bar.

        Raises:
            DataError: Naming its file.
        """
        if self.contract.scale == "pixel_size":
            size, (low, high) = micrograph.pixel_size, self.contract.pixel_size_range or (0.0, 0.0)
            if size is None:
                raise DataError(
                    f"{micrograph.source} does not say its pixel size, which this model needs: pass --pixel-size"
                )
            if not low <= size <= high:
                message = "%s has pixels of %g nm, and this model is for %g to %g nm: its mask is empty"
                log.warning(message, micrograph.source, size, low, high)
        warn_of_data_bar(micrograph)

    def segment(self, micrograph: Micrograph, probabilities: bool = False) -> Segmentation:
        """Segment one micrograph; ``probabilities`` keeps them, at 4 bytes per pixel and channel."""
        pixels, contract = micrograph.pixels, self.contract
        height, width = pixels.shape
        facts = examine(micrograph, contract)
        mask = np.zeros((height, width), np.uint8)
        kept = self._background(height, width) if probabilities else None
        for rows, values in self.bands(pixels, facts):
            mask[rows] = decide(values, contract.threshold)
            if kept is not None:
                kept[rows] = values
        return Segmentation(mask, facts.status, kept)

    def bands(self, pixels: Pixels, facts: Facts, first: int = 0) -> Iterator[Band]:
        """Yield the probabilities of all pixels, some rows at a time, from the top.

        Args:
            pixels: ``(height, width)``, of which windows are read.
            facts: What ``examine`` found about them; where it calls for an empty mask, there are none.
            first: The row to begin with.
        """
        if facts.status in EMPTY:
            return
        needed = needed_rows(facts.shape[0], pixels.shape[0])
        bands = self._predict(pixels, facts, int(needed[0][first]))
        if facts.shape != pixels.shape:
            bands = scaled_back(bands, facts.shape, pixels.shape, needed, first)
        for rows, values in bands:
            yield slice(max(rows.start, first), rows.stop), values[max(first - rows.start, 0) :]

    def _background(self, height: int, width: int) -> Array:
        kept = np.zeros((height, width, self.predictor.channels), np.float32)
        if self.predictor.channels > 1:
            kept[..., 0] = 1
        return kept

    def _predict(self, pixels: Pixels, facts: Facts, first: int) -> Iterator[Band]:
        """Yield bands at the network's scale, each the cores of a row of tiles, from that with row ``first`` on."""
        height, width = facts.shape
        plan = [tile for tile in self._plan(height, width) if tile.rows.write.stop > first]
        size = self.predictor.batch
        groups = (plan[first : first + size] for first in range(0, len(plan), size))
        batches = (
            np.stack([facts.normalised(_window(pixels, facts.shape, tile), tile) for tile in group]) for group in groups
        )
        results = (result for batch in self.predictor.map(_ahead(b[..., None] for b in batches)) for result in batch)
        for rows, row in itertools.groupby(zip(plan, results, strict=True), key=lambda pair: pair[0].rows):
            kept = slice(rows.write.start, min(rows.write.stop, height))  # the rest is padding
            values = np.empty((kept.stop - kept.start, width, self.predictor.channels), np.float32)
            for tile, result in row:
                core = result[rows.core, tile.columns.core]
                here = values[:, tile.columns.write]
                here[:] = core[: here.shape[0], : here.shape[1]]
            yield kept, values

    def _plan(self, height: int, width: int) -> list[Tile]:
        stride, halo = self.predictor.stride, self.predictor.halo
        padded = [-(-side // stride) * stride for side in (height, width)]
        if self.tile is None or halo is None:
            window, halo = max(padded), 0
        else:
            # three halos, lest a network that sees far leaves hardly any core
            window = max(-(-self.tile // stride) * stride, 3 * halo)
        return list(tiles(padded[0], padded[1], window, halo, stride))


def _ahead(batches: Iterator[Array]) -> Iterator[Array]:
    """Make each batch while the network is at the one before."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = thread.submit(next, batches, None)
            yield batch


def _window(pixels: Pixels, shape: tuple[int, int], tile: Tile) -> Array:
    """Read a window of what the pixels are at ``shape``; beyond the image its last row and column repeat."""
    rows, columns = (
        np.minimum(np.arange(span.read.start, span.read.stop), side - 1) for span, side in zip(tile, shape, strict=True)
    )
    inside = at_network_scale(pixels, shape, slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    missing = [(0, len(index) - side) for index, side in zip((rows, columns), inside.shape, strict=True)]
    return np.pad(inside, missing, mode="edge") if np.any(missing) else inside


def _all_finite(pixels: Pixels) -> bool:
    if pixels.dtype.kind in "bui":
        return True
    height, width = pixels.shape
    step = max(1, BAND // width)
    bands = (pixels[top : min(top + step, height), 0:width] for top in range(0, height, step))
    return all(bool(tf.reduce_all(finite(band.astype(np.float32)))) for band in bands)
