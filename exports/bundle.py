"""The bundle: a folder with a manifest and one artefact per format."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryoseg_tf import __version__
from cryoseg_tf.config import Branch, Contract
from cryoseg_tf.errors import ExportError
from cryoseg_tf.io import atomic
from cryoseg_tf.run import Run

from .saved_model import export_saved_model

SCHEMA = 1
FORMATS: dict[str, Callable[[Run, Path], None]] = {"saved_model": export_saved_model}


class Manifest(Branch):
    """The content of ``manifest.json``: how to use the model, and what each file should hash to."""

    schema_version: int = SCHEMA
    created_by: str = f"cryoseg-tf {__version__}"
    formats: tuple[str, ...]
    contract: Contract
    stride: int
    model: str
    files: dict[str, str]


@dataclass(frozen=True)
class Bundle:
    """An exported folder and its manifest."""

    path: Path
    manifest: Manifest


def export(run: Run | Path | str, formats: Sequence[str], destination: Path | str, overwrite: bool = False) -> Bundle:
    """Write a run's model in each format, with a manifest; all at once, or nothing.

    Args:
        run: A run with a model.
        formats: Names from ``FORMATS``.
        destination: The folder to make, ``NAME.cryoseg`` by custom.
        overwrite: Replace an earlier bundle there.

    Raises:
        ExportError: If a format is unknown, or the destination is there already or no bundle.
        RunError: If the run has no usable model.
    """
    run = run if isinstance(run, Run) else Run(run)
    destination = Path(destination)
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise ExportError(f"format {unknown[0] if unknown else ''!r} is not known: choose from {', '.join(FORMATS)}")
    _check_free(destination, overwrite)
    with atomic.written(destination) as part:
        part.mkdir()
        for name in dict.fromkeys(formats):
            FORMATS[name](run, part / name)
        files = {p.relative_to(part).as_posix(): atomic.sha256(p) for p in sorted(part.rglob("*")) if p.is_file()}
        manifest = Manifest(
            formats=tuple(dict.fromkeys(formats)),
            contract=run.contract,
            stride=run.config.model.stride,
            model=atomic.sha256(run.model_file),
            files=files,
        )
        atomic.write_json(part / "manifest.json", manifest.model_dump(mode="json"))
    return Bundle(destination, manifest)


def _check_free(destination: Path, overwrite: bool) -> None:
    if not destination.exists():
        return
    if not (destination / "manifest.json").is_file():
        raise ExportError(f"{destination} exists and is not a bundle: choose another --out")
    if not overwrite:
        raise ExportError(f"{destination} is a bundle already: --overwrite replaces it")
