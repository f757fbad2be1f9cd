"""The network, whatever runs it: batches of normalised tiles in, probabilities out."""

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


class Predictor(Protocol):
    """Runs a network.

    Attributes:
        channels: Output channels.
        stride: Sides of its input must be multiples of this.
        halo: An output pixel depends on input no farther than this; a multiple of the stride.
            None: it depends on the whole image, which then must not be tiled.
        batch: So many tiles at a time serve it best.
    """

    channels: int
    stride: int
    halo: int | None
    batch: int

    def map(self, batches: Iterable[Array]) -> Iterator[Array]:
        """Turn each ``(n, h, w, 1)`` normalised batch into ``(n, h, w, channels)`` probabilities, in order."""
        ...
