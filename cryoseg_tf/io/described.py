"""Metadata of Zeiss (tag 34118) and of programs: OME-XML, ImageJ, and the JSON of OpenFIBSEM."""

import json
import math
import re
from typing import Any
from xml.etree import ElementTree

import tifffile

from .units import NANOMETRES, TagFacts, count, number, shown, stated, tidy

ZEISS = 34118
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
_ZEISS_LENGTHS = {  # field of Metadata: its unit in nm, and the name in the tag
    "field_width": (1.0, "ap_width"),
    "stage_x": (1e3, "ap_stage_at_x"),
    "stage_y": (1e3, "ap_stage_at_y"),
    "stage_z": (1e3, "ap_stage_at_z"),
    "working_distance": (1e6, "ap_wd"),
}
_ZEISS_DEGREES = {"tilt": "ap_stage_at_t", "rotation": "ap_stage_at_r", "scan_rotation": "ap_scanrotation"}


def zeiss(table: dict[str, Any]) -> TagFacts:
    """Return what tag 34118 says, as tifffile gives it: ``{name: (label, value[, unit])}``.

    ``ap_image_pixel_size`` is that of the stored image. The older ``ap_pixel_size`` is that of a
    screen of 1024 columns.
    """
    fields: dict[str, Any] = {"vendor": "Zeiss"}
    for name, (nanometre, key) in _ZEISS_LENGTHS.items():
        value, unit = _zeiss_value(table, key)
        length = number(value)
        factor = NANOMETRES.get(unit.lower())
        fields[name] = tidy(length * factor / nanometre) if length is not None and factor else None
    fields |= {name: number(_zeiss_value(table, key)[0]) for name, key in _ZEISS_DEGREES.items()}
    energy, unit = _zeiss_value(table, "ap_actualkv")
    fields["beam_energy"] = number(energy) if unit.lower() == "kv" else None
    dwell, unit = _zeiss_value(table, "dp_dwell_time")
    seconds = _SECONDS.get(unit.lower())
    fields["dwell"] = tidy(float(dwell) * seconds * 1e6) if number(dwell) is not None and seconds else None
    fields["detector"] = shown(
        _zeiss_value(table, "dp_detector_type")[0] or _zeiss_value(table, "dp_detector_channel")[0]
    )
    store = re.findall(r"\d+", str(_zeiss_value(table, "dp_image_store")[0]))
    fields["image_columns"] = count(store[0]) if store else None
    return TagFacts(fields, _zeiss_pixel(table, fields["image_columns"]))


def ome(xml: str) -> TagFacts | None:
    """Return the pixel size of the first image in OME-XML; its unit is µm unless it says otherwise."""
    if "<!DOCTYPE" in xml:
        return None
    try:
        root = ElementTree.fromstring(re.sub(r"^<\?xml[^>]*\?>", "", xml.strip()))
    except (ElementTree.ParseError, ValueError):
        return None
    pixels = next((e for e in root.iter() if e.tag.rpartition("}")[2] == "Pixels"), None)
    if pixels is None:
        return None
    unit = pixels.get("PhysicalSizeXUnit", "µm")
    x: str | None = pixels.get("PhysicalSizeX")
    y: str | float | None = pixels.get("PhysicalSizeY")
    if y and pixels.get("PhysicalSizeYUnit", "µm") != unit:
        # brought to one unit, so that they can be compared
        y = _converted(y, pixels.get("PhysicalSizeYUnit", "µm"), unit)
    return TagFacts({}, stated("OME PhysicalSizeX", x, y, unit))


def imagej(tiff: tifffile.TiffFile) -> TagFacts | None:
    """Return the pixel size of a TIFF that ImageJ or Fiji wrote."""
    metadata: dict[str, Any] = tiff.imagej_metadata or {}
    unit = str(metadata.get("unit", "")).encode("utf-8", "replace").decode("unicode_escape", "replace")
    tags = tiff.pages.first.tags
    sides = [_per_pixel(tags.valueof(name)) for name in ("XResolution", "YResolution")]
    return TagFacts({}, stated("ImageJ resolution", sides[0], sides[1], unit.strip("\0 ")))


