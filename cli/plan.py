"""``cryoseg-tf plan``"""

from pathlib import Path

import click

from cryoseg_tf.io import atomic

from . import options


def _picture(ctx: click.Context, param: click.Parameter, path: Path | None) -> Path | None:
    if path and path.suffix.lower() != ".png":
        raise click.BadParameter(f"{path} is not named as a PNG: end it in .png")
    if path and path.exists():  # so that a slip never replaces an image
        raise click.BadParameter(f"{path} exists: choose another FILE")
    return path


@click.command("plan")
@click.argument("data", type=options.DATA)
@options.recipe
@click.option("--minutes", type=options.POSITIVE, metavar="M", help="Also say how many epochs fit in this time.")
@click.option(
    "--preview",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    callback=_picture,
    help="Draw patches as the network would see them, with masks, as a PNG.",
)
@options.threads
def command(
    data: Path, recipe: options.Recipe, minutes: float | None, preview: Path | None, threads: int | None
) -> None:
    """Say what fit would choose for the micrographs in DATA, and why; nothing is trained."""
    from cryoseg_tf.data import find_pairs

    from . import reporter

    config = recipe.config()
    if preview:
        atomic.check_writable(preview.parent)
    find_pairs(data, "train")  # a wrong path should not wait for TensorFlow
    reporter.load_tensorflow(threads)
    from cryoseg_tf.training import propose

    from .fit import divide

    config, divided = divide(data, config)
    for line in propose(config, divided, minutes, preview):
        click.echo(line)
    if preview:
        click.echo(f"preview: {preview}")
