import base64
import io
import itertools
import warnings

import numpy as np
import pytest
from PIL import Image

from cryoseg_tf.config import IGNORE
from cryoseg_tf.evaluation.views import (
    DIFFERENCE,
    ORANGE,
    RED,
    SIDE,
    YELLOW,
    embed_overlay,
    embed_view,
    overlay,
    save_overlay,
    save_view,
)

# how red, green and blue light is seen without one kind of cone (Machado et al. 2009, doi:10.1109/TVCG.2009.113)
EYES = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


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


@pytest.fixture
def view(tmp_path):
    """A view of 400x300: noise, one cell, one that is found beside it, and rows that are not annotated."""
    noise = np.random.default_rng(0).random((300, 400))
    truth, prediction = np.zeros((2, 300, 400), np.uint8)
    truth[50:150, 50:150] = 1
    prediction[50:150, 100:200] = 2
    truth[280:] = IGNORE
    save_view(noise, truth, prediction, tmp_path / "deep" / "view.png")
    return tmp_path / "deep" / "view.png", noise, truth, prediction


def decoded(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"))


def test_a_view_holds_image_truth_and_prediction(view):
    path, noise, truth, prediction = view
    with Image.open(path) as file:
        gray, there, found = np.moveaxis(np.asarray(file), -1, 0)
    np.testing.assert_array_equal(there, truth)
    np.testing.assert_array_equal(found, prediction)
    assert np.corrcoef(gray.ravel(), noise.ravel())[0, 1] > 0.999


def test_an_embedded_view_with_room_keeps_size_and_classes(view):
    path, _, truth, prediction = view
    gray, classes = (decoded(text) for text in embed_view(path, 10**6))
    assert gray.shape == classes.shape == (300, 400, 3)
    np.testing.assert_array_equal(classes[..., 0], truth)
    np.testing.assert_array_equal(classes[..., 1], prediction)
    with Image.open(path) as file:
        assert np.abs(gray[..., 0].astype(float) - np.asarray(file)[..., 0]).mean() < 15


@pytest.mark.parametrize("allowed", [60_000, 12_000, 3_000])
def test_an_embedded_view_stays_within_its_bytes(view, allowed):
    embedded = embed_view(view[0], allowed)
    assert sum(len(base64.b64decode(part)) for part in embedded) <= allowed
    assert decoded(embedded.gray).shape == decoded(embedded.classes).shape
    assert set(np.unique(decoded(embedded.classes)[..., 0])) == {0, 1, IGNORE}


def test_what_cannot_fit_is_embedded_as_small_as_can_be(view):
    assert decoded(embed_view(view[0], 10).gray).shape == (12, 16, 3)


def test_a_view_of_many_classes_is_exact(tmp_path):
    truth, prediction = np.divmod(np.arange(400, dtype=np.uint16).reshape(20, 20), 20)
    save_view(truth, truth, prediction, tmp_path / "view.png")
    classes = decoded(embed_view(tmp_path / "view.png", 10**5).classes)
    np.testing.assert_array_equal(classes[..., 0], truth)
    np.testing.assert_array_equal(classes[..., 1], prediction)


@pytest.mark.parametrize("allowed", [200_000, 5_000])
def test_an_embedded_overlay_stays_within_its_bytes(tmp_path, allowed):
    save_overlay(np.random.default_rng(0).integers(0, 256, (900, 700, 3), np.uint8), tmp_path / "o.jpg")
    kind, _, text = embed_overlay(tmp_path / "o.jpg", allowed).partition(",")
    assert kind == "data:image/jpeg;base64"
    assert len(base64.b64decode(text)) <= allowed


@pytest.mark.parametrize("eyes", EYES)
def test_colours_of_the_difference_are_told_apart_by_all_eyes(eyes):
    seen = [lab(np.array(EYES[eyes]) @ light(colour)) for colour in DIFFERENCE.values()]
    # 2.3 is just noticeable (Mahy et al. 1994)
    assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)) > 20


def light(colour: str) -> np.ndarray:
    """Linear red, green and blue of ``#rrggbb`` (IEC 61966-2-1)."""
    values = np.frombuffer(bytes.fromhex(colour[1:]), np.uint8) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE 1976 L*a*b* of linear sRGB under D65."""
    xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]] @ rgb.clip(0, 1)
    ratio = xyz / [0.9505, 1, 1.089]
    x, y, z = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])
