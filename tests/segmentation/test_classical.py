"""Thresholds and watershed on images that one can see through: a square, a slope, noise."""

import logging

import numpy as np
import pytest
from PIL import Image

from cryoseg_tf.config import Config
from cryoseg_tf.data.pairs import find_pairs
from cryoseg_tf.data.preprocess import Status
from cryoseg_tf.errors import ConfigError, DataError
from cryoseg_tf.io.micrograph import Micrograph
from cryoseg_tf.segmentation.classical import Given, read_method, recipe

CONFIG = Config()
SQUARE = np.zeros((64, 64), np.uint8)
SQUARE[20:44, 24:40] = 1


def loaded(text, train=(), config=CONFIG):
    return recipe(read_method(text)).load(Given(config, train))


def segmented(text, pixels, pixel_size=None):
    return loaded(text).method.segment(Micrograph(pixels, pixel_size)).mask


def noisy(mask, seed=0):
    return np.float32(100 + 40 * mask + np.random.default_rng(seed).normal(0, 4, mask.shape))


def dice(first, second):
    return 2 * np.count_nonzero(first & second) / (np.count_nonzero(first) + np.count_nonzero(second))


@pytest.fixture
def dark(tmp_path):
    """Annotated images whose cells are dark."""
    for seed in range(3):
        for part, pixels in (("images", 255 - noisy(SQUARE, seed)), ("masks", SQUARE)):
            (tmp_path / part).mkdir(exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / part / f"{seed}.png")
    return find_pairs(tmp_path)


@pytest.mark.parametrize(
    "text", ["otsu(cells=bright)", "watershed(cells=bright)", "adaptive(cells=bright, window_px=63)"]
)
def test_a_bright_square_is_found_and_a_dark_one_is_its_mirror(text):
    image = noisy(SQUARE)
    found = segmented(text, image)
    assert dice(found, SQUARE) > 0.85
    np.testing.assert_array_equal(segmented(text.replace("bright", "dark"), 200 - image), found)


@pytest.mark.parametrize("text", ["otsu", "watershed", "adaptive(window_px=31)"])
def test_brightness_and_contrast_change_no_mask(text):
    image = np.round(noisy(SQUARE))
    np.testing.assert_array_equal(segmented(text, 4 * image + 1000), segmented(text, image))


def test_an_adaptive_threshold_sees_past_a_slope():
    rows, columns = np.indices((64, 64)) % 16
    squares = ((rows < 7) & (columns < 7)).astype(np.uint8)
    slope = noisy(squares) + np.linspace(0, 150, 64, dtype=np.float32)
    assert dice(segmented("otsu", slope), squares) < 0.6
    assert dice(segmented("adaptive(window_px=17, offset=0.05)", slope), squares) > 0.8


def test_a_window_in_nm_is_one_in_pixels():
    image = noisy(SQUARE)
    in_px = segmented("adaptive(window_px=31)", image)
    np.testing.assert_array_equal(segmented("adaptive(window_nm=1550)", image, 50.0), in_px)
    assert not np.array_equal(segmented("adaptive(window_nm=1550)", image, 200.0), in_px)


def test_a_window_in_nm_needs_a_pixel_size(tmp_path):
    method = loaded("adaptive(window_nm=1550)").method
    with pytest.raises(DataError, match=r"x\.png does not say its pixel size, which a window in nm needs"):
        method.check(Micrograph(SQUARE, source=tmp_path / "x.png"))
    method.check(Micrograph(SQUARE, 20.0))


@pytest.mark.parametrize("text", ["otsu", "watershed", "adaptive(window_px=31)"])
def test_what_cannot_be_segmented_has_a_status_and_an_empty_mask(text):
    method = loaded(text).method
    blank = method.segment(Micrograph(np.full((64, 64), 7, np.uint8)))
    assert (blank.status, blank.mask.any()) == (Status.LOW_CONTRAST, False)
    broken = noisy(SQUARE)
    broken[3, 3] = np.nan
    nan = method.segment(Micrograph(broken))
    assert (nan.status, nan.mask.any(), nan.mask.shape) == (Status.NOT_FINITE, False, (64, 64))
    tiny = method.segment(Micrograph(np.arange(12, dtype=np.uint8).reshape(3, 4)))
    assert (tiny.status, tiny.mask.any()) == (Status.TOO_SMALL, False)


