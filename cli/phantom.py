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
@click.option("--ice", is_flag=True, help="Ice crystals are a class of their own.")
@options.threads
def command(
    out: Path, images: int, test: int, size: int, seed: int, pixel_size: float, ice: bool, threads: int | None
) -> None:
    """Write synthetic annotated micrographs to OUT/train and OUT/test."""
    from cryoseg_tf.data.phantom import write_phantom

    written = write_phantom(out, images, test, size, seed, pixel_size, ice=ice)
    click.echo(f"{len(written)} annotated images are in {out}")
