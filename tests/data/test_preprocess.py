"""The semantics of scale, normalisation and status, on arrays one can compute by hand."""

import math

import numpy as np
import pytest
import tensorflow as tf

from cryoseg_tf.config import Contract
from cryoseg_tf.data.preprocess import (
    Status,
    grid,
    image_statistics,
    model_shape,
    normalise,
    pad,
    status,
)

PLAIN = Contract(classes=("background", "cell"))
SIZED = PLAIN.model_copy(update={"scale": "pixel_size", "pixel_size": 100.0, "pixel_size_range": (25.0, 400.0)})


def nearest_rank(values, percentile):
    ordered = np.sort(values, axis=None)
    return ordered[max(1, math.ceil(round(percentile * 10) * len(ordered) / 1000)) - 1]


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (100, 101), (999, 1002), (1500, 1600)])
def test_percentiles_are_numpys_nearest_ranks(shape):
    pixels = np.random.default_rng(0).integers(0, 65536, shape, np.uint16)
    step = math.ceil(math.sqrt(shape[0] * shape[1] / 2**20))
    seen = pixels[::step, ::step].astype(np.float32)
    low, high = nearest_rank(seen, 1), nearest_rank(seen, 99.8)
    offset, scale, _ = image_statistics(pixels, PLAIN)
    assert offset == low
    assert scale == (np.float32(1) / (high - low) if high > low else 0)


@pytest.mark.parametrize(
    ("height", "width", "step"), [(1024, 1024, 1), (1024, 1025, 2), (2048, 2048, 2), (2048, 2049, 3)]
)
def test_grid_step(height, width, step):
    rows, columns, right = (index.numpy() for index in grid(height, width))
    np.testing.assert_array_equal(rows, np.arange(0, height, step))
    np.testing.assert_array_equal(columns, np.arange(0, width, step))
    np.testing.assert_array_equal(right, np.minimum(columns + 1, width - 1))


def test_normalisation_ignores_gain_and_offset():
    pixels = np.random.default_rng(0).integers(0, 200, (64, 64)).astype(np.float32)
    first = normalise(pixels, *image_statistics(pixels, PLAIN)[:2])
    changed = pixels * 4 + 128  # exact in float32
    np.testing.assert_array_equal(normalise(changed, *image_statistics(changed, PLAIN)[:2]), first)


def test_noise_is_not_stretched_beyond_what_training_saw():
    noise = np.random.default_rng(0).normal(100, 3, (128, 128)).astype(np.float32)
    contract = PLAIN.model_copy(update={"minimum_contrast": 20.0})
    _, plain, contrast = image_statistics(noise, PLAIN)
    _, held, _ = image_statistics(noise, contract)
    assert contrast < 20
    assert held == pytest.approx(plain * contrast / 20, rel=1e-5)


def statuses(contract, pixel_size=100.0, shape=(64, 64), all_finite=True, contrast=10.0):
    result = status(
        tf.constant(pixel_size), tf.constant(shape), tf.constant([all_finite]), tf.constant([contrast]), contract
    )
    return Status(int(result[0]))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Status.OK),
        ({"pixel_size": 0.0}, Status.PIXEL_SIZE_UNKNOWN),
        ({"pixel_size": -1.0}, Status.PIXEL_SIZE_UNKNOWN),
        ({"pixel_size": math.nan}, Status.PIXEL_SIZE_UNKNOWN),
        ({"pixel_size": 24.0}, Status.PIXEL_SIZE_OUT_OF_RANGE),
        ({"pixel_size": math.inf}, Status.PIXEL_SIZE_OUT_OF_RANGE),
        ({"shape": (7, 64)}, Status.TOO_SMALL),
        ({"contrast": 0.0}, Status.LOW_CONTRAST),
        ({"all_finite": False}, Status.NOT_FINITE),
        ({"all_finite": False, "pixel_size": 0.0, "shape": (1, 1)}, Status.NOT_FINITE),
    ],
)
def test_status(changes, expected):
    assert statuses(SIZED, **changes) == expected


def test_pixel_size_does_not_matter_without_that_scale():
    assert statuses(PLAIN, pixel_size=0.0) == Status.OK


def test_a_contrast_below_training_is_low():
    contract = PLAIN.model_copy(update={"minimum_contrast": 5.0})
    assert statuses(contract, contrast=4.9) == Status.LOW_CONTRAST
    assert statuses(contract, contrast=5.0) == Status.OK


@pytest.mark.parametrize(
    ("pixel_size", "expected"), [(100.0, (60, 90)), (50.0, (30, 45)), (150.0, (90, 135)), (1e9, (240, 360))]
)
def test_model_shape(pixel_size, expected):
    assert tuple(model_shape(60, 90, tf.constant(pixel_size), SIZED).numpy()) == expected


def image(*shape):
    return np.random.default_rng(0).random((1, *shape, 1)).astype(np.float32)


def test_padding_repeats_the_edge():
    x = image(17, 32)
    padded = pad(x, 16).numpy()
    assert padded.shape == (1, 32, 32, 1)
    np.testing.assert_array_equal(padded[:, :17], x)
    np.testing.assert_array_equal(padded[:, 17:], np.repeat(x[:, 16:], 15, axis=1))
