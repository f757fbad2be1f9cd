"""``cryoseg-tf fit``"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cryoseg_tf.io import atomic

from . import options
from .folds import cross_validate

if TYPE_CHECKING:
    from cryoseg_tf.config import Config
    from cryoseg_tf.data import Split
    from cryoseg_tf.training.writing import Existing


@click.command("fit")
@click.argument("data", type=options.DATA)
@options.output(help="The run folder to write.")
@options.recipe
@click.option("--epochs", type=click.IntRange(min=1), help="Short for --set training.epochs=N.")
@click.option(
    "--precision",
    type=click.Choice(("auto", "float32", "bfloat16", "float16")),
    help="Short for --set training.precision=P. [default: auto, the fastest that this machine has instructions for]",
)
@click.option("--minutes", type=options.POSITIVE, metavar="M", help="Train for this long instead.")
@click.option(
    "--folds",
    type=click.IntRange(min=2),
    metavar="K",
    help="Train K networks, each without a K-th of the images; the run is their ensemble.",
)
@click.option(
    "--strategy",
    type=click.Choice(["auto", "one", "mirrored", "multiworker"]),
    help="What to compute on: one device, all graphics cards here, or the processes that TF_CONFIG or srun name. "
    "Short for --set training.strategy=... [default: auto]",
)
@click.option("--preview", is_flag=True, help="First draw patches as the network sees them: preview.png in the run.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted run; starts it if it never began.")
@options.overwrite
@options.threads
def command(
    data: Path,
    out: Path,
    recipe: options.Recipe,
    epochs: int | None,
    precision: str | None,
    minutes: float | None,
    folds: int | None,
    strategy: str | None,
    preview: bool,
    resume: bool,
    overwrite: bool,
    threads: int | None,
) -> None:
    """Train a U-Net on the annotated micrographs in DATA (in DATA/train, if there is one)."""
    if epochs and minutes:
        raise click.UsageError("--epochs and --minutes exclude each other")
    if resume and overwrite:
        raise click.UsageError("--resume and --overwrite exclude each other")
    if folds and preview:
        raise click.UsageError("--folds and --preview exclude each other: preview without --folds")
    from cryoseg_tf.data import find_pairs

    from . import reporter

    short = {"training.epochs": epochs, "training.precision": precision, "training.strategy": strategy}
    recipe = recipe._replace(settings={**short, **recipe.settings})
    config, minutes = requested(out, recipe, minutes, resume)
    # what would be refused should not wait for TensorFlow
    atomic.check_writable(out)
    find_pairs(data, "train")
    reporter.load_tensorflow(threads)
    from cryoseg_tf.run import Run
    from cryoseg_tf.training.writing import claim

    existing: Existing = "resume" if resume else "overwrite" if overwrite else "refuse"
    folds = folds or (Run(out).info.folds if resume and Run(out).exists else None)
    try:
        if folds:
            claim(Run(out), existing)  # before images are read to find groups: a refusal should not wait for that
            cross_validate(data, config, out, folds, minutes, existing)
        else:
            train(data, config, out, minutes=minutes, existing=existing, preview=preview)
    except KeyboardInterrupt:
        whole = Run(out).model_file.is_file()
        usable = "can be used as it is, or go on" if whole else "cannot be used yet, as no epoch was finished: go on"
        click.echo(f"stopped; {out} {usable} with --resume", err=True)
        raise click.exceptions.Exit(130) from None


def train(
    data: Path, config: "Config", out: Path, *, minutes: float | None, existing: "Existing", preview: bool
) -> None:
    """Train one network, alone or as one of several workers, of which the first says how it goes."""
    from cryoseg_tf.run import Run
    from cryoseg_tf.training import fit
    from cryoseg_tf.training.devices import find_devices, with_cluster
    from cryoseg_tf.training.writing import claim

    from . import reporter

    config = with_cluster(config)
    devices = find_devices(config.training)  # several workers meet before anything is computed
    if devices.first:
        claim(Run(out), existing)  # before images are read to find groups: a refusal should not wait for that
    else:
        reporter.hush()
    config, divided = divide(data, config)
    watch = [reporter.fit_progress(config.training)] if devices.first else []
    result = fit(config, divided, out, minutes=minutes, existing=existing, preview=preview, callbacks=watch)
    if not devices.first:
        click.echo("done: the first worker has written the run")
        return
    why = f"; stopped early: {result.stopped}" if result.stopped else ""
    click.echo(f"validation Dice {result.dice:.3f} at epoch {result.best_epoch}; the model is in {out}{why}")


def divide(data: Path, config: "Config") -> "tuple[Config, Split]":
    """Take over what the data folder says of itself, and hold whole groups of its images back for validation.

    What the settings name is checked first: a mistake should not wait until images were read to find groups.
    """
    from cryoseg_tf.data import find_groups, find_pairs, split, with_labels
    from cryoseg_tf.training.assembly import check_names

    from . import reporter

    check_names(config)
    config = with_labels(config, data, "train")
    pairs = find_pairs(data, "train")
    groups = find_groups(data, pairs, config.data)
    divided = split(pairs, config.data, config.seed, groups)
    if config.data.split == "images":  # by area every image is divided, whatever its group
        reporter.console.print(groups.summary, soft_wrap=True, markup=False)
    return config, divided


def requested(out: Path, recipe: options.Recipe, minutes: float | None, resume: bool) -> "tuple[Config, float | None]":
    """Return the settings asked for; a resume without any takes those that the run was begun with."""
    from cryoseg_tf.run import Run

    if resume and recipe.silent and minutes is None and Run(out).exists:
        info = Run(out).info
        return info.requested, info.minutes
    return recipe.config(), minutes
