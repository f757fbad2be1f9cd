"""``cryoseg-tf verify``"""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import options

if TYPE_CHECKING:
    from cryoseg_tf.exports import Bundle
    from cryoseg_tf.exports.verify import Check

WIDTH = 150
"""Columns of the table where there is no terminal."""


@click.command("verify")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--runtime", "runtimes", multiple=True, metavar="NAME", help="Check this one alone, e.g. onnx. Repeatable."
)
@options.threads
@options.as_json
def command(bundle: Path, runtimes: tuple[str, ...], threads: int | None, as_json: bool) -> None:
    """Prove that BUNDLE answers on this machine as the trained model did.

    Hashes every file, then segments the golden images in every format that a runtime is installed
    for, or with each --runtime. Exit code 1 if something is wrong with these, or could not be tried.
    """
    from cryoseg_tf.exports import Bundle

    from . import reporter

    opened = Bundle.open(bundle)  # a wrong path should not wait for TensorFlow
    reporter.load_tensorflow(threads)
    checks = watched(opened, runtimes, threads)
    if as_json:
        click.echo(json.dumps(as_plain(opened, checks, runtimes), indent=2))
    else:
        show(opened, checks, runtimes)
    if not passed(checks, runtimes):
        raise click.exceptions.Exit(1)


def watched(bundle: "Bundle", runtimes: Sequence[str] = (), threads: int | None = None) -> "list[Check]":
    """Verify a bundle, showing progress."""
    from cryoseg_tf.exports.verify import verify

    from . import reporter

    with reporter.counted(1, "verifying") as progress:
        return verify(bundle, runtimes, threads, progress)


def passed(checks: "Sequence[Check]", asked: Sequence[str] = ()) -> bool:
    """Whether nothing is wrong, and something was tried: every runtime that was asked for by name."""
    return all(check.passed for check in checks) and bool(ran(checks)) and not untried(checks, asked)


def ran(checks: "Sequence[Check]") -> "list[Check]":
    """Return the checks that ran something."""
    return [check for check in checks if check.runtime and not check.skipped]


def untried(checks: "Sequence[Check]", asked: Sequence[str]) -> list[str]:
    """Return the runtimes among those asked for that nothing was run in."""
    tried = {check.runtime for check in ran(checks)}
    return [name for name in dict.fromkeys(asked) if name not in tried]


def as_plain(bundle: "Bundle", checks: "Sequence[Check]", asked: Sequence[str]) -> dict[str, Any]:
    """Return everything that was found, as JSON has it."""
    import dataclasses

    from cryoseg_tf.exports.machine import machine

    return {
        "bundle": str(bundle.path),
        "passed": passed(checks, asked),
        "conclusion": conclusion(bundle, checks, asked),
        "not_checked": list(unchecked(bundle, checks)),
        "tolerances": bundle.manifest.tolerances.model_dump(mode="json"),
        "machine": machine(),
        "checks": [dataclasses.asdict(check) for check in checks],
    }


def show(bundle: "Bundle", checks: "Sequence[Check]", asked: Sequence[str]) -> None:
    """Print what is wrong with files, the table, what was not checked, and what was proved."""
    from rich.console import Console

    for check in checks:
        if not check.runtime:
            colour = "yellow" if check.skipped else None if check.passed else "red"
            click.secho(f"{check.artefact}: {check.reason}", fg=colour)
    console = Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    console.print(table([check for check in checks if check.runtime]))
    click.echo("Not checked: " + "; ".join(unchecked(bundle, checks)) + ".")
    click.secho(conclusion(bundle, checks, asked), fg="green" if passed(checks, asked) else "red", bold=True)


def table(checks: "Sequence[Check]") -> Any:
    """Return a table with a row for each check."""
    from rich.table import Table
    from rich.text import Text

    result = Table()
    for name in ("runtime", "precision", "artefact"):
        result.add_column(name, no_wrap=True)
    for name in ("max |dp|", "pixels", "Dice", "objects", "s/MP"):
        result.add_column(name, no_wrap=True, justify="right")
    result.add_column("result", overflow="fold")
    last = ""
    for check in checks:
        name = f"{check.runtime} {check.version}".strip()
        if name != last:
            result.add_section()
        result.add_row("" if name == last else name, *cells(check), Text(*outcome(check)))
        last = name
    return result


