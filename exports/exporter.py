"""Make a bundle from a run, all at once or not at all.

The work is done by a process of its own (``builder``): there every converter starts from the same
state, so two exports of one run are the same to the byte, and what converters say on the way is kept
from the screen.
"""

import importlib.util
import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from pydantic import Field

from cryoseg_tf.config import Branch
from cryoseg_tf.errors import ExportError
from cryoseg_tf.io import atomic
from cryoseg_tf.run import Run

from .bundle import Bundle, is_bundle
from .children import last_words

ONNX = ("tf2onnx", "onnx", "onnxruntime", "onnxconverter_common")

FORMATS = {
    "saved_model": (),
    "tflite": (),
    "onnx": ONNX,
    "tensorrt": ONNX,
    "openvino": (*ONNX, "openvino"),
}
"""The formats, and what has to be installed to write them beside TensorFlow."""

log = logging.getLogger("cryoseg_tf")


class ExportOptions(Branch):
    """What an export may be told.

    Attributes:
        data: The folder that the run was trained on, if it was moved.
        evaluation: A folder that ``evaluate`` wrote, whose scores go into the model card.
        tile: Largest side of a tile in pixels, for hosts with less memory than a workstation.
    """

    data: Path | None = None
    evaluation: Path | None = None
    tile: int = Field(1536, ge=16)


class Job(Branch):
    """What ``builder`` is told."""

    run: Path
    formats: tuple[str, ...]
    destination: Path
    options: ExportOptions


def export(
    run: Run | Path | str,
    formats: Sequence[str],
    destination: Path | str,
    overwrite: bool = False,
    options: ExportOptions | None = None,
) -> Bundle:
    """Write a run's model in each format, with a manifest, golden outputs and a model card.

    Args:
        run: A run with a model.
        formats: Names from ``FORMATS``.
        destination: The folder to make, ``NAME.cryoseg`` by custom.
        overwrite: Replace an earlier bundle there.
        options: What else there is to say.

    Raises:
        ExportError: If a format is unknown or its converters are not installed, the destination is there
            already or no bundle, the evaluation is none, or a network cannot be converted.
        RunError: If the run has no usable model.
    """
    run, destination = (run if isinstance(run, Run) else Run(run)), Path(destination)
    options = options or ExportOptions()
    names = known(formats)
    check_paths(run, destination, overwrite, options)
    with atomic.written(destination) as part:
        part.mkdir()
        _build(Job(run=run.path, formats=names, destination=part, options=options))
    return Bundle.open(destination)


def check_paths(run: Run, destination: Path, overwrite: bool, options: ExportOptions) -> None:
    """Look at what an export reads and where it writes, before any work; see ``export``.

    Raises:
        ExportError: If the destination is there already or no bundle, the evaluation is none, or the run votes.
        RunError: If the run has no model, or one that may not be read.
        OSError: If the destination cannot be written to.
    """
    _ = run.fingerprint()  # says so where there is no model, or none that may be read
    if run.info.members and run.info.combine == "vote":
        raise ExportError(
            f"{run.path} lets its members vote, and a vote turns with the last bit of a probability: no two runtimes "
            "would answer alike; make the ensemble with --combine mean"
        )
    _check_free(destination, overwrite)
    if options.evaluation is not None:
        read_scores(options.evaluation)


def read_scores(evaluation: Path) -> dict[str, Any]:
    """Return the ``summary.json`` of a folder that ``evaluate`` wrote.

    Raises:
        ExportError: If there is none, or it cannot be read or holds no scores.
    """
    path, remedy = evaluation / "summary.json", "--evaluation is a folder that evaluate wrote"
    if not path.is_file():
        other = "is a file" if evaluation.exists() else "does not exist"
        raise ExportError(f"{evaluation} {f'holds no {path.name}' if evaluation.is_dir() else other}: {remedy}")
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ExportError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise ExportError(f"{path} is damaged ({error}): evaluate again") from None
    if not isinstance(content, dict) or not isinstance(content.get("metrics"), dict):
        raise ExportError(f"{path} holds no scores: {remedy}")
    return content


def known(formats: Sequence[str]) -> tuple[str, ...]:
    """Return the names of formats, each once.

    Raises:
        ExportError: If there is none, or one is unknown or its converters are not installed.
    """
    if not formats:
        raise ExportError(f"no format was named: choose from {', '.join(FORMATS)}")
    for name in formats:
        if name not in FORMATS:
            raise ExportError(f"format {name!r} is not known: choose from {', '.join(FORMATS)}")
        missing = [package for package in FORMATS[name] if importlib.util.find_spec(package) is None]
        if missing:
            extra = "openvino" if name == "openvino" else "export"
            raise ExportError(f"{name} needs {', '.join(missing)}: pip install 'cryoseg-tf[{extra}]'")
    return tuple(dict.fromkeys(formats))


def _check_free(destination: Path, overwrite: bool) -> None:
    if destination.exists():
        if not is_bundle(destination):
            raise ExportError(f"{destination} exists and is not a bundle: choose another --out")
        if not overwrite:
            raise ExportError(f"{destination} is a bundle already: --overwrite replaces it")
    atomic.check_writable(destination.parent)


def _build(job: Job) -> None:
    # a set of strings is walked in another order in each process, unless its hashes are fixed
    environment = os.environ | {"PYTHONHASHSEED": "0", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    environment["PYTHONIOENCODING"] = "utf-8"
    command = [sys.executable, "-m", "cryoseg_tf.exports.builder", job.model_dump_json()]
    with TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, env=environment, encoding="utf-8"
        )
        try:
            for line in process.stdout or ():
                _hear(line)
            code = process.wait()
        finally:
            process.kill()
            process.wait()
        if code:
            said.seek(0)
            raise ExportError(f"the export stopped with exit code {code}: {last_words(said.read())}")


def _hear(line: str) -> None:
    """Pass on what the builder says; converters may print in between."""
    kind, _, text = line.strip().partition(" ")
    if kind == "cryoseg-info":
        log.info("%s", text)
    elif kind == "cryoseg-warning":
        log.warning("%s", text)
    elif kind == "cryoseg-error":
        raise ExportError(text)
