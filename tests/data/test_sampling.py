"""Where patches are taken."""

import numpy as np
import pytest

from cryoseg_tf.config import IGNORE
from cryoseg_tf.data.sampling import KEPT, Draw, corner, foreground, spread

SHAPE = (96, 128)


def many(count=2000):
    return [Draw(*numbers) for numbers in np.random.default_rng(0).random((count, 5)).tolist()]


def mask_of(shape, *parts):
    """Return a mask in which each ``(class, rows, columns)`` is filled."""
    mask = np.zeros(shape, np.uint8)
    for index, rows, columns in parts:
        mask[rows, columns] = index
    return mask


def window(mask, place, side):
    return mask[place[0] : place[0] + side, place[1] : place[1] + side]


@pytest.mark.parametrize("side", [2, 4, 32, 96])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_patch_lies_inside_its_image(side, share):
    tables = [(share, foreground(mask_of(SHAPE, (1, slice(0, 3), slice(0, 128)), (1, 95, 127))))]
    corners = np.array([corner(draw, SHAPE, side, tables) for draw in many(500)])
    assert corners.min() >= 0
    assert (corners + side).max(0).tolist() <= list(SHAPE)


def test_the_first_and_last_draw_lie_inside_too():
    tables = [(0.5, foreground(mask_of(SHAPE, (1, 95, 127))))]
    for value in (0.0, 1.0):
        place = corner(Draw(*(value,) * 5), SHAPE, 32, tables)
        assert (place >= 0).all()
        assert (place + 32 <= SHAPE).all()


def test_anywhere_is_everywhere_alike():
    corners = np.array([corner(draw, (66, 66), 64, []) for draw in many()])
    counts = np.bincount(corners @ [3, 1], minlength=9)
    assert counts.min() > 0.7 * counts.max()


def test_where_the_image_is_smaller_a_patch_starts_at_its_corner():
    tables = [(0.5, foreground(mask_of((20, 128), (1, 10, slice(0, 128)))))]
    corners = np.array([corner(draw, (20, 128), 64, tables) for draw in many(200)])
    assert (corners[:, 0] == 0).all()
    assert np.ptp(corners[:, 1]) > 32


@pytest.mark.parametrize("side", [2, 4, 8, 32])
def test_a_patch_taken_on_the_foreground_holds_some(side):
    mask = mask_of(SHAPE, (1, 0, 0), (1, 50, 60), (2, 95, 127), (IGNORE, slice(10, 40), slice(0, 128)))
    tables = [(1.0, foreground(mask))]
    for draw in many(500):
        assert np.isin(window(mask, corner(draw, SHAPE, side, tables), side), (1, 2)).any()


def test_a_pixel_is_not_always_in_the_centre():
    tables = [(1.0, [np.array([[48, 64]], np.int32)])]
    offsets = np.array([[48, 64] - corner(draw, SHAPE, 20, tables) for draw in many()])
    assert offsets.min() == 2
    assert offsets.max() == 17
    np.testing.assert_allclose(offsets.mean(0), 9.5, atol=0.5)


def test_a_rare_class_gets_its_share():
    """Class 2 is 0.5 % of the image, and a quarter of the patches are taken on it."""
    mask = mask_of((256, 256), (1, slice(0, 80), slice(0, 256)), (2, slice(200, 218), slice(200, 218)))
    assert (mask == 2).mean() < 0.005
    found = {}
    for share in (0.0, 0.5):
        tables = [(share, foreground(mask))]
        found[share] = np.mean([(window(mask, corner(d, mask.shape, 32, tables), 32) == 2).any() for d in many()])
    assert found[0.0] < 0.1
    assert found[0.5] == pytest.approx(0.25 + found[0.0] / 2, abs=0.035)


def test_shares_of_several_tables():
    first, second = np.array([[0, 0]], np.int32), np.array([[95, 127]], np.int32)
    tables = [(0.25, [first]), (0.5, [second])]
    corners = [tuple(corner(draw, SHAPE, 4, tables).tolist()) for draw in many()]
    assert np.mean([c == (0, 0) for c in corners]) == pytest.approx(0.25, abs=0.03)
    assert np.mean([c == (92, 124) for c in corners]) == pytest.approx(0.5, abs=0.035)


def test_an_empty_table_falls_back_to_anywhere():
    for tables in ([(1.0, [])], [(0.5, []), (0.5, foreground(np.zeros(SHAPE, np.uint8)))]):
        for draw in many(50):
            np.testing.assert_array_equal(corner(draw, SHAPE, 32, tables), corner(draw, SHAPE, 32, []))


def test_points_are_those_chosen():
    chosen = np.random.default_rng(0).random((40, 50)) < 0.3
    points = spread(chosen)
    again = np.zeros_like(chosen)
    again[tuple(points.T)] = True
    np.testing.assert_array_equal(again, chosen)


def test_of_many_points_some_are_kept_all_over_the_image():
    points = spread(np.ones((200, 300), np.bool_))
    assert len(points) == KEPT
    assert len(np.unique(points, axis=0)) == KEPT
    quarters = np.bincount((points >= [100, 150]) @ [2, 1], minlength=4)
    assert quarters.min() > 0.2 * KEPT


def test_no_points_of_nothing():
    assert spread(np.zeros((5, 5), np.bool_)).shape == (0, 2)
    assert foreground(np.full((5, 5), IGNORE, np.uint8)) == []
