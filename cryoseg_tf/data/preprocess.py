"""The one definition of scale and normalisation, in TF ops that export to every format.

Training, the ``Segmenter`` and every exported graph call these functions, so that a network
sees the same input everywhere. No op here has a shape that depends on pixel values, and each
exists in SavedModel, ONNX and TFLite.
"""

import enum
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ..config import Contract

Tensor = Any  # a tf.Tensor, eager or symbolic: TensorFlow's stubs have no useful type for it

GRID = 2**20
"""Statistics are taken from about this many pixels of an image."""

STRIP = 32
"""So many rows of the grid are read at a time."""

SMALLEST_SIDE = 8
"""An image with fewer pixels along a side, at the network's scale, shows nothing."""

LARGEST = 1e30
"""Beyond this, float32 overflows on the way: such a count is taken for no number."""

SMALLEST = 1e-30
"""A range of counts below this is none: float32 would underflow, in each runtime elsewhere."""


class Status(enum.IntEnum):
    """What was found about an image; the same numbers in every runtime."""

    OK = 0
    PIXEL_SIZE_UNKNOWN = 1
    PIXEL_SIZE_OUT_OF_RANGE = 2
    TOO_SMALL = 3
    LOW_CONTRAST = 4
    NOT_FINITE = 5


EMPTY = (Status.PIXEL_SIZE_UNKNOWN, Status.PIXEL_SIZE_OUT_OF_RANGE, Status.TOO_SMALL, Status.NOT_FINITE)
"""With these an image's mask is empty: a guess would be worse."""


