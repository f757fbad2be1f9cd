import itertools
import logging
from pathlib import Path

import numpy as np
import pytest

from cryoseg_tf.config import DataConfig
from cryoseg_tf.data import Groups, Pair, split
from cryoseg_tf.data.groups import PATTERN, TABLE
from cryoseg_tf.errors import DataError

PAIRS = [Pair(f"{i}", Path(f"{i}.tif"), Path(f"{i}.png")) for i in range(10)]


@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_every_pair_is_on_one_side(count):
    result = split(PAIRS[:count], DataConfig())
    assert sorted(result.train + result.validation) == PAIRS[:count]
    assert len(result.validation) == max(1, round(count * 0.2))


def test_the_seed_decides():
    assert split(PAIRS, DataConfig(), 1) == split(PAIRS, DataConfig(), 1)
    assert split(PAIRS, DataConfig(), 1) != split(PAIRS, DataConfig(), 2)


def test_one_image_is_refused():
    with pytest.raises(DataError, match="at least 2"):
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
