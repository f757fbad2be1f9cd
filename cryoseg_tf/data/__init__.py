"""Annotated images: finding, checking, grouping, splitting, preparing; and the phantom."""

from .folds import folds
from .groups import Groups, find_groups
from .labels import with_labels
from .pairs import Pair, find_pairs
from .splits import Split, split

__all__ = ["Groups", "Pair", "Split", "find_groups", "find_pairs", "folds", "split", "with_labels"]
