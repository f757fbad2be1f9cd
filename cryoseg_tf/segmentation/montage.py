"""Segment an image that is too large for memory, from the top down, and go on where a kill came.

What is done lies in a folder of its own until all is: the mask, and how many of its rows are whole.
"""

import json
import logging
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

from ..data.preprocess import Status
from ..errors import ImageError
from ..io import atomic
from ..io.micrograph import Micrograph
from ..io.pyramid import write_pyramid
from ..io.raw import Raw
from ..models.metrics import decide
from .segmenter import Facts, Segmenter, examine

TILE = 1280
"""Largest side of a tile: with 16 base filters a process then takes less than 2 GB."""

SAYS_EVERY = 5.0
"""Seconds; a montage takes minutes to hours."""

log = logging.getLogger(__name__)


def segment_montage(
    segmenter: Segmenter, micrograph: Micrograph, scratch: Path, key: dict[str, Any]
) -> tuple[Status, float, Path]:
    """Return the status of a montage, its share of foreground, and the file of its mask, an OME-TIFF in ``scratch``.

    Args:
        segmenter: What segments it.
        micrograph: As from ``open_montage``.
        scratch: A folder; what an earlier call with the same key left there is gone on with.
        key: Tells image, model and settings from any other, as JSON.

    Raises:
        ImageError: If it cannot be read to its end, or the network has to see it as a whole.
    """
    if segmenter.predictor.halo is None:
        raise ImageError(
            f"{micrograph.source} is too large for a network that sees the whole image at once, as this one does "
            "(group normalisation or squeeze-excitation): cut it into squares"
        )
    height, width = micrograph.pixels.shape
    log.info(
        "%s: %d x %d pixels, read and segmented piece by piece; first its gray values are measured",
        micrograph.source,
        width,
        height,
    )
    segmenter = Segmenter(segmenter.predictor, segmenter.contract, min(segmenter.tile or TILE, TILE))
    progress = _Progress(scratch, key)
    mask = progress.mask((height + micrograph.data_bar, width))
    facts = examine(micrograph, segmenter.contract, by_windows=True)
    _fill(segmenter, micrograph, facts, mask, progress)
    file = scratch / "mask.ome.tif"
    write_pyramid(file, mask, micrograph.pixel_size, json.dumps(key, sort_keys=True))
    return facts.status, progress.foreground / max(micrograph.pixels.size, 1), file


def _fill(segmenter: Segmenter, micrograph: Micrograph, facts: Facts, mask: Raw, progress: "_Progress") -> None:
    height, first = micrograph.pixels.shape[0], progress.rows
    if first == height:
        return
    if first:
        log.info("%s: going on at row %d of %d", micrograph.source, first, height)
    started = said = time.monotonic()
    for rows, values in segmenter.bands(micrograph.pixels, facts, first):
        found = np.asarray(decide(values, segmenter.contract.threshold))
        mask.write(rows.start, found)
        progress.done(rows.stop, int((found > 0).sum()))
        now = time.monotonic()
        if now - said > SAYS_EVERY:
            said = now
            left = (now - started) / (rows.stop - first) * (height - rows.stop)
            log.info("%s: %d of %d rows, %.0f s to go", micrograph.source, rows.stop, height, left)


class _Progress:
    """How far a montage is, on the disk."""

    def __init__(self, folder: Path, key: dict[str, Any]) -> None:
        self.folder, self.key = folder, key
        self.rows = self.foreground = 0
        try:
            known = json.loads((folder / "done.json").read_text("utf-8"))
            if known["key"] == key:
                self.rows, self.foreground = int(known["rows"]), int(known["foreground"])
        except (OSError, ValueError, KeyError, TypeError):
            pass  # none yet, or cut: it begins anew
        if not self.rows:
            atomic.remove(folder)
            folder.mkdir(parents=True)

    def mask(self, shape: tuple[int, int]) -> Raw:
        """Return the mask, which lies in a file; what is not done is 0."""
        path = self.folder / "mask.raw"
        if not self.rows:
            with path.open("wb") as file:
                file.truncate(math.prod(shape))
        return Raw(path, np.dtype(np.uint8), shape)

    def done(self, rows: int, foreground: int) -> None:
        """Note that all rows before ``rows`` are there."""
        self.rows, self.foreground = rows, self.foreground + foreground
        atomic.write_json(self.folder / "done.json", {"key": self.key, "rows": rows, "foreground": self.foreground})
