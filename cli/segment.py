"""``cryoseg-tf segment``"""

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cryoseg_tf.io import atomic

from . import options
from .sources import load_model, loader

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cryoseg_tf.segmentation.batch import Outcome
    from cryoseg_tf.segmentation.segmenter import Segmenter
    from cryoseg_tf.segmentation.work import Workforce

RUNTIMES = ("auto", "saved_model", "onnx", "tflite", "openvino", "tensorrt")
PRECISIONS = ("float32", "float16", "int8")


@click.command("segment")
@click.argument("source", metavar="RUN_OR_BUNDLE", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@options.output(help="The folder for masks, STEM.png each.")
@click.option(
    "--runtime",
    type=click.Choice(RUNTIMES),
    show_default="auto",
    help="What runs a bundle; auto: the fastest that is installed and passed verify on this machine.",
)
@click.option("--precision", type=click.Choice(PRECISIONS), show_default="float32", help="Of the network of a bundle.")
@click.option(
    "--uncertainty",
    is_flag=True,
    help="Write beside each mask how unsure the model is of each pixel, from 0 to 1: STEM.uncertainty.tif.",
)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Work in N processes on this machine; --threads is then for each.",
)
@click.option("--dask", metavar="ADDRESS", help="Work on a Dask cluster: its scheduler's address, or scheduler file.")
@options.pixel_size
@options.data_bar
@options.overwrite
@options.threads
@options.as_json
def command(
    source: Path,
    images: tuple[Path, ...],
    out: Path,
    runtime: str | None,
    precision: str | None,
    uncertainty: bool,
    workers: int | None,
    dask: str | None,
    pixel_size: float | None,
    data_bar: int | None,
    overwrite: bool,
    threads: int | None,
    as_json: bool,
) -> None:
    """Segment IMAGES (files or folders) with the model of a run or a bundle.

    What is done already is skipped. Exit code 1 if some images could not be segmented.
    """
    if workers and dask:
        raise click.UsageError("--workers and --dask exclude each other")
    from cryoseg_tf.segmentation.files import claim, collect

    from . import reporter

    # what would be refused should not wait for TensorFlow
    _look(source, out, runtime, precision)
    files = collect(images)
    claim(files, out, overwrite, uncertainty)
    reporter.load_tensorflow(threads)
    from cryoseg_tf.segmentation.batch import segment_files
    from cryoseg_tf.training.strategy import available_cores

    if workers:
        threads = threads or max(1, available_cores() // workers)
    of_source = (source, runtime or "auto", precision or "float32", threads)
    segmenter, model = load_model(*of_source)
    outcomes = []
    data = options.resolve(None, options.about_images(pixel_size, data_bar)).data
    with _workforce(segmenter, of_source, workers, dask) as workforce:
        todo = segment_files(workforce, files, out, model=model, data=data, overwrite=overwrite, unsure=uncertainty)
        for outcome in reporter.track(todo, len(files), "segmenting"):
            outcomes.append(outcome)
            if not as_json:
                click.echo(line(outcome))
    if as_json:
        click.echo(json.dumps([as_dict(o) for o in outcomes], indent=2))
    else:
        click.echo(summary(outcomes, out))
        if uncertainty and not all(outcome.error for outcome in outcomes):
            click.echo("The uncertainty of each pixel is beside each mask.")
    if any(outcome.error for outcome in outcomes):
        raise click.exceptions.Exit(1)


@contextmanager
def _workforce(
    segmenter: "Segmenter", of_source: tuple[Path, str, str, int | None], workers: int | None, dask: str | None
) -> "Iterator[Workforce]":
    from cryoseg_tf.segmentation import cluster
    from cryoseg_tf.segmentation.work import Here

    if not workers and not dask:
        yield Here(segmenter)
        return
    with cluster.local(workers) if workers else cluster.connected(dask or "") as client:
        yield cluster.OnDask(client, loader(*of_source), segmenter.contract)


def _look(source: Path, out: Path, runtime: str | None, precision: str | None) -> None:
    from cryoseg_tf.errors import DataError, ExportError, RunError
    from cryoseg_tf.exports.bundle import Bundle, is_bundle
    from cryoseg_tf.run import Run

    if inside := next(filter(is_bundle, (out.resolve(), *out.resolve().parents)), None):
        raise DataError(f"{inside} is a bundle: choose another --out for masks")
    atomic.check_writable(out)
    if is_bundle(source):
        bundle = Bundle.open(source)
        if runtime in RUNTIMES[1:]:
            bundle.file(runtime, precision or "float32")
        return
    if not Run(source).exists:
        folder = "it holds no run.json and no manifest.json"
        why = folder if source.is_dir() else "it is a file" if source.exists() else "it does not exist"
        raise RunError(f"{source} is neither a run nor a bundle: {why}")
    _ = Run(source).info
    asked = [f"--{name}" for name, value in {"runtime": runtime, "precision": precision}.items() if value]
    if asked:
        raise ExportError(
            f"{source} is a run, which runs in Keras: {' and '.join(asked)} can be asked of a bundle only"
        )


def summary(outcomes: "Sequence[Outcome]", out: Path) -> str:
    """Say in a line what became of all images."""
    from cryoseg_tf.data.preprocess import EMPTY

    from .reporter import count

    failed = sum(bool(outcome.error) for outcome in outcomes)
    notes = {
        "done before": sum(outcome.skipped for outcome in outcomes),
        "empty, see above": sum(outcome.status in EMPTY for outcome in outcomes),
        "failed": failed,
    }
    made = len(outcomes) - failed
    done = count(made, "mask is", "masks are") + f" in {out}" if made else "there is no mask"
    return done + "".join(f"; {number} {what}" for what, number in notes.items() if number)


def line(outcome: "Outcome") -> str:
    """Say in a line what became of an image."""
    from cryoseg_tf.data.preprocess import Status

    if outcome.error or outcome.status is None:
        return f"FAILED: {outcome.error}"
    note = "" if outcome.status == Status.OK else f"  ({outcome.status.name.lower().replace('_', ' ')})"
    note += "  done before" * outcome.skipped
    return f"{outcome.image} -> {outcome.mask}  {outcome.foreground:.1%} foreground{note}"


def as_dict(outcome: "Outcome") -> dict[str, object]:
    """Return an outcome as JSON has it."""
    return {
        "image": str(outcome.image),
        "mask": str(outcome.mask) if outcome.mask else None,
        "status": None if outcome.status is None else int(outcome.status),
        "foreground": None if outcome.error else outcome.foreground,
        "skipped": outcome.skipped,
        "error": outcome.error or None,
    }
