import math
import warnings
from xml.etree import ElementTree

import numpy as np
import pytest

from cryoseg_tf.config import IGNORE
from cryoseg_tf.evaluation.figures import (
    AMBER,
    BLUE,
    ORANGE,
    RED,
    SIDE,
    YELLOW,
    boxplots,
    learning_curves,
    overlay,
    reliability_diagram,
)

SVG = "{http://www.w3.org/2000/svg}"
RELIABILITY = np.array([[0.55, 0.5, 0.1], [0.7, 0.65, 0.2], [0.98, 0.99, 0.7]])
HISTORY = [
    {"epoch": 1.0, "loss": 0.9, "val_loss": 0.8, "val_dice": 0.3},
    {"epoch": 2.0, "loss": 0.5, "val_loss": 0.6, "val_dice": 0.7},
    {"epoch": 3.0, "loss": 0.4, "val_loss": 0.7, "val_dice": 0.6},
]


def colours(picture: np.ndarray, colour: tuple[int, int, int]) -> set[tuple[int, int]]:
    return {tuple(place) for place in np.argwhere((picture == colour).all(-1)).tolist()}


def ring(top: int, left: int, bottom: int, right: int) -> set[tuple[int, int]]:
    return {(y, x) for y in range(top, bottom) for x in range(left, right)} - {
        (y, x) for y in range(top + 1, bottom - 1) for x in range(left + 1, right - 1)
    }


def test_outlines_by_hand():
    truth, prediction = np.zeros((2, 20, 20), np.uint8)
    truth[2:8, 2:8] = 1
    prediction[2:8, 4:10] = 1
    picture = overlay(np.arange(400.0).reshape(20, 20), truth, prediction)
    there, found = ring(2, 2, 8, 8), ring(2, 4, 8, 10)
    assert picture.dtype == np.uint8
    assert picture.shape == (20, 20, 3)
    assert colours(picture, YELLOW) == there - found
    assert colours(picture, RED) == found - there
    assert colours(picture, ORANGE) == there & found


def test_an_object_at_the_edge_is_open_there():
    truth = np.zeros((10, 10), np.uint8)
    truth[:, :5] = 1
    picture = overlay(np.zeros((10, 10)), truth, np.zeros_like(truth))
    assert colours(picture, YELLOW) == {(y, 4) for y in range(10)}


def test_touching_classes_are_told_apart():
    truth = np.ones((6, 10), np.uint8)
    truth[:, 5:] = 2
    picture = overlay(np.zeros((6, 10)), truth, np.zeros_like(truth))
    assert colours(picture, YELLOW) == {(y, x) for y in range(6) for x in (4, 5)}


def test_ignored_pixels_are_dark_and_hold_no_prediction():
    truth = np.zeros((10, 20), np.uint8)
    truth[:, 10:] = IGNORE
    ramp = np.tile(np.linspace(0, 1000, 10), (10, 2))
    picture = overlay(ramp, truth, np.eye(10, 20, 10, dtype=np.uint8))
    assert not colours(picture, RED)
    np.testing.assert_array_equal(picture[:, 10:], picture[:, :10] // 2)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_gray_does_not_depend_on_offset_and_scale(dtype):
    pixels = np.random.default_rng(0).integers(0, 60, (30, 40)).astype(dtype)
    nothing = np.zeros((30, 40), np.uint8)
    np.testing.assert_allclose(
        overlay(pixels, nothing, nothing).astype(int), overlay(pixels * 4 + 7, nothing, nothing).astype(int), atol=1
    )


def test_a_constant_image_is_black_without_a_warning():
    nothing = np.zeros((5, 5), np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not overlay(np.full((5, 5), 7, np.uint16), nothing, nothing).any()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((1024, 700), (1024, 700)), ((3000, 1500), (1024, 512)), ((10, 5000), (2, 1024)), ((1, 4000), (1, 1024))],
)
def test_large_images_are_scaled_down(shape, expected):
    nothing = np.zeros(shape, np.uint8)
    assert overlay(nothing, nothing, nothing).shape == (*expected, 3)
    assert max(expected) <= SIDE


def test_outlines_of_large_images_are_two_pixels_wide():
    truth = np.zeros((800, 800), np.uint8)
    truth[100:200, 100:200] = 1
    picture = overlay(truth, truth, np.zeros_like(truth))
    assert colours(picture, YELLOW) == ring(100, 100, 200, 200) | ring(101, 101, 199, 199)


@pytest.mark.parametrize("best", [2, None, 9])
@pytest.mark.parametrize("count", [1, 3])
def test_learning_curves_are_svg_of_fixed_bytes(count, best):
    svg = learning_curves(HISTORY[:count], best)
    assert svg == learning_curves(HISTORY[:count], best)
    assert ElementTree.fromstring(svg).tag == f"{SVG}svg"
    assert ("best 0.700, at epoch 2" in svg) == (best == 2 and count == 3)


def test_boxplots_leave_nan_out():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg = boxplots({"Recall": [0.5, math.nan], "Dice": [math.nan, math.nan], "IoU": [0.1, 0.9]})
    texts = "".join(text for node in ElementTree.fromstring(svg).iter(f"{SVG}text") for text in node.itertext())
    assert "Recall" in texts
    assert "n = 1" in texts
    assert "n = 0" in texts


def test_figures_take_their_ink_from_the_page_and_share_no_id():
    curves, boxes = learning_curves(HISTORY, 2), boxplots({"Dice": [0.5, 0.6]})
    for svg in (curves, boxes, reliability_diagram({"as given": RELIABILITY})):
        assert "var(--ink" in svg
        root = ElementTree.fromstring(svg)
        ids = [node.attrib["id"] for node in root.iter() if "id" in node.attrib]
        assert len(set(ids)) == len(ids)
        assert "date" not in svg.lower()


def test_a_reliability_diagram_names_its_curves_where_there_are_two():
    one, two = (dict.fromkeys(names, RELIABILITY) for names in (["now"], ["then", "now"]))
    assert ">now<" not in reliability_diagram(one)
    svg = reliability_diagram(two)
    assert ">now<" in svg
    assert ">then<" in svg
    assert svg == reliability_diagram(two)
    # whoever is called by the last name keeps the colour
    assert BLUE in reliability_diagram(one)
    assert AMBER not in reliability_diagram(one)
