"""Look at annotated images before they are trained on: each alone here, all together in ``concerns``."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from itertools import islice
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..config import IGNORE, DataConfig
from ..errors import ImageError
from ..io.data_bar import find_data_bar
from ..io.mask import Mask
from ..io.micrograph import Micrograph
from .alignment import Shift, better_shift, image_layers, mask_layers
from .pairs import AnnotatedMicrograph, Pair, read_annotated
from .similar import Floats, digest, signature
from .stage import StageField, stage_field

DEPTHS = (8, 10, 12, 14, 16)
"""Bits of the detectors that write whole numbers."""

AHEAD = 8
"""Pairs read at once for each thread: it bounds memory."""


@dataclass(frozen=True)
class Clues:
    """What is compared between images.

    Attributes:
        digest: A hash of the pixels.
        mask_digest: A hash of the mask.
        signature: See ``similar.signature``.
        image: ``(2, d)``, see ``alignment.Layers.coarse``; None where the mask has no boundary.
        mask: The same of the mask.
        field: Where the image was taken, if the file says.
    """

    digest: str
    mask_digest: str
    signature: Floats
    image: Floats | None = None
    mask: Floats | None = None
    field: StageField | None = None


@dataclass(frozen=True)
class Finding:
    """What was found about one annotated image.

    Attributes:
        pair: The image and its mask.
        shape: ``(height, width)``; (0, 0) if it cannot be read.
        dtype: The image's type, as "uint16".
        values: The smallest and the largest value.
        saturated: The share of pixels at the detector's highest value.
        pixel_size: In nm, or None.
        fractions: The share of each class among annotated pixels.
        annotated: The share of annotated pixels.
        cropped: Rows of data bar that were cropped, as the file or the user says.
        data_bar: Rows that look like a data bar and are still there.
        shift: Where the mask would fit better, or None.
        error: What would stop training, or empty.
        clues: What is compared between images; None if it cannot be read.
    """

    pair: Pair
    shape: tuple[int, int] = (0, 0)
    dtype: str = ""
    values: tuple[float, float] = (0.0, 0.0)
    saturated: float = 0.0
    pixel_size: float | None = None
    fractions: tuple[float, ...] = ()
    annotated: float = 0.0
    cropped: int = 0
    data_bar: int = 0
    shift: Shift | None = None
    error: str = ""
    clues: Clues | None = field(default=None, repr=False, compare=False)

    @property
    def part(self) -> str:
        """Return "test" for an image to test on, else "train"."""
        return "test" if self.pair.name.split("/")[0] in ("test", "imagesTs") else "train"

    @property
    def empty(self) -> bool:
        """Say whether the mask holds no foreground."""
        return not any(self.fractions[1:])

    def facts(self) -> dict[str, Any]:
        """Return what was found as plain values, for JSON."""
        kept = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("pair", "clues", "shift")}
        return {"pair": self.pair.name, "part": self.part, **kept, "shift": vars(self.shift) if self.shift else None}


@dataclass(frozen=True)
class Concern:
    """Something to know about a set of annotated images.

    Attributes:
        level: "error" would spoil training or its scores, "warning" may, "note" is good to know.
        title: One line, with the remedy.
        details: Names of images, each with the evidence.
    """

    level: Literal["error", "warning", "note"]
    title: str
    details: tuple[tuple[str, str], ...] = ()


def check(pairs: Sequence[Pair], config: DataConfig, threads: int | None = None) -> Iterator[Finding]:
    """Read each pair and yield a finding, in order; bad files are findings, not errors.

    Args:
        pairs: As from ``find_pairs``.
        config: Says what the masks mean.
        threads: How many pairs to look at at once; one for each core if None.
    """
    count = threads or os.cpu_count() or 1
    waiting = iter(pairs)
    # decoding, filters and FFT release Python's lock: threads share the work without copying pixels
    with ThreadPoolExecutor(count) as pool:
        running: deque[Future[Finding]] = deque()
        running += [pool.submit(look, pair, config) for pair in islice(waiting, AHEAD * count)]
        while running:
            done = running.popleft().result()
            running += [pool.submit(look, pair, config) for pair in islice(waiting, 1)]
            yield done


def look(pair: Pair, config: DataConfig) -> Finding:
    """Read one pair and say what was found; a file that cannot be used is a finding too."""
    try:
        data = read_annotated(pair, config)
        pixels = data.micrograph.pixels
        low, high = pixels.min().item(), pixels.max().item()
        if low == high:
            return Finding(pair, pixels.shape, str(pixels.dtype), error=f"{pair.image} is blank: every pixel is {low}")
        return _examined(pair, data, (low, high), len(config.classes))
    except ImageError as error:
        return Finding(pair, error=str(error))
    except MemoryError:
        return Finding(pair, error=f"{pair.image} needs more memory than there is")


def ceiling(pixels: npt.NDArray[Any], high: float) -> float | None:
    """Return the highest value the detector can write, or None for values that have none.

    It is the full range of the fewest bits that hold the data: 4095 for 12 bit in a 16-bit file.
    """
    if pixels.dtype.kind not in "ui" or high <= 0:
        return None
    return next((2**bits - 1 for bits in DEPTHS if high < 2**bits), float(np.iinfo(pixels.dtype).max))


def _examined(pair: Pair, data: AnnotatedMicrograph, values: tuple[float, float], classes: int) -> Finding:
    pixels, mask = data.micrograph.pixels, data.mask
    counts = np.bincount(mask.ravel(), minlength=IGNORE + 1)
    known = int(counts.sum() - counts[IGNORE])
    top = ceiling(pixels, values[1])
    clues, shift = _compared(data.micrograph, mask)
    cropped = data.micrograph.data_bar
    return Finding(
        pair,
        shape=mask.shape,
        dtype=str(pixels.dtype),
        values=values,
        saturated=float((pixels == top).mean()) if top == values[1] else 0.0,
        pixel_size=data.micrograph.pixel_size,
        fractions=tuple((counts[:classes] / max(known, 1)).tolist()),
        annotated=known / mask.size,
        cropped=cropped,
        data_bar=0 if cropped else find_data_bar(pixels),
        shift=shift,
        clues=clues,
    )


def _compared(micrograph: Micrograph, mask: Mask) -> tuple[Clues, Shift | None]:
    pixels, field = micrograph.pixels, stage_field(micrograph)
    outline = mask_layers(mask)
    same = digest(pixels), digest(mask), signature(pixels)
    if outline is None:
        return Clues(*same, field=field), None
    image = image_layers(pixels)
    return Clues(*same, image.coarse(), outline.coarse(), field), better_shift(image, outline, mask.shape)
