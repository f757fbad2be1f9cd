"""Divide annotated images into folds: each is held back once, and learned from in all the others."""

import logging
from collections.abc import Sequence

import numpy as np

from ..config import IGNORE, DataConfig
from ..errors import DataError
from .groups import Groups
from .pairs import Pair, read_annotated
from .splits import Split, members_of

LEVELS = 5
"""Images are told apart by so many levels of foreground, at most: few images hardly fill more."""

log = logging.getLogger(__name__)


def folds(
    pairs: Sequence[Pair], count: int, config: DataConfig, seed: int = 0, groups: Groups | None = None
) -> list[Split]:
    """Return ``count`` splits; each image is validated on in one of them and trained on in the others.

    Whole groups are held back, so that the foreground is spread over the folds as evenly as they
    allow (scikit-learn's ``StratifiedGroupKFold``). With fewer groups than folds each group is held
    back once, whatever ``count`` says. Groups that were found (not stated), and put all images
    together, are not kept: there would be nothing to validate on.

    Args:
        pairs: Images with their masks, which are read for their foreground.
        count: How many folds, from 2.
        config: How masks are read.
        seed: The same seed gives the same folds.
        groups: Which images belong together.

    Raises:
        DataError: If there are fewer images than folds, or all are of one stated group.
        ImageError: If an image or mask cannot be read.
    """
    if count < 2:
        raise DataError(f"{count} fold holds nothing back: there must be at least 2")
    if len(pairs) < count:
        raise DataError(f"{count} folds need at least {count} annotated images: found {len(pairs)}")
    # here: it takes a second, and most that import this package never divide anything
    from sklearn.model_selection import LeaveOneGroupOut, StratifiedGroupKFold

    members = members_of(pairs, groups)
    group = np.empty(len(pairs), int)
    for number, indices in enumerate(members):
        group[indices] = number
    if len(members) < count:
        log.warning("there are %d groups for %d folds: each group is held back once", len(members), count)
        parts = LeaveOneGroupOut().split(pairs, groups=group)
    else:
        levels = _levels([_foreground(pair, config) for pair in pairs], count)
        parts = StratifiedGroupKFold(count, shuffle=True, random_state=seed).split(pairs, levels, group)
    known = {pair.name: groups.of[pair.name] for pair in pairs} if groups and groups.known else None
    return [
        Split(tuple(pairs[index] for index in train), tuple(pairs[index] for index in validation), known)
        for train, validation in parts
    ]


def _foreground(pair: Pair, config: DataConfig) -> float:
    mask = read_annotated(pair, config).mask
    known = mask[mask != IGNORE]
    return float((known > 0).mean()) if known.size else 0.0


def _levels(shares: Sequence[float], count: int) -> np.ndarray:
    """Return for each image which level of foreground it has; each level holds as many images as folds or more."""
    levels = max(1, min(LEVELS, len(shares) // count))
    ranks = np.argsort(np.argsort(shares, kind="stable"), kind="stable")
    return ranks * levels // len(shares)
