"""Whether the probabilities of scored images can be taken at their word, as given and before calibration."""

import math
from typing import Any

from ..config import Contract
from ..data.preprocess import EMPTY
from ..io.mask import Mask
from ..io.micrograph import Micrograph
from ..models.calibration import Reliability, undone
from ..segmentation.segmenter import Segmentation
from .scores import or_null

LARGEST = 2**26
"""Pixels times channels: beyond it an image's probabilities (4 bytes each) are not kept to be looked at."""

BAND = 2**22
"""Pixels that are looked at together, to bound memory."""


class Calibration:
    """The reliability of a model's probabilities on annotated images, one image in memory at a time.

    Attributes:
        temperature: What the logits were divided by.
        threshold: From which probability on a pixel is foreground; None with more than two classes.
        given: Of the probabilities as they are.
        before: Of those before calibration; None where the temperature is 1.
        too_large: How many images were left out for their size.
    """

    def __init__(self, contract: Contract) -> None:
        self._channels = contract.channels
        self.temperature = contract.temperature
        self.threshold = contract.threshold if contract.channels == 1 else None
        self.given = Reliability()
        self.before = Reliability() if contract.temperature != 1 else None
        self.too_large = 0

    def takes(self, micrograph: Micrograph) -> bool:
        """Whether an image is small enough for its probabilities to be kept."""
        return bool(micrograph.pixels.size * self._channels <= LARGEST)

    def add(self, truth: Mask, result: Segmentation) -> None:
        """Add an image with its ``(h, w)`` truth; one that was not segmented counts nowhere."""
        if result.status in EMPTY:
            return
        if result.probabilities is None:
            self.too_large += 1
            return
        rows = max(1, BAND // truth.shape[1])
        for top in range(0, len(truth), rows):
            band, given = truth[top : top + rows], result.probabilities[top : top + rows]
            self.given.add(band, given)
            if self.before:
                self.before.add(band, undone(given, self.temperature))

    def summary(self) -> dict[str, Any]:
        """Return the numbers for ``summary.json``; null where there is none."""
        before = self.before.ece if self.before else math.nan
        return {
            "ece": or_null(self.given.ece),
            "ece_before": or_null(before),
            "temperature": self.temperature,
            "threshold": self.threshold,
        }
