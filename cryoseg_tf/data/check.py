"""Look at annotated images before they are trained on, and say what would go wrong."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..config import IGNORE, DataConfig
from ..errors import ImageError
from .pairs import Pair, read_annotated


@dataclass(frozen=True)
class Finding:
    """What was found about one annotated image.

    Attributes:
        pair: The image and its mask.
        shape: ``(height, width)``; (0, 0) if it cannot be read.
        dtype: The image's type, as "uint16".
        pixel_size: In nm, or None.
        fractions: The share of each class among annotated pixels.
        annotated: The share of annotated pixels.
        error: What would stop training, or empty.
    """

    pair: Pair
    shape: tuple[int, int] = (0, 0)
    dtype: str = ""
    pixel_size: float | None = None
    fractions: tuple[float, ...] = field(default=())
    annotated: float = 0.0
    error: str = ""


def check(pairs: Sequence[Pair], config: DataConfig) -> Iterator[Finding]:
    """Read each pair and yield a finding, in order; bad files are findings, not errors."""
    for pair in pairs:
        try:
            data = read_annotated(pair, config)
        except ImageError as error:
            yield Finding(pair, error=str(error))
            continue
        pixels, mask = data.micrograph.pixels, data.mask
        counts = np.bincount(mask.ravel(), minlength=IGNORE + 1)
        known = int(counts.sum() - counts[IGNORE])
        yield Finding(
            pair,
            pixels.shape,
            str(pixels.dtype),
            data.micrograph.pixel_size,
            tuple((counts[: len(config.classes)] / max(known, 1)).tolist()),
            known / mask.size,
        )


def warnings(findings: Sequence[Finding]) -> list[str]:
    """Return what does not stop training but should be known, about the images as a whole."""
    good = [f for f in findings if not f.error]
    found = []
    sizes = sorted({round(f.pixel_size, 3) for f in good if f.pixel_size})
    without = sum(f.pixel_size is None for f in good)
    if sizes and without:
        found.append(f"{without} of {len(good)} images have no pixel size: it will not be used")
    elif not sizes and good:
        found.append("no image has a pixel size: the model will be tied to this magnification")
    if len(sizes) > 1:
        found.append(f"pixel sizes differ, {sizes[0]:g} to {sizes[-1]:g} nm: images are resampled to the median")
    empty = sum(sum(f.fractions[1:]) == 0 for f in good)
    if empty:
        found.append(f"{empty} of {len(good)} masks hold no foreground: right if those images show none")
    return found
