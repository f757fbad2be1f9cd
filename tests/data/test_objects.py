"""Diameters of discs whose diameters are known."""

import numpy as np
import pytest

from cryoseg_tf.config import IGNORE
from cryoseg_tf.data.objects import LARGEST, diameters


def discs(shape, *circles):
    """Draw ``(row, column, diameter)`` of 1 on 0."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    mask = np.zeros(shape, np.uint8)
    for row, column, across in circles:
        mask[np.hypot(rows - row, columns - column) < across / 2] = 1
    return mask


@pytest.mark.parametrize("across", [5, 12, 30.5, 61])
@pytest.mark.parametrize("centre", [48, 48.5])
def test_a_disc_has_its_diameter(across, centre):
    assert diameters(discs((97, 97), (centre, centre, across)))[1] == pytest.approx(across, abs=1.4)


def test_discs_that_touch_count_with_their_own_size():
    mask = discs((64, 130), (32, 30, 24), (32, 53, 24), (32, 76, 24))
    assert diameters(mask)[1] == pytest.approx(24, abs=1.4)


def test_specks_do_not_matter():
    mask = discs((128, 128), (64, 64, 40))
    mask[::6, :20:6] = 1
    assert diameters(mask)[1] == pytest.approx(40, abs=1.4)


def test_one_large_disc_among_many_small_ones_is_not_the_typical_one():
    small = [(row, column, 12) for row in range(10, 200, 20) for column in range(70, 200, 20)]
    assert diameters(discs((200, 200), (100, 30, 50), *small))[1] == pytest.approx(12, abs=1.4)


def test_each_class_has_its_own():
    mask = discs((128, 128), (30, 30, 40)) + 2 * discs((128, 128), (90, 90, 20))
    mask[:, 120:] = IGNORE
    found = diameters(mask)
    assert found.keys() == {1, 2}
    assert found[1] == pytest.approx(40, abs=1.4)
    assert found[2] == pytest.approx(20, abs=1.4)


def test_a_mask_full_of_one_class_ends_at_its_border():
    assert diameters(np.ones((20, 50), np.uint8))[1] == pytest.approx(20, abs=1.4)


@pytest.mark.parametrize("value", [0, IGNORE])
def test_no_objects(value):
    assert diameters(np.full((8, 8), value, np.uint8)) == {}


def test_large_masks_are_measured_coarsely():
    side = 2 * LARGEST + 2
    assert diameters(discs((300, side), (150, side // 2, 240)))[1] == pytest.approx(240, abs=6)


def test_what_is_finer_than_the_measuring_is_not_lost():
    mask = np.zeros((9, 4 * LARGEST), np.uint8)
    mask[1, 1] = 1
    assert 0 < diameters(mask)[1] <= 4
