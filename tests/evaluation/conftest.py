"""A predictor that one can compute by hand: bright pixels are cells."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cryoseg_tf.config import Config, Contract
from cryoseg_tf.data.pairs import Pair, find_pairs
from cryoseg_tf.segmentation import Segmenter


class Bright:
    """The probability of the foreground is the normalised intensity; with more classes, one each for its thirds."""

    stride, halo = 1, 0

    def __init__(self, channels: int = 1) -> None:
        self.channels = channels

    def map(self, batches: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for batch in batches:
            if self.channels == 1:
                yield batch
            else:
                yield np.float32(np.round(batch * (self.channels - 1)) == np.arange(self.channels))


@pytest.fixture
def bright() -> Callable[..., Segmenter]:
    """``bright(classes=("background", "cell"), **contract)`` makes a segmenter without a network."""

    def make(classes: tuple[str, ...] = ("background", "cell"), **contract: object) -> Segmenter:
        known = Contract(classes=classes, **contract)
        return Segmenter(Bright(known.channels), known)

    return make


@pytest.fixture
def config() -> Config:
    return Config().replace({"evaluation.resamples": 200})


@pytest.fixture
def write() -> Callable[..., list[Pair]]:
    """``write(root, {name: (cells, mask)})`` writes images that are bright where ``cells`` is 1, or 2."""

    def make(root: Path, content: dict[str, tuple[np.ndarray, np.ndarray]]) -> list[Pair]:
        for name, (cells, mask) in content.items():
            for part, pixels in (("images", 40 + 80 * cells), ("masks", mask)):
                (root / part).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.astype(np.uint8)).save(root / part / name)
        return find_pairs(root)

    return make


def square(top: int, left: int, side: int = 8) -> np.ndarray:
    """A 24x24 image with one square."""
    mask = np.zeros((24, 24), np.uint8)
    mask[top : top + side, left : left + side] = 1
    return mask


@pytest.fixture
def four(write, tmp_path) -> list[Pair]:
    """Four images with Dice 1, 1/2 (half beside), 0 (all beside) and 2/3 (half of it found)."""
    half = square(4, 4)
    half[8:] = 0
    found = {"a.png": square(4, 4), "b.png": square(4, 8), "c.png": square(4, 14), "d.png": half}
    return write(tmp_path / "four", {name: (cells, square(4, 4)) for name, cells in found.items()})