def cells(check: "Check") -> list[str]:
    """Return what was measured, as text."""
    objects = check.objects
    return [
        check.precision,
        check.artefact,
        "" if check.max_difference is None else f"{check.max_difference:.1e}",
        "" if check.differing_pixels is None else str(check.differing_pixels),
        "" if check.dice is None else f"{min(check.dice.values()):.4f}",
        "" if objects is None else f"{objects.found}/{objects.golden}" + (f" +{objects.extra}" * bool(objects.extra)),
        "" if check.seconds_per_megapixel is None else f"{check.seconds_per_megapixel:.2f}",
    ]


def outcome(check: "Check") -> tuple[str, str]:
    """Return the result of a check, and its colour."""
    if check.skipped:
        return check.reason, "yellow"
    return ("passed", "green") if check.passed else (f"FAILED: {check.reason}", "red")


def conclusion(bundle: "Bundle", checks: "Sequence[Check]", asked: Sequence[str] = ()) -> str:
    """Say in a sentence or two what was proved of the runtimes asked for, or of all."""
    from cryoseg_tf.exports.integrity import CLOSED

    flaws = [check.reason for check in checks if not check.runtime and not check.passed]
    if not all(flaw.startswith(CLOSED) for flaw in flaws):
        return f"{bundle.path} is not what was exported: copy it again, or export it again."
    if not ran(checks):
        names = dict.fromkeys(check.runtime for check in checks if check.runtime)
        return f"Nothing was proved: {', '.join(names)} cannot be used here."
    sentences = [proof(bundle, checks)]
    if missing := untried(checks, asked):
        sentences.append(f"Not proved: {', '.join(missing)}.")
    if flaws:
        sentences.append("Some files may not be read, so nothing is said of them.")
    return " ".join(sentences)


def proof(bundle: "Bundle", checks: "Sequence[Check]") -> str:
    """Say in one sentence what was proved, where files are whole and something was run."""
    good, bad = ways(checks, True), ways(checks, False)
    if bad:
        return f"Proved on this machine: {good or 'nothing'}. Do not use here: {bad}."
    tolerances = bundle.manifest.tolerances
    rules = {
        "float32": f"in float32 within {tolerances.probability:.2g}",
        "float16": f"in float16 with a Dice of at least {tolerances.dice:g} and the same objects",
        "int8": f"in int8 with a Dice of at least {tolerances.dice:g} and the same objects",
    }
    used = {check.precision for check in ran(checks)}
    how = ", ".join(rule for precision, rule in rules.items() if precision in used)
    images = f"{len(bundle.manifest.golden)} golden images"
    return f"Proved on this machine: {good} answer as the trained model did on {images}, {how}."


def ways(checks: "Sequence[Check]", good: bool) -> str:
    """Name the runtimes and precisions whose checks all passed, or those where one failed."""
    keys = dict.fromkeys((check.runtime, check.version, check.precision) for check in ran(checks))
    bad = {(check.runtime, check.version, check.precision) for check in ran(checks) if not check.passed}
    found: dict[str, list[str]] = {}
    for key in keys:
        if (key not in bad) == good:
            found.setdefault(f"{key[0]} {key[1]}", []).append(key[2])
    return ", ".join(f"{name} ({', '.join(precisions)})" for name, precisions in found.items())


def unchecked(bundle: "Bundle", checks: "Sequence[Check]") -> Iterator[str]:
    """Yield what no check says anything of."""
    from cryoseg_tf.exports.bundle import MANIFEST
    from cryoseg_tf.io.atomic import sha256

    manifest = bundle.manifest
    tried = {check.runtime for check in ran(checks)}
    for name in manifest.formats:
        if name not in tried:
            yield f"{name} ({next((c.reason for c in checks if c.runtime == name), 'not asked for')})"
    if manifest.provenance.unseen:
        yield f"{', '.join(manifest.provenance.unseen)}, which no golden image shows"
    yield "images larger than the golden ones, except that tiles change nothing"
    yield "statistics and resample on their own"
    yield f"{MANIFEST} itself, whose SHA-256 is {sha256(bundle.path / MANIFEST)}"
    yield "whether the model is right: that is for evaluate to say"
