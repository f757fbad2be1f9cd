"""Small files as microscopes write them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

WIDTH, HEIGHT = 192, 160


def thermo_text(bar: object = "", rows: object = HEIGHT, columns: object = WIDTH, pixel: object = "1e-007") -> str:
    """A Thermo Fisher tag 34682 of an image 19.2 um wide, cut to what is read; ``bar`` "" is an empty entry."""
    return f"""[User]
UserText=2 = two
[System]
SystemType=Helios G4
[Beam]
HV=2000
ScanRotation=3.14159265
Beam=EBeam
[Scan]
Dwelltime=1e-006
PixelWidth={pixel}
PixelHeight={pixel}
HorFieldsize=1.92e-005
VerFieldsize=1.6e-005
[Stage]
StageX=0.001
StageY=-0.002
StageZ=0.004
StageR=0.5
StageT=0.785398163
WorkingDistance=0.004
[Image]
ResolutionX={columns}
ResolutionY={rows}
[Detectors]
Number=1
Name=ETD
Mode=
[PrivateFei]
DatabarHeight={bar}
a line without sense
""".replace("\n", "\r\n")


@pytest.fixture
def thermo() -> Callable[..., str]:
    """``thermo(bar="", rows=160, columns=192, pixel="1e-007")`` is the text of a tag 34682."""
    return thermo_text


@pytest.fixture
def tagged(tmp_path: Path) -> Callable[..., Path]:
    """``tagged(tags, extra_rows=0)`` writes a TIFF of 192x160, and rows below it, with texts by tag number."""

    def write(tags: dict[int, str | bytes], extra_rows: int = 0, **options: object) -> Path:
        path = tmp_path / f"tagged_{extra_rows}.tif"
        raw = {code: t if isinstance(t, bytes) else t.encode("cp1252") + b"\0" for code, t in tags.items()}
        extra = [(code, 2, len(data), data, True) for code, data in raw.items()]
        tifffile.imwrite(path, picture(extra_rows), extratags=extra, metadata=None, **options)
        return path

    return write


def picture(extra_rows: int = 0) -> np.ndarray:
    """Values that name their row, then a black and white bar."""
    image = np.repeat(np.arange(HEIGHT, dtype=np.uint8)[:, None], WIDTH, 1)
    bar = np.tile(np.array([0, 255], np.uint8), (extra_rows, WIDTH // 2))
    return np.concatenate([image, bar])
