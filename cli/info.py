"""``cryoseg-tf info``"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import options
from .models import about_model, is_model, model_lines

if TYPE_CHECKING:
    from cryoseg_tf.io.micrograph import Micrograph


@click.command("info")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="IMAGE_OR_MODEL...")
@options.pixel_size
@options.data_bar
@options.as_json
def command(paths: tuple[Path, ...], pixel_size: float | None, data_bar: int | None, as_json: bool) -> None:
    """Say what is understood of each image: size, type, pixel size and its source, data bar, stage, beam.

    Of a run or a bundle: what it finds, its network, and how much arithmetic (GFLOP) an image takes.

    Exit code 2 if one cannot be read.
    """
    from cryoseg_tf.errors import CryoSegError
    from cryoseg_tf.io.micrograph import read_micrograph

    from . import reporter

    if any(map(is_model, paths)):
        reporter.load_tensorflow()
    rows: list[dict[str, Any]] = []
    for path in paths:
        kind = "model" if is_model(path) else "image"
        try:
            known = about(read_micrograph(path, pixel_size=pixel_size, data_bar=data_bar)) if kind == "image" else None
            rows.append(known or about_model(path))
        except CryoSegError as error:
            rows.append({kind: str(path), "error": str(error)})
        if not as_json:
            show(rows[-1])
    if as_json:
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    if any("error" in row for row in rows):
        raise click.exceptions.Exit(2)


def about(micrograph: "Micrograph") -> dict[str, Any]:
    """Return what is known of a micrograph as JSON has it; what is unknown is left out."""
    import dataclasses

    import numpy as np

    from cryoseg_tf.io.data_bar import find_data_bar

    pixels = micrograph.pixels
    height, width = pixels.shape
    known: dict[str, Any] = {
        "image": str(micrograph.source),
        "width": width,
        "height": height,
        "dtype": str(pixels.dtype),
        "bar_rows_cropped": micrograph.data_bar,
    }
    finite = pixels[np.isfinite(pixels)] if pixels.dtype.kind == "f" else pixels
    if finite.size < pixels.size:
        known["not_finite"] = pixels.size - finite.size
    if not micrograph.data_bar and (rows := find_data_bar(pixels)):
        known["bar_rows_seen"] = rows
    if finite.size:
        known |= {"minimum": finite.min().item(), "maximum": finite.max().item()}
    if micrograph.pixel_size is not None:
        source = micrograph.metadata.pixel_size_source or "--pixel-size"
        known |= {"pixel_size": micrograph.pixel_size, "pixel_size_source": source}
        known["field_width"] = micrograph.metadata.field_width or micrograph.pixel_size * width
    stated = {name: value for name, value in dataclasses.asdict(micrograph.metadata).items() if value not in (None, "")}
    return known | {name: value for name, value in stated.items() if name not in known}


def show(row: dict[str, Any]) -> None:
    """Print what is known of an image or a model, a line for each thing."""
    if "error" in row:
        click.echo(row["error"], err=True)
        return
    click.echo(next(iter(row.values())))
    for label, text in lines(row) if "image" in row else model_lines(row):
        click.echo(f"  {label:17} {text}")


def lines(row: dict[str, Any]) -> list[tuple[str, str]]:
    """Return label and text of each line, without those that nothing is known of."""
    bar = row["bar_rows_cropped"]
    unknown = "unknown: the file does not say; give it as --pixel-size"
    table: list[tuple[str, str | None]] = [
        ("size", f"{row['width']} x {row['height']}, {row['dtype']}"),
        ("values", joined(row, "{} to {}", "minimum", "maximum") or "none is finite"),
        ("not finite", joined(row, "{} pixels are NaN or infinite: such an image gets an empty mask", "not_finite")),
        ("pixel size", joined(row, "{:g} nm, from {}", "pixel_size", "pixel_size_source") or unknown),
        ("field width", joined(row, "{:g} nm", "field_width")),
        ("data bar", f"{bar} rows cropped off the bottom" if bar else f"none cropped{uncropped(row)}"),
        ("microscope", " ".join(str(row[name]) for name in ("vendor", "instrument") if name in row)),
        ("detector", joined(row, "{}", "detector")),
        ("beam", ", ".join(filter(None, [joined(row, "{}", "beam"), joined(row, "{:g} keV", "beam_energy")]))),
        ("stage x, y, z", joined(row, "{:g}, {:g}, {:g} um", "stage_x", "stage_y", "stage_z")),
        ("tilt", joined(row, "{:.3f} degrees", "tilt")),
        ("rotation", joined(row, "{:.3f} degrees", "rotation")),
        ("scan rotation", joined(row, "{:.3f} degrees", "scan_rotation")),
        ("working distance", joined(row, "{:g} mm", "working_distance")),
        ("dwell", joined(row, "{:g} us", "dwell")),
        ("not used", joined(row, "{}", "problem")),
    ]
    return [(label, text) for label, text in table if text]


def uncropped(row: dict[str, Any]) -> str:
    """Say what speaks for a data bar that was not cropped."""
    if "bar_rows_seen" in row:
        return f", but the last {row['bar_rows_seen']} rows look like one: pass --data-bar {row['bar_rows_seen']}"
    if row.get("data_bar"):
        return f": the file names one of {row['data_bar']} rows, but has the rows of its image only"
    return ""


def joined(row: dict[str, Any], form: str, *names: str) -> str | None:
    """Fill a form with what is known; None if a part of it is not."""
    return form.format(*(row[name] for name in names)) if all(name in row for name in names) else None
