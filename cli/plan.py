"""``cryoseg-tf plan``"""

from pathlib import Path
from typing import Any

import click

from . import options


@click.command("plan")
@click.argument("data", type=options.DATA)
@options.recipe
@click.option("--minutes", type=options.POSITIVE, metavar="M", help="Also say how many epochs fit in this time.")
@click.option(
    "--preview",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Draw patches as the network would see them, with masks, as a PNG.",
)
@options.threads
def command(
    data: Path,
    preset: str | None,
    config_file: Path | None,
    settings: dict[str, Any],
    pixel_size: float | None,
    data_bar: int | None,
    instances: bool,
    minutes: float | None,
    preview: Path | None,
    threads: int | None,
) -> None:
    """Say what fit would choose for the micrographs in DATA, and why; nothing is trained."""
    from . import reporter

    asked = {**options.about_images(pixel_size, data_bar, instances), **settings}
    config = options.resolve(config_file, asked, preset)
    reporter.start(threads)
    from cryoseg_tf.training.fit import check_names

    check_names(config)
    from cryoseg_tf.training import propose

    from .fit import divide

    config, divided = divide(data, config)
    for line in propose(config, divided, minutes, preview):
        click.echo(line)
    if preview:
        click.echo(f"preview: {preview}")
