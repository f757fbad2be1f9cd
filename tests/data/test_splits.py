import itertools
import json
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cryoseg_tf.config import Config, DataConfig
from cryoseg_tf.data import Groups, Pair, find_groups, find_pairs, split
from cryoseg_tf.data.groups import PATTERN, TABLE
from cryoseg_tf.data.pairs import Area, read_annotated
from cryoseg_tf.errors import DataError

PAIRS = [Pair(f"{i}", Path(f"{i}.tif"), Path(f"{i}.png")) for i in range(10)]


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 10])
def test_every_pair_is_on_one_side(count):
    result = split(PAIRS[:count], DataConfig())
    assert sorted(result.train + result.validation) == PAIRS[:count]
    assert len(result.validation) == max(1, round(count * 0.2))


def test_the_seed_decides():
    assert split(PAIRS, DataConfig(), 1) == split(PAIRS, DataConfig(), 1)
    assert split(PAIRS, DataConfig(), 1) != split(PAIRS, DataConfig(), 2)


def test_one_image_is_refused():
    with pytest.raises(DataError, match=r"at least 2 .*found 1; .* --set data\.split=area"):
        split(PAIRS[:1], DataConfig())


def grouped(sizes, source=TABLE, known=True):
    """Pairs of groups of these sizes, and the groups."""
    names = [f"{group}" for group, size in enumerate(sizes) for _ in range(size)]
    pairs = [Pair(f"{i:03}", Path(f"{i}.tif"), Path(f"{i}.png")) for i in range(len(names))]
    return pairs, Groups({p.name: g for p, g in zip(pairs, names, strict=True)}, source, known)


@pytest.mark.parametrize("case", range(40))
def test_no_group_is_divided_and_the_share_is_as_near_as_can_be(case):
    random = np.random.default_rng(case)
    sizes = random.integers(1, 9, random.integers(2, 8)).tolist()
    pairs, groups = grouped(sizes)
    share = float(random.uniform(0.05, 0.6))
    result = split(pairs, DataConfig(validation=share), case, groups)
    assert sorted(result.train + result.validation) == pairs
    sides = [{groups.of[p.name] for p in side} for side in (result.train, result.validation)]
    assert not sides[0] & sides[1]
    assert all(sides)
    wanted = min(max(1, round(len(pairs) * share)), len(pairs) - 1)
    possible = [sum(c) for n in range(1, len(sizes)) for c in itertools.combinations(sizes, n)]
    assert abs(len(result.validation) - wanted) == min(abs(size - wanted) for size in possible)


def partitions(count, most=None):
    """All ways to make a count of sizes, larger first."""
    if count == 0:
        yield []
    for size in range(min(count, most or count), 0, -1):
        yield from ([size, *rest] for rest in partitions(count - size, size))


@pytest.mark.parametrize("sizes", [s for n in range(2, 7) for s in partitions(n) if len(s) > 1], ids=str)
def test_few_images_in_any_groups_can_be_divided(sizes):
    pairs, groups = grouped(sizes)
    for seed in range(5):
        result = split(pairs, DataConfig(), seed, groups)
        assert sorted(result.train + result.validation) == pairs
        assert len(result.validation) == min(sizes)  # one image is wanted, so the smallest group is the nearest


def test_the_seed_decides_among_groups():
    pairs, groups = grouped([3, 3, 3, 3, 3])
    drawn = {split(pairs, DataConfig(), seed, groups).validation for seed in range(20)}
    assert len(drawn) > 1
    assert split(pairs, DataConfig(), 7, groups) == split(pairs, DataConfig(), 7, groups)


def test_groups_of_one_image_change_nothing():
    pairs, groups = grouped([1] * 10)
    plain, with_groups = split(pairs, DataConfig(), 3), split(pairs, DataConfig(), 3, groups)
    assert (plain.train, plain.validation) == (with_groups.train, with_groups.validation)


def test_groups_are_kept_where_they_are_known():
    pairs, groups = grouped([2, 3])
    assert split(pairs, DataConfig(), 0, groups).groups == groups.of
    assert split(pairs, DataConfig(), 0, grouped([2, 3], known=False)[1]).groups is None
    assert split(pairs, DataConfig(), 0).groups is None


