from pathlib import Path

import pytest

from cryoseg_tf.config import DataConfig
from cryoseg_tf.data import Pair, split
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
