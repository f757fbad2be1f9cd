"""``cryoseg-tf ensemble``"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cryoseg_tf.io import atomic

from . import options

if TYPE_CHECKING:
    from cryoseg_tf.models.ensemble import Combination


@click.command("ensemble")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@options.output(help="The run to write; it holds copies of the others.")
@click.option(
    "--combine",
    type=click.Choice(["mean", "vote"]),
    default="mean",
    show_default=True,
    help="Average probabilities, or let the share of networks that decide for a class be its probability.",
)
@click.option("--tta", is_flag=True, help="Let each network see each image flipped and turned in eight ways.")
@click.option("--snapshots", is_flag=True, help="Take each RUN's snapshots (training.snapshots) instead of its best.")
@options.threads
def command(
    runs: tuple[Path, ...], out: Path, combine: "Combination", tta: bool, snapshots: bool, threads: int | None
) -> None:
    """Make one run of several, or of one seen from eight sides; segment, evaluate and export take it like any other."""
    from cryoseg_tf.run import Run

    from . import reporter

    if len(runs) == 1 and not (tta or snapshots):
        raise click.UsageError("one RUN is no ensemble: name several, or add --tta or --snapshots")
    atomic.check_writable(out)
    for run in runs:
        _ = Run(run).info  # a wrong path should not wait for TensorFlow
    reporter.load_tensorflow(threads)
    from cryoseg_tf.training.ensemble import make_ensemble

    made = make_ensemble([Run(run) for run in runs], out, combine, tta, snapshots)
    networks = reporter.count(len(made.info.members) * (8 if tta else 1), "network", "networks")
    click.echo(f"{out} is the {combine} of {networks}, threshold {made.contract.threshold:.3g}")
