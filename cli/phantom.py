"""``cryoseg-tf phantom``"""

from pathlib import Path

import click

from . import options


@click.command("phantom")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--images", default=24, show_default=True, type=click.IntRange(min=1), help="Images to train on.")
@click.option("--test", default=6, show_default=True, type=click.IntRange(min=0), help="Images to test on.")
@click.option("--size", default=512, show_default=True, type=click.IntRange(min=64), help="Side in pixels.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Another seed, other images.")
@click.option("--pixel-size", default=100.0, show_default=True, type=options.POSITIVE, metavar="NM", help="In nm.")
@click.option(
    "--classes", default="cell,ice,mesh", show_default=True, metavar="NAMES", help="What to annotate; cell: binary."
)
@click.option(
    "--annotation",
    default="all",
    show_default=True,
    type=click.Choice(["all", "clusters-only"]),
    help="clusters-only leaves cells that touch no other unmarked.",
)
@options.threads
def command(
    out: Path, images: int, test: int, seed: int, threads: int | None, classes: str, **drawn: int | float | str
) -> None:
    """Write synthetic annotated micrographs to OUT/train and OUT/test, each with a table of objects."""
    from cryoseg_tf.data.phantom import PhantomOptions, write_phantom

    from . import reporter

    names = tuple(name.strip() for name in classes.split(","))
    written = write_phantom(out, images, test, seed, PhantomOptions(classes=names, **drawn))  # type: ignore[arg-type]
    click.echo(f"{reporter.count(len(written), 'annotated image is', 'annotated images are')} in {out}")