def test_what_nobody_said_is_said(caplog):
    with caplog.at_level(logging.WARNING, "cryoseg_tf"):
        about = loaded("otsu").about
    assert about == "cells=bright, smooth_px=1, offset=0; bright is taken for cell: neither stated nor learned"
    assert "otsu: bright is taken for cell" in caplog.text
    assert loaded("otsu(cells=dark, smooth_px=2)").about == "cells=dark, smooth_px=2, offset=0"


@pytest.mark.parametrize("text", ["otsu", "watershed", "adaptive"])
def test_annotated_images_teach_that_cells_are_dark(dark, text):
    method, about = loaded(text, dark)
    assert method.rule.cells == "dark"
    assert "cells=dark" in about
    assert "chosen on 3 annotated images" in about
    assert dice(method.segment(Micrograph(255 - noisy(SQUARE, 9))).mask, SQUARE) > 0.9


def test_what_was_stated_is_not_learned(dark):
    method, about = loaded("otsu(cells=bright, offset=0.1)", dark)
    assert (method.rule.cells, method.rule.offset) == ("bright", 0.1)
    assert about.endswith("; smooth_px chosen on 3 annotated images")


def test_pixels_that_are_not_annotated_teach_nothing(dark):
    """The brightest part of each image is not annotated: taken for cell, it would outweigh the dark square."""
    for pair in dark:
        image, mask = np.array(Image.open(pair.image)), np.array(Image.open(pair.mask))
        image[:, 44:], mask[:, 44:] = 250, 255
        Image.fromarray(image).save(pair.image)
        Image.fromarray(mask).save(pair.mask)
    method = loaded("otsu", dark, CONFIG.replace({"data.ignore": 255})).method
    assert method.rule.cells == "dark"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("otsu(cells=grey)", "grey is not a value"),
        ("otsu(cells='grey')", "otsu: cells is 'grey': it must be bright or dark"),
        ("otsu(window_px=3)", "otsu has no option 'window_px': its options are cells, smooth_px, offset"),
        ("otsu(0.3)", "it must be name, or name"),
        ("otsu(offset=2)", "offset is 2: it must be a number from -1 to 1"),
        ("otsu(smooth_px=true)", "smooth_px is True: it must be a number from 0 to 100"),
        ("adaptive(window_px=0)", "window_px is 0: it must be a number from 0.001 to 1e"),
        ("adaptive(window_px=9, window_nm=9)", "give window_nm or window_px, not both"),
        ("adaptive", "adaptive needs window_nm or window_px, or --train to choose it by"),
        ("forest", "forest learns from annotated images: pass --train DATA"),
        ("forest(trees=1.5)", "trees is 1.5: it must be a whole number"),
        ("forest(sigma_max=0.5)", "sigma_max is 0.5: it must be a number from 1 to 64"),
    ],
)
def test_what_makes_no_method_is_refused(text, message):
    with pytest.raises(ConfigError) as error:
        recipe(read_method(text)).check(Given(CONFIG))
    assert message in str(error.value)


def test_a_name_that_is_no_method_is_none():
    assert read_method("unet") is None
    assert read_method("otsus") is None
    assert read_method(" otsu(cells = dark) ").options == {"cells": "dark"}


@pytest.mark.parametrize("text", ["otsu", "watershed", "adaptive(window_px=9)"])
def test_a_threshold_tells_no_more_than_two_classes_apart(text):
    three = CONFIG.replace({"data.classes": ("background", "cell", "ice")})
    with pytest.raises(ConfigError, match=r"tells two classes apart, but data\.classes is background, cell, ice"):
        loaded(text, config=three)
