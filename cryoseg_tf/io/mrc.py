"""Read the first section of an MRC file (doi:10.1016/j.jsb.2015.04.002)."""

import io
import logging
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from mrcfile.mrcinterpreter import MrcInterpreter
from mrcfile.utils import data_dtype_from_header

from ..errors import ImageError
from .limits import check_size
from .raw import Raw
from .units import TagFacts, stated
from .vendor import Metadata, combined

log = logging.getLogger(__name__)

HEADER = 1024
SUFFIX = ".mrc"
_MODES = {0, 1, 2, 6, 12}
_IMOD = 1146047817  # its stamp in bytes 152 to 155, as a number


def is_mrc(path: Path, start: bytes) -> bool:
    """Say whether a file is MRC by its map ID or, as old ones have none, by its suffix."""
    return start[208:211] == b"MAP" or path.suffix.lower() == SUFFIX


def read_mrc(path: Path) -> tuple[npt.NDArray[Any], Metadata]:
    """Return the first section, ``(rows, columns)``, and its pixel size.

    The first stored row is the first row here, as in mrcfile and the tools built on it: masks drawn
    in Python, napari or Cellpose fit. IMOD shows the first row at the bottom.

    Raises:
        ImageError: If the mode is not one of 0, 1, 2, 6, 12, or the data is shorter than declared.
    """
    stored, metadata = open_mrc(path)
    return stored[:, :], metadata


def open_mrc(path: Path) -> tuple[Raw, Metadata]:
    """Return what ``read_mrc`` does, its pixels read from the file as they are used."""
    with path.open("rb") as file:
        start = file.read(HEADER)
        if len(start) < HEADER:
            raise ImageError(f"{path} is truncated: an MRC header has {HEADER} bytes, this file {len(start)}")
        header = _header(start)
        columns, rows, sections = (int(header[name]) for name in ("nx", "ny", "nz"))
        mode, offset = int(header.mode), HEADER + int(np.frombuffer(start[92:96], header.nsymbt.dtype)[0])
        if mode not in _MODES:
            raise ImageError(f"{path} has MRC mode {mode}: {', '.join(map(str, sorted(_MODES)))} can be read")
        check_size((rows, columns), path)
        kind = _unsigned(data_dtype_from_header(header), start)
        needed = offset + max(sections, 1) * rows * columns * kind.itemsize
        size = path.stat().st_size
        if offset < HEADER or needed > size:
            raise ImageError(f"{path} is truncated: its pixels should end at byte {needed} of {size}")
        if sections > 1:
            log.warning("%s has %d sections: only the first is used", path, sections)
    return Raw(path, kind, (rows, columns), offset), combined([TagFacts({}, _pixel(header))], columns)


def _header(start: bytes) -> Any:
    # without the extended header, whose declared length mrcfile would take as memory
    alone = start[:92] + bytes(4) + start[96:]
    with warnings.catch_warnings(action="ignore"):
        return MrcInterpreter(io.BytesIO(alone), permissive=True, header_only=True).header


def _unsigned(kind: np.dtype[Any], start: bytes) -> np.dtype[Any]:
    """Bytes are signed, but in files of IMOD only where bit 0 of its flags says so."""
    stamp, flags = np.frombuffer(start[152:160], kind.newbyteorder("<").str[0] + "i4" if kind.itemsize > 1 else "<i4")
    return np.dtype(np.uint8) if kind == np.int8 and stamp == _IMOD and not flags & 1 else kind


def _pixel(header: Any) -> Any:
    """Voxels are in Angstrom. 0 is unknown, and so is 1, which programs write that know no better."""
    with np.errstate(all="ignore"):
        x, y = (float(header.cella[a]) / (int(header[m]) or math.nan) for a, m in (("x", "mx"), ("y", "my")))
    if math.isnan(x) or x in (0.0, 1.0):
        return None
    return stated("MRC voxel size", x, None if math.isnan(y) or y == 0 else y, "angstrom")
