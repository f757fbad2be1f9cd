"""``cryoseg-tf evaluate``"""

import json
from pathlib import Path
from typing import Any

import click

from . import options


@click.command("evaluate")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("data", type=options.DATA)
@options.output(help="The folder for report.html, scores.csv and summary.json.")
@options.pixel_size
@options.data_bar
@options.instances
@options.threads
@options.as_json
def command(
    run: Path,
    data: Path,
    out: Path,
    pixel_size: float | None,
    data_bar: int | None,
    instances: bool,
    threads: int | None,
    as_json: bool,
) -> None:
    """Score the model of RUN on the annotated micrographs in DATA (in DATA/test, if there is one)."""
    from cryoseg_tf.run import Run

    from . import reporter

    folder = Run(run)
    # what was said of the images to train on need not hold for these
    config = folder.config.replace({"data.image_pixel_size": pixel_size, "data.data_bar": data_bar})
    config = config.replace({"data.instances": True} if instances else {})
    reporter.start(threads)
    from cryoseg_tf.data import find_pairs
    from cryoseg_tf.data.labels import for_scoring
    from cryoseg_tf.evaluation import evaluate, write_report
    from cryoseg_tf.segmentation import Segmenter

    config = for_scoring(config, data)
    pairs = find_pairs(data, "test")
    with reporter.counted(len(pairs), "scoring") as progress:
        evaluation = evaluate(
            Segmenter.from_run(folder),
            pairs,
            config,
            out,
            known=set(folder.environment()["files"].values()),
            progress=progress,
        )
    report = write_report(evaluation, folder, out)
    summary = evaluation.summary()
    if as_json:
        click.echo(json.dumps(summary, indent=2))
        return
    if evaluation.seen:
        click.secho(f"warning: the model was trained on {evaluation.seen} of these images", fg="yellow", err=True)
    for name, scores in summary["metrics"].items():
        click.echo(f"{name:9} {interval(scores)}")
    for name, metrics in summary.get("classes", {}).items():
        click.echo(f"{name}: dice {interval(metrics['dice'])}")
    click.echo(f"{summary['images']} images; the report is {report}")


def interval(scores: dict[str, Any]) -> str:
    """Write a mean with its interval, where it has them."""
    mean, (low, high) = scores["mean"], scores["ci95"]
    if mean is None:
        return "not defined: nothing to find and nothing found"
    return f"{mean:.3f}" + (f"  (95% interval {low:.3f} to {high:.3f})" if low is not None else "")
