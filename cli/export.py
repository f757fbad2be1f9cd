"""``cryoseg-tf export``"""

from pathlib import Path

import click

from . import options


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", "formats", default="saved_model", show_default=True, metavar="F1,F2", help="Formats to write.")
@options.output(help="The bundle to write, NAME.cryoseg by custom.")
@options.overwrite
@options.threads
def command(run: Path, formats: str, out: Path, overwrite: bool, threads: int | None) -> None:
    """Write the model of RUN as one bundle: raw image in, masks out."""
    from cryoseg_tf.run import Run

    from . import reporter

    Run(run).info  # noqa: B018 - a wrong path should not wait for TensorFlow
    reporter.start(threads)
    from cryoseg_tf.exports import export

    bundle = export(run, [name.strip() for name in formats.split(",") if name.strip()], out, overwrite)
    click.echo(f"{', '.join(bundle.manifest.formats)}: the bundle is {bundle.path}")
