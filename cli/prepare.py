"""``cryoseg-tf prepare``"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import options

if TYPE_CHECKING:
    from cryoseg_tf.exports.tensorrt import Engine

PRECISIONS = ("float16", "float32", "int8")


@click.command("prepare")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--precision", type=click.Choice(PRECISIONS), default="float16", show_default=True, help="Of the network."
)
@click.option(
    "--batch",
    type=click.IntRange(1, 64),
    help="Tiles that go through at once: more need more memory. [default: as the bundle's recipe says]",
)
@click.option(
    "--compute-capability",
    metavar="A,B",
    default="",
    help="Build for GPUs of these, as 8.9,12.0, and not for the one that is here; needs TensorRT RTX and no GPU.",
)
@click.option("--force", is_flag=True, help="Build also what was built before.")
@options.threads
@options.as_json
def command(
    bundle: Path,
    precision: str,
    batch: int | None,
    compute_capability: str,
    force: bool,
    threads: int | None,
    as_json: bool,
) -> None:
    """Build BUNDLE's engine for the NVIDIA GPU that is here, once.

    It is kept in your cache folder, from where 'segment --runtime tensorrt' takes it.
    """
    from cryoseg_tf.exports import Bundle

    from . import reporter

    opened = Bundle.open(bundle)  # a wrong path should not wait for TensorFlow
    reporter.load_tensorflow(threads)
    from cryoseg_tf.exports.tensorrt import Options, prepare

    wanted = Options(
        precision=precision,
        batch=batch,
        compute_capability=tuple(name.strip() for name in compute_capability.split(",") if name.strip()),
        force=force,
        threads=threads,
    )
    engines = prepare(opened, wanted)
    if as_json:
        click.echo(json.dumps([about(engine, precision) for engine in engines], indent=2, ensure_ascii=False))
        return
    for engine in engines:
        click.echo(line(engine, precision))


def about(engine: "Engine", precision: str) -> dict[str, object]:
    """Return what is known of an engine as JSON has it."""
    known = {"engine": str(engine.path), "precision": precision, "cached": engine.cached}
    return {**known, "bytes": engine.path.stat().st_size, **engine.facts.model_dump(mode="json")}


def line(engine: "Engine", precision: str) -> str:
    """Say what was built, how, and where it is."""
    facts = engine.facts
    how = "built before" if engine.cached else f"built in {facts.seconds:.1f} s"
    size = "x".join(map(str, facts.profile.maximum[:3]))
    return (
        f"{facts.target}, {precision}: {how} with {facts.builder}, for up to {size} pixels; "
        f"each of {facts.nodes} nodes is supported, {facts.layers} layers: {engine.path}"
    )