def grid(height: Tensor, width: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the rows, the columns, and the columns' right neighbours that statistics are taken from.

    The step is ``ceil(sqrt(height * width / 2**20))``, counted in whole numbers so that every
    runtime agrees.
    """
    squares = tf.constant([GRID * k * k for k in range(1, 65)], tf.int64)
    area = tf.cast(height, tf.int64) * tf.cast(width, tf.int64)
    step = 1 + tf.reduce_sum(tf.cast(area > squares, tf.int32))
    rows, columns = tf.range(0, height, step), tf.range(0, width, step)
    return rows, columns, tf.minimum(columns + 1, width - 1)


def statistics(values: Tensor, neighbours: Tensor, contract: Contract) -> tuple[Tensor, Tensor, Tensor]:
    """Return the offset and scale that normalise images, and their contrast-to-noise.

    The offset is the lower percentile and the scale one over the distance of the upper from it,
    both by nearest rank. Noise is the mean absolute difference of neighbouring pixels. Where
    contrast-to-noise is below ``contract.minimum_contrast``, the scale stays what it would be at
    that minimum: noise is not stretched to look like cells.

    Args:
        values: ``(n, m)`` float32, the pixels of ``n`` images on their grid.
        neighbours: ``(n, m)``, the pixels right of them.
        contract: Gives ``percentiles`` and ``minimum_contrast``.

    Returns:
        Three float32 tensors of shape ``(n,)``.
    """
    count = tf.shape(values)[1]
    low_rank, high_rank = (_rank(count, p) for p in contract.percentiles)
    low = -tf.math.top_k(-values, low_rank).values[:, -1]
    high = tf.math.top_k(values, count - high_rank + 1).values[:, -1]
    return _normalising(low, high, values, neighbours, contract)


def _normalising(low: Tensor, high: Tensor, values: Tensor, neighbours: Tensor, contract: Contract) -> Any:
    """Return what ``statistics`` does, from the two percentiles."""
    noise = tf.reduce_mean(tf.abs(neighbours - values), axis=1)
    spread = high - low
    some = spread > SMALLEST
    contrast = tf.where(some, spread / tf.where(some, tf.maximum(noise, spread * 1e-6), 1.0), 0.0)
    reach = tf.maximum(spread, contract.minimum_contrast * noise)
    some = reach > SMALLEST
    return low, tf.where(some, 1.0 / tf.where(some, reach, 1.0), 0.0), contrast


def image_statistics(pixels: npt.NDArray[Any], contract: Contract) -> tuple[float, float, float]:
    """Return offset, scale and contrast-to-noise of one image, as ``statistics`` does."""
    step = max(int(np.diff(index[:2]).max(initial=1)) for index in map(np.asarray, grid(*pixels.shape)[:2]))
    values, neighbours = _on_grid(pixels, step)
    ranks = [int(_rank(values.size, percentile)) - 1 for percentile in contract.percentiles]
    low, high = np.partition(values, ranks)[ranks]  # many times as fast as top_k, and the same elements
    found = _normalising(tf.constant([low]), tf.constant([high]), values[None], neighbours[None], contract)
    offset, scale, contrast = (float(one[0]) for one in found)
    return offset, scale, contrast


def _on_grid(pixels: npt.NDArray[Any], step: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return every so manieth pixel, and those right of them; of a montage not all are read at once."""
    values, neighbours = [], []
    height, width = pixels.shape
    for top in range(0, height, STRIP * step):
        rows = pixels[top : min(top + STRIP * step, height), 0:width][::step]
        taken = rows[:, ::step]
        beside = np.concatenate([rows[:, 1::step], rows[:, -1:]], axis=1)  # the last pixel is its own
        values.append(taken.astype(np.float32).ravel())
        neighbours.append(beside[:, : taken.shape[1]].astype(np.float32).ravel())
    return np.concatenate(values), np.concatenate(neighbours)


def normalise(images: Any, offset: Any, scale: Any) -> Any:
    """Return ``(images - offset) * scale``, for arrays and tensors alike."""
    return (images - offset) * scale


def finite(images: Tensor) -> Tensor:
    """Say for each pixel whether it is a number that can be computed with, up to ``LARGEST``.

    By comparison, since not every format has ``is_finite``.
    """
    return tf.abs(images) <= LARGEST


def model_shape(height: Tensor, width: Tensor, pixel_size: Tensor, contract: Contract) -> Tensor:
    """Return the int32 ``(height, width)`` an image has at the network's scale, at least 1x1."""
    shape = tf.stack([height, width])
    if contract.scale == "none":
        return shape
    if contract.scale == "shape":
        return tf.constant(contract.shape, tf.int32)
    if contract.scale == "factor":
        factor = tf.constant(contract.factor, tf.float32)
    else:
        low, high = contract.pixel_size_range or (0.0, 0.0)
        # outside the range the mask is empty anyway: the bound only keeps the work small
        factor = tf.clip_by_value(tf.cast(pixel_size, tf.float32), low, high) / contract.pixel_size
    return tf.maximum(tf.cast(tf.floor(tf.cast(shape, tf.float32) * factor + 0.5), tf.int32), 1)


def status(pixel_size: Tensor, shape: Tensor, all_finite: Tensor, contrast: Tensor, contract: Contract) -> Tensor:
    """Return the int32 ``Status`` of each of ``n`` images of one shape and pixel size.

    Args:
        pixel_size: In nm; zero, negative or NaN means unknown.
        shape: ``model_shape`` of the images.
        all_finite: ``(n,)``, whether every pixel is a number.
        contrast: ``(n,)``, the contrast-to-noise from ``statistics``.
        contract: Says what is needed.
    """
    low_contrast = (contrast < contract.minimum_contrast) | (contrast <= 0)
    result = tf.where(low_contrast, int(Status.LOW_CONTRAST), int(Status.OK))
    result = tf.where(tf.reduce_min(shape) < SMALLEST_SIDE, int(Status.TOO_SMALL), result)
    if contract.scale == "pixel_size":
        low, high = contract.pixel_size_range or (0.0, 0.0)
        inside = (pixel_size >= low) & (pixel_size <= high)
        result = tf.where(inside, result, int(Status.PIXEL_SIZE_OUT_OF_RANGE))
        result = tf.where(pixel_size > 0, result, int(Status.PIXEL_SIZE_UNKNOWN))
    return tf.where(all_finite, result, int(Status.NOT_FINITE))


def pad(images: Tensor, stride: int) -> Tensor:
    """Repeat the last row and column until both sides are multiples of ``stride``."""
    size = tf.shape(images)
    for axis in (1, 2):
        padded = (size[axis] + stride - 1) // stride * stride
        images = tf.gather(images, tf.minimum(tf.range(padded), size[axis] - 1), axis=axis)
    return images


def _rank(count: Tensor, percentile: float) -> Tensor:
    """Nearest rank, ``ceil(count * percentile / 100)``, without an overflow or a rounding."""
    tenths = round(percentile * 10)
    return tf.maximum(count // 1000 * tenths + (count % 1000 * tenths + 999) // 1000, 1)
