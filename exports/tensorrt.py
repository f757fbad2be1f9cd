"""Engines for NVIDIA GPUs, built where they run.

An engine fits one GPU, driver and version of TensorRT. So a bundle carries none, but a recipe::

    tensorrt/recipe.json, model*.onnx  -- prepare -->  the user's cache/engines/KEY/engine, engine.json

KEY is a hash of all that an engine depends on, so one that would not fit is never found.
"""

import hashlib
import json
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import Field, ValidationError

from cryoseg_tf.config import Branch
from cryoseg_tf.errors import ExportError
from cryoseg_tf.expressions import first_flaw
from cryoseg_tf.io import atomic

from . import nvidia
from .bundle import Bundle, user_cache
from .gpu import Target
from .integrity import require_whole
from .nvidia import PROBABILITY, TILE, Order, Profile, Toolkit

BATCH_PIXELS = 1536**2
"""A batch holds as many tiles as have these pixels: enough for any GPU, and no more memory than one large tile."""

log = logging.getLogger("cryoseg_tf")


class Recipe(Branch):
    """The content of ``recipe.json``: how to build an engine.

    Attributes:
        minimum_version: Of TensorRT, with a strongly typed network: the precision is the ONNX file's.
        input: Normalised tiles ``(n, h, w, 1)`` float32.
        output: Probabilities ``(n, h, w, channels)`` float32.
        precisions: The ONNX file of each, beside the recipe.
        profile: See ``cryoseg_tf.exports.nvidia.Profile``.
        tf32: Whether float32 may be computed with 10 bits of mantissa.
        trtexec: For each precision, the command that does the same by hand, in the folder of the recipe.
    """

    minimum_version: str = "10.0"
    input: str = TILE
    output: str = PROBABILITY
    precisions: dict[str, str]
    profile: Profile
    tf32: bool = False
    trtexec: dict[str, str]


class Options(Branch):
    """What ``prepare`` may be told.

    Attributes:
        precision: One of ``cryoseg_tf.exports.bundle.PRECISIONS``.
        batch: Tiles that go through at once; None: as the recipe says.
        compute_capability: Build for these, as 8.9, instead of for the GPU that is here.
        force: Build also what is in the cache.
        threads: To build with; None: as TensorRT likes.
    """

    precision: str = "float16"
    batch: int | None = Field(None, ge=1)
    compute_capability: tuple[str, ...] = ()
    force: bool = False
    threads: int | None = None


class Facts(Branch):
    """The content of ``engine.json``.

    Attributes:
        onnx: SHA-256 of the ONNX file, and of its weights where they lie beside it.
        builder: Which TensorRT built it.
        target: What it is for.
        profile: The sizes that it takes.
        nodes: Of the ONNX file; the parser supports every one.
        layers: Of the network as TensorRT read it, before it fuses them.
        seconds: The build took.
        sha256: Of the engine.
    """

    onnx: str
    builder: str
    target: Target
    profile: Profile
    nodes: int = 0
    layers: int = 0
    seconds: float = 0.0
    sha256: str = ""

    @property
    def key(self) -> str:
        """A hash of what an engine depends on."""
        return hashlib.sha256(json.dumps(self._wanted(), sort_keys=True).encode()).hexdigest()[:32]

    def serves(self, wanted: "Facts") -> bool:
        """Whether it may stand in for ``wanted``, though its batches may be of another size."""
        return self._wanted("profile") == wanted._wanted("profile")

    def _wanted(self, *free: str) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude={"nodes", "layers", "seconds", "sha256", *free})


@dataclass(frozen=True)
class Engine:
    """An engine in the cache.

    Attributes:
        path: Its file.
        facts: What is known of it.
        cached: Whether it was there already.
    """

    path: Path
    facts: Facts
    cached: bool


