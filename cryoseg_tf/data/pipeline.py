"""Feed training: cut patches from images, augment and batch them in tf.data.

Training patch ``i`` is a function of ``(seed, i)`` alone, so a run repeats, and resumes in the
middle, whatever the threads do.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ..config import Config
from ..io.mask import Mask
from .augment import changed, coarse_dropout, cutmix
from .geometry import Draws, bounding_box, draws, flips_and_turns, sample, warp
from .images import Facts, Images
from .preprocess import normalise
from .sampling import Draw

VALIDATION_SIDE = 1536
"""Validation images with a longer side are scored in windows of it, to bound memory."""

Place = tuple[int, int, int, int]
"""Top, left, height and width."""


class Share(NamedTuple):
    """What a process feeds of each batch: ``held`` of ``of`` equal pieces, from ``first`` on; a replica takes one."""

    first: int
    held: int
    of: int


def patches(
    images: Images, facts: Sequence[Facts], config: Config, start: int = 0, share: Share | None = None
) -> tf.data.Dataset:
    """Return endless batches ``((b, p, p, 1) float32, (b, p, p, 1) uint8)`` from patch ``start`` on.

    In each round of ``patches_per_image * images`` patches every image gives as many; the order
    is shuffled anew each round. With a share they are the pieces of each batch that it holds, one by one:
    all shares together give the batches that there are without.
    """
    source, batch = _Patches(images, facts, config), config.training.batch_size
    numbers = tf.data.Dataset.counter(start)
    if share:
        piece = batch // share.of
        held = share.held * piece
        numbers = tf.data.Dataset.counter(0).map(
            lambda n: start + n // held * batch + share.first * piece + n % held  # of each batch only what is held
        )
        batch = piece
    patch = tf.autograph.experimental.do_not_convert(source.patch)
    mapped = numbers.map(patch, num_parallel_calls=2, deterministic=True)
    return mapped.batch(batch, drop_remainder=True).prefetch(2).with_options(_options())


class _Patches:
    """Training patches by number; each draw of random numbers has a stream of its own."""

    def __init__(self, images: Images, facts: Sequence[Facts], config: Config) -> None:
        self.images, self.config = images, config
        self.side = config.data.patch or 256
        self.shapes = tf.constant([images.shape(f) for f in facts], tf.float32)
        self.offsets = tf.constant([f.offset for f in facts], tf.float32)
        self.scales = tf.constant([f.scale for f in facts], tf.float32)
        augmentation = config.training.augmentation
        if images.contract.scale != "pixel_size":  # then images of another pixel size are not brought to this one
            augmentation = augmentation.model_copy(update={"coarser_scan": 0.0})
        self.augmentation = augmentation

    def patch(self, number: Any) -> tuple[Any, Any]:
        """Cut, augment and normalise patch ``number``: ``(p, p, 1)`` float32 and uint8."""
        position, augmentation = tf.cast(number, tf.int64), self.augmentation
        seed = tf.stack([tf.constant(self.config.seed, tf.int64), position])
        index = self._image(position)
        pixels, mask = self._cut(index, draws(seed, 0))
        if augmentation.enabled:
            pixels, mask = self._mixed(pixels, mask, index, seed)
            if augmentation.flips:
                both = tf.stack([pixels, tf.cast(mask, tf.float32)], axis=-1)
                both = flips_and_turns(both, draws(seed, 3))
                pixels, mask = both[..., 0], tf.cast(both[..., 1], tf.uint8)
            pixels = changed(pixels, augmentation, seed, first_stream=4)
        return pixels[..., None], mask[..., None]

    def _image(self, position: Any) -> Any:
        per_round = self.config.data.patches_per_image * len(self.images)
        round_seed = tf.stack([self.config.seed, tf.cast(position // per_round, tf.int32)])
        slot = tf.random.experimental.index_shuffle(position % per_round, round_seed, per_round - 1)
        return tf.cast(slot % len(self.images), tf.int32)

    def _cut(self, index: Any, uniform: Draws) -> tuple[Any, Any]:
        """Return normalised pixels and mask, ``(p, p)``, of a place in an image; warped, or as they are."""
        place = tf.ensure_shape(tf.numpy_function(self._corner, [index, uniform([5])], tf.int32), (2,))
        side = self.side

        def plain() -> tuple[Any, Any]:
            return self._window(index, tf.concat([place, [side, side]], axis=0))

        def warped() -> tuple[Any, Any]:
            # of what there is of a small image, not of the patch: it would be turned out of view
            centre = tf.cast(place, tf.float32) + (tf.minimum(self.shapes[index], float(side)) - 1) / 2
            y, x = warp(side, self.augmentation, uniform)
            y, x = y + centre[0], x + centre[1]
            box = bounding_box((y, x))
            corner = tf.cast(box, tf.float32)
            return sample(*self._window(index, box), (y - corner[0], x - corner[1]))

        share = self.augmentation.warp if self.augmentation.enabled else 0.0
        pixels, mask = tf.cond(uniform() < share, warped, plain) if share else plain()
        pixels, mask = (tf.ensure_shape(values, (side, side)) for values in (pixels, mask))
        return normalise(pixels, self.offsets[index], self.scales[index]), mask

    def _mixed(self, pixels: Any, mask: Any, index: Any, seed: Any) -> tuple[Any, Any]:
        augmentation, count = self.augmentation, len(self.images)
        if augmentation.cutmix:
            uniform = draws(seed, 1)
            other = (index + 1 + tf.cast(uniform() * (count - 1), tf.int32)) % count

            def mixed() -> tuple[Any, Any]:
                return cutmix((pixels, mask), self._cut(other, uniform), uniform)

            pixels, mask = tf.cond(uniform() < augmentation.cutmix, mixed, lambda: (pixels, mask))
        if augmentation.coarse_dropout:
            uniform, before = draws(seed, 2), (pixels, mask)
            pixels, mask = tf.cond(
                uniform() < augmentation.coarse_dropout, lambda: coarse_dropout(*before, uniform), lambda: before
            )
        return pixels, mask

    def _corner(self, index: Any, draw: npt.NDArray[np.float32]) -> Any:
        return self.images.corner(int(index), Draw(*draw.tolist()))

    def _window(self, index: Any, box: Any) -> tuple[Any, Any]:
        pixels, mask = tf.numpy_function(
            lambda i, b: self.images.window(int(i), *b.tolist()), [index, box], (tf.float32, tf.uint8)
        )
        return tf.ensure_shape(pixels, (None, None)), tf.ensure_shape(mask, (None, None))


def validation_windows(
    images: Images, facts: Sequence[Facts], config: Config, share: Share | None = None
) -> tf.data.Dataset:
    """Return whole images, or large ones in windows, as batches of one, padded to the stride.

    With a share they are those that it holds, over and over. Every ``of`` windows make a step, in which each replica
    takes one; in the last step of a round some take a batch of none.
    """
    stride = config.model.stride
    places = [(index, place) for index, fact in enumerate(facts) for place in _places(images.shape(fact), stride)]
    taken: Sequence[int] = range(len(places))
    if share:
        steps = range(0, len(places), share.of)
        taken = [step + piece for step in steps for piece in range(share.first, share.first + share.held)]

    def windows() -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
        for number in taken:
            if number < len(places):
                index, place = places[number]
                pixels, mask = _window(images, index, facts[index], place)
                yield pixels[None, :, :, None], mask[None, :, :, None]
            else:
                yield np.zeros((0, stride, stride, 1), np.float32), np.zeros((0, stride, stride, 1), np.uint8)

    batch = None if share else 1
    spec = (tf.TensorSpec((batch, None, None, 1), tf.float32), tf.TensorSpec((batch, None, None, 1), tf.uint8))
    dataset = tf.data.Dataset.from_generator(windows, output_signature=spec)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(taken))).with_options(_options())
    return dataset.repeat() if share else dataset


def windows_of(images: Images, index: int, facts: Facts) -> Iterator[tuple[slice, slice, npt.NDArray[Any], Mask]]:
    """Yield where each window of an image lies, its normalised pixels, and its mask; they cover the image once."""
    for place in _places(images.shape(facts), images.config.model.stride):
        top, left, rows, columns = place
        yield slice(top, top + rows), slice(left, left + columns), *_window(images, index, facts, place)


def _places(shape: tuple[int, int], stride: int) -> Iterator[Place]:
    for top, rows in _pieces(shape[0], stride):
        for left, columns in _pieces(shape[1], stride):
            yield top, left, rows, columns


def _window(images: Images, index: int, facts: Facts, place: Place) -> tuple[npt.NDArray[Any], Mask]:
    pixels, mask = images.window(index, *place)
    return normalise(pixels, np.float32(facts.offset), np.float32(facts.scale)), mask


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