def fibsem(text: str) -> TagFacts | None:
    """Return what OpenFIBSEM writes as JSON; lengths in metres, angles in radians, times in seconds.

    Its image settings stand at the top or, in newer versions, below "image".
    """
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(tree, dict) or not {"pixel_size", "microscope_state"} & tree.keys():
        return None
    image = tree["image"] if isinstance(tree.get("image"), dict) else tree
    ion = str(image.get("beam_type", "")).upper() == "ION"
    beam, detector = _fibsem_beam(tree, "ion" if ion else "electron")
    stage = _at(tree, "microscope_state", "stage_position") or _at(tree, "microscope_state", "absolute_position")
    found = {
        "field_width": (image.get("hfw"), 1e9), "dwell": (image.get("dwell_time"), 1e6),
        "stage_x": (stage.get("x"), 1e6), "stage_y": (stage.get("y"), 1e6), "stage_z": (stage.get("z"), 1e6),
        "tilt": (stage.get("t"), math.degrees(1)), "rotation": (stage.get("r"), math.degrees(1)),
        "scan_rotation": (beam.get("scan_rotation"), math.degrees(1)), "beam_energy": (beam.get("voltage"), 1e-3),
        "working_distance": (beam.get("working_distance"), 1e3),
    }  # fmt: skip
    fields: dict[str, Any] = {"vendor": "OpenFIBSEM", "beam": "ion" if ion else "electron"}
    fields |= {name: _times(value, factor) for name, (value, factor) in found.items()}
    fields["detector"] = shown(detector.get("type") or "")
    size = _at(tree, "pixel_size")
    # 0 is its word for unknown
    return TagFacts(fields, stated("fibsem pixel_size", size.get("x") or None, size.get("y") or None, "m"))


def _zeiss_value(table: dict[str, Any], key: str) -> tuple[Any, str]:
    entry = table.get(key)
    if not isinstance(entry, tuple) or len(entry) < 2:
        return "", ""
    return entry[1], str(entry[2]) if len(entry) > 2 else ""


def _zeiss_pixel(table: dict[str, Any], columns: int | None) -> Any:
    value, unit = _zeiss_value(table, "ap_image_pixel_size")
    if value != "":
        return stated("tag 34118 AP_IMAGE_PIXEL_SIZE", value, None, unit or "?")
    value, unit = _zeiss_value(table, "ap_pixel_size")
    known = number(value)
    value = known * 1024 / columns if known is not None and columns else value
    return stated("tag 34118 AP_PIXEL_SIZE", value, None, unit or "?")


def _per_pixel(resolution: object) -> float | None:
    """Turn pixels per unit, a fraction, into units per pixel."""
    if not isinstance(resolution, tuple) or len(resolution) != 2 or not all(resolution):
        return None
    return float(resolution[1] / resolution[0])


def _converted(value: object, unit: str, to: str) -> float:
    factors = [NANOMETRES.get(u.lower(), math.nan) for u in (unit, to)]
    known = number(value)
    return math.nan if known is None else known * factors[0] / factors[1]


def _fibsem_beam(tree: dict[str, Any], beam: str) -> tuple[dict[str, Any], dict[str, Any]]:
    settings = _at(tree, "microscope_state", f"{beam}_beam") or _at(tree, "microscope_state", f"{beam[0]}b_settings")
    detector = _at(tree, "microscope_state", f"{beam}_detector") or _at(tree, "detector_settings")
    return settings, detector


def _at(tree: dict[str, Any], *path: str) -> dict[str, Any]:
    """Return the branch at a path, empty where there is none."""
    for name in path:
        branch = tree.get(name)
        if not isinstance(branch, dict):
            return {}
        tree = branch
    return tree


def _times(value: object, factor: float) -> float | None:
    known = number(value)
    return None if known is None or isinstance(value, bool) else tidy(known * factor)
