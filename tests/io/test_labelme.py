"""Shapes by hand: a pixel belongs to a shape when its centre, at (column + 0.5, row + 0.5), lies inside."""

import json

import numpy as np
import pytest

from cryoseg_tf.config import IGNORE
from cryoseg_tf.errors import ImageError
from cryoseg_tf.io.mask import read_mask

CLASSES = ("background", "cell", "ice")


def shape(label, points, kind="polygon"):
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, "flags": {}}


def draw(tmp_path, shapes, size=(4, 5), ignore=None, **entries):
    content = {"version": "5.5.0", "shapes": shapes, "imageHeight": size[0], "imageWidth": size[1], **entries}
    (tmp_path / "a.json").write_text(json.dumps(content))
    return read_mask(tmp_path / "a.json", CLASSES, ignore, size)


def test_a_polygon_on_pixel_edges(tmp_path):
    mask = draw(tmp_path, [shape("cell", [[1, 1], [4, 1], [4, 3], [1, 3]])])
    np.testing.assert_array_equal(mask, [[0, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0]])


def test_a_triangle(tmp_path):
    # the hypotenuse from (4, 0) to (0, 4) passes through the centres of the anti-diagonal: a right edge, so outside
    mask = draw(tmp_path, [shape("cell", [[0, 0], [4, 0], [0, 4]])], (4, 4))
    np.testing.assert_array_equal(mask, [[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]])


def test_a_hollow_in_a_polygon_stays_empty(tmp_path):
    u = [[0, 0], [5, 0], [5, 4], [4, 4], [4, 1], [1, 1], [1, 4], [0, 4]]
    mask = draw(tmp_path, [shape("cell", u)])
    np.testing.assert_array_equal(mask, [[1, 1, 1, 1, 1], [1, 0, 0, 0, 1], [1, 0, 0, 0, 1], [1, 0, 0, 0, 1]])


def test_centres_decide(tmp_path):
    mask = draw(tmp_path, [shape("cell", [[0.6, 0], [2.5, 0], [2.5, 1], [0.6, 1]])], (1, 4))
    np.testing.assert_array_equal(mask, [[0, 1, 0, 0]])


def test_a_rectangle_by_any_two_corners(tmp_path):
    mask = draw(tmp_path, [shape("ice", [[4, 3], [2, 1]], "rectangle")])
    np.testing.assert_array_equal(mask, [[0, 0, 0, 0, 0], [0, 0, 2, 2, 0], [0, 0, 2, 2, 0], [0, 0, 0, 0, 0]])


def test_a_circle_by_centre_and_edge(tmp_path):
    # centre of pixel (2, 2), radius 1.2: its four neighbours at 1 are inside, the diagonal ones at 1.41 are not
    mask = draw(tmp_path, [shape("cell", [[2.5, 2.5], [3.7, 2.5]], "circle")], (5, 5))
    np.testing.assert_array_equal(np.argwhere(mask), [[1, 2], [2, 1], [2, 2], [2, 3], [3, 2]])


def test_what_lies_outside_the_image_is_cut(tmp_path):
    mask = draw(
        tmp_path, [shape("cell", [[-9, -9], [1, -9], [1, 99], [-9, 99]]), shape("ice", [[9, 9], [11, 9]], "circle")]
    )
    np.testing.assert_array_equal(mask, [[1, 0, 0, 0, 0]] * 4)


def test_later_shapes_lie_on_top(tmp_path):
    wide, narrow = [[0, 0], [5, 4]], [[1, 1], [3, 3]]
    over = draw(tmp_path, [shape("cell", wide, "rectangle"), shape("background", narrow, "rectangle")])
    assert over.sum() == 20 - 4
    assert (draw(tmp_path, [shape("background", narrow, "rectangle"), shape("cell", wide, "rectangle")]) == 1).all()


def test_neighbours_share_an_edge_without_gap_or_overlap(tmp_path):
    corners = np.random.default_rng(0).uniform(0, 64, (200, 3, 2))
    for a, b, c in corners:
        middle = (a + b + c) / 3
        whole = draw(tmp_path, [shape("cell", [a.tolist(), b.tolist(), c.tolist()])], (64, 64))
        parts = [
            draw(tmp_path, [shape("cell", [p.tolist(), q.tolist(), middle.tolist()])], (64, 64))
            for p, q in ((a, b), (b, c), (c, a))
        ]
        np.testing.assert_array_equal(np.sum(parts, axis=0), whole)


@pytest.mark.parametrize(("label", "ignore"), [("ignore", None), ("ignore", 7), ("7", 7)])
def test_ignored_regions(tmp_path, label, ignore):
    mask = draw(tmp_path, [shape(label, [[0, 0], [5, 1]], "rectangle")], ignore=ignore)
    np.testing.assert_array_equal(np.unique(mask, return_counts=True), [[0, IGNORE], [15, 5]])


def test_an_image_without_shapes_is_background(tmp_path):
    assert not draw(tmp_path, []).any()


@pytest.mark.parametrize(
    ("drawn", "words"),
    [
        (shape("dirt", [[0, 0], [1, 1]], "rectangle"), ["'dirt'", "background, cell, ice"]),
        (shape("cell", [[0, 0], [1, 1]], "line"), ["'line'", "polygon, rectangle, circle"]),
        (shape("cell", [[0, 0], [1, 1]]), ["polygon of 2 points", "at least 3"]),
        (shape("cell", [], "circle"), ["circle of 0 points"]),
        (shape("cell", [[0, 0], [1, float("nan")], [2, 2]]), ["shapes.0.points.1.1"]),
        (shape("cell", [[0, 0], [1, 1e300], [2, 2]]), ["shapes.0.points.1.1"]),
        (shape("cell", [[0], [1], [2]]), ["shapes.0.points.0"]),
        (shape(None, []), ["shapes.0.label"]),
    ],
)
def test_unusable_shapes_are_named(tmp_path, drawn, words):
    with pytest.raises(ImageError) as error:
        draw(tmp_path, [drawn])
    assert all(word in str(error.value) for word in [*words, "a.json"]), str(error.value)


def test_an_annotation_of_another_size_is_refused(tmp_path):
    with pytest.raises(ImageError, match=r"a\.json is for an image of 9x4 but its image is 5x4"):
        draw(tmp_path, [], imageWidth=9)


def test_a_data_bar_may_have_been_cropped_since(tmp_path):
    draw(tmp_path, [shape("cell", [[0, 3], [1, 6]], "rectangle")], (6, 5))
    mask = read_mask(tmp_path / "a.json", CLASSES, None, (4, 5), 2)
    np.testing.assert_array_equal(np.argwhere(mask), [[3, 0]])
    with pytest.raises(ImageError, match="5x6"):
        read_mask(tmp_path / "a.json", CLASSES, None, (4, 5), 1)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'{"shapes": 3}', b"\xff\xfe", b"[" * 100_000])
def test_damaged_json_is_named(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ImageError, match=r"a\.json is not the JSON of LabelMe"):
        read_mask(tmp_path / "a.json", CLASSES, None, (4, 5))
