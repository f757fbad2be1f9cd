"""``cryoseg-tf tune``"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import options

if TYPE_CHECKING:
    from cryoseg_tf.training.tuning_result import Progress, Record, TuningResult

METHODS = ("bayesian", "random", "grid", "hyperband")


def _address(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    port = re.fullmatch(r"[^\s/]+:(\d{1,5})", value or "host:1")
    if not port or not 0 < int(port[1]) < 2**16:
        raise click.BadParameter(f"{value!r} is not HOST:PORT, as node7:5000")
    return value


def _names(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> list[str]:
    return [name for value in values for name in re.split(r"[\s,]+", value) if name]


@click.command("tune")
@click.argument("data", type=options.DATA)
@options.output(help="The folder for trials.csv, best.yaml and tuning.html; a search that is there goes on.")
@options.recipe
@click.option(
    "--space",
    "space_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What to search, as YAML. [default: what the thesis searched]",
)
@click.option(
    "--vary", multiple=True, metavar="NAME", callback=_names, help="Search this too, which the space has as optional."
)
@click.option("--method", type=click.Choice(METHODS), default="bayesian", show_default=True)
@click.option(
    "--trials", type=click.IntRange(min=1), metavar="N", help="At most. [default: 30; hyperband: as many as it makes]"
)
@click.option("--minutes", type=options.POSITIVE, metavar="M", help="For all trials together; the last one is cut.")
@click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Make N trials at once, on this machine.")
@click.option(
    "--chief", metavar="HOST:PORT", callback=_address, help="Where the chief waits for workers from other machines."
)
@click.option("--worker", is_flag=True, help="Be one of them: make trials for the chief, into the same --out.")
@options.overwrite
@options.threads
@options.as_json
def command(
    data: Path,
    out: Path,
    recipe: options.Recipe,
    space_file: Path | None,
    vary: list[str],
    method: str,
    trials: int | None,
    minutes: float | None,
    workers: int | None,
    chief: str | None,
    worker: bool,
    overwrite: bool,
    threads: int | None,
    as_json: bool,
) -> None:
    """Search for better settings on the annotated micrographs in DATA (in DATA/train, if there is one).

    Each trial trains a network in a process of its own and is scored by the Dice of its validation masks. What --set
    sets is not searched. The same command goes on with a search that was interrupted.
    """
    from cryoseg_tf.data import find_pairs

    from . import reporter

    if worker:
        _work(out, chief, threads)
        return
    config = recipe.config()
    find_pairs(data, "train")  # a wrong path should not wait for TensorFlow
    reporter.load_tensorflow(threads)
    from cryoseg_tf.training.space import SPACES, Space
    from cryoseg_tf.training.task import Task
    from cryoseg_tf.training.tuning import Place, claim, leave_gpu, tune

    from .fit import divide

    leave_gpu()
    held = {name for name, value in recipe.settings.items() if value is not None}
    space = Space.load(space_file or SPACES / "thesis.yaml").chosen(vary, held)
    # before images are read to find groups: a refusal should not wait for that
    space.check(config)
    claim(out)
    config, divided = divide(data, config)
    task = Task(config, space, divided, method, trials, minutes)
    try:
        with _progress(workers or 1) as progress:
            result = tune(task, out, Place(workers or 0, chief, threads), overwrite=overwrite, progress=progress)
    except KeyboardInterrupt:
        click.echo(f"stopped; the same command goes on with {out}", err=True)
        raise click.exceptions.Exit(130) from None
    from cryoseg_tf.evaluation.tuning_page import write_page

    page = write_page(result)
    if as_json:
        click.echo(json.dumps(_summary(result), indent=2))
        return
    for line in _lines(result):
        click.echo(line)
    click.echo(f"fit --config {out / 'best.yaml'} trains with its settings; all trials are in {page}")


def _lines(result: "TuningResult") -> Iterator[str]:
    best = result.best
    for name, value in best.values.items():
        yield f"{name:30} {value:g}" if isinstance(value, float) else f"{name:30} {value}"
    note = "" if best.status == "done" else "; it was cut, as all were"
    yield f"validation Dice {best.score:.3f}, trial {best.number} of {len(result.records)}{note}"


def _work(out: Path, chief: str | None, threads: int | None) -> None:
    from . import reporter

    if chief is None:
        raise click.UsageError("--worker needs --chief HOST:PORT, to know where the chief waits")
    reporter.load_tensorflow(threads)
    from cryoseg_tf.training.worker import work

    made = work(out, chief, threads)
    click.echo(f"made {reporter.count(made, 'trial', 'trials')}; there are no more")


@contextmanager
def _progress(workers: int) -> "Iterator[Progress]":
    """Yield a function that says how trials went, how far the search is, and when it will end; and writes the page."""
    from cryoseg_tf.evaluation.tuning_page import write_page

    from . import reporter

    said: set[str] | None = None
    with reporter.bar() as bar:
        task = bar.add_task("trials", total=None)

        def show(result: "TuningResult") -> None:
            nonlocal said
            bar.update(task, total=result.total, completed=len(result.ended))
            if said is None and result.ended:
                reporter.console.print(f"going on: {len(result.ended)} of {result.total} trials were made before")
            for record in result.ended:
                if said is not None and record.number not in said:
                    reporter.console.print(_line(record, result, workers), soft_wrap=True, markup=False)
            said = {record.number for record in result.ended}
            write_page(result)

        yield show


def _line(record: "Record", result: "TuningResult", workers: int) -> str:
    """Say how a trial went, and how far the search is."""
    from . import reporter

    score = record.status if record.score is None else f"Dice {record.score:.3f}"
    why = f" ({record.reason})" if record.reason else ""
    scored = any(other.score is not None for other in result.ended)
    best = f"; best {result.best.score:.3f}, trial {result.best.number}" if scored else ""
    far = f"{len(result.ended)} of {result.total}, ETA {reporter.clock(_left(result, workers))}"
    return f"trial {record.number}: {score} in {reporter.clock(record.seconds)}{why}{best}; {far}"


def _left(result: "TuningResult", workers: int) -> float:
    """Return the seconds that the rest will take, if trials take as long as before, so many at once."""
    mean = sum(record.seconds for record in result.ended) / len(result.ended)
    at_once = max(workers, sum(record.status == "running" for record in result.records))
    rest = mean * (result.total - len(result.ended)) / at_once
    minutes = result.task.minutes
    return rest if minutes is None else max(0.0, min(rest, minutes * 60 - result.seconds))


def _summary(result: "TuningResult") -> dict[str, Any]:
    best = result.best
    return {
        "best": {"trial": best.number, "dice": best.score, "status": best.status, "settings": best.values},
        "trials": {status: sum(r.status == status for r in result.records) for status in ("done", "cut", "failed")},
        "minutes": round(sum(record.seconds for record in result.records) / 60, 3),
    }
