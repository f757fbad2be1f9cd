"""The bundle: a folder with a manifest and the artefacts of each format.

::

    manifest.json            this page's ``Manifest``
    MODEL_CARD.md            the same for people
    golden/                  raw images, and what the trained model makes of them
    saved_model/             for TensorFlow
    onnx/  run.py            for ONNX Runtime, TensorRT; a runner in one file
    tflite/  openvino/       for LiteRT, OpenVINO

Nothing in a bundle is ever run as code by this package.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import Field, ValidationError

from cryoseg_tf import __version__
from cryoseg_tf.config import Branch, Contract
from cryoseg_tf.errors import ExportError
from cryoseg_tf.expressions import first_flaw

MANIFEST = "manifest.json"
SCHEMA = 2

PRECISIONS = ("float32", "float16", "int8")
"""Of the network; what is before and after it stays float32."""


class GoldenCase(Branch):
    """A golden image and its answers, as files of the bundle (``.npy``, little-endian, C order).

    Attributes:
        name: What is special about it.
        pixel_size: In nm, to be passed along; 0 = unknown.
        status: See ``cryoseg_tf.data.preprocess.Status``.
        image: ``(height, width)`` uint8, uint16 or float32 raw counts.
        mask: ``(height, width)`` uint8 class indices.
        probability: ``(height, width, channels)`` float32.
    """

    name: str
    pixel_size: float
    status: int
    image: str
    mask: str
    probability: str


class Network(Branch):
    """How to feed the network.

    Attributes:
        channels: Of its output: 1 (sigmoid; the foreground's probability) or one per class (softmax).
        stride: Sides of a tile are multiples of this.
        halo: An output pixel depends on input no farther than this; null: on all of it, never tile.
        tile: Largest side of a tile, halo included; images up to this go through as a whole.
    """

    channels: int
    stride: int
    halo: int | None
    tile: int


class Tolerances(Branch):
    """How far a runtime may be from the golden outputs.

    Attributes:
        probability: In float32, anywhere; a mask may differ only where the probability is as near to the decision.
        dice: In float16 and int8, at least, for each class.
    """

    probability: float
    dice: float = 0.99


class Provenance(Branch):
    """Where the model comes from.

    Attributes:
        model: SHA-256 of the run's ``model.keras``.
        images: SHA-256 of each image and mask that trained or validated.
        split: Which trained and which validated, with groups and areas.
        config: Every setting of the training.
        seed: Of the training.
        packages: Versions that it was trained with.
        best_epoch: Which epoch the weights are of.
        validation_dice: Theirs.
        networks: How many one image goes through, of an ensemble.
        augmented: Whether it goes through each in eight positions.
        scores: ``summary.json`` of an evaluation, where one was given to the export.
        left_out: What was not exported, such as "onnx int8", and why.
        golden: "training images", or "phantoms" where those were gone.
        unseen: Classes that no golden image shows, for the model finds them in none.
    """

    model: str
    images: dict[str, str]
    split: dict[str, Any]
    config: dict[str, Any]
    seed: int
    packages: dict[str, str]
    best_epoch: int | None
    validation_dice: float | None
    networks: int = 1
    augmented: bool = False
    scores: dict[str, Any] | None
    left_out: dict[str, str] = Field(default_factory=dict)
    golden: str
    unseen: tuple[str, ...]


class Manifest(Branch):
    """The content of ``manifest.json``: how to use the model, and what each file should hash to.

    Attributes:
        formats: For each format, its files by what they are: ``float32``, ``float16`` and ``int8`` are the
            network (normalised tiles in); ``segment`` is the whole way; ``statistics`` and ``resample`` are
            the steps around the network; ``recipe`` is how to build it.
        golden: Images and the trained model's answers.
        files: SHA-256 of every other file.
    """

    schema_version: int = SCHEMA
    created_by: str = f"cryoseg-tf {__version__}"
    formats: dict[str, dict[str, str]]
    contract: Contract
    network: Network
    tolerances: Tolerances
    golden: tuple[GoldenCase, ...]
    provenance: Provenance
    files: dict[str, str] = Field(default_factory=dict)


@dataclass(frozen=True)
class Bundle:
    """An exported folder and its manifest."""

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: Path | str) -> "Bundle":
        """Read a bundle's manifest; whether its files are whole is for ``verify`` to say.

        Raises:
            ExportError: If there is none, or one that this version cannot read.
        """
        path = Path(path)
        if not is_bundle(path):
            why = f"holds no {MANIFEST}" if path.is_dir() else "does not exist"
            raise ExportError(f"{path} is not a bundle: it {why}")
        file = path / MANIFEST
        try:
            content = json.loads(file.read_text("utf-8"))
            version = content["schema_version"]
        except OSError as error:
            raise ExportError(f"{file} cannot be read: {error.strerror or error}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise ExportError(f"{file} is damaged: {error}") from None
        if version != SCHEMA:
            remedy = "update this one" if isinstance(version, int) and version > SCHEMA else "export the run again"
            raise ExportError(f"{path} was written by another cryoseg-tf (schema {version}, known: {SCHEMA}): {remedy}")
        try:
            return cls(path, Manifest.model_validate(content))
        except ValidationError as error:
            raise ExportError(f"{file} is damaged: {first_flaw(error)}") from None

    def file(self, format_name: str, what: str) -> Path:
        """Return the file of a format, e.g. ``("onnx", "float32")``.

        Raises:
            ExportError: If the bundle has none, or it is missing.
        """
        files = self.manifest.formats.get(format_name)
        if files is None:
            there = ", ".join(self.manifest.formats)
            raise ExportError(f"{self.path} holds no {format_name}, only {there}: export it with --to {format_name}")
        if what not in files:
            there = ", ".join(self.precisions(format_name) if what in PRECISIONS else files)
            why = self.left_out(what, format_name)
            raise ExportError(f"{self.path} holds no {what} as {format_name}, only {there}{why}")
        path = self.path / files[what]
        if not path.exists():
            raise ExportError(f"{path} is missing: the bundle is incomplete, copy it again")
        return path

    def precisions(self, format_name: str) -> tuple[str, ...]:
        """Return the precisions that it has of a format's network."""
        return tuple(p for p in PRECISIONS if p in self.manifest.formats.get(format_name, {}))

    def left_out(self, precision: str, *formats: str) -> str:
        """Return how a sentence ends that misses a precision of these formats: what the export left out, and why."""
        names = {precision, *(f"{name} {precision}" for name in formats)}
        told = [f"{what} ({why})" for what, why in self.manifest.provenance.left_out.items() if what in names]
        return f"; the export left out {', '.join(told)}" if told else ""


def user_cache() -> Path:
    """Return the folder where what was found or built for bundles on this machine is kept."""
    return platformdirs.user_cache_path("cryoseg-tf", appauthor=False)


def is_bundle(path: Path) -> bool:
    """Say whether a folder looks like a bundle."""
    return (path / MANIFEST).is_file()
