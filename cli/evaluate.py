"""``cryoseg-tf evaluate``"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cryoseg_tf.io import atomic

from . import options

if TYPE_CHECKING:
    from cryoseg_tf.config import DataConfig
    from cryoseg_tf.data import Pair
    from cryoseg_tf.evaluation import Evaluation


@click.command("evaluate")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("data", type=options.DATA)
@options.output(help="The folder for report.html, summary.json, scores.csv and objects.csv.")
@options.scoring
@options.pixel_size
@options.data_bar
@options.instances
@options.threads
@options.as_json
def command(
    run: Path,
    data: Path,
    out: Path,
    settings: dict[str, Any],
    pixel_size: float | None,
    data_bar: int | None,
    instances: bool,
    threads: int | None,
    as_json: bool,
) -> None:
    """Score the model of RUN on the annotated micrographs in DATA (in DATA/test, if there is one)."""
    from cryoseg_tf.data import find_pairs
    from cryoseg_tf.data.labels import for_scoring
    from cryoseg_tf.run import Run

    from . import reporter

    folder = Run(run)
    # what was said of the images to train on need not hold for these
    facts: dict[str, Any] = {"data.image_pixel_size": pixel_size, "data.data_bar": data_bar}
    config = folder.config.replace(facts | ({"data.instances": True} if instances else {}) | settings)
    # what would be refused should not wait for TensorFlow
    atomic.check_writable(out)
    config, pairs = for_scoring(config, data), find_pairs(data, "test")
    reporter.load_tensorflow(threads)
    from cryoseg_tf.evaluation import check_out, evaluate, read_kinds, write_report
    from cryoseg_tf.segmentation.segmenter import Segmenter

    kinds = read_kinds(data)
    check_out(out)  # before images are read to find groups: a refusal should not wait for that
    groups = grouped(data, pairs, config.data)
    with reporter.counted(len(pairs), "scoring") as progress:
        evaluation = evaluate(
            Segmenter.from_run(folder),
            pairs,
            config,
            out,
            known=set(folder.environment()["files"].values()),
            groups=groups,
            kinds=kinds,
            progress=progress,
        )
    tell(evaluation, write_report(evaluation, folder, out), as_json)


def tell(evaluation: "Evaluation", report: Path, as_json: bool) -> None:
    """Print what was found; exit code 1 if some images could not be scored."""
    from . import reporter

    if as_json:
        click.echo(json.dumps(evaluation.summary(), indent=2))
    else:
        if evaluation.seen:
            click.secho(f"warning: the model was trained on {evaluation.seen} of these images", fg="yellow", err=True)
        for line in lines(evaluation.summary()):
            click.echo(line)
        click.echo(f"{reporter.count(len(evaluation.rows), 'image', 'images')}; the report is {report}")
    for error in evaluation.failed.values():
        click.secho(f"FAILED: {error}", fg="red", err=True)
    if evaluation.failed:
        raise click.exceptions.Exit(1)


def grouped(data: Path, pairs: "Sequence[Pair]", config: "DataConfig") -> list[str] | None:
    """Return the group of each image, or None where groups are unknown."""
    from cryoseg_tf.data import find_groups
    from cryoseg_tf.errors import DataError, ImageError

    from . import reporter

    try:
        groups = find_groups(data, pairs, config)
    except (DataError, ImageError) as error:  # a table or pattern made for the training images; a damaged image
        reporter.console.print(f"groups unknown: {error}", soft_wrap=True, markup=False, style="yellow")
        return None
    if not groups.known:
        return None
    reporter.console.print(f"groups are taken from {groups.source}", soft_wrap=True, markup=False)
    return [groups.of[pair.name] for pair in pairs]


def lines(summary: dict[str, Any]) -> Iterator[str]:
    """Yield what there is to say of an evaluation, as from ``summary.json``."""
    for name, scores in summary["metrics"].items():
        yield f"{name:11} {interval(scores)}"
    for name, metrics in summary.get("classes", {}).items():
        yield f"{name}: dice {interval(metrics['dice'])}"
    for name, objects in summary["objects"]["classes"].items():
        yield f"{name} objects: {of_objects(objects)}"
        for kind, of_kind in objects["kinds"].items():
            share = interval({"mean": of_kind["recall"], "ci95": of_kind["ci95"]})
            yield f"  {kind}: {of_kind['found']} of {of_kind['objects']} found, {share}"
    yield of_groups(summary["groups"]["count"], summary["images"])


def of_objects(objects: dict[str, Any]) -> str:
    """Write how many objects were found and how many are false, recall beside precision."""
    recall, precision = interval(objects["recall"]), objects["precision"]
    false = f"{objects['false']} of {objects['predicted']} predicted are false"
    right = "not defined: none is predicted" if precision is None else f"{precision:.3f}"
    return f"{objects['found']} of {objects['truth']} found; {false}; recall {recall}; precision {right}"


def of_groups(count: int | None, images: int) -> str:
    """Say what the intervals draw."""
    from cryoseg_tf.evaluation.statistics import FEW

    if count is None:
        return f"groups: unknown; intervals draw the {images} images as if each were independent: rather too narrow"
    if count == 1:
        return f"groups: 1 ({images} images); no interval: one group says nothing of others"
    rough = ", of which there are few: rather too narrow" if count < FEW else ""
    return f"groups: {count} ({images} images); intervals draw whole groups{rough}"


def interval(scores: dict[str, Any]) -> str:
    """Write a mean with its interval, where it has them."""
    mean, (low, high) = scores["mean"], scores["ci95"]
    if mean is None:
        return "not defined: nothing to find and nothing found"
    return f"{mean:.3f}" + (f"  (95% interval {low:.3f} to {high:.3f})" if low is not None else "")
