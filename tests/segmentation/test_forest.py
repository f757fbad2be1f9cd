"""The random forest, as a predictor among others."""

import numpy as np
import pytest
from PIL import Image

from cryoseg_tf.config import Config
from cryoseg_tf.data.pairs import find_pairs
from cryoseg_tf.data.preprocess import Status
from cryoseg_tf.errors import DataError
from cryoseg_tf.io.micrograph import Micrograph
from cryoseg_tf.segmentation.forest import train_forest
from cryoseg_tf.segmentation.segmenter import Segmenter

FEW = {"trees": 8, "sigma_max": 4.0, "threads": 1}
CLASSES = ("background", "cell", "ice")


def drawn(seed, size=80):
    """Three classes that differ in brightness or in texture alone: gray background, rough cells, bright ice."""
    random = np.random.default_rng(seed)
    truth = np.zeros((size, size), np.uint8)
    truth[10:40, 10:40], truth[45:70, 30:60] = 1, 2
    pixels = 80 + 90.0 * (truth == 2) + random.normal(0, 1, truth.shape) * np.where(truth == 1, 30, 3)
    return pixels.clip(0, 255).astype(np.uint8), truth


def annotated(root, count=2, masks=lambda truth: truth):
    for seed in range(count):
        image, truth = drawn(seed)
        for part, pixels in (("images", image), ("masks", masks(truth))):
            (root / part).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / part / f"{seed}.png")
    return find_pairs(root)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """A forest for three classes."""
    pairs = annotated(tmp_path_factory.mktemp("three"))
    return train_forest(pairs, Config().replace({"data.classes": CLASSES}), **FEW)


def test_classes_are_told_apart_by_texture_too(three):
    image, truth = drawn(9)
    found = three.segment(Micrograph(image), probabilities=True)
    assert found.status == Status.OK
    assert found.probabilities.shape == (80, 80, 3)
    np.testing.assert_allclose(found.probabilities.sum(axis=-1), 1, atol=1e-5)
    for index in range(3):
        assert np.mean(found.mask[truth == index] == index) > 0.8


def test_tiled_equals_whole(three):
    image = Micrograph(np.tile(drawn(9)[0], (2, 3)))
    whole = Segmenter(three.predictor, three.contract, tile=None).segment(image, probabilities=True)
    tiled = Segmenter(three.predictor, three.contract, tile=70).segment(image, probabilities=True)
    np.testing.assert_allclose(tiled.probabilities, whole.probabilities, atol=1e-5)


def test_the_same_seed_gives_the_same_forest(three, tmp_path):
    again = train_forest(annotated(tmp_path), Config().replace({"data.classes": CLASSES}), **FEW)
    image = Micrograph(drawn(9)[0])
    np.testing.assert_array_equal(again.segment(image, True).probabilities, three.segment(image, True).probabilities)


def test_two_classes_give_one_probability_and_what_is_not_annotated_teaches_nothing(tmp_path):
    """Ice is bright, and nobody says what it is: cells are found as if it were not there."""
    pairs = annotated(tmp_path, masks=lambda truth: np.where(truth == 2, 255, truth).astype(np.uint8))
    found = train_forest(pairs, Config().replace({"data.ignore": 255}), **FEW)
    assert set(found.predictor._forest.classes_) == {0, 1}
    image, truth = drawn(9)
    result = found.segment(Micrograph(image), probabilities=True)
    assert result.probabilities.shape == (80, 80, 1)
    np.testing.assert_array_equal(result.mask, result.probabilities[..., 0] >= 0.5)
    assert np.mean(result.mask[truth == 1]) > 0.8
    assert np.mean(result.mask[truth == 0]) < 0.1


def test_a_class_that_no_image_shows_is_never_found(tmp_path):
    pairs = annotated(tmp_path, masks=lambda truth: np.where(truth == 1, 0, truth).astype(np.uint8))
    found = train_forest(pairs, Config().replace({"data.classes": CLASSES}), **FEW)
    result = found.segment(Micrograph(drawn(9)[0]), probabilities=True)
    assert not result.probabilities[..., 1].any()
    assert set(np.unique(result.mask)) == {0, 2}


def test_large_cells_are_seen_smaller_and_masks_come_back_at_the_images_size(tmp_path):
    pairs = annotated(tmp_path, masks=lambda truth: (truth == 2).astype(np.uint8))
    found = train_forest(pairs, Config().replace({"data.scale": "factor", "data.factor": 0.5}), **FEW)
    image, truth = drawn(9)
    result = found.segment(Micrograph(image))
    assert result.mask.shape == image.shape
    assert np.mean(result.mask[truth == 2]) > 0.8
    assert np.mean(result.mask[truth == 0]) < 0.2


def test_masks_without_foreground_teach_nothing(tmp_path):
    pairs = annotated(tmp_path, masks=np.zeros_like)
    with pytest.raises(DataError, match="holds any cell: there is nothing to learn"):
        train_forest(pairs, Config(), **FEW)
