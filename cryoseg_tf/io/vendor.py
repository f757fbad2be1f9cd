"""Metadata that microscopes and other programs leave in image files."""

import math
from typing import Any

import tifffile

NANOMETRES = {"nm": 1.0, "um": 1e3, "µm": 1e3, "μm": 1e3, "micron": 1e3, "microns": 1e3, "mm": 1e6}
"""Nanometres in each unit of length that ImageJ writes."""


def imagej_pixel_size(tiff: tifffile.TiffFile) -> float | None:
    """Return the pixel size in nm of a TIFF that ImageJ or Fiji wrote, or None.

    A resolution without a unit of length (dpi) is not a pixel size.
    """
    metadata: dict[str, Any] = tiff.imagej_metadata or {}
    unit = str(metadata.get("unit", "")).encode().decode("unicode_escape", "ignore").strip().lower()
    tags = tiff.pages.first.tags
    if unit not in NANOMETRES or "XResolution" not in tags:
        return None
    pixels, units = tags["XResolution"].value
    size = NANOMETRES[unit] * units / pixels if pixels else math.nan
    return size if math.isfinite(size) and size > 0 else None
