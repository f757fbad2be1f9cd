"""Metadata that microscopes and other programs leave in image files.

Lenient in what it skips: text that is damaged or of no known kind says nothing. Strict in what it
uses: a pixel size that is absurd, of an unknown unit, not square, or stated twice differently is no
pixel size, and ``Metadata.problem`` names it.
"""

from dataclasses import dataclass
from typing import Any

import tifffile

from . import described, thermo
from .units import SQUARE, TagFacts, problem, tidy

_TEXT_LIMIT = 2**24  # bytes of a tag that are looked at; real ones hold a few thousand


@dataclass(frozen=True)
class Metadata:
    """What a file says about its image; None or "" where it does not.

    Attributes:
        vendor: "Thermo Fisher", "Zeiss" or "OpenFIBSEM".
        instrument: The microscope's type.
        detector: Its name.
        beam: "electron" or "ion".
        pixel_size: In nm.
        pixel_size_source: The tag that says so.
        problem: Why a stated pixel size is not used.
        field_width: In nm.
        stage_x, stage_y, stage_z: In um.
        tilt, rotation, scan_rotation: In degrees.
        beam_energy: In keV.
        working_distance: In mm.
        dwell: In us.
        data_bar: Rows of the data bar, as stated; it need not be in the file any more.
        image_columns, image_rows: Of the image as it was taken, without data bar.
        field_rows: The scanned height over that of a pixel.
    """

    vendor: str = ""
    instrument: str = ""
    detector: str = ""
    beam: str = ""
    pixel_size: float | None = None
    pixel_size_source: str = ""
    problem: str = ""
    field_width: float | None = None
    stage_x: float | None = None
    stage_y: float | None = None
    stage_z: float | None = None
    tilt: float | None = None
    rotation: float | None = None
    scan_rotation: float | None = None
    beam_energy: float | None = None
    working_distance: float | None = None
    dwell: float | None = None
    data_bar: int | None = None
    image_columns: int | None = None
    image_rows: int | None = None
    field_rows: int | None = None


def read_metadata(tiff: tifffile.TiffFile) -> Metadata:
    """Return what an open TIFF says about its first page; never raises for what it holds."""
    page = tiff.pages.first
    found = [thermo.facts(tag, _text(tiff, tag)) for tag in thermo.TAGS if tag in page.tags]
    table = page.tags.valueof(described.ZEISS)
    if isinstance(table, dict):
        found.append(described.zeiss(table))
    if page.is_ome:
        found.append(described.ome(page.description))
    elif page.description.lstrip().startswith("{"):
        found.append(described.fibsem(page.description))
    if tiff.is_imagej:
        found.append(described.imagej(tiff))
    return combined([facts for facts in found if facts], page.imagewidth)


def combined(found: list[TagFacts], columns: int) -> Metadata:
    """Merge what several tags say about an image of so many columns; earlier ones win.

    The pixel sizes must agree within 1 %.
    """
    values: dict[str, Any] = {}
    for facts in found:
        values |= {n: v for n, v in facts.fields.items() if v not in (None, "") and n not in values}
    pixels = [facts.pixel for facts in found if facts.pixel]
    if not pixels:
        return Metadata(**values)
    first = pixels[0]
    why = next((text for text in map(problem, pixels) if text), "")
    other = next((p for p in pixels if abs(p.x - first.x) > SQUARE * first.x), None)
    if not why and other:
        why = f"{first.where} is {first.text} but {other.where} is {other.text}"
    taken = values.get("image_columns")
    if not why and taken and taken != columns:
        why = f"{first.where} is of an image {taken} pixels wide, but this one is {columns}: was it resized?"
    if why:
        return Metadata(**values, problem=why)
    return Metadata(**values, pixel_size=tidy(first.x), pixel_size_source=first.where)


def _text(tiff: tifffile.TiffFile, code: int) -> str:
    """Return a tag's bytes as text: tifffile's own reading of these tags leaves out XML."""
    tag = tiff.pages.first.tags[code]
    tiff.filehandle.seek(tag.valueoffset)
    raw = tiff.filehandle.read(min(tag.valuebytecount, _TEXT_LIMIT))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")