@pytest.mark.parametrize("source", [TABLE, PATTERN])
def test_a_single_stated_group_is_refused(source):
    pairs, groups = grouped([4], source)
    with pytest.raises(DataError, match=f"all 4 images are of one group, '0', by {source}: .*name finer groups"):
        split(pairs, DataConfig(), 0, groups)


def test_a_single_group_that_was_found_is_warned_of(caplog):
    pairs, groups = grouped([5], "stage positions")
    with caplog.at_level(logging.WARNING):
        result = split(pairs, DataConfig(), 0, groups)
    assert len(result.validation) == 1
    assert "too good" in caplog.text


AREA = DataConfig(split="area")


def write(root, masks, dtype=np.uint8):
    """Annotated images whose values are their positions, with these masks."""
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True, exist_ok=True)
    for number, mask in enumerate(masks):
        pixels = np.arange(mask.size).reshape(mask.shape).astype(dtype)
        Image.fromarray(pixels).save(root / "images" / f"{number}.png")
        Image.fromarray(mask).save(root / "masks" / f"{number}.png")
    return find_pairs(root)


def strip(length, *cells, across=20):
    """A mask of (length, across) with cells on these rows."""
    mask = np.zeros((length, across), np.uint8)
    for start, stop in cells:
        mask[start:stop, 3:9] = 1
    return mask


