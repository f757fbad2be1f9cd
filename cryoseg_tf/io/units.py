"""Numbers and lengths as files write them: what is understood, what is no length, what is absurd."""

import math
from typing import Any, NamedTuple

NANOMETRES = {
    "pm": 1e-3, "å": 0.1, "angstrom": 0.1, "angstroms": 0.1, "ångström": 0.1, "nm": 1.0, "nanometer": 1.0,
    "um": 1e3, "µm": 1e3, "μm": 1e3, "micron": 1e3, "microns": 1e3, "micrometer": 1e3, "mm": 1e6, "cm": 1e7, "m": 1e9,
    "picometer": 1e-3, "millimeter": 1e6, "centimeter": 1e7, "meter": 1e9,
}  # fmt: skip
"""Nanometres in each unit of length."""

NO_LENGTH = frozenset({"", "pixel", "pixels", "px", "inch", "inches", "in", "dpi", "reference frame", "referenceframe"})
"""Units that say that there is no scale: a resolution in dpi is one of a print, not of a specimen."""

SMALLEST, LARGEST = 1e-3, 1e6
"""Pixel sizes in nm, 1 pm and 1 mm, outside which no electron or light microscope takes images."""

SQUARE = 0.01
"""Sides of a pixel, and two statements of one pixel size, may differ by this share."""


class Stated(NamedTuple):
    """A pixel size as a file states it: where, in which words, and in nm (NaN where it cannot be understood)."""

    where: str
    text: str
    x: float
    y: float


class TagFacts(NamedTuple):
    """What one tag says: fields of ``Metadata`` by name, and the pixel size."""

    fields: dict[str, Any]
    pixel: Stated | None = None


def number(text: object) -> float | None:
    """Return a finite number, or None for anything else."""
    try:
        value = float(str(text))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def count(text: object) -> int | None:
    """Return a whole number of at least 0, or None for anything else."""
    value = number(text)
    return int(value) if value is not None and value >= 0 and value == int(value) else None


def tidy(value: float) -> float:
    """Drop digits that no file states and only a change of units brings in."""
    return float(f"{value:.9g}")


def nanometres(value: object, unit: str) -> float:
    """Return a length in nm; NaN where number or unit cannot be understood."""
    known = number(value)
    return math.nan if known is None else known * NANOMETRES.get(unit.strip().lower(), math.nan)


def stated(where: str, x: object, y: object, unit: str) -> Stated | None:
    """Return a pixel size as it is stated, right or wrong; None where none is.

    Args:
        where: The tag and the name in it.
        x: The width, as text or number; None or empty where the file does not say.
        y: The height, or None or empty: the same.
        unit: Of both.
    """
    if x in (None, "") or unit.strip().lower() in NO_LENGTH:
        return None
    y = x if y in (None, "") else y
    text = f"{shown(x)} {unit}" if x == y else f"{shown(x)} x {shown(y)} {unit}"
    return Stated(where, text, nanometres(x, unit), nanometres(y, unit))


def problem(pixel: Stated) -> str:
    """Say why a stated pixel size cannot be used; empty if it can."""
    if not (SMALLEST <= pixel.x <= LARGEST and SMALLEST <= pixel.y <= LARGEST):
        return f"{pixel.where} is {pixel.text}: a pixel size is a length between 0.001 nm and 1 mm"
    if abs(pixel.x - pixel.y) > SQUARE * pixel.x:
        return f"{pixel.where} is {pixel.text}: pixels must be square within 1 %"
    return ""


def shown(value: object) -> str:
    """Write what a file says so that it fits into a line."""
    text = f"{value:g}" if isinstance(value, float) else " ".join(str(value).split())
    return text if len(text) <= 40 else f"{text[:40]}..."
