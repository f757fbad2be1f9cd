"""``cryoseg-tf check``"""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cryoseg_tf.io import atomic

from . import options

if TYPE_CHECKING:
    from cryoseg_tf.config import Config
    from cryoseg_tf.data.check import Concern, Finding
    from cryoseg_tf.data.concerns import Conclusion

FEW = 30
"""Up to so many images each is a row of a table."""

SHOWN = 10
"""So many images of each concern are named; --json and --html have all."""

MARK = b"check of annotated images</title>"
"""What an earlier page has near its start; another file is not replaced."""

COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


def _page(ctx: click.Context, param: click.Parameter, path: Path | None) -> Path | None:
    if path and path.suffix.lower() not in (".html", ".htm"):  # so that a slip never replaces an image
        raise click.BadParameter(f"{path} is not named as a page: end it in .html")
    if path and path.is_file():
        with path.open("rb") as file:
            if MARK not in file.read(4096):
                raise click.BadParameter(f"{path} exists and is not a page from here: choose another FILE")
    return path


@click.command("check")
@click.argument("data", type=options.DATA)
@options.config_file
@options.settings
@options.pixel_size
@options.data_bar
@options.instances
@options.threads
@click.option(
    "--html",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    callback=_page,
    help="Write all images with their masks as one page.",
)
@options.as_json
def command(
    data: Path,
    config_file: Path | None,
    settings: dict[str, Any],
    pixel_size: float | None,
    data_bar: int | None,
    instances: bool,
    threads: int | None,
    html: Path | None,
    as_json: bool,
) -> None:
    """Look at the annotated micrographs in DATA and say what would spoil training.

    Exit code 1 if there is something that would.
    """
    config = options.resolve(config_file, options.about_images(pixel_size, data_bar, instances) | settings)
    if html:
        atomic.check_writable(html.parent)  # before all images are looked at
    config, conclusion = look(data, config, threads)
    if html:
        draw(html, data, conclusion, config, threads)
    if as_json:
        click.echo(json.dumps(as_plain(conclusion), indent=2))
    else:
        show(conclusion, config.data.classes)
    if conclusion.failed:
        raise click.exceptions.Exit(1)


def look(data: Path, config: "Config", threads: int | None) -> "tuple[Config, Conclusion]":
    """Look at each image and mask, showing progress; the folder may name the classes."""
    from cryoseg_tf.data import find_pairs, with_labels
    from cryoseg_tf.data.check import check
    from cryoseg_tf.data.concerns import conclude
    from cryoseg_tf.data.groups import stated_groups
    from cryoseg_tf.data.pairs import note_instances

    from . import reporter

    config = with_labels(config, data)
    pairs = find_pairs(data)
    note_instances(pairs, config.data)
    groups = stated_groups(data, pairs, config.data)
    found = list(reporter.track(check(pairs, config.data, threads), len(pairs), "checking"))
    return config, conclude(found, config, groups)


def draw(html: Path, data: Path, conclusion: "Conclusion", config: "Config", threads: int | None) -> None:
    """Write the contact sheet."""
    from cryoseg_tf.data import contact_sheet

    from . import reporter

    cards = contact_sheet.cards(conclusion, config.data, threads)
    drawn = list(reporter.track(cards, len(conclusion.findings), "drawing"))
    contact_sheet.write(html, data, conclusion, drawn, config.data.classes)
    reporter.console.print(f"all images with their masks: {html}", soft_wrap=True)


def as_plain(conclusion: "Conclusion") -> dict[str, Any]:
    """Return everything that was found."""
    return {
        "verdict": conclusion.verdict,
        "fit": not conclusion.failed,
        "summary": conclusion.summary,
        "concerns": [dataclasses.asdict(concern) for concern in conclusion.concerns],
        "images": [finding.facts() for finding in conclusion.findings],
    }


def show(conclusion: "Conclusion", classes: tuple[str, ...]) -> None:
    """Print the summary, a table of few images, the concerns and the verdict."""
    for name, value in conclusion.summary.items():
        click.echo(f"{name:<12}{value}")
    click.echo()
    if len(conclusion.findings) <= FEW:
        for line in table(conclusion.findings, classes):
            click.echo(line)
        click.echo()
    for concern in conclusion.concerns:
        tell(concern)
    colour = "red" if conclusion.failed else "green"
    click.secho(conclusion.verdict, fg=colour, bold=True)


def tell(concern: "Concern") -> None:
    """Print one concern with its first images."""
    click.echo(f"{click.style(concern.level, fg=COLOURS[concern.level], bold=True)}: {concern.title}")
    for name, evidence in concern.details[:SHOWN]:
        click.echo(f"    {name}: {evidence}")
    if len(concern.details) > SHOWN:
        click.echo(f"    and {len(concern.details) - SHOWN} more: --json or --html FILE has all")


def table(findings: "tuple[Finding, ...]", classes: tuple[str, ...]) -> list[str]:
    """Return aligned lines, one for each image, under a heading."""
    known = any(f.annotated < 1 for f in findings if not f.error)
    rows = [["image", "size", "type", "nm", "saturated", *classes[1:], *(["annotated"] if known else [])]]
    for f in findings:
        if f.error:
            rows.append([f.pair.name, "cannot be used"])
            continue
        shares = [f"{share:.1%}" for share in (*f.fractions[1:], *([f.annotated] if known else []))]
        size = f"{f.pixel_size:.4g}" if f.pixel_size else "-"
        rows.append([f.pair.name, f"{f.shape[1]}x{f.shape[0]}", f.dtype, size, f"{f.saturated:.1%}", *shares])
    widths = [max(len(row[k]) for row in rows if len(row) == len(rows[0])) for k in range(len(rows[0]))]
    widths[0] = max(len(row[0]) for row in rows)
    return [_aligned(row, widths) for row in rows]


def _aligned(row: list[str], widths: list[int]) -> str:
    name, *cells = row
    if len(row) < len(widths):
        return f"{name:<{widths[0]}}  {cells[0]}"
    return "  ".join([f"{name:<{widths[0]}}", *(f"{c:>{w}}" for c, w in zip(cells, widths[1:], strict=True))])