@pytest.mark.parametrize("shape", [(100, 60), (60, 100), (64, 64), (17, 3999), (4001, 17)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_one_image_is_divided_from_edge_to_edge(tmp_path, shape, dtype):
    mask = np.random.default_rng(0).integers(0, 2, shape).astype(np.uint8)
    pairs = write(tmp_path, [mask], dtype)
    result = split(pairs, AREA)
    sides = [read_annotated(side[0], AREA) for side in (result.train, result.validation)]
    axis = result.train[0].part.axis
    assert sides[1].mask.shape[axis] == round(0.2 * shape[axis])
    assert sides[1].mask.shape[1 - axis] == shape[1 - axis]
    ordered = sides if result.train[0].part.start == 0 else sides[::-1]
    whole = read_annotated(pairs[0], AREA)
    np.testing.assert_array_equal(np.concatenate([s.micrograph.pixels for s in ordered], axis), whole.micrograph.pixels)
    np.testing.assert_array_equal(np.concatenate([s.mask for s in ordered], axis), mask)
    assert whole.micrograph.pixels.dtype == dtype


@pytest.mark.parametrize(
    ("cells", "start"),
    [
        ([(2, 8), (40, 50)], 0),  # the other end holds no cell
        ([(40, 50), (92, 98)], 0.8),
        ([(0, 20), (30, 40), (81, 85)], 0.8),  # 17 of 100 rows have cells: 4 of 20 is nearer than 20 of 20
        ([(15, 19), (60, 70), (80, 100)], 0),
        ([(3, 15)], 0.8),  # all cells at one end: rather nothing to score than nothing to learn
        ([(85, 95)], 0),
    ],
)
def test_the_end_that_shows_best_what_the_image_holds_is_for_validation(tmp_path, cells, start):
    pairs = write(tmp_path, [strip(100, *cells)])
    for seed in range(5):
        assert split(pairs, AREA, seed).validation[0].part.start == pytest.approx(start)


def test_of_both_sides_that_one_is_cut_which_shows_more_at_an_end(tmp_path):
    mask = np.zeros((100, 100), np.uint8)
    mask[45:55, 50:] = 1
    pairs = write(tmp_path, [mask, mask.T])
    chosen = [p.part for p in split(pairs, AREA).validation]
    assert chosen == [Area(1, 0.8, 1.0), Area(0, 0.8, 1.0)]


def test_an_end_without_an_annotated_pixel_is_not_for_validation(tmp_path):
    mask = np.ones((100, 20), np.uint8)
    mask[:50] = 255
    mask[90:] = 0
    config = DataConfig(split="area", ignore=255)
    pairs = write(tmp_path, [mask])
    assert {split(pairs, config, seed).validation[0].part.stop for seed in range(5)} == {1.0}


def test_a_strip_is_wider_where_an_end_shows_little(tmp_path):
    pairs = write(tmp_path, [strip(100, (24, 34), (45, 55))])  # no end of a fifth holds any cell
    for seed in range(5):
        part = split(pairs, AREA, seed).validation[0].part
        assert (part.start, part.stop) == pytest.approx((0.0, 0.3))


def test_the_seed_decides_between_equal_ends(tmp_path):
    even = strip(100, (4, 10), (40, 50), (90, 96))
    pairs = write(tmp_path, [even, even, strip(100)])
    drawn = {tuple(p.part.start for p in split(pairs, AREA, seed).validation) for seed in range(40)}
    assert len(drawn) == 8
    assert split(pairs, AREA, 5) == split(pairs, AREA, 5)


def test_every_image_is_in_both_sets(tmp_path):
    masks = [strip(60, (2, 30)), strip(60), strip(20, (3, 9), across=50)]
    pairs = write(tmp_path, masks)
    result = split(pairs, DataConfig(split="area", validation=0.4))
    names = [p.name for p in pairs]
    assert [p.name for p in result.train] == [p.name for p in result.validation] == names
    for side, share in ((result.train, 0.6), (result.validation, 0.4)):
        assert [p.part.stop - p.part.start for p in side] == pytest.approx([share] * 3)


@pytest.mark.parametrize(("length", "share"), [(36, 0.2), (36, 0.8), (7, 0.5)])
def test_an_image_too_short_to_divide_is_named(tmp_path, length, share):
    pairs = write(tmp_path, [strip(100, (0, 90)), strip(length, across=5)])
    with pytest.raises(DataError, match=rf"1\.png is 5x{length}: .*data\.validation={share}.* at least 8"):
        split(pairs, DataConfig(split="area", validation=share))


def test_parts_of_eight_pixels_are_enough(tmp_path):
    result = split(write(tmp_path, [strip(40, (0, 40))]), AREA)
    assert read_annotated(result.validation[0], AREA).mask.shape == (8, 20)


def test_strips_are_not_stretched(tmp_path):
    with pytest.raises(DataError, match=r"data\.scale is shape"):
        split(write(tmp_path, [strip(100, (0, 90))]), DataConfig(split="area", scale="shape"))


def test_no_image_is_refused_however_it_is_divided():
    for how in ("images", "area"):
        with pytest.raises(DataError, match=r"found (0|none)"):
            split([], DataConfig(split=how))


def test_groups_do_not_stop_a_division_by_area(tmp_path, caplog):
    pairs = write(tmp_path, [strip(60, (2, 55))] * 2)
    groups = Groups({p.name: "g" for p in pairs}, TABLE, True)
    with caplog.at_level(logging.INFO):
        result = split(pairs, AREA, 0, groups)
    assert result.groups == {p.name: "g" for p in pairs}
    assert [r.levelname for r in caplog.records] == ["INFO"]
    assert "little about other images" in caplog.text


def test_facts_tell_the_areas(tmp_path):
    pairs = write(tmp_path, [strip(100, (40, 50), (92, 98))])
    facts = json.loads(json.dumps(split(pairs, AREA).facts()))
    name = pairs[0].name
    assert facts == {
        "train": [name],
        "validation": [name],
        "groups": None,
        "areas": {name: vars(Area(0, 0.8, 1))},
    }
    assert split(PAIRS, DataConfig()).facts()["areas"] is None


def test_one_annotated_image_can_be_surveyed_in_parts(make_pairs, tmp_path):
    from cryoseg_tf.training.survey import survey

    root = make_pairs(tmp_path, 1, (64, 100))
    config = Config().replace({"data.split": "area"})
    pairs = find_pairs(root)
    found = survey(split(pairs, config.data, 0, find_groups(root, pairs, config.data)), config)
    assert [f.shape for f in found.train + found.validation] == [(64, 80), (64, 20)]
    assert sorted(found.files) == [pairs[0].name, f"{pairs[0].name} mask"]
