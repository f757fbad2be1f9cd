"""Changes of scale, on arrays one can compute by hand."""

import numpy as np
import pytest

from cryoseg_tf.data.resampling import nearest, resample, resample_part


def image(*shape):
    return np.random.default_rng(0).random((1, *shape, 1)).astype(np.float32)


@pytest.mark.parametrize("shape", [(1, 1), (17, 40), (64, 64)])
def test_resampling_to_the_same_size_changes_nothing(shape):
    x = image(*shape)
    np.testing.assert_array_equal(resample(x, shape), x)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_halvings_are_means(factor):
    x = image(32, 64)
    means = x.reshape(1, 32 // factor, factor, 64 // factor, factor, 1).mean((2, 4))
    np.testing.assert_allclose(resample(x, (32 // factor, 64 // factor)), means, atol=1e-6)


@pytest.mark.parametrize("shape", [(16, 16), (33, 70), (100, 50), (7, 64)])
def test_a_ramp_stays_a_ramp(shape):
    """Pixel centres map to pixel centres: away from the border, linear in gives linear out."""
    x = np.broadcast_to(np.arange(64, dtype=np.float32)[None, None, :, None], (1, 64, 64, 1))
    result = resample(x, shape).numpy()[0, :, :, 0]
    expected = (np.arange(shape[1]) + 0.5) * 64 / shape[1] - 0.5
    inside = (expected > 2) & (expected < 61)
    np.testing.assert_allclose(result[:, inside], np.broadcast_to(expected[inside], result[:, inside].shape), atol=1e-3)


def test_downsampling_does_not_alias():
    stripes = np.tile(np.array([0.0, 1.0], np.float32), 64)[None, None, :, None] * np.ones((1, 128, 1, 1), np.float32)
    result = resample(stripes, (32, 30)).numpy()
    assert np.abs(result - 0.5).max() < 1e-5


@pytest.mark.parametrize("shape", [(31, 23), (64, 96), (150, 201), (9, 300), (64, 24)])
@pytest.mark.parametrize("channels", [None, 1, 3])
def test_a_window_is_that_of_the_whole_to_the_bit(shape, channels):
    x = np.random.default_rng(0).integers(0, 60000, (64, 96, *([channels] if channels else []))).astype(np.uint16)
    whole = resample(x.astype(np.float32).reshape(1, 64, 96, -1), shape).numpy()[0].reshape(*shape, *x.shape[2:])
    for rows, columns in [(slice(None), slice(None)), (slice(3, 9), slice(5, 20)), (slice(8, 9), slice(0, 23))]:
        np.testing.assert_array_equal(resample_part(x, shape, rows, columns), whole[rows, columns])


def test_masks_take_the_pixel_under_each_new_centre():
    mask = np.array([[0, 1, 2, 3]])
    np.testing.assert_array_equal(nearest(mask, (1, 2)), [[1, 3]])
    np.testing.assert_array_equal(nearest(mask, (2, 8)), [[0, 0, 1, 1, 2, 2, 3, 3]] * 2)


@pytest.mark.parametrize(
    ("length", "target"), [(64, 64), (100, 57), (37, 100), (3, 131072), (40000, 36000), (131072, 131071)]
)
def test_centres_are_exact_on_long_sides(length, target):
    """A float32 of 100000 is known to a hundredth of a pixel only, and sides of 40000 make a product beyond 2**31."""
    even_and_odd = np.arange(length) % 2
    centres = ((2 * np.arange(target) + 1) * length - target) / (2 * target)
    expected = np.interp(centres, np.arange(length), even_and_odd)
    found = resample(even_and_odd.astype(np.float32).reshape(1, -1, 1, 1), (target, 1)).numpy().ravel()
    np.testing.assert_allclose(found, expected, atol=1e-6)
