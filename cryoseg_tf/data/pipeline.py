"""Feed training: read each image once, then cut, augment and batch patches in tf.data.

Training patch ``i`` is a function of ``(seed, i)`` alone, so a run repeats, and resumes in the
middle, whatever the threads do.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import cachetools
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ..config import IGNORE, Config, Contract
from ..io.mask import Mask
from .augment import coarser_scan, flips_and_turns
from .pairs import AnnotatedMicrograph, Pair, read_annotated
from .preprocess import image_statistics, model_shape, nearest, normalise, resample

VALIDATION_SIDE = 1536
"""Validation images with a longer side are scored in windows of it, to bound memory."""


@dataclass(frozen=True)
class Facts:
    """What is known of an image once it was read: enough to plan training without its pixels."""

    source: Path | None
    shape: tuple[int, int]
    pixel_size: float | None
    offset: float
    scale: float
    contrast: float
    classes: frozenset[int]


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
        rows, columns = slice(top, top + height), slice(left, left + width)
        pixels = image.pixels[rows, columns].astype(np.float32)
        mask = image.mask[rows, columns]
        missing = [(0, height - pixels.shape[0]), (0, width - pixels.shape[1])]
        if np.any(missing):
            pixels = np.pad(pixels, missing, mode="edge")
            mask = np.pad(mask, missing, constant_values=IGNORE)
        return pixels, mask


def examine(annotated: AnnotatedMicrograph, contract: Contract) -> Facts:
    """Measure an annotated image: its statistics, and which classes its mask holds."""
    pixels, mask = annotated.micrograph.pixels, annotated.mask
    offset, scale, contrast = image_statistics(pixels, contract)
    classes = frozenset(np.unique(mask).tolist()) - {IGNORE}
    micrograph = annotated.micrograph
    return Facts(micrograph.source, pixels.shape, micrograph.pixel_size, offset, scale, contrast, classes)


def prepare(annotated: AnnotatedMicrograph, contract: Contract) -> Prepared:
    """Bring an image and its mask to the network's scale; native pixels stay where the size does."""
    micrograph, mask = annotated.micrograph, annotated.mask
    height, width = mask.shape
    shape = tuple(model_shape(height, width, micrograph.pixel_size or 0.0, contract).numpy().tolist())
    if shape == mask.shape:
        return Prepared(micrograph.pixels, mask)
    pixels = resample(micrograph.pixels.astype(np.float32)[None, :, :, None], shape)
    return Prepared(pixels.numpy()[0, :, :, 0], nearest(mask, shape))


def patches(images: Images, facts: Sequence[Facts], config: Config, start: int = 0) -> tf.data.Dataset:
    """Return endless batches ``((b, p, p, 1) float32, (b, p, p, 1) uint8)`` from patch ``start`` on.

    In each round of ``patches_per_image * images`` patches every image gives as many; the order
    is shuffled anew each round.
    """
    side = config.data.patch or 256
    shapes = tf.constant([images.shape(f) for f in facts], tf.int32)
    offsets = tf.constant([f.offset for f in facts], tf.float32)
    scales = tf.constant([f.scale for f in facts], tf.float32)
    per_round = config.data.patches_per_image * len(images)

    def window(index: Any, top: Any, left: Any) -> tuple[npt.NDArray[Any], Mask]:
        return images.window(int(index), int(top), int(left), side, side)

    @tf.autograph.experimental.do_not_convert
    def patch(number: Any) -> tuple[Any, Any]:
        position = tf.cast(number, tf.int64)
        seed = tf.stack([tf.constant(config.seed, tf.int64), position])
        round_seed = tf.stack([config.seed, tf.cast(position // per_round, tf.int32)])
        slot = tf.random.experimental.index_shuffle(position % per_round, round_seed, per_round - 1)
        index = tf.cast(slot % len(images), tf.int32)
        room = tf.maximum(shapes[index] - side, 0) + 1
        draw = tf.random.stateless_uniform([2], seed, 0, 1, tf.float32)
        corner = tf.minimum(tf.cast(draw * tf.cast(room, tf.float32), tf.int32), room - 1)
        pixels, mask = tf.numpy_function(window, [index, corner[0], corner[1]], (tf.float32, tf.uint8))
        pixels = normalise(tf.ensure_shape(pixels, (side, side)), offsets[index], scales[index])
        both = tf.stack([pixels, tf.cast(tf.ensure_shape(mask, (side, side)), tf.float32)], axis=-1)
        if config.training.augmentation:
            both = flips_and_turns(both, seed + tf.constant([0, 2**40], tf.int64))
        pixels, mask = both[..., :1], tf.cast(both[..., 1:], tf.uint8)
        if config.training.augmentation and images.contract.scale == "pixel_size":
            pixels = coarser_scan(pixels, seed + tf.constant([0, 2**41], tf.int64))
        return pixels, mask

    numbers = tf.data.Dataset.counter(start)
    mapped = numbers.map(patch, num_parallel_calls=2, deterministic=True)
    return mapped.batch(config.training.batch_size, drop_remainder=True).prefetch(2).with_options(_options())


def validation_windows(images: Images, facts: Sequence[Facts], config: Config) -> tf.data.Dataset:
    """Return whole images, or large ones in windows, as batches of one, padded to the stride."""
    stride = config.model.stride
    spec = (tf.TensorSpec((1, None, None, 1), tf.float32), tf.TensorSpec((1, None, None, 1), tf.uint8))

    places = [
        (index, rows, columns)
        for index, fact in enumerate(facts)
        for rows in _pieces(images.shape(fact)[0], stride)
        for columns in _pieces(images.shape(fact)[1], stride)
    ]

    def windows() -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
        for index, (top, height), (left, width) in places:
            pixels, mask = images.window(index, top, left, height, width)
            pixels = normalise(pixels, np.float32(facts[index].offset), np.float32(facts[index].scale))
            yield pixels[None, :, :, None], mask[None, :, :, None]

    dataset = tf.data.Dataset.from_generator(windows, output_signature=spec)
    return dataset.apply(tf.data.experimental.assert_cardinality(len(places))).with_options(_options())


def _options() -> tf.data.Options:
    options = tf.data.Options()
    # nothing here is left to tune, and the tuner's thread wakes only after up to 5 s when an iterator ends
    options.autotune.enabled = False
    # threads of its own: training's inter-op pool has a single one (see training.strategy)
    options.threading.private_threadpool_size = 2
    return options


def _pieces(length: int, stride: int) -> list[tuple[int, int]]:
    """Cut a side into (start, length) of about equal length, at most VALIDATION_SIDE, multiples of stride."""
    count = -(-length // VALIDATION_SIDE)
    piece = -(-length // (count * stride)) * stride
    return [(start, piece) for start in range(0, length, piece)]
