"""``cryoseg-tf study``"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cryoseg_tf.io import atomic

from . import options

if TYPE_CHECKING:
    import keras

    from cryoseg_tf.config import Config
    from cryoseg_tf.evaluation.experiments import Material


@click.group("study")
def command() -> None:
    """Repeat the experiments of a publication."""


@command.command("thesis")
@click.argument("data", type=options.DATA)
@options.output(help="The folder for all runs, reports and study.html. A study that was interrupted there goes on.")
@click.option(
    "--scale",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="Multiply width, epochs and copies by its root; 0.05 is for CPUs, and says so on the page.",
)
@click.option("--folds", type=click.IntRange(min=2), default=5, show_default=True, help="Folds of each experiment.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@options.settings
@options.pixel_size
@options.data_bar
@options.instances
@options.threads
def thesis(
    data: Path,
    out: Path,
    scale: float,
    folds: int,
    seed: int,
    settings: dict[str, Any],
    pixel_size: float | None,
    data_bar: int | None,
    instances: bool,
    threads: int | None,
) -> None:
    """Repeat the 2021 thesis on DATA: its four experiments, its leaking division, and its final model.

    The final model and the leaking division are scored on DATA/test; without one, on a fifth of the images that is
    held back from everything else.
    """
    from cryoseg_tf.data import find_pairs

    from . import reporter

    atomic.check_writable(out)
    facts = options.about_images(pixel_size, data_bar, instances)
    changes = {name: value for name, value in {**facts, **settings}.items() if value is not None}
    find_pairs(data, "train")  # a wrong path should not wait for TensorFlow
    reporter.load_tensorflow(threads)
    from cryoseg_tf.evaluation.statistics import known_mean
    from cryoseg_tf.evaluation.study import check_out, run_study
    from cryoseg_tf.evaluation.study_page import pairs_of, write_study

    from .evaluate import interval

    material = gathered(data, changes, scale, folds, seed)
    check_out(out, material)
    study = run_study(material, out, _watch)
    page = write_study(study, out)
    for one in study.reached:
        click.echo(f"{one.experiment.table} {one.experiment.title:25} Dice {known_mean(list(one.dice.values())):.3f}")
    for pair in pairs_of(study):
        click.echo(f"{pair.first} less {pair.second}: {pair.difference[0]:+.3f}, p (Holm) {pair.holm:.2g}")
    for name, dice in study.leak.validation.items():
        click.echo(f"{name} division: Dice {dice:.3f} in validation, {study.leak.test[name]:.3f} on test images")
    final = interval(study.final["metrics"]["dice"])
    click.echo(f"Tab. 5.5 the final model on {study.final['images']} test images: Dice {final}")
    click.echo(f"the study is {page}")


def gathered(data: Path, changes: dict[str, Any], scale: float, folds: int, seed: int) -> "Material":
    """Return what the study is made on."""
    from cryoseg_tf.config import Config
    from cryoseg_tf.data import find_groups, find_pairs, with_labels
    from cryoseg_tf.evaluation.experiments import Material, hold_back

    from . import reporter
    from .evaluate import grouped

    config = with_labels(Config().replace({**changes, "seed": seed}), data, "train")
    train = tuple(find_pairs(data, "train"))
    groups = find_groups(data, train, config.data)
    reporter.console.print(groups.summary, soft_wrap=True, markup=False)
    if (data / "test").is_dir():
        test = tuple(find_pairs(data, "test"))
        of = grouped(data, test, config.data)
    else:
        train, test = hold_back(train, config, groups)
        of = [groups.of[pair.name] for pair in test] if groups.known else None
        reporter.console.print(f"{len(test)} of {len(train) + len(test)} images are held back to test on")
    changes = {**changes, "data.classes": config.data.classes, "data.ignore": config.data.ignore}
    return Material(train, test, groups, of, changes, scale, folds, seed)


def _watch(what: str, config: "Config") -> "Callable[[int], Sequence[keras.callbacks.Callback]]":
    from . import reporter

    def callbacks(fold: int) -> "Sequence[keras.callbacks.Callback]":
        reporter.console.print(f"{what}, network {fold}", markup=False)
        return [reporter.fit_progress(config.training)]

    return callbacks
