"""Say whether a mask fits its image as it lies, or fits it better elsewhere, or fits another image better.

Two measures are correlated over all shifts at once, by FFT, and must agree before anything is said:

- *outlines*: the image's gradients against the mask's class boundaries, sharp but easily led astray;
- *areas*: the image's gray values against the mask's foreground, whether brighter or darker, broad but sure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from ..config import IGNORE
from ..io.mask import Mask
from .similar import Floats, thumbnail, unit

SIDE = 512
"""Images are reduced to at most this long a side first."""

REACH = 64
"""Shifts of up to this many reduced pixels are tried, but at most a quarter of the image."""

MARGIN = 1.5
"""By how many deviations of all shifts' scores another place must fit better, in each of both measures."""

GRID = 64
"""Images and masks of different pairs are compared on this many pixels squared."""

CLEARLY = 0.15
"""By how much another pair's mask must fit better than the own: the sum of both correlations, 2 is perfect."""

LEAST = 4
"""A shift below this many pixels is no more than an annotator's hand."""


@dataclass(frozen=True)
class Shift:
    """Where a mask fits better: pixels down and right, and how well outlines fit there and here (1 is perfect)."""

    down: int
    right: int
    there: float
    here: float


@dataclass(frozen=True)
class Layers:
    """What is compared of an image or a mask, ``(h, w)`` float32 each: its outlines and its areas."""

    outlines: Floats
    areas: Floats

    def coarse(self) -> Floats:
        """Return both as ``(2, GRID * GRID)`` vectors of length 1, to compare many pairs with each other."""
        return np.stack([unit(thumbnail(layer, (GRID, GRID))) for layer in (self.outlines, self.areas)])


def image_layers(pixels: npt.NDArray[Any]) -> Layers:
    """Return an image's gradients and gray values, reduced, without what changes slowly."""
    gray = ndimage.gaussian_filter(thumbnail(pixels, reduced(pixels.shape)), 1)
    low, high = np.percentile(gray[::4, ::4], [1, 99])
    down, right = (ndimage.correlate1d(gray, (-1.0, 0.0, 1.0), axis) for axis in (0, 1))
    slopes = np.hypot(down, right)
    # the root keeps a few strong edges from outvoting the rest
    return Layers(_detail(np.sqrt(slopes)), _detail(gray.clip(low, high)))


def mask_layers(mask: Mask) -> Layers | None:
    """Return a mask's boundaries between annotated classes, and its foreground; None where there is no boundary."""
    edges = np.zeros(mask.shape, np.bool_)
    for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        border = (mask[one] != mask[other]) & (mask[one] != IGNORE) & (mask[other] != IGNORE)
        edges[one] |= border
        edges[other] |= border
    if not edges.any():
        return None
    shape = reduced(mask.shape)
    outlines, foreground = thumbnail(edges, shape), thumbnail((mask > 0) & (mask != IGNORE), shape)
    # to filter the image is enough: what is correlated with it is filtered as well
    return Layers(outlines - outlines.mean(), foreground - foreground.mean())


def better_shift(image: Layers, mask: Layers, shape: tuple[int, int]) -> Shift | None:
    """Return where a mask fits its image clearly better than as it lies, or None.

    Args:
        image: Of the image.
        mask: Of its mask.
        shape: ``(height, width)`` of both in full.
    """
    outlines = _over_shifts(image.outlines, mask.outlines)
    areas = _over_shifts(image.areas, mask.areas)
    sharp, broad = outlines / _deviation(outlines), areas / _deviation(areas)
    both = max((sharp + broad, sharp - broad), key=lambda scores: float(scores.max()))
    centre = outlines.shape[0] // 2, outlines.shape[1] // 2
    place = np.unravel_index(both.argmax(), both.shape)
    for scores in (sharp, both):
        if not scores[_around(place)].max() - scores[_around(centre)].max() >= MARGIN:  # NaN fits nowhere better
            return None
    steps = [full / small for full, small in zip(shape, reduced(shape), strict=True)]
    down, right = (round(int(p - c) * step) for p, c, step in zip(place, centre, steps, strict=True))
    if np.hypot(down, right) < max(LEAST, 1.5 * max(steps)):
        return None
    return Shift(down, right, float(outlines[_around(place)].max()), float(outlines[_around(centre)].max()))


def better_partners(images: Floats, masks: Floats) -> list[tuple[int, int, float, float]]:
    """Return ``(i, j, there, here)`` where image i fits mask j (``there``) clearly better than its own (``here``).

    They must be each other's best, so that one good mask is not claimed by many images.

    Args:
        images: ``(n, 2, d)`` coarse layers of images of one shape.
        masks: ``(n, 2, d)`` those of their masks, in the same order.
    """
    fits = images[:, 0] @ masks[:, 0].T + np.abs(images[:, 1] @ masks[:, 1].T)
    own, best = np.diag(fits), fits.argmax(axis=1)
    clear = fits - CLEARLY > np.maximum(own[:, None], own[None, :])
    mutual = fits.argmax(axis=0)[best] == np.arange(len(fits))
    found = np.flatnonzero(mutual & clear[np.arange(len(fits)), best])
    return [(i, int(best[i]), float(fits[i, best[i]]), float(own[i])) for i in found.tolist()]


def reduced(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the ``(height, width)`` at which an image of ``shape`` is looked at."""
    factor = max(1, -(-max(shape) // SIDE))
    height, width = (max(1, round(side / factor)) for side in shape)
    return height, width


def _detail(values: Floats) -> Floats:
    """Subtract what changes slowly; the box costs the same at any width."""
    return np.asarray(values - ndimage.uniform_filter(values, 65), np.float32)


def _over_shifts(image: Floats, mask: Floats) -> Floats:
    """Correlate over shifts: ``(2 ry + 1, 2 rx + 1)``, with no shift in the centre."""
    reach = [min(side // 4, REACH) for side in image.shape]
    padded = [fft.next_fast_len(side + r, real=True) for side, r in zip(image.shape, reach, strict=True)]
    product = fft.rfft2(image, padded) * np.conj(fft.rfft2(mask, padded))
    scores = fft.irfft2(product, padded) / (np.linalg.norm(image) * np.linalg.norm(mask) + 1e-12)
    rows, columns = (np.arange(-r, r + 1) for r in reach)
    return np.asarray(scores[np.ix_(rows, columns)], np.float32)


def _deviation(scores: Floats) -> float:
    return float(scores.std()) + 1e-12


def _around(place: Sequence[Any]) -> tuple[slice, ...]:
    """Return the 3 x 3 places around one: a pixel off is no misfit."""
    return tuple(slice(max(int(p) - 1, 0), int(p) + 2) for p in place)
