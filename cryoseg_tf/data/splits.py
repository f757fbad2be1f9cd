"""Divide annotated images into those to learn from and those to choose the best epoch by."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..config import DataConfig
from ..errors import DataError
from .pairs import Pair


@dataclass(frozen=True)
class Split:
    """Pairs to train on and pairs to validate on; none is in both."""

    train: tuple[Pair, ...]
    validation: tuple[Pair, ...]


def split(pairs: Sequence[Pair], config: DataConfig, seed: int = 0) -> Split:
    """Draw ``config.validation`` of the pairs, at least one, for validation.

    Raises:
        DataError: If there are fewer than two pairs.
    """
    if len(pairs) < 2:
        raise DataError(f"training needs at least 2 annotated images, one of them for validation: found {len(pairs)}")
    count = min(max(1, round(len(pairs) * config.validation)), len(pairs) - 1)
    order = np.random.default_rng(seed).permutation(len(pairs))
    chosen = set(order[:count].tolist())
    return Split(
        train=tuple(p for i, p in enumerate(pairs) if i not in chosen),
        validation=tuple(p for i, p in enumerate(pairs) if i in chosen),
    )
