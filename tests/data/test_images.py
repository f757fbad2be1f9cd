"""Windows of images at the network's scale."""

import numpy as np
import pytest

from cryoseg_tf.config import IGNORE, Config, Contract
from cryoseg_tf.data.images import Images, examine
from cryoseg_tf.data.pairs import find_pairs, read_annotated
from cryoseg_tf.data.preprocess import model_shape

PLAIN = Contract(classes=("background", "cell"))


def images(data, contract=PLAIN):
    return Images(find_pairs(data), Config(), contract)


@pytest.mark.parametrize("top", [-90, -64, -63, -10, 0, 5, 50, 63, 64, 90])
@pytest.mark.parametrize("left", [-70, 0, 70])
@pytest.mark.parametrize("size", [(7, 9), (200, 30)])
def test_beyond_an_image_its_edge_repeats_and_is_not_annotated(tmp_path, make_pairs, top, left, size):
    loaded = images(make_pairs(tmp_path, 2))
    rows, columns = (np.arange(start, start + length) for start, length in zip((top, left), size, strict=True))
    near = np.ix_(rows.clip(0, 63), columns.clip(0, 63))
    inside = np.ix_((rows >= 0) & (rows < 64), (columns >= 0) & (columns < 64))
    pixels, mask = loaded.window(0, top, left, *size)
    np.testing.assert_array_equal(pixels, loaded[0].pixels[near])
    expected = np.full(size, IGNORE)
    expected[inside] = loaded[0].mask[near][inside]
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    ("factor", "expected"), [(0.5, (30, 45)), (1 / 3, (20, 30)), (2.0, (120, 180)), (1 / 64, (1, 1))]
)
def test_a_factor_scales_both_sides(factor, expected):
    contract = Contract(classes=("background", "cell"), scale="factor", factor=factor)
    assert tuple(model_shape(60, 90, 0.0, contract).numpy()) == expected


def test_images_are_brought_to_their_scale_with_their_masks(data):
    halved = images(data, Contract(classes=("background", "cell"), scale="factor", factor=0.5))
    native = images(data)
    means = native[0].pixels.reshape(32, 2, 32, 2).mean((1, 3))
    np.testing.assert_allclose(halved[0].pixels, means, atol=1e-4)
    np.testing.assert_array_equal(halved[0].mask, native[0].mask[1::2, 1::2])
    facts = examine(read_annotated(native.pairs[0], Config().data), PLAIN)
    assert halved.shape(facts) == (32, 32)
    assert facts.shape == (64, 64)
