"""``cryoseg-tf bench``"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cryoseg_tf.io import atomic

from . import options
from .segment import PRECISIONS, RUNTIMES

if TYPE_CHECKING:
    from rich.table import Table

    from cryoseg_tf.exports.bench_images import Picture
    from cryoseg_tf.exports.bench_rows import Row, Verdict

STEPS = ("read", "statistics", "network", "write", "other")

WIDTH = 150
"""Columns that the table takes; a narrower terminal breaks its lines."""


class _Size(click.ParamType[tuple[int, int]]):
    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        width, _, height = str(value).lower().partition("x")
        if not (width.isdigit() and height.isdigit() and min(int(width), int(height)) >= 16):
            self.fail(f"{value!r} is not width x height of at least 16 pixels: write it as 1536x1024", param, ctx)
        return int(width), int(height)


def _names(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for value in values for name in value.split(",") if name.strip()))


def _counts(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[int, ...]:
    names = _names(ctx, param, values)
    for name in names:
        if not name.isdigit() or int(name) < 1:
            raise click.BadParameter(f"{name!r} is not a whole number above 0: write them as 1,2,4")
    return tuple(int(name) for name in names)


def _table_file(ctx: click.Context, param: click.Parameter, path: Path | None) -> Path | None:
    if path and path.suffix.lower() != ".csv":  # so that a slip never replaces an image
        raise click.BadParameter(f"{path} is not named as a table: end it in .csv")
    return path


@click.command("bench")
@click.argument("bundle", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("images", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--runtime",
    "runtimes",
    multiple=True,
    metavar="NAME",
    callback=_names,
    help=f"What to measure: {', '.join(RUNTIMES[1:])}. Repeatable. [default: all that BUNDLE is for]",
)
@click.option(
    "--precision",
    "precisions",
    multiple=True,
    metavar="NAME",
    callback=_names,
    help=f"Of the network: {', '.join(PRECISIONS)}. Repeatable. [default: all that BUNDLE holds]",
)
@click.option(
    "--threads",
    multiple=True,
    metavar="N1,N2",
    callback=_counts,
    help="Processor threads to compute with, one number or more. [default: one per core]",
)
@click.option(
    "--size", type=_Size(), default="1536x1024", show_default=True, help="Of the image that is made, without IMAGES."
)
@click.option(
    "--repeats",
    type=click.IntRange(min=1),
    help="Images that each combination segments. [default: 20, or all IMAGES if they are more]",
)
@click.option("--seconds", type=options.POSITIVE, metavar="S", help="Measure each combination for so long, at most.")
@click.option(
    "--budget-ms",
    type=options.POSITIVE,
    metavar="MS",
    help="A gate: exit code 1 unless p95 of the best combination is at most this; with --runtime, p95 of the best "
    "one of each runtime named.",
)
@options.pixel_size
@options.data_bar
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.csv",
    callback=_table_file,
    help="Write every single time as a table.",
)
@options.overwrite
@options.as_json
def command(
    bundle: Path,
    images: tuple[Path, ...],
    runtimes: tuple[str, ...],
    precisions: tuple[str, ...],
    threads: tuple[int, ...],
    out: Path | None,
    budget_ms: float | None,
    overwrite: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Measure on this machine how long BUNDLE takes from an image's file to its mask on disk.

    IMAGES are files or folders; without any, one is made of the bundle's golden images. Each
    combination of runtime, precision and threads has a process of its own; they take turns, so that a
    machine that is now faster, now slower is so for all of them. One that cannot run here is named
    with its reason. Masks go to a temporary folder and are removed.

    Exit code 1 if the budget is not met, or nothing could be measured.
    """
    from cryoseg_tf.exports import Bundle
    from cryoseg_tf.segmentation.files import collect

    from . import reporter

    _check_free(out, overwrite)
    opened = Bundle.open(bundle)  # a wrong path should not wait for TensorFlow
    files = collect(images)
    reporter.load_tensorflow()
    from cryoseg_tf.exports.bench import Plan, bench, combinations
    from cryoseg_tf.exports.bench_rows import judge, times_csv
    from cryoseg_tf.io.atomic import write_text

    plan = Plan(combinations(opened, runtimes, precisions, threads), files, **settings)
    with reporter.counted(plan.total, "measuring") as progress:
        rows, pictures = bench(opened, plan, progress)
    verdicts = judge(rows, budget_ms, runtimes) if budget_ms else []
    nothing = all(row.error for row in rows)
    if out and any(row.turns for row in rows):
        write_text(out, times_csv(rows))
    if as_json:
        click.echo(json.dumps(as_plain(bundle, rows, pictures, verdicts, budget_ms), indent=2))
    else:
        show(rows, pictures, verdicts, budget_ms)
    if nothing or not all(verdict.met for verdict in verdicts):
        raise click.exceptions.Exit(1)


