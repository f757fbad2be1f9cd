"""What Thermo Fisher (FEI) and Phenom microscopes write into TIFF tags 34680, 34682 and 34683.

The text is of sections as in an INI file, or XML in one of three schemas, or that XML in base64.
All become one flat table, ``{"scan.pixelwidth": "1.9e-7", ...}``. Lengths are in metres, angles in
radians, times in seconds; Phenom names its units.
"""

import base64
import math
import re
from collections.abc import Iterator
from xml.etree import ElementTree

from .units import TagFacts, count, number, shown, stated, tidy

TAGS = (34682, 34680, 34683)
"""In order of trust: the first tag that states something is believed."""

_DEEPEST = 30  # elements inside each other; real ones have 12
_THROUGH = frozenset({"value", "MementoItem", "MementoItemSection"})

_NUMBERS: dict[str, tuple[float, tuple[str, ...]]] = {
    "field_width": (1e9, ("scan.horfieldsize", "escan.horfieldsize", "iscan.horfieldsize", "optics.scanfieldofview.x")),
    "stage_x": (1e6, ("stage.stagex", "stagesettings.stageposition.x")),
    "stage_y": (1e6, ("stage.stagey", "stagesettings.stageposition.y")),
    "stage_z": (1e6, ("stage.stagez", "stagesettings.stageposition.z")),
    "tilt": (math.degrees(1), ("stage.staget", "stagesettings.stageposition.tilt.alpha")),
    "rotation": (math.degrees(1), ("stage.stager", "stagesettings.stageposition.rotation")),
    "scan_rotation": (math.degrees(1), ("beam.scanrotation", "scansettings.scanrotation")),
    "beam_energy": (1e-3, ("beam.hv", "optics.accelerationvoltage")),
    "working_distance": (1e3, ("stage.workingdistance", "optics.workingdistance")),
    "dwell": (1e6, ("scan.dwelltime", "escan.dwell", "iscan.dwell", "scansettings.dwelltime")),
}
"""Field of ``Metadata``: the factor to its unit, and where it stands."""

_COUNTS = {
    "image_columns": ("image.resolutionx", "binaryresult.imagesize.x"),
    "image_rows": ("image.resolutiony", "binaryresult.imagesize.y"),
    "data_bar": ("privatefei.databarheight", "databarheight"),
}
_WORDS = {
    "detector": ("detectors.name", "detectors.scanningdetector.detectorname", "acquisition.scan.detector"),
    "instrument": ("system.systemtype", "instrument.instrumentclass", "instrument.type"),
}
_PIXELS = (
    ("Scan.PixelWidth", "Scan.PixelHeight"),
    ("EScan.PixelWidth", "EScan.PixelHeight"),
    ("IScan.PixelWidth", "IScan.PixelHeight"),
    ("BinaryResult.PixelSize.X", "BinaryResult.PixelSize.Y"),
    ("pixelWidth", "pixelHeight"),
)


def facts(tag: int, text: str) -> TagFacts | None:
    """Return what the text of a tag says; None if it is none of the kinds above."""
    table = _table(text)
    if not table:
        return None
    fields: dict[str, object] = {"vendor": "Thermo Fisher"}
    for name, (factor, keys) in _NUMBERS.items():
        value = number(_first(table, keys))
        fields[name] = None if value is None else tidy(value * factor)
    fields |= {name: count(_first(table, keys)) for name, keys in _COUNTS.items()}
    fields |= {name: shown(_first(table, keys)) for name, keys in _WORDS.items()}
    fields["field_rows"] = _field_rows(table)
    fields["beam"] = _beam(table)
    pixel = None
    for x, y in (*_PIXELS, *_memento_pixels(table)):
        width, height, unit = (table.get(key.lower()) for key in (x, y, f"{x}@unit"))
        pixel = pixel or stated(f"tag {tag} {x}", width, height, unit or "m")
    return TagFacts(fields, pixel)


def _first(table: dict[str, str], keys: tuple[str, ...]) -> str:
    return next((table[key] for key in keys if table.get(key)), "")


def _field_rows(table: dict[str, str]) -> int | None:
    """Rows of the scan by its height and that of a pixel, which are written with six digits."""
    for section in ("scan", "escan", "iscan"):
        field, pixel = (number(table.get(f"{section}.{name}")) for name in ("verfieldsize", "pixelheight"))
        if field and pixel and 0 < field / pixel < 2**31:
            return round(field / pixel)
    return None


def _beam(table: dict[str, str]) -> str:
    word = _first(table, ("beam.beam", "acquisition.beamtype")).lower()
    return "electron" if word.startswith("e") else "ion" if word.startswith("i") else ""


def _memento_pixels(table: dict[str, str]) -> Iterator[tuple[str, str]]:
    for key in table:
        if key.endswith(".pixelsize.width"):
            yield key, key.removesuffix("width") + "height"


def _table(text: str) -> dict[str, str]:
    text = text.strip("\ufeff \r\n\t\0")
    if not text.startswith(("<", "[")):
        text = _from_base64(text)
    return _from_xml(text) if text.startswith("<") else _from_ini(text)


def _from_base64(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9+/=\s]+", text):
        return text
    try:
        return base64.b64decode(text).decode("utf-8", "replace").strip("\ufeff \r\n\t\0")
    except ValueError:
        return text


def _from_ini(text: str) -> dict[str, str]:
    # configparser refuses repeated names and lines without "=", which real files have
    table: dict[str, str] = {}
    section = ""
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if name.startswith("[") and name.endswith("]"):
            section = name[1:-1].strip().lower()
        elif equals and section:
            table.setdefault(f"{section}.{name.strip().lower()}", value.strip())
    return table


def _from_xml(text: str) -> dict[str, str]:
    if "<!DOCTYPE" in text:  # no microscope writes one; entities could grow without bound
        return {}
    try:
        # the declared encoding is that of the bytes, which are decoded already
        root = ElementTree.fromstring(re.sub(r"^<\?xml[^>]*\?>", "", text))
    except (ElementTree.ParseError, ValueError):
        return {}
    table: dict[str, str] = {}
    todo = [(child, "", 0) for child in reversed(root)]
    while todo:
        element, prefix, depth = todo.pop()
        path, unit = _name(element, prefix), element.get("unit")
        if element.text and element.text.strip():
            table.setdefault(path, element.text.strip())
        if unit:
            table.setdefault(f"{path}@unit", unit)
        if depth < _DEEPEST:
            todo += [(child, path, depth + 1) for child in reversed(element)]
    return table


def _name(element: ElementTree.Element, prefix: str) -> str:
    """Path of an element; of a memento's ``item``, by the key it holds."""
    tag = element.tag.rpartition("}")[2]
    if tag == "anyType" or tag in _THROUGH:
        return prefix
    name = (element.findtext("key/string") or "").strip() if tag == "item" else tag
    return f"{prefix}.{name}".strip(".").lower()[:200]
