"""Warps, as maps that can be computed by hand; image and mask are read at the same places."""

import math

import numpy as np
import pytest
import tensorflow as tf

from cryoseg_tf.config import IGNORE, AugmentationConfig, Config, Contract
from cryoseg_tf.data.augment import CHANGES
from cryoseg_tf.data.geometry import DISTANCE, bounding_box, draws, sample, warp
from cryoseg_tf.data.images import Images, examine
from cryoseg_tf.data.pairs import find_pairs, read_annotated
from cryoseg_tf.data.pipeline import patches

SIDE = 64
LINE = np.arange(SIDE, dtype=np.float32) - (SIDE - 1) / 2


def only(**amplitudes):
    return AugmentationConfig(**{"rotation": 0, "scale": 1, "shear": 0, "tilt": 0, "elastic": 0, **amplitudes})


def seeded(i, stream=0):
    return draws(tf.constant([0, i], tf.int64), stream)


def highest(shape=(), low=0.0, high=1.0):
    """Draws the upper bound each time: angles and factors as large as they may be."""
    return tf.fill(shape, tf.cast(high, tf.float32))


def places(config, uniform):
    return [np.broadcast_to(p.numpy(), (SIDE, SIDE)) for p in warp(SIDE, config, uniform)]


def pixels(seed=0):
    return np.random.default_rng(seed).random((SIDE, SIDE)).astype(np.float32)


def read(image, mask, config, uniform):
    """Read a patch about the image's centre, as the pipeline does."""
    y, x = (p + (SIDE - 1) / 2 for p in places(config, uniform))
    return [values.numpy() for values in sample(tf.constant(image), tf.constant(mask), (y, x))]


def test_draws_depend_on_seed_and_stream_alone():
    first, again, other, later = (f([50]).numpy() for f in (seeded(1), seeded(1), seeded(1, 7), seeded(2)))
    np.testing.assert_array_equal(first, again)
    assert np.intersect1d(first, other).size == 0
    assert np.intersect1d(first, later).size == 0


def test_each_call_draws_anew():
    uniform = seeded(0)
    assert np.intersect1d(uniform([50]).numpy(), uniform([50]).numpy()).size == 0


def test_a_warp_without_amplitudes_is_the_identity():
    image, mask = pixels(), (pixels(1) > 0.5).astype(np.uint8)
    found = read(image, mask, only(), seeded(0))
    np.testing.assert_allclose(found[0], image, atol=1e-6)
    np.testing.assert_array_equal(found[1], mask)


def test_a_quarter_turn():
    image = pixels()
    found, mask = read(image, (image > 0.5).astype(np.uint8), only(rotation=90), highest)
    np.testing.assert_allclose(found, np.rot90(image, -1), atol=1e-4)
    np.testing.assert_array_equal(mask, np.rot90(image, -1) > 0.5)


def test_scale_and_shear_by_known_draws():
    np.testing.assert_allclose(places(only(scale=2), highest)[0], np.broadcast_to(2 * LINE[:, None], (SIDE, SIDE)))
    down, right = places(only(shear=45), highest)
    np.testing.assert_allclose(down, LINE[:, None] + LINE[None, :], atol=1e-4)
    np.testing.assert_allclose(right, np.broadcast_to(LINE, (SIDE, SIDE)), atol=1e-4)


def test_a_tilted_specimen_is_seen_where_a_lens_shows_it():
    down, right = places(only(tilt=60), highest)  # about the horizontal axis
    lens, angle = DISTANCE * SIDE, math.radians(60)
    nearer = lens / (lens - down * math.sin(angle))
    np.testing.assert_allclose(down * math.cos(angle) * nearer, np.broadcast_to(LINE[:, None], (SIDE, SIDE)), atol=1e-3)
    np.testing.assert_allclose(right * nearer, np.broadcast_to(LINE, (SIDE, SIDE)), atol=1e-3)


def test_bending_is_bounded_and_smooth():
    shifts = np.array([places(only(elastic=3), seeded(i))[0] - LINE[:, None] for i in range(10)])
    bound = 3 * math.sqrt(3)
    assert 2 < np.abs(shifts).max() <= bound + 1e-4
    # between knots, which are a quarter of the side apart, a shift changes by at most twice its bound, as a cosine
    assert np.abs(np.diff(shifts, axis=2)).max() <= math.pi * bound / (SIDE / 4)


