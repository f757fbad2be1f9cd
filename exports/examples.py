"""The images that a run learned from, found again: int8 takes its ranges from them, and golden outputs theirs."""

import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from cryoseg_tf.data.phantom import PhantomOptions, render
from cryoseg_tf.data.preprocess import EMPTY, normalise
from cryoseg_tf.errors import CryoSegError
from cryoseg_tf.io import atomic
from cryoseg_tf.io.micrograph import Micrograph, read_micrograph
from cryoseg_tf.run import Run
from cryoseg_tf.segmentation.predictor import Array
from cryoseg_tf.segmentation.segmenter import at_network_scale, examine

MOST = 16
"""So many images are looked at; more would only take longer."""

TILE = 256
"""Side in pixels of the tiles that int8 takes its ranges from."""

log = logging.getLogger("cryoseg_tf")


def find_examples(run: Run, data: Path | None = None) -> list[Micrograph]:
    """Return images of the run, those that chose its best epoch first; none if they are no longer there.

    Args:
        run: A run.
        data: The folder it was trained on, if that was moved.
    """
    return list(islice(_unchanged(run, data), MOST))


def synthetic_examples(run: Run) -> list[Micrograph]:
    """Return phantoms, for a run whose images are gone."""
    contract = run.contract
    classes = PhantomOptions().classes
    pixel_size = contract.pixel_size or 200.0
    options = PhantomOptions(512, pixel_size, classes)
    return [Micrograph(render(seed, options).image, pixel_size, Path(f"phantom {seed}")) for seed in range(4)]


def calibration_tiles(run: Run, images: list[Micrograph]) -> list[Array]:
    """Return normalised tiles ``(1, h, w, 1)`` at the network's scale, one or more of each image."""
    contract, stride = run.contract, run.config.model.stride
    tiles = []
    for image in images:
        facts = examine(image, contract)
        if facts.status in EMPTY:
            continue
        pixels = at_network_scale(image.pixels, facts.shape, slice(None), slice(None))
        x = normalise(pixels, facts.offset, facts.scale)
        tiles += [tile[None, :, :, None] for tile in _cut(x, stride)]
    return tiles


def _cut(pixels: Array, stride: int) -> Iterator[Array]:
    """Yield up to four tiles, from the corners inwards; sides are multiples of the stride."""
    sides = [min(TILE // stride, side // stride) * stride or stride for side in pixels.shape]
    if any(side < wanted for side, wanted in zip(pixels.shape, sides, strict=True)):
        missing = [(0, max(0, wanted - side)) for side, wanted in zip(pixels.shape, sides, strict=True)]
        pixels = np.pad(pixels, missing, mode="edge")
    starts = [sorted({0, side - wanted}) for side, wanted in zip(pixels.shape, sides, strict=True)]
    for top in starts[0]:
        for left in starts[1]:
            yield pixels[top : top + sides[0], left : left + sides[1]]


def _unchanged(run: Run, data: Path | None) -> Iterator[Micrograph]:
    known, split, settings = run.environment(), run.split(), run.config.data
    for name in dict.fromkeys([*split.get("validation", []), *split.get("train", [])]):
        path = data / name if data else Path(known.get("places", {}).get(name, ""))
        try:
            if path.is_file() and atomic.sha256(path) == known["files"].get(name):
                yield read_micrograph(path, pixel_size=settings.image_pixel_size, data_bar=settings.data_bar)
        except (OSError, CryoSegError) as error:
            log.info("%s is left out: %s", path, error)
