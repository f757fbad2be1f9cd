"""``cryoseg-tf compare``"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import options

if TYPE_CHECKING:
    from cryoseg_tf.config import Config

    from .sources import Source

SETTABLE = ("data.classes", "data.ignore", "data.group_pattern")


def _of_comparing(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    settings = options.dotted(ctx, param, values)
    for name in settings:
        if not name.startswith("evaluation.") and name not in SETTABLE:
            raise click.BadParameter(f"{name} cannot be set here, only evaluation.*, {', '.join(SETTABLE)}")
    return settings


@click.command("compare")
@click.argument("words", nargs=-1, required=True, metavar="A B ...")
@click.option("--data", required=True, type=options.DATA, help="Annotated micrographs (those in test/, if there).")
@options.output(help="The folder for comparison.html, .json and .csv, and a folder for each of A, B, ...")
@click.option(
    "--train", type=options.DATA, help="Annotated micrographs for methods to learn from (those in train/, if there)."
)
@click.option("--metric", default="dice", show_default=True, help="What is tested: dice, recall, precision, iou, ...")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_of_comparing,
    help="Change how it is scored, e.g. --set evaluation.boundary_nm=200, or data.ignore=255. Repeatable.",
)
@options.pixel_size
@options.data_bar
@options.instances
@options.threads
@options.as_json
def command(
    words: tuple[str, ...],
    data: Path,
    out: Path,
    train: Path | None,
    metric: str,
    settings: dict[str, Any],
    pixel_size: float | None,
    data_bar: int | None,
    instances: bool,
    threads: int | None,
    as_json: bool,
) -> None:
    """Compare A, B, ... on the same annotated micrographs, by paired tests.

    Each is a run, a bundle, a folder of masks made by any other program, or a method: otsu, adaptive, watershed,
    forest, with options as "otsu(cells=dark)". NAME=A gives it a name. Exit code 1 if an image had to be left out.
    """
    from cryoseg_tf.data import find_pairs
    from cryoseg_tf.io import atomic

    from . import reporter
    from .sources import entry, read_sources

    found = read_sources(words)
    facts = options.about_images(pixel_size, data_bar, instances) | settings
    config = config_of(found, data, {name: value for name, value in facts.items() if value is not None})
    # what would be refused should not wait for TensorFlow
    atomic.check_writable(out)
    pairs, to_learn = find_pairs(data, "test"), find_pairs(train, "train") if train else []
    reporter.load_tensorflow(threads)
    from cryoseg_tf.evaluation.compare import check_out, compare
    from cryoseg_tf.evaluation.comparison_page import write_comparison
    from cryoseg_tf.segmentation.classical import Given

    from .evaluate import grouped

    check_out(out)  # before images are read to find groups
    given = Given(config, to_learn, threads, reporter.counted)
    entries = [entry(source, given, pairs) for source in found]
    groups = grouped(data, pairs, config.data)
    comparison = compare(entries, pairs, config, out, metric=metric, groups=groups, watch=reporter.counted)
    page, summary = write_comparison(comparison, out), comparison.summary()
    if as_json:
        click.echo(atomic.json_text(summary), nl=False)
    else:
        click.echo("\n".join([*lines(summary), f"the page is {page}"]))
    for error in left_out(summary):
        click.secho(f"LEFT OUT: {error}", fg="red", err=True)
    if summary["left_out"]:
        raise click.exceptions.Exit(1)


def config_of(found: "Sequence[Source]", data: Path, settings: dict[str, Any]) -> "Config":
    """Return how images and masks are read and scored: as the models were trained, else as the data folder says.

    Raises:
        ConfigError, DataError: If models, data or settings do not agree.
    """
    from cryoseg_tf.config import Config
    from cryoseg_tf.data.labels import for_scoring, with_labels
    from cryoseg_tf.errors import ConfigError

    from .sources import data_settings

    learned = {source.name: known for source in found if (known := data_settings(source))}
    if not learned:
        return with_labels(Config().replace(settings), data, "test")
    first = next(iter(learned))
    taken: dict[str, Any] = {"data.instances": any(known.instances for known in learned.values())}
    for name, known in learned.items():
        if known.classes != learned[first].classes:
            both = f"{', '.join(learned[first].classes)}, but {name} {', '.join(known.classes)}"
            raise ConfigError(f"{first} tells apart {both}: models of other classes cannot be compared")
    taken["data.classes"] = learned[first].classes
    for setting in ("ignore", "group_pattern"):
        values = {value for known in learned.values() if (value := getattr(known, setting)) is not None}
        if len(values) > 1 and f"data.{setting}" not in settings:
            both = " and ".join(map(str, sorted(values)))
            raise ConfigError(f"the models were trained with data.{setting} {both}: say which holds by --set")
        taken[f"data.{setting}"] = next(iter(values), None)
    return for_scoring(Config().replace(taken | settings), data)


def lines(summary: dict[str, Any]) -> Iterator[str]:
    """Yield what there is to say of a comparison, as from ``comparison.json``."""
    from .evaluate import interval, of_groups

    metric, width = summary["metric"], max(len(entry["name"]) for entry in summary["entries"])
    for entry in summary["entries"]:
        yield f"{entry['name']:{width}}  {metric} {interval(entry['metrics'][metric])}"
        yield f"{'':{width}}  {entry['kind']} {entry['source']}: {entry['about']}"
        if entry["seen_in_training"]:
            yield f"{'':{width}}  warning: trained on {entry['seen_in_training']} of these images"
    yield of_groups(summary["groups"]["count"], summary["images"])
    for pair in summary["pairs"]:
        yield f"{pair['first']} less {pair['second']}: {of_pair(pair)}"
        yield f"  {pair['claim']}"


def left_out(summary: dict[str, Any]) -> list[str]:
    """Return why images are left out, each with the name of the entry that failed on it."""
    return [f"{name}: {error}" for image in summary["left_out"] for name, error in image["errors"].items()]


def of_pair(pair: dict[str, Any]) -> str:
    """Write a pair's numbers."""
    mean, (low, high) = pair["difference"]["mean"], pair["difference"]["ci95"]
    if mean is None:
        return "no image has a score for both"
    within = f" (95% interval {low:+.3f} to {high:+.3f})" if low is not None else ""
    counts = f"better on {pair['wins']}, same on {pair['ties']}, worse on {pair['losses']}"
    tests = f"p {pair['p']:.2g}, Holm {pair['p_holm']:.2g}, rank-biserial {pair['rank_biserial']:+.2f}"
    return f"{mean:+.3f}{within}; {tests}; {counts}"