def write_recipe(folder: Path, files: dict[str, Path], stride: int, tile: int) -> Path:
    """Write ``recipe.json`` beside the ONNX files of each precision; returns it."""
    profile = _profile(stride, tile, max(1, BATCH_PIXELS // tile**2))
    names = {precision: path.name for precision, path in files.items()}
    commands = {precision: _trtexec(name, profile) for precision, name in names.items()}
    recipe = Recipe(precisions=names, profile=profile, trtexec=commands)
    atomic.write_json(folder / "recipe.json", recipe.model_dump(mode="json"))
    return folder / "recipe.json"


def prepare(bundle: Bundle, options: Options | None = None) -> list[Engine]:
    """Build an engine for the GPU that is here, or one for each compute capability that is named.

    What the cache has is not built again.

    Raises:
        ExportError: If the bundle is damaged or has no recipe, TensorRT is not installed, there is no
            GPU, or TensorRT cannot build it.
    """
    options = options or Options()
    source = bundle.file("tensorrt", options.precision)
    toolkit, targets = nvidia.find(options.compute_capability)
    return [_prepared(bundle, source, toolkit, target, options) for target in targets]


def ready(bundle: Bundle, precision: str) -> Engine:
    """Return the engine that was built last for the GPU that is here, whatever its batch; build one if there is none.

    Raises:
        ExportError: As ``prepare``.
    """
    toolkit, [target] = nvidia.find()
    wanted = _wanted(bundle, bundle.file("tensorrt", precision), toolkit, target)
    records = sorted(cache_folder().glob("*/engine.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for found in map(_kept, (record.parent for record in records)):
        if found and found.facts.serves(wanted):
            return found
    return prepare(bundle, Options(precision=precision))[0]


def cache_folder() -> Path:
    """Return where engines are kept."""
    return user_cache() / "engines"


def _prepared(bundle: Bundle, source: Path, toolkit: Toolkit, target: Target, options: Options) -> Engine:
    wanted = _wanted(bundle, source, toolkit, target, options.batch)
    folder = cache_folder() / wanted.key
    folder.parent.mkdir(parents=True, exist_ok=True)
    # one at a time: TensorRT measures what is fastest, and two would build the same engine
    with FileLock(folder.parent / ".lock"):
        kept = None if options.force else _kept(folder)
        if kept:
            return kept
        require_whole(bundle, [bundle.manifest.formats["tensorrt"][what] for what in (options.precision, "recipe")])
        return _built(source, toolkit, wanted, options.threads)


def _built(source: Path, toolkit: Toolkit, wanted: Facts, threads: int | None) -> Engine:
    # TensorRT measures on the GPU what is fastest; TensorRT RTX leaves that to the first run
    expected = "seconds" if toolkit.ahead else "minutes"
    log.info("building an engine for %s with %s, once; this takes %s", wanted.target, toolkit.name, expected)
    started = time.perf_counter()
    built = toolkit.build(source, Order(wanted.profile, wanted.target, threads))
    seconds = round(time.perf_counter() - started, 2)
    folder = cache_folder() / wanted.key
    with atomic.written(folder) as part:
        part.mkdir()
        (part / "engine").write_bytes(built.plan)
        found = {"nodes": built.nodes, "layers": built.layers, "seconds": seconds}
        facts = wanted.model_copy(update={**found, "sha256": atomic.sha256(part / "engine")})
        atomic.write_json(part / "engine.json", facts.model_dump(mode="json"))
    return Engine(folder / "engine", facts, cached=False)


def _wanted(bundle: Bundle, source: Path, toolkit: Toolkit, target: Target, batch: int | None = None) -> Facts:
    recipe = _recipe(bundle.file("tensorrt", "recipe"))
    profile = recipe.profile
    if batch:
        profile = _profile(profile.minimum[1], profile.maximum[1], batch)
    files = sorted(source.parent.glob(f"{source.name}*"))  # large weights lie beside it
    onnx = "+".join(atomic.sha256(path) for path in files)
    return Facts(onnx=onnx, builder=toolkit.name, target=target, profile=profile)


def _kept(folder: Path) -> Engine | None:
    """Return the engine of a folder in the cache, unless it is not whole."""
    try:
        facts = Facts.model_validate_json((folder / "engine.json").read_bytes())
        whole = facts.key == folder.name and atomic.sha256(folder / "engine") == facts.sha256
    except (OSError, ValueError):
        return None
    return Engine(folder / "engine", facts, cached=True) if whole else None


def _recipe(path: Path) -> Recipe:
    try:
        return Recipe.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ExportError(f"{path} is damaged: {first_flaw(error)}") from None


def _profile(stride: int, tile: int, batch: int) -> Profile:
    largest = (batch, tile, tile, 1)
    return Profile(minimum=(1, stride, stride, 1), optimum=largest, maximum=largest)


def _trtexec(name: str, profile: Profile) -> str:
    sizes = {"min": profile.minimum, "opt": profile.optimum, "max": profile.maximum}
    shapes = " ".join(f"--{kind}Shapes={TILE}:{'x'.join(map(str, size))}" for kind, size in sizes.items())
    return (
        f"trtexec --onnx={name} --saveEngine={Path(name).stem}.engine --stronglyTyped --noTF32 {shapes} --skipInference"
    )
