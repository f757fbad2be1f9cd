"""Each change of gray values, by what it must do to pixels that one knows."""

import math

import numpy as np
import pytest
import tensorflow as tf

from cryoseg_tf.config import IGNORE, AugmentationConfig
from cryoseg_tf.data import augment
from cryoseg_tf.data.augment import CHANGES, changed, coarse_dropout, cutmix
from cryoseg_tf.data.geometry import draws

SIDE = 64
SEEDS = range(6)
OFF = dict.fromkeys(CHANGES, 0.0)


def seeded(i, stream=1):
    return draws(seed(i), stream)


def seed(i):
    return tf.constant([0, i], tf.int64)


def highest(shape=(), low=0.0, high=1.0):
    return tf.fill(shape, tf.cast(high, tf.float32))


def pixels(i=0):
    """Independent pixels from 0 to 1."""
    return np.random.default_rng(i).random((SIDE, SIDE)).astype(np.float32)


def energy(image):
    return sum(np.square(np.diff(image, axis=axis)).mean() for axis in (0, 1))


def run(name, image, uniform):
    return getattr(augment, name)(tf.constant(image), uniform).numpy()


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_follows_from_its_seed_and_keeps_the_patch_a_patch(name):
    for i in SEEDS:
        found = run(name, 3 * pixels() - 1, seeded(i))
        np.testing.assert_array_equal(found, run(name, 3 * pixels() - 1, seeded(i)))
        assert found.shape == (SIDE, SIDE)
        assert found.dtype == np.float32
        assert np.isfinite(found).all()
    assert any((run(name, pixels(), seeded(i)) != run(name, pixels(), seeded(99))).any() for i in SEEDS)


def test_batches_know_the_shape_of_changed_patches():
    traced = tf.function(lambda image: changed(image, AugmentationConfig(**dict.fromkeys(CHANGES, 0.5)), seed(0)))
    assert traced.get_concrete_function(tf.TensorSpec((SIDE, SIDE), tf.float32)).output_shapes == (SIDE, SIDE)


def test_changes_are_settings():
    assert CHANGES.keys() <= AugmentationConfig.model_fields.keys()


def test_no_share_changes_no_bit():
    image = pixels()
    np.testing.assert_array_equal(changed(tf.constant(image), AugmentationConfig(**OFF), seed(0)), image)


@pytest.mark.parametrize("name", CHANGES)
def test_the_whole_share_changes_every_patch(name):
    config = AugmentationConfig(**{**OFF, name: 1.0})
    image = pixels()
    hit = [bool((changed(tf.constant(image), config, seed(i)).numpy() != image).any()) for i in SEEDS]
    # few rows may be streaked, and then by chance none
    assert np.mean(hit) >= (0.5 if name == "streaks" else 1.0)


def test_a_share_is_one_of_patches():
    config = AugmentationConfig(**{**OFF, "contrast": 0.3})
    image = tf.constant([[0.0, 1.0]])
    traced = tf.function(lambda seed: tf.reduce_any(changed(image, config, seed) != image))
    hit = [bool(traced(seed(i))) for i in range(300)]
    assert 0.22 < np.mean(hit) < 0.38  # three standard errors


def test_noise_has_its_deviation():
    added = run("noise", pixels(), highest) - pixels()
    assert added.std() == pytest.approx(0.1, rel=0.05)
    assert added.mean() == pytest.approx(0, abs=0.005)
    deviations = [(run("noise", pixels(), seeded(i)) - pixels()).std() for i in SEEDS]
    assert min(deviations) > 0.009
    assert max(deviations) < 0.106


def test_shot_noise_grows_with_brightness():
    levels = np.array([0.1, 0.4, 1.6], np.float32)
    image = np.broadcast_to(levels[:, None], (3, 20_000))
    found = run("shot_noise", image, highest)
    np.testing.assert_allclose(found.mean(1), levels, rtol=0.02)
    np.testing.assert_allclose(found.var(1), levels / math.exp(6), rtol=0.1)
    counts = found * math.exp(6)
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-3)


def test_shot_noise_leaves_what_is_black():
    image = pixels() - 2
    np.testing.assert_array_equal(run("shot_noise", image, seeded(0)), image)


