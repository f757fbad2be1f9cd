"""Folds: each image is held back once, groups stay whole, and the foreground is spread evenly."""

import numpy as np
import pytest
from PIL import Image

from cryoseg_tf.config import DataConfig
from cryoseg_tf.data import find_pairs, folds
from cryoseg_tf.data.groups import TABLE, Groups
from cryoseg_tf.errors import DataError


@pytest.fixture
def pairs(tmp_path):
    """Twenty images of which the n-th holds n/40 of foreground."""
    random = np.random.default_rng(0)
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for number in range(20):
        mask = np.zeros((40, 40), np.uint8)
        mask[:number] = 1
        Image.fromarray(random.integers(0, 255, (40, 40)).astype(np.uint8)).save(tmp_path / f"images/{number:02}.png")
        Image.fromarray(mask).save(tmp_path / f"masks/{number:02}.png")
    return find_pairs(tmp_path)


def grouped(pairs, size, source=TABLE):
    return Groups({pair.name: f"grid {index // size}" for index, pair in enumerate(pairs)}, source, known=True)


def held(splits):
    return [[pair.name for pair in one.validation] for one in splits]


def test_each_image_is_held_back_once_and_learned_from_otherwise(pairs):
    splits = folds(pairs, 5, DataConfig())
    assert sorted(name for names in held(splits) for name in names) == [pair.name for pair in pairs]
    for one in splits:
        assert {p.name for p in (*one.train, *one.validation)} == {pair.name for pair in pairs}
        assert not {p.name for p in one.train} & {p.name for p in one.validation}


def test_the_foreground_is_spread_evenly(pairs):
    for names in held(folds(pairs, 5, DataConfig(), seed=3)):
        levels = sorted(int(name.split("/")[-1].split(".")[0]) // 5 for name in names)
        assert levels == [0, 1, 2, 3]


def test_the_seed_fixes_them(pairs):
    first, again, other = (held(folds(pairs, 4, DataConfig(), seed)) for seed in (1, 1, 2))
    assert first == again != other


def test_groups_stay_whole(pairs):
    groups = grouped(pairs, 2)
    for one in folds(pairs, 5, DataConfig(), groups=groups):
        validated = {groups.of[p.name] for p in one.validation}
        assert len(one.validation) == 2 * len(validated)
        assert one.groups == groups.of


def test_with_fewer_groups_than_folds_each_group_is_held_back_once(pairs, caplog):
    groups = grouped(pairs, 7)
    splits = folds(pairs, 5, DataConfig(), groups=groups)
    assert sorted(len(one.validation) for one in splits) == [6, 7, 7]
    assert all(len({groups.of[p.name] for p in one.validation}) == 1 for one in splits)
    assert "3 groups for 5 folds" in caplog.text


@pytest.mark.parametrize(
    ("count", "size", "words"),
    [(1, 1, "at least 2"), (21, 1, "at least 21 annotated images: found 20"), (5, 20, "one group")],
)
def test_what_cannot_be_divided_is_refused(pairs, count, size, words):
    with pytest.raises(DataError, match=words):
        folds(pairs, count, DataConfig(), groups=grouped(pairs, size))
