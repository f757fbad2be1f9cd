"""Annotated images: finding, checking, splitting, preparing; and the phantom."""

from .pairs import Pair, find_pairs
from .splits import Split, split

__all__ = ["Pair", "Split", "find_pairs", "split"]
