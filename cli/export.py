"""``cryoseg-tf export``"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cryoseg_tf.io import atomic

from . import options

if TYPE_CHECKING:
    from cryoseg_tf.exports import Bundle

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--to",
    "formats",
    metavar="F1,F2",
    help="Formats: saved_model, onnx, tflite, openvino, tensorrt. [default: all that are installed]",
)
@options.output(help="The bundle to write, NAME.cryoseg by custom.")
@click.option("--data", type=FOLDER, help="The folder that RUN was trained on, if it was moved.")
@click.option(
    "--evaluation",
    type=click.Path(path_type=Path),
    help="A folder that evaluate wrote; its scores go into the model card.",
)
@click.option("--tile", type=click.IntRange(min=16), metavar="PX", help="Largest side of a tile. [default: 1536]")
@options.overwrite
@options.threads
def command(
    run: Path,
    formats: str | None,
    out: Path,
    data: Path | None,
    evaluation: Path | None,
    tile: int | None,
    overwrite: bool,
    threads: int | None,
) -> None:
    """Write the model of RUN as one bundle, raw image in, masks out; then verify it.

    Exit code 1 if a format does not answer as the model does; the bundle is kept.
    """
    from cryoseg_tf.exports import exporter
    from cryoseg_tf.run import Run

    from . import reporter

    given = {"data": data, "evaluation": evaluation, "tile": tile}
    details = exporter.ExportOptions(**{name: value for name, value in given.items() if value is not None})
    # what cannot be should not wait for TensorFlow
    exporter.check_paths(Run(run), out, overwrite, details)
    atomic.check_writable(out.parent)
    asked = None if formats is None else exporter.known([name.strip() for name in formats.split(",") if name.strip()])
    reporter.load_tensorflow(threads)
    bundle = exporter.export(run, asked or installed(), out, overwrite, details)
    click.echo(f"{', '.join(bundle.manifest.formats)}: the bundle is {bundle.path}")
    check(bundle, threads)


def installed() -> list[str]:
    """Return the formats that can be written and run here."""
    from importlib.util import find_spec

    from cryoseg_tf.exports.exporter import FORMATS
    from cryoseg_tf.exports.runtimes import RUNTIMES

    return [
        name for name, needed in FORMATS.items() if RUNTIMES[name].version is not None and all(map(find_spec, needed))
    ]


def check(bundle: "Bundle", threads: int | None) -> None:
    """Verify what was written; say what failed, and leave with exit code 1."""
    from .verify import conclusion, passed, watched

    checks = watched(bundle, (), threads)
    for one in checks:
        if not one.passed:
            place = " ".join(filter(None, [one.runtime, one.precision, one.artefact]))
            click.secho(f"FAILED: {place}: {one.reason}", fg="red", err=True)
    click.echo(conclusion(bundle, checks))
    if not passed(checks):
        raise click.exceptions.Exit(1)
