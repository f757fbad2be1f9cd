"""What ``cryoseg-tf fit --folds`` does."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cryoseg_tf.config import Config
    from cryoseg_tf.evaluation.fold_table import Fold
    from cryoseg_tf.training.writing import Existing


def cross_validate(
    data: Path, config: "Config", out: Path, count: int, minutes: float | None, existing: "Existing"
) -> None:
    """Train a network for each fold, score each on what it did not learn from, and print the table."""
    from cryoseg_tf.data import find_groups, find_pairs, folds, with_labels
    from cryoseg_tf.evaluation.crossval import score_folds
    from cryoseg_tf.training.assembly import check_names
    from cryoseg_tf.training.crossval import fit_folds

    from . import reporter

    check_names(config)
    config = with_labels(config, data, "train")
    pairs = find_pairs(data, "train")
    groups = find_groups(data, pairs, config.data)
    reporter.console.print(groups.summary, soft_wrap=True, markup=False)
    splits = folds(pairs, count, config.data, config.seed, groups)
    run = fit_folds(
        config,
        splits,
        out,
        minutes=minutes,
        existing=existing,
        watch=lambda fold: [reporter.fit_progress(config.training)],
    )
    with reporter.counted(len(pairs), "scoring each image by the network that did not learn from it") as progress:
        evaluation, reached = score_folds(run, splits, progress)
    for line in table(reached):
        click.echo(line)
    dice = evaluation.summary()["metrics"]["dice"]
    from .evaluate import interval

    click.echo(f"Dice of all images: {interval(dice)}; the report is {out / 'report' / 'report.html'}")
    click.echo(f"the ensemble of {len(splits)} networks is {out}")


def table(folds: "Sequence[Fold]") -> list[str]:
    """Return a line for each fold, then their average and spread."""
    from cryoseg_tf.evaluation.fold_table import spread

    row = "{:10} {:>6} {:>7.3f} {:>6} {:>7.3f} {:>10.3f} {:>7.3f}"
    lines = [f"{'fold':10} {'images':>6} {'loss':>7} {'epoch':>6} {'recall':>7} {'precision':>10} {'Dice':>7}"]
    lines += [row.format(*vars(fold).values()) for fold in folds]
    for name, (images, loss, epoch, *scores) in spread(folds).items():
        lines.append(row.format(name, f"{images:.1f}", loss, f"{epoch:.1f}", *scores))
    return lines
