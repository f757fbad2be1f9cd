import math

import numpy as np
import pytest

from cryoseg_tf.config import IGNORE, EvaluationConfig
from cryoseg_tf.evaluation import bands
from cryoseg_tf.evaluation.objects import IOUS, MIXED, ObjectScores, object_scores

CONFIG = EvaluationConfig(minimum_area=1)


def image(*boxes, value=1, shape=(40, 40)):
    """Boxes of top, left, height, width."""
    mask = np.zeros(shape, np.uint8)
    for top, left, height, width in boxes:
        mask[top : top + height, left : left + width] = value
    return mask


def disc(y, x, radius, shape=(60, 90)):
    rows, columns = np.indices(shape)
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def test_a_cell_is_measured_by_hand():
    mask = image((10, 20, 4, 6))
    (one,) = object_scores(mask, mask, 1, CONFIG).truth
    assert (one.measured.y, one.measured.x, one.measured.area) == (11.5, 22.5, 24)
    assert one.measured.diameter == pytest.approx(2 * math.sqrt(24 / math.pi))
    assert (one.coverage, one.best_iou, one.kind) == (1, 1, "")


@pytest.mark.parametrize(("rows", "found", "false"), [(4, False, True), (5, True, False), (6, True, False)])
def test_half_of_a_cell_is_enough_to_be_found_and_not_to_be_false(rows, found, false):
    # truth and prediction are 10x10 and share 4, 5 or 6 of their rows
    scores = object_scores(image((5, 5, 10, 10)), image((15 - rows, 5, 10, 10)), 1, CONFIG)
    assert [one.found for one in scores.truth] == [found]
    assert [one.false for one in scores.predicted] == [false]
    assert (scores.recall, scores.precision) == (found, 1 - false)
    assert scores.truth[0].coverage == rows / 10
    assert scores.truth[0].best_iou == scores.predicted[0].best_iou == pytest.approx(rows * 10 / (200 - rows * 10))


def test_found_does_not_ask_by_how_many_objects():
    scores = object_scores(image((5, 5, 10, 10)), image((5, 5, 4, 10), (11, 5, 4, 10)), 1, CONFIG)
    assert scores.truth[0].coverage == 0.8
    assert (scores.recall, scores.precision, scores.f1) == (1, 1, 0)


def test_f1_by_hand():
    # IoU of three pairs: 1, 8/10 and 6/10; one more is missed, and one false
    truth = image((0, 0, 2, 5), (10, 0, 2, 5), (20, 0, 2, 5), (30, 0, 2, 5))
    found = image((0, 0, 2, 5), (10, 0, 2, 4), (20, 0, 2, 3), (30, 20, 2, 5))
    scores = object_scores(truth, found, 1, CONFIG)
    assert scores.matches == {0.5: 3, 0.55: 3, 0.6: 3, 0.65: 2, 0.7: 2, 0.75: 2, 0.8: 2, 0.85: 1, 0.9: 1}
    assert scores.f1 == 2 * 3 / 8
    assert scores.f1_mean == pytest.approx(2 * (3 + 3 + 3 + 2 + 2 + 2 + 2 + 1 + 1) / 8 / 9)
    assert (scores.recall, scores.precision, scores.false_objects) == (0.75, 0.75, 1)
    assert [one.matched50 for one in scores.predicted] == [True, True, True, False]


def test_an_iou_of_exactly_half_matches_once():
    # both halves of a cell have IoU 1/2 with it
    scores = object_scores(image((5, 5, 11, 10)), image((5, 5, 11, 5), (5, 11, 11, 4)), 1, CONFIG)
    assert [one.best_iou for one in scores.predicted] == [0.5, pytest.approx(0.4)]
    halves = image((5, 5, 6, 10)), image((5, 5, 3, 10), (8, 5, 3, 10))
    labels_apart = EvaluationConfig(minimum_area=1, connectivity=4)
    assert object_scores(*halves, 1, labels_apart).matches[0.5] == 1
    assert scores.matches[0.5] == 1
    assert scores.f1 == pytest.approx(2 / 3)


def test_connectivity_is_stated():
    corner = image((5, 5, 4, 4), (9, 9, 4, 4))
    assert len(object_scores(corner, corner, 1, CONFIG).truth) == 1
    assert len(object_scores(corner, corner, 1, EvaluationConfig(minimum_area=1, connectivity=4)).truth) == 2


