"""``cryoseg-tf check``"""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import options

if TYPE_CHECKING:
    from cryoseg_tf.config import Config
    from cryoseg_tf.data.check import Finding


@click.command("check")
@click.argument("data", type=options.DATA)
@options.config_file
@options.settings
@options.pixel_size
@options.data_bar
@options.threads
@options.as_json
def command(
    data: Path,
    config_file: Path | None,
    settings: dict[str, Any],
    pixel_size: float | None,
    data_bar: int | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Look at the annotated micrographs in DATA and say what would spoil training.

    Exit code 1 if there is something that would.
    """
    from cryoseg_tf.data.check import check, warnings
    from cryoseg_tf.data.pairs import find_pairs

    from . import reporter

    reporter.start(tensorflow=False)
    config = options.resolve(config_file, options.about_images(pixel_size, data_bar) | settings)
    pairs = find_pairs(data)
    findings = list(reporter.track(check(pairs, config.data), len(pairs), "checking"))
    bad = [f for f in findings if f.error]
    if as_json:
        rows = [{**dataclasses.asdict(f), "pair": f.pair.name} for f in findings]
        click.echo(json.dumps({"images": rows, "warnings": warnings(findings)}, indent=2))
    else:
        show(findings, warnings(findings), config)
        click.echo(verdict(len(findings), bad))
    if bad:
        raise click.exceptions.Exit(1)


def show(findings: "list[Finding]", notes: list[str], config: "Config") -> None:
    """Print a line for each image, then warnings."""
    width = max(len(f.pair.name) for f in findings)
    for finding in findings:
        if finding.error:
            click.echo(f"{finding.pair.name:{width}}  WRONG: {finding.error}")
            continue
        height, across = finding.shape
        size = f"{finding.pixel_size:g} nm" if finding.pixel_size else "-"
        shares = "  ".join(
            f"{name} {share:6.1%}" for name, share in zip(config.data.classes[1:], finding.fractions[1:], strict=True)
        )
        known = f"  {finding.annotated:.0%} annotated" if finding.annotated < 1 else ""
        click.echo(f"{finding.pair.name:{width}}  {across}x{height}  {finding.dtype:7}  {size:>8}  {shares}{known}")
    for note in notes:
        click.echo(f"note: {note}")


def verdict(count: int, bad: "list[Finding]") -> str:
    """Say in a line whether one can train on this."""
    if bad:
        return f"{len(bad)} of {count} annotated images cannot be used: mend or remove them"
    return f"{count} annotated images are fit to train on"
