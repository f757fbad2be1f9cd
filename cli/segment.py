"""``cryoseg-tf segment``"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options

if TYPE_CHECKING:
    from cryoseg_tf.segmentation.batch import Outcome


@click.command("segment")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path))
@options.output(help="The folder for masks, STEM.png each.")
@options.pixel_size
@options.data_bar
@options.overwrite
@options.threads
@options.as_json
def command(
    run: Path,
    images: tuple[Path, ...],
    out: Path,
    pixel_size: float | None,
    data_bar: int | None,
    overwrite: bool,
    threads: int | None,
    as_json: bool,
) -> None:
    """Segment IMAGES (files or folders) with the model of RUN.

    What is done already is skipped. Exit code 1 if some images could not be segmented.
    """
    from cryoseg_tf.run import Run

    from . import reporter

    Run(run).info  # noqa: B018 - a wrong path should not wait for TensorFlow
    reporter.start(threads)
    from cryoseg_tf.data.preprocess import EMPTY
    from cryoseg_tf.io.atomic import sha256
    from cryoseg_tf.segmentation import Segmenter, segment_files
    from cryoseg_tf.segmentation.batch import collect

    files = collect(images)
    segmenter = Segmenter.from_run(run)
    model = sha256(Run(run).model_file)
    outcomes = []
    data = options.resolve(None, options.about_images(pixel_size, data_bar)).data
    todo = segment_files(segmenter, files, out, model=model, data=data, overwrite=overwrite)
    for outcome in reporter.track(todo, len(files), "segmenting"):
        outcomes.append(outcome)
        if not as_json:
            click.echo(line(outcome))
    failed = sum(bool(o.error) for o in outcomes)
    if as_json:
        click.echo(json.dumps([as_dict(o) for o in outcomes], indent=2))
    else:
        skipped = sum(o.skipped for o in outcomes)
        empty = sum(o.status in EMPTY for o in outcomes)
        notes = {"done before": skipped, "empty, see above": empty, "failed": failed}
        click.echo(
            f"{len(outcomes) - failed} masks are in {out}" + "".join(f"; {n} {t}" for t, n in notes.items() if n)
        )
    if failed:
        raise click.exceptions.Exit(1)


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
        "foreground": outcome.foreground,
        "skipped": outcome.skipped,
        "error": outcome.error or None,
    }