def test_specks_are_neither_objects_nor_false_but_cover():
    # a row of 15 pixels is no object; two such rows find half of a cell
    truth, found = image((5, 5, 4, 15), (20, 5, 1, 15)), image((5, 5, 1, 15), (7, 5, 1, 15), (30, 5, 1, 15))
    scores = object_scores(truth, found, 1, EvaluationConfig())
    assert [one.measured.area for one in scores.truth] == [60]
    assert scores.predicted == ()
    assert (scores.recall, scores.false_objects) == (1, 0)
    assert math.isnan(scores.precision)
    assert len(object_scores(truth, found, 1, EvaluationConfig(minimum_area=15)).predicted) == 3


def test_splits_and_merges_are_each_other_s_mirror():
    whole, halves = image((5, 5, 10, 20)), image((5, 5, 10, 9), (5, 16, 10, 9))
    split, merge = object_scores(whole, halves, 1, CONFIG), object_scores(halves, whole, 1, CONFIG)
    assert (split.splits, split.merges) == (1, 0)
    assert (merge.splits, merge.merges) == (0, 1)


def test_a_sliver_of_a_neighbour_is_no_merge():
    truth = image((5, 5, 10, 10), (5, 17, 10, 10))
    scores = object_scores(truth, image((5, 5, 10, 16)), 1, CONFIG)  # four tenths of the second
    assert (scores.merges, scores.recall) == (0, 0.5)
    assert object_scores(truth, image((5, 5, 10, 17)), 1, CONFIG).merges == 1  # half of it


def test_one_blob_over_many_cells_is_one_merge():
    cells = [(5 + 8 * row, 5 + 8 * column, 4, 4) for row in range(4) for column in range(4)]
    scores = object_scores(image(*cells), image((4, 4, 32, 32)), 1, CONFIG)
    assert (scores.merges, scores.splits, scores.recall) == (1, 0, 1)
    assert scores.precision == 0  # most of it is background


def test_ignored_pixels_count_nowhere():
    truth = image((5, 5, 10, 10))
    truth[:, 15:] = IGNORE
    found = image((5, 5, 10, 10), (20, 14, 10, 10), (20, 2, 6, 6))
    scores = object_scores(truth, found, 1, CONFIG)
    # the second lies nine tenths where nothing is known; the third is false
    assert [(one.measured.y, one.measured.x, one.false) for one in scores.predicted] == [
        (9.5, 9.5, False),
        (22.5, 4.5, True),
    ]
    # grown beyond what is known: overlap and IoU are as before
    wide = object_scores(truth, image((5, 5, 10, 20)), 1, CONFIG)
    assert (wide.truth[0].best_iou, wide.f1, wide.predicted[0].false) == (1, 1, False)


def test_nothing_at_all_is_not_defined():
    empty = image()
    scores = object_scores(empty, empty, 1, CONFIG)
    assert all(math.isnan(v) for v in (scores.recall, scores.precision, scores.f1, scores.f1_mean))
    cell = image((5, 5, 10, 10))
    assert object_scores(empty, cell, 1, CONFIG).precision == object_scores(cell, empty, 1, CONFIG).recall == 0
    assert object_scores(empty, cell, 1, CONFIG).f1 == 0


def test_classes_are_apart():
    truth = image((5, 5, 10, 10)) + image((20, 20, 10, 10), value=2)
    scores = [object_scores(truth, 3 * (truth > 0) - truth, index, CONFIG) for index in (1, 2)]
    assert [(len(s.truth), s.recall, s.false_objects) for s in scores] == [(1, 0, 1)] * 2


def test_touching_cells_are_divided_on_request():
    pair = disc(30, 30, 15) | disc(30, 56, 15)  # a neck of half their width
    together = object_scores(pair, pair, 1, CONFIG)
    apart = object_scores(pair, pair, 1, CONFIG.model_copy(update={"separate": "watershed"}))
    assert (len(together.truth), len(apart.truth)) == (1, 2)
    assert sorted(one.measured.x for one in apart.truth) == pytest.approx([30, 56], abs=1)
    assert sum(one.measured.area for one in apart.truth) == together.truth[0].measured.area
    assert apart.f1_mean == 1