def show(rows: "list[Row]", pictures: "list[Picture]", verdicts: "list[Verdict]", budget: float | None) -> None:
    """Print what was measured with, a table from fast to slow, what could not be measured, and the verdicts."""
    from rich.console import Console

    from cryoseg_tf.exports.machine import machine

    known = machine()
    click.echo(of_pictures(pictures))
    click.echo(f"on {known['processor']}, {known['cores']} cores{', '.join(['', *known['graphics_cards']])}")
    measured = sorted((row for row in rows if not row.error), key=lambda row: row.milliseconds()["p50"])
    if measured:
        Console(highlight=False, width=WIDTH).print(table(measured, known["cores"]))
        few = min(len(row.turns) for row in measured)
        late = "; among so few, p99 is little else than the slowest" if few < 100 else ""
        click.echo(
            f"p50, p95, p99 of {few} runs or more, after the first{late}. Memory: the whole process at its peak."
        )
        click.echo("start: Python and TensorFlow; load: runtime and model; first: the first image. Steps: p50 of each.")
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if row.error:
            reasons.setdefault(row.error, []).append(str(row.combination))
    for reason, combinations in reasons.items():
        click.secho(f"not measured: {', '.join(combinations)}: {reason}", fg="yellow")
    for verdict in verdicts:
        click.secho(of_verdict(verdict, budget or 0.0), fg="green" if verdict.met else "red", bold=True)


def table(rows: "list[Row]", cores: int) -> "Table":
    """Return the rows, from fast to slow, as a table; times in ms."""
    from rich import box
    from rich.table import Table

    result = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("runtime", "precision"):
        result.add_column(name, no_wrap=True)
    for name in ("threads", "p50 ms", "p95", "p99", "", *STEPS, "memory", "start s", "load s", "first s"):
        result.add_column(name, justify="right", no_wrap=True)
    fastest = rows[0].milliseconds()["p50"]
    for row in rows:
        name, precision, threads = row.combination
        times = row.milliseconds()
        slower = times["p50"] / fastest
        result.add_row(
            name,
            precision,
            str(threads or cores),
            *(f"{times[p]:.0f}" for p in ("p50", "p95", "p99")),
            "fastest" if row is rows[0] else f"{slower:.2f}x",
            *(f"{row.milliseconds(step)['p50']:.1f}" for step in STEPS),
            f"{row.peak / 2**20:.0f} MiB",
            *(f"{seconds:.2f}" for seconds in (row.start, row.load, row.first)),
            style="bold" if row is rows[0] else "",
        )
    return result


def of_pictures(pictures: "list[Picture]") -> str:
    """Say what was measured with."""
    sizes = sorted({f"{p.width}x{p.height} {p.dtype}" for p in pictures})
    shown = ", ".join(sizes[:3]) + (" ..." if len(sizes) > 3 else "")
    if pictures[0].made:
        return f"measured with an image made of the bundle's golden ones, mirrored at their edges: {shown}"
    return f"measured with {len(pictures)} image{'s' * (len(pictures) > 1)}: {shown}"


def of_verdict(verdict: "Verdict", budget: float) -> str:
    """Say whether a budget is met, and by what."""
    if verdict.best is None:
        why = f"{verdict.runtime} could not be measured" if verdict.runtime else "nothing could be measured"
        return f"budget of {budget:g} ms NOT met: {why}"
    met = "met" if verdict.met else "NOT met"
    p95 = verdict.best.milliseconds()["p95"]
    return f"budget of {budget:g} ms {met}: p95 of {verdict.best.combination} is {p95:.0f} ms"


def as_plain(
    bundle: Path, rows: "list[Row]", pictures: "list[Picture]", verdicts: "list[Verdict]", budget: float | None
) -> dict[str, Any]:
    """Return everything that was found; times in ms."""
    from cryoseg_tf.exports.machine import machine

    met = all(verdict.met for verdict in verdicts)
    return {
        "bundle": str(bundle),
        "machine": machine(),
        "images": [picture.facts() for picture in pictures],
        "rows": [row.facts() for row in rows],
        "budget": {"ms": budget, "met": met, "verdicts": [v.facts() for v in verdicts]} if budget else None,
    }


def _check_free(out: Path | None, overwrite: bool) -> None:
    if out and out.exists() and not overwrite:
        raise click.UsageError(f"{out} exists: choose another --out, or --overwrite")
    if out:
        atomic.check_writable(out.parent)  # before all is measured