def test_scale_stays_within_its_bounds():
    factors = [places(only(scale=1.4), seeded(i))[0][-1, 0] / LINE[-1] for i in range(60)]
    assert max(factors) <= 1.4 + 1e-5
    assert min(factors) >= 1 / 1.4 - 1e-5
    assert max(factors) > 1.25
    assert min(factors) < 1 / 1.25


@pytest.mark.parametrize("i", range(5))
def test_a_ramp_reads_as_its_places(i):
    """Bilinear interpolation is exact for what is linear."""
    y, x = (p + 200.3 for p in places(AugmentationConfig(), seeded(i)))
    rows, columns = np.mgrid[:400, :400].astype(np.float32)
    ramp = tf.constant(3 * rows - 2 * columns)
    found, _ = sample(ramp, tf.zeros([400, 400], tf.uint8), (tf.constant(y), tf.constant(x)))
    np.testing.assert_allclose(found, 3 * y - 2 * x, atol=2e-3)


@pytest.mark.parametrize("i", range(20))
def test_the_bounding_box_holds_all_reads_and_no_more(i):
    where = places(AugmentationConfig(scale=3, tilt=60), seeded(i))
    top, left, height, width = bounding_box([tf.constant(p) for p in where]).numpy()
    for place, start, length in zip(where, (top, left), (height, width), strict=True):
        assert 0 <= (place - start).min() < 1
        # the pixel after the place is read, too
        assert length - 2 <= (place - start).max() < length - 1


def test_beyond_a_window_its_edge_is_read():
    image = np.array([[1, 2], [3, 4]], np.float32)
    y, x = tf.constant([[-5.0, 9.0]]), tf.constant([[-5.0, 0.0]])
    found, mask = sample(tf.constant(image), tf.constant(image.astype(np.uint8)), (y, x))
    np.testing.assert_array_equal(found, [[1, 3]])
    np.testing.assert_array_equal(mask, [[1, 3]])


def warped(data, **settings):
    """Return 16 patches that were warped and nothing else."""
    shares = {f"training.augmentation.{name}": 0 for name in CHANGES}
    base = {"model.depth": 2, "training.batch_size": 16, "training.augmentation.warp": 1.0, **shares}
    config = Config().replace({**base, "data.percentiles": [0.1, 99.9], **settings})
    contract = Contract(classes=config.data.classes, percentiles=config.data.percentiles)
    pairs = find_pairs(data)
    facts = [examine(read_annotated(pair, config.data), contract) for pair in pairs]
    return next(iter(patches(Images(pairs, config, contract), facts, config)))


def test_image_and_mask_move_together(data):
    """Images that show their masks still do, except where the image is interpolated."""
    for mask in (data / "masks").iterdir():
        (data / "images" / mask.name).write_bytes(mask.read_bytes())
    image, mask = (values.numpy() for values in warped(data, **{"data.patch": 32}))
    annotated = mask != IGNORE
    sure = annotated & (np.abs(image - 0.5) > 0.4999)
    np.testing.assert_array_equal(np.rint(image[sure]), mask[sure])
    assert sure.mean() > 0.7
    # the nearest of four pixels weighs at least a quarter
    assert (np.abs(image - mask)[annotated] <= 0.7501).all()


def test_what_a_warp_brings_in_is_not_annotated(data):
    """An eighth of a turn about the centre of a whole image: its corners come from outside."""
    turned = {f"training.augmentation.{name}": value for name, value in only().model_dump().items()
              if name in ("scale", "shear", "tilt", "elastic")}  # fmt: skip
    _, mask = warped(data, **{"data.patch": 64, **turned})
    mask = mask.numpy()[..., 0]
    assert set(np.unique(mask)) == {0, 1, IGNORE}
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    within = np.hypot(rows, columns) < SIDE / 2 - 1
    assert (mask[:, within] != IGNORE).all()
    # between none and, at 45 degrees, 4 corners of (sqrt(2) - 1)^2 / 4 * side^2
    shares = (mask == IGNORE).mean((1, 2))
    assert shares.max() <= 1.05 * (math.sqrt(2) - 1) ** 2
    assert np.median(shares) > 0.05