def test_parts_of_a_divided_object_keep_its_kind():
    mask = disc(30, 20, 12) | disc(30, 40, 12) | disc(30, 60, 12)
    settings = CONFIG.model_copy(update={"separate": "watershed"})
    assert [one.kind for one in object_scores(mask, mask, 1, settings, [(30, 20, "cluster")]).truth] == ["cluster"] * 3
    points = [(30, 20, "dark"), (30, 40, "bright")]
    assert [one.kind for one in object_scores(mask, mask, 1, settings, points).truth] == ["dark", "bright", MIXED]


@pytest.mark.parametrize("scale", [1, 3])
def test_one_cell_stays_one_at_any_pixel_size(scale):
    shape = (60 * scale, 90 * scale)
    wide = EvaluationConfig(separate="watershed")
    random = np.random.default_rng(0)
    for mask in (
        disc(30 * scale, 40 * scale, 20 * scale, shape),
        disc(30 * scale, 30 * scale, 15 * scale, shape) | disc(30 * scale, 48 * scale, 15 * scale, shape),  # a bean
        disc(30 * scale, 40 * scale, 20 * scale, shape) & ~(disc(30, 40, 22, shape) & (random.random(shape) > 0.98)),
    ):
        assert len(object_scores(mask, mask, 1, wide).truth) == 1


def test_division_numbers_all_objects_apart():
    three = disc(15, 12, 10) | disc(15, 30, 10) | disc(15, 48, 10) | disc(45, 20, 10) | disc(45, 70, 10)
    scores = object_scores(three, three, 1, EvaluationConfig(separate="watershed"))
    assert len(scores.truth) == 5
    assert scores.matches[IOUS[-1]] == 5
    places = sorted((round(one.measured.y), round(one.measured.x)) for one in scores.truth)
    assert places == [(15, 12), (15, 30), (15, 48), (45, 20), (45, 70)]


def test_kinds_go_to_the_object_below_the_point():
    truth = image((5, 5, 10, 10), (5, 20, 10, 10), (20, 5, 10, 10))
    points = [(5.4, 5, "round"), (9, 25, "round"), (9, 26, "budding"), (38, 38, "beside"), (900, 3, "outside")]
    scores = object_scores(truth, truth, 1, CONFIG, points)
    assert [one.kind for one in scores.truth] == ["round", MIXED, ""]


def test_an_image_taken_in_bands_counts_whole(monkeypatch):
    truth, found = np.random.default_rng(0).random((2, 50, 40)) > 0.7
    whole = object_scores(truth, found, 1, CONFIG)
    monkeypatch.setattr(bands, "BAND", 3 * 40)
    assert object_scores(truth, found, 1, CONFIG) == whole


def test_scores_do_not_change_when_both_masks_are_turned():
    truth, found = (np.random.default_rng(seed).random((50, 40)) > 0.6 for seed in (0, 1))
    here, there = (object_scores(np.rot90(truth, k), np.rot90(found, k), 1, CONFIG) for k in (0, 1))
    assert (here.matches, here.splits, here.merges) == (there.matches, there.splits, there.merges)
    assert (here.found, here.false_objects) == (there.found, there.false_objects)


def test_images_are_pooled_by_their_objects():
    cell, empty = image((5, 5, 10, 10)), image()
    hit, miss = (object_scores(cell, found, 1, CONFIG) for found in (cell, empty))
    pooled = ObjectScores.pooled([hit, miss, miss])
    assert (pooled.recall, pooled.precision, pooled.f1) == (pytest.approx(1 / 3), 1, 0.5)
    assert pooled.area_um2 is None


def test_a_pinhole_does_not_cut_a_cell_and_a_hole_in_each_leaves_two():
    settings = EvaluationConfig(separate="watershed")
    holes = disc(30, 30, 15) | disc(30, 56, 15)
    for x in (30, 56):
        holes[29:31, x - 2 : x + 2] = False
    scores = object_scores(holes, holes, 1, settings)
    assert sorted(one.measured.x for one in scores.truth) == pytest.approx([30, 56], abs=1)
    assert sum(one.measured.area for one in scores.truth) == holes.sum()
