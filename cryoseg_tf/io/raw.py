"""Uncompressed pixels in a file, of which parts are read and written."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Raw:
    """Pixels of ``shape``, (height, width), row after row from a byte on; a pair of slices reads them.

    They are not mapped: mapped pages would count as memory of the process.
    """

    path: Path
    dtype: np.dtype[Any]
    shape: tuple[int, int]
    offset: int = 0

    def __getitem__(self, place: tuple[slice, slice]) -> npt.NDArray[Any]:
        first, last, step = place[0].indices(self.shape[0])
        width = self.shape[1]
        with self.path.open("rb") as file:
            file.seek(self.offset + first * width * self.dtype.itemsize)
            pixels = np.fromfile(file, self.dtype, (last - first) * width)
        return pixels.reshape(last - first, width)[::step, place[1]]

    def write(self, first: int, values: npt.NDArray[Any]) -> None:
        """Write whole rows, from ``first`` on."""
        with self.path.open("r+b") as file:
            file.seek(self.offset + first * self.shape[1] * self.dtype.itemsize)
            file.write(np.ascontiguousarray(values, self.dtype).tobytes())