def test_streaks_run_along_rows():
    streaked = 0
    for i in SEEDS:
        added = run("streaks", np.zeros((SIDE, SIDE), np.float32), seeded(i))
        hit = np.abs(added).max(1) > 0
        streaked += hit.sum()
        assert hit.mean() < 0.4
        assert np.abs(added).max() <= 0.35
        for row in np.abs(added[hit]):
            lit = row[np.flatnonzero(row)[0] :]
            assert (np.diff(lit) <= 0).all()  # from where it begins it fades
    assert streaked > len(SEEDS)


def test_blurring_lowers_and_sharpening_raises_gradients():
    for i in SEEDS:
        assert energy(run("blur", pixels(i), seeded(i))) < 0.6 * energy(pixels(i))
        assert energy(run("sharpen", pixels(i), seeded(i))) > 1.2 * energy(pixels(i))


@pytest.mark.parametrize("name", ["blur", "sharpen"])
def test_a_plain_patch_has_nothing_to_blur_or_sharpen(name):
    """At the border, too: the edge repeats."""
    plain = np.full((SIDE, SIDE), 0.7, np.float32)
    np.testing.assert_allclose(run(name, plain, seeded(0)), plain, atol=1e-5)


def test_blurring_is_gaussian():
    point = np.zeros((SIDE, SIDE), np.float32)
    point[32, 32] = 1
    found = run("blur", point, highest)
    rows, columns = np.mgrid[-4:5, -4:5]
    expected = np.exp(-(rows**2 + columns**2) / (2 * 1.5**2))
    np.testing.assert_allclose(found[28:37, 28:37], expected / expected.sum(), atol=1e-6)


def test_gamma_keeps_black_white_and_their_order():
    ramp = np.linspace(-0.5, 1, 301, dtype=np.float32)[None, :]
    for i in SEEDS:
        found = run("gamma", ramp, seeded(i))[0]
        np.testing.assert_array_equal(found[:101], ramp[0, :101])  # up to 0
        assert found[-1] == pytest.approx(1)
        assert (np.diff(found[100:]) > 0).all()
        power = math.log(found[200]) / math.log(ramp[0, 200])
        assert 0.6 <= power <= 1.65


def test_contrast_is_a_line():
    for i in SEEDS:
        found, image = run("contrast", pixels(i), seeded(i)), pixels(i)
        slope, offset = np.polyfit(image.ravel(), found.ravel(), 1)
        np.testing.assert_allclose(found, slope * image + offset, atol=1e-5)
        assert 0.65 <= slope <= 1.53
        assert abs(found.mean() - image.mean()) <= 0.2001


def test_what_is_covered_is_not_annotated():
    covered = []
    for i in SEEDS:
        mask = np.ones((SIDE, SIDE), np.uint8)
        found, ignored = (v.numpy() for v in coarse_dropout(tf.constant(pixels()), tf.constant(mask), seeded(i)))
        np.testing.assert_array_equal(ignored == IGNORE, found != pixels())
        np.testing.assert_array_equal(ignored[ignored != IGNORE], 1)
        covered.append((ignored == IGNORE).mean())
    assert 0 < np.mean(covered) < 0.15


def test_cutmix_takes_mask_and_image_from_the_same_place():
    here = (np.full((SIDE, SIDE), -1, np.float32), np.full((SIDE, SIDE), 7, np.uint8))
    numbers = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
    there = (numbers.astype(np.float32), (numbers % 5).astype(np.uint8))
    sizes = set()
    for i in SEEDS:
        image, mask = (
            v.numpy() for v in cutmix(tuple(map(tf.constant, here)), tuple(map(tf.constant, there)), seeded(i))
        )
        taken = image >= 0
        np.testing.assert_array_equal(image[taken], there[0][taken])
        np.testing.assert_array_equal(mask, np.where(taken, there[1], here[1]))
        rows, columns = taken.any(1), taken.any(0)
        np.testing.assert_array_equal(taken, rows[:, None] & columns[None, :])
        assert all(np.ptp(np.flatnonzero(line)) + 1 == line.sum() for line in (rows, columns))
        sizes |= {rows.sum(), columns.sum()}
    assert min(sizes) >= SIDE / 4 - 1
    assert max(sizes) <= 3 * SIDE / 4 + 1
    assert len(sizes) > 5
