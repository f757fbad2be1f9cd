import numpy as np
import pytest

from cryoseg_tf.config import IGNORE
from cryoseg_tf.data.alignment import better_partners, better_shift, image_layers, mask_layers, reduced
from cryoseg_tf.data.phantom import PhantomOptions, render


def drawn(seed, size, pixel_size):
    window = render(seed, PhantomOptions(size, pixel_size, ("cell",)))
    return window.image, window.mask


PAIRS = [drawn(seed, 256, 200.0) for seed in range(6)]


def moved(mask, down, right):
    """Move a mask; what comes in is background."""
    wide = np.pad(mask, 64)
    return np.roll(wide, (down, right), (0, 1))[64:-64, 64:-64]


@pytest.mark.parametrize("pair", PAIRS)
def test_a_mask_that_fits_is_left_alone(pair):
    image, mask = pair
    assert better_shift(image_layers(image), mask_layers(mask), mask.shape) is None


@pytest.mark.parametrize("step", [(8, 0), (0, -8), (-12, 12), (20, 5)])
@pytest.mark.parametrize("invert", [False, True])
def test_a_moved_mask_is_sent_back(step, invert):
    for image, mask in PAIRS:
        pixels = image.max() - image if invert else image
        shift = better_shift(image_layers(pixels), mask_layers(moved(mask, *step)), mask.shape)
        assert shift is not None
        np.testing.assert_allclose((shift.down, shift.right), np.negative(step), atol=1)
        assert shift.there > shift.here + 0.1


def test_shifts_are_in_pixels_of_the_full_image():
    image, mask = drawn(2, 1024, 50.0)
    assert reduced(image.shape) == (512, 512)
    shift = better_shift(image_layers(image), mask_layers(moved(mask, 0, 20)), mask.shape)
    assert (shift.down, shift.right) == pytest.approx((0, -20), abs=2)


def test_swapped_masks_find_their_images():
    order = [1, 0, 2, 4, 5, 3]
    images = np.stack([image_layers(image).coarse() for image, _ in PAIRS])
    masks = np.stack([mask_layers(PAIRS[k][1]).coarse() for k in order])
    found = better_partners(images, masks)
    assert {(i, j) for i, j, _, _ in found} == {(k, i) for i, k in enumerate(order) if i != k}
    assert all(there > here for *_, there, here in found)
    assert better_partners(images, masks[np.argsort(order)]) == []


def test_nothing_is_said_without_a_boundary_between_annotated_pixels():
    mask = np.zeros((64, 64), np.uint8)
    assert mask_layers(mask) is None
    mask[:, :32] = IGNORE
    assert mask_layers(mask) is None
    mask[:, 48:] = 1
    assert mask_layers(mask) is not None


@pytest.mark.parametrize("shape", [(1, 4), (3, 3), (9, 700), (5, 2)])
def test_any_shape_can_be_compared(shape):
    random = np.random.default_rng(0)
    mask = np.zeros(shape, np.uint8)
    mask[:, 1:] = 1
    layers = image_layers(random.random(shape)), mask_layers(mask)
    better_shift(*layers, shape)
    assert all(np.isfinite(side.coarse()).all() for side in layers)


@pytest.mark.filterwarnings("ignore:overflow")
def test_values_beyond_float32_raise_no_alarm():
    image, mask = PAIRS[0]
    layers = image_layers(np.where(image > image.mean(), 1e300, 0.0))
    assert better_shift(layers, mask_layers(moved(mask, 0, 20)), mask.shape) is None
