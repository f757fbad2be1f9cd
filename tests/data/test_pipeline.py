import numpy as np
import pytest
import tensorflow as tf

from cryoseg_tf.config import IGNORE, Config, Contract
from cryoseg_tf.data.augment import coarser_scan
from cryoseg_tf.data.geometry import draws, flips_and_turns
from cryoseg_tf.data.images import Images, examine
from cryoseg_tf.data.pairs import find_pairs, read_annotated
from cryoseg_tf.data.pipeline import Share, patches, validation_windows

CONTRACT = Contract(classes=("background", "cell"))


def pipeline(data, start=0, share=None, **settings):
    config = Config().replace({"model.depth": 2, "data.patch": 32, "training.batch_size": 4, **settings})
    pairs = find_pairs(data)
    facts = [examine(read_annotated(p, config.data), CONTRACT) for p in pairs]
    images = Images(pairs, config, CONTRACT)
    return images, patches(images, facts, config, start, share), validation_windows(images, facts, config, share)


def take(dataset, count):
    return [np.concatenate(arrays) for arrays in zip(*dataset.take(count).as_numpy_iterator(), strict=True)]


def test_a_patch_depends_on_its_number_alone(data):
    x, y = take(pipeline(data)[1], 6)
    later_x, later_y = take(pipeline(data, start=8)[1], 4)
    np.testing.assert_array_equal(x[8:], later_x)
    np.testing.assert_array_equal(y[8:], later_y)


@pytest.mark.parametrize(
    "shares", [[Share(0, 4, 4)], [Share(0, 2, 4), Share(2, 2, 4)], [Share(0, 1, 2), Share(1, 1, 2)]]
)
def test_shares_together_are_the_whole_batch(data, shares):
    x, y = take(pipeline(data, start=8)[1], 3)
    for share in shares:
        pieces = take(pipeline(data, 8, share)[1], 3 * share.held)
        size = 4 // share.of
        held = slice(share.first * size, (share.first + share.held) * size)
        for whole, piece in zip((x, y), pieces, strict=True):
            expected = whole.reshape(3, 4, *whole.shape[1:])[:, held].reshape(piece.shape)
            np.testing.assert_array_equal(piece, expected)


def test_shares_together_validate_each_window_once(data):
    whole, batch = list(pipeline(data)[2].as_numpy_iterator()), {"training.batch_size": 20}
    for of in (4, 5):
        steps = -(-len(whole) // of)
        pieces = [Share(piece, 1, of) for piece in range(of)]
        shares = [list(pipeline(data, 0, share, **batch)[2].take(steps).as_numpy_iterator()) for share in pieces]
        windows = [share[step] for step in range(steps) for share in shares]
        assert all(len(x) == 0 for x, _ in windows[len(whole) :])
        for (x, y), (other_x, other_y) in zip(whole, windows, strict=False):
            np.testing.assert_array_equal(x, other_x)
            np.testing.assert_array_equal(y, other_y)


def test_the_cache_changes_nothing(data):
    x, y = take(pipeline(data)[1], 4)
    uncached_x, uncached_y = take(pipeline(data, **{"data.cache_mb": 0})[1], 4)
    np.testing.assert_array_equal(x, uncached_x)
    np.testing.assert_array_equal(y, uncached_y)


def test_the_cache_keeps_to_its_bound(data):
    images, _, _ = pipeline(data, **{"data.cache_mb": 0})
    _ = images[0]
    assert images._cache.currsize == 0


def test_the_seed_changes_patches(data):
    assert (take(pipeline(data)[1], 1)[0] != take(pipeline(data, seed=1)[1], 1)[0]).any()


def test_each_image_gives_as_many_patches_in_a_round(data):
    settings = {"data.patch": 64, "training.augmentation.enabled": False, "data.patches_per_image": 2}
    images, dataset, _ = pipeline(data, **settings)
    _, masks = take(dataset, 3)  # 12 patches: one round; a patch of 64 is the whole image
    found = [sum(np.array_equal(m[..., 0], images[k].mask) for m in masks) for k in range(6)]
    assert found == [2] * 6


def test_image_and_mask_move_together(data):
    x, y = take(pipeline(data)[1], 8)
    inside, outside = x[y == 1].mean(), x[y == 0].mean()
    assert inside > outside + 0.3  # blobs are bright: shuffled masks would give no difference


def numbers(i, stream=0):
    return draws(tf.constant([0, i], tf.int64), stream)


def test_augmentation_gives_the_eight_symmetries():
    patch = tf.constant(np.arange(4, dtype=np.float32).reshape(2, 2, 1))
    seen = {tuple(flips_and_turns(patch, numbers(i)).numpy().ravel()) for i in range(200)}
    assert len(seen) == 8


def test_small_images_are_padded_and_the_border_ignored(tmp_path, make_pairs):
    x, y = take(pipeline(make_pairs(tmp_path, 3, (20, 40)), **{"training.augmentation.enabled": False})[1], 2)
    assert x.shape == (8, 32, 32, 1)
    assert (y[:, 20:] == IGNORE).all()
    assert (y[:, :20] != IGNORE).all()
    np.testing.assert_array_equal(x[:, 20:], np.repeat(x[:, 19:20], 12, axis=1))


@pytest.mark.parametrize("shape", [(20, 40), (64, 64), (1537, 18)])
def test_validation_covers_each_pixel_once(tmp_path, make_pairs, shape):
    _, _, windows = pipeline(make_pairs(tmp_path, 2, shape))
    counted = 0
    for x, y in windows.as_numpy_iterator():
        assert x.shape == y.shape
        assert x.shape[1] % 4 == 0
        assert x.shape[2] % 4 == 0
        assert max(x.shape) <= 1536
        counted += np.count_nonzero(y != IGNORE)
    assert counted == 2 * shape[0] * shape[1]


def test_a_coarser_scan_has_fewer_points_of_the_same_noise():
    noise = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    coarse = [coarser_scan(tf.constant(noise), numbers(i)).numpy() for i in range(20)]
    assert np.array_equal(coarse[0], coarser_scan(tf.constant(noise), numbers(0)).numpy())
    # what is picked keeps its values; what lies between is interpolated
    assert all(noise.min() <= s.min() and s.max() <= noise.max() for s in coarse)
    neighbours = [np.corrcoef(s[:, 1:].ravel(), s[:, :-1].ravel())[0, 1] for s in coarse]
    assert min(neighbours) > -0.05
    assert max(neighbours) > 0.4


def test_a_coarser_scan_moves_nothing():
    ramp = np.tile(np.arange(64, dtype=np.float32), (64, 1))
    for i in range(20):
        # a picked point is off by half a step at most
        assert np.abs(coarser_scan(tf.constant(ramp), numbers(i)).numpy() - ramp)[:, 2:-2].max() <= 1.01
