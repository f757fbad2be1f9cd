"""Augmented copies as files."""

import numpy as np

from cryoseg_tf.config import DataConfig
from cryoseg_tf.data import find_pairs
from cryoseg_tf.data.copies import write_copies
from cryoseg_tf.data.pairs import read_annotated


def test_each_copy_is_a_part_of_its_image_mirrored_and_turned_with_its_mask(make_pairs, tmp_path):
    config, pairs = DataConfig(), find_pairs(make_pairs(tmp_path / "data", 2, (40, 56)))
    write_copies(pairs, config, tmp_path / "copies", 8, seed=1)
    copies = find_pairs(tmp_path / "copies")
    assert len(copies) == 16
    shapes = set()
    for copy in copies:
        number = int(copy.image.name[:4])
        whole, part = (read_annotated(pair, config) for pair in (pairs[number], copy))
        shapes.add(part.mask.shape)
        assert any(
            found(whole.micrograph.pixels, part.micrograph.pixels, flip, quarters)
            and found(whole.mask, part.mask, flip, quarters)
            for flip in (1, -1)
            for quarters in range(4)
        )
    assert shapes == {(20, 28), (28, 20)}


def found(whole, part, flip, quarters):
    """Whether a part, put right again, lies somewhere in the whole."""
    part = np.rot90(part, -quarters)[:, ::flip]
    if part.shape[0] > whole.shape[0] or part.shape[1] > whole.shape[1]:
        return False
    windows = np.lib.stride_tricks.sliding_window_view(whole, part.shape)
    return bool((windows == part).all(axis=(2, 3)).any())


def test_the_seed_fixes_them(make_pairs, tmp_path):
    pairs = find_pairs(make_pairs(tmp_path / "data", 1))
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_copies(pairs, DataConfig(), tmp_path / name, 3, seed)
    read = {n: [p.image.read_bytes() for p in find_pairs(tmp_path / n)] for n in "abc"}
    assert read["a"] == read["b"] != read["c"]
