"""How unsure a model is of each pixel."""

from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import tifffile
from scipy.special import entr

from .predictor import Array


def uncertainty(probabilities: Array) -> npt.NDArray[np.float32]:
    """Return the entropy of each pixel's probabilities, from 0 (sure) to 1 (all classes are alike).

    Of the mean over an ensemble's members it holds both that members are unsure and that they
    disagree: Lakshminarayanan et al. 2017 (arXiv:1612.01474), section 2.4.

    Args:
        probabilities: ``(height, width, channels)``; one channel is that of the second of two classes.
    """
    channels = probabilities.shape[-1]
    if channels == 1:
        entropy = entr(probabilities[..., 0]) + entr(1 - probabilities[..., 0])
    else:
        entropy = entr(probabilities).sum(axis=-1)
    scaled: npt.NDArray[np.float32] = (entropy / np.log(max(channels, 2))).clip(0, 1).astype(np.float32)
    return scaled


def beside(mask: Path) -> Path:
    """Return the file for the uncertainty of a mask: ``STEM.uncertainty.tif``."""
    return mask.with_name(f"{mask.stem}.uncertainty.tif")


def write_uncertainty(file: Path | IO[bytes], values: npt.NDArray[np.float32]) -> None:
    """Write a float32 TIFF."""
    tifffile.imwrite(file, values, compression="zlib")
