"""``cryoseg-tf demo``"""

import shlex
import time
from collections.abc import Callable
from pathlib import Path

import click

from . import options

MARK = ".cryoseg-demo"
MINUTES = 2.5


@click.command("demo")
@click.option("--out", default="demo", show_default=True, type=click.Path(path_type=Path), help="The folder to write.")
@click.option("--minutes", default=MINUTES, show_default=True, type=options.POSITIVE, help="Time for training.")
@options.threads
@click.pass_context
def command(context: click.Context, out: Path, minutes: float, threads: int | None) -> None:
    """Run everything once on a phantom, in about four minutes on two cores.

    Makes synthetic micrographs, checks them, trains, scores on unseen images, segments, exports,
    proves that the export answers as the model does, and writes a report. Each step prints the
    command that does the same for your own images.
    """
    prepare(out)
    started = time.monotonic()
    data, run, masks, bundle, report = (out / n for n in ("data", "run", "masks", "model.cryoseg", "report"))
    images = data / "test" / "images"
    fit = ["--minutes", f"{minutes:g}", *(["--threads", str(threads)] if threads else [])]
    steps: list[tuple[str, float, list[str]]] = [
        ("make a phantom: synthetic micrographs with exact masks", 5,
         ["phantom", str(data), "--images", "24", "--test", "8", "--size", "256", "--pixel-size", "200",
          "--classes", "cell"]),
        ("check the annotated images", 2, ["check", str(data)]),
        ("train a U-Net", minutes * 60 + 5, ["fit", str(data), "--out", str(run), *fit]),
        ("score it on images that it never saw", 12, ["evaluate", str(run), str(data), "--out", str(report)]),
        ("segment", 5, ["segment", str(run), str(images), "--out", str(masks)]),
        ("export: raw image in, masks out", 40,
         ["export", str(run), "--to", "saved_model,onnx", "--out", str(bundle)]),
        ("prove that it answers as the model does", 15, ["verify", str(bundle)]),
    ]  # fmt: skip
    left, failed = sum(seconds for _, seconds, _ in steps), False
    for number, (what, seconds, words) in enumerate(steps, 1):
        announce(f"{number}/{len(steps)} {what}", left)
        click.secho(f"$ cryoseg-tf {shlex.join(words)}", dim=True)
        failed = subcommand(context, words) or failed
        left -= seconds
    summarise(report, time.monotonic() - started)
    if failed:
        raise click.exceptions.Exit(1)


def prepare(out: Path) -> None:
    """Make the folder; an earlier demo's is emptied, anybody else's refused."""
    from cryoseg_tf.errors import DataError
    from cryoseg_tf.io import atomic

    if out.exists() and not (out / MARK).is_file():
        raise DataError(f"{out} exists and is not an earlier demo: choose another --out")
    atomic.remove(out)
    out.mkdir(parents=True)
    (out / MARK).touch()


def announce(what: str, seconds: float) -> None:
    """Print a heading with the time that is left."""
    from . import reporter

    click.secho(f"\n{what}  (about {reporter.clock(seconds)} to go)", bold=True)


def subcommand(context: click.Context, words: list[str]) -> bool:
    """Run a command of the group as a user would; return whether it found a problem."""
    group = context.find_root().command
    get: Callable[[click.Context, str], click.Command | None] = group.get_command  # type: ignore[attr-defined]
    found = get(context, words[0])
    return bool(found and found.main(words[1:], prog_name=f"cryoseg-tf {words[0]}", standalone_mode=False))


def summarise(report: Path, seconds: float) -> None:
    """Print the scores and where to look."""
    import json

    from . import reporter
    from .evaluate import interval

    metrics = json.loads((report / "summary.json").read_text("utf-8"))["metrics"]
    click.secho(f"\nDone in {reporter.clock(seconds)}. On unseen images:", bold=True)
    for name, label in (("dice", "Dice"), ("iou", "IoU"), ("recall", "recall"), ("precision", "precision")):
        click.echo(f"  {label:9} {interval(metrics[name])}")
    click.echo(f"Open {(report / 'report.html').resolve()}")
