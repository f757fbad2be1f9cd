"""Bring images to another size, in TF ops that export to every format, as a whole or by windows."""

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

Tensor = Any  # a tf.Tensor, eager or symbolic: TensorFlow's stubs have no useful type for it

PIECE = 1024
"""Sides are taken apart by it; then products of them stay below 2**31 up to sides of a million pixels."""


def resample(images: Tensor, shape: Tensor) -> Tensor:
    """Resample images to another size, without aliasing.

    Along each axis: means of 2, 4, 8 ... pixels as often as a halving fits, then linear
    interpolation between pixel centres. Where the size stays, nothing changes.

    Args:
        images: ``(n, height, width, channels)`` float32.
        shape: The new ``(height, width)``.
    """
    size = tf.shape(images)
    images = _along(images, *_taps(size[1], shape[0]), 1)
    return _along(images, *_taps(size[2], shape[1]), 2)


def resample_part(image: Any, shape: tuple[int, int], rows: slice, columns: slice) -> npt.NDArray[np.float32]:
    """Return a window of what ``resample`` makes of an image, from the pixels that it depends on alone.

    Args:
        image: ``(height, width)`` or ``(height, width, channels)``; only a window of it is read.
        shape: The new ``(height, width)`` of the whole.
        rows: Of the window.
        columns: Of the window.
    """
    axes = [_taps(tf.constant(old), tf.constant(new)) for old, new in zip(image.shape, shape, strict=False)]
    (above, down), (left, across) = (
        (taps.numpy()[window], weight[window]) for (taps, weight), window in zip(axes, (rows, columns), strict=True)
    )
    source = image[above.min() : above.max() + 1, left.min() : left.max() + 1].astype(np.float32)
    source = source.reshape(1, *source.shape[:2], -1)
    result = _along(_along(source, above - above.min(), down, 1), left - left.min(), across, 2).numpy()[0]
    return result if image.ndim > 2 else result[:, :, 0]


def needed_rows(old: int, new: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the first and the last of ``old`` rows that each of ``new`` rows is resampled from."""
    if old == new:
        return np.arange(old), np.arange(old)
    taps = _taps(tf.constant(old), tf.constant(new))[0].numpy()
    return taps.min(axis=(1, 2)), taps.max(axis=(1, 2))


def nearest(mask: Any, shape: tuple[int, int]) -> Any:
    """Resample a ``(height, width)`` mask to another size, by the pixel that holds each new centre."""
    rows, columns = ((2 * np.arange(new) + 1) * old // (2 * new) for old, new in zip(mask.shape, shape, strict=True))
    return mask[np.ix_(rows, columns)]


def _taps(length: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return source indices ``(target, 2, pool)`` along an axis, and the second tap's weight ``(target,)``."""
    halvings = tf.constant([2**k for k in range(1, 16)], tf.int32)
    pool = tf.gather(
        tf.constant([2**k for k in range(16)], tf.int32),
        tf.reduce_sum(tf.cast(length // target >= halvings, tf.int32)),
    )
    pooled = (length + pool - 1) // pool
    lower, weight = _centres(length, target, target * pool)
    first = tf.clip_by_value(lower, 0, pooled - 1)
    pairs = tf.stack([first, tf.minimum(first + 1, pooled - 1)], axis=1)
    indices = pairs[:, :, None] * pool + tf.range(pool)[None, None, :]
    return tf.minimum(indices, length - 1), tf.where(lower < 0, 0.0, weight)  # at the end both taps are one pixel


def _centres(length: Tensor, target: Tensor, covered: Tensor) -> tuple[Tensor, Tensor]:
    """Return where new centres lie, ``(i + 1/2) * length / covered - 1/2``: whole pixels, and the rest, as float32.

    In whole numbers: floats of a few thousand are known to a thousandth only, and each runtime rounds them in its own
    way. Piece by piece: the product of two sides need not fit into 32 bits, and not every runtime has 64.
    """
    index = tf.range(target)
    step = length // covered
    rest = length - step * covered
    # (2 i + 1) * rest, as multiples of 2 * covered and what is left; i = PIECE * piece + within
    piece = index // PIECE
    within = index - piece * PIECE
    multiples = 2 * PIECE * rest // (2 * covered)
    left = piece * (2 * PIECE * rest - multiples * 2 * covered) + (2 * within + 1) * rest
    # and (2 i + 1) * step - 1 halves of 2 * covered
    halves = (2 * index + 1) * step + 1
    left += (halves - halves // 2 * 2) * covered
    whole = left // (2 * covered)
    weight = tf.cast(left - whole * 2 * covered, tf.float32) / tf.cast(2 * covered, tf.float32)
    return piece * multiples + halves // 2 - 1 + whole, weight


def _along(images: Tensor, taps: Tensor, weight: Tensor, axis: int) -> Tensor:
    """Resample along an axis, by what ``_taps`` gives for it."""
    pooled = tf.reduce_mean(tf.gather(images, taps, axis=axis), axis=axis + 2)
    before, after = (slice(None),) * (axis + 1), (None,) * (3 - axis)
    return _lerp(pooled[*before, 0], pooled[*before, 1], weight[:, *after])


def _lerp(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    return first + (second - first) * weight
