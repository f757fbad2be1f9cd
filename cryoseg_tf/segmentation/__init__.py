"""From micrographs to masks, with any runtime that gives a ``Predictor``."""

from .batch import segment_files
from .segmenter import Segmentation, Segmenter

__all__ = ["Segmentation", "Segmenter", "segment_files"]
