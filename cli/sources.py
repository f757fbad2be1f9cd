"""What an argument may name to segment with: a run, a bundle, a folder of masks made elsewhere, or a method."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from cryoseg_tf.config import DataConfig
    from cryoseg_tf.data import Pair
    from cryoseg_tf.evaluation.entries import Entry, Kind
    from cryoseg_tf.segmentation.classical import Given
    from cryoseg_tf.segmentation.segmenter import Segmenter

LIKE_METHOD = re.compile(r"\w+\s*(\(.*\))?", re.DOTALL)
NAMED = re.compile(r"([^=()/\\]+)=(.+)", re.DOTALL)


class Source(NamedTuple):
    """What was named, not loaded yet.

    Attributes:
        name: Unlike that of any other.
        kind: What it is.
        text: Its path, or a method as it was written.
    """

    name: str
    kind: "Kind"
    text: str


def read_sources(words: Sequence[str]) -> list[Source]:
    """Return what arguments name, each as ``SOURCE`` or ``NAME=SOURCE``; what is there as a path is one.

    Raises:
        DataError: If one is none of what there may be.
    """
    found, called = [], []
    for word in words:
        named = None if Path(word).exists() else NAMED.fullmatch(word)
        text = named[2] if named else word
        kind = _kind(text)
        found.append((kind, text))
        called.append([named[1]] if named else _names(kind, text))
    return [Source(name, *one) for name, one in zip(_shortest(called), found, strict=True)]


def data_settings(source: Source) -> "DataConfig | None":
    """Return how the images and masks of a run or bundle were read in training; None for anything else.

    Raises:
        RunError, ExportError, ConfigError: If it cannot be read.
    """
    from cryoseg_tf.config import Config
    from cryoseg_tf.exports.bundle import Bundle
    from cryoseg_tf.run import Run

    if source.kind == "run":
        return Run(source.text).config.data
    if source.kind == "bundle":
        return Config.parse(Bundle.open(source.text).manifest.provenance.config, source.text).data
    return None


def load_model(
    path: Path, runtime: str = "auto", precision: str = "float32", threads: int | None = None
) -> "tuple[Segmenter, str]":
    """Return what segments with a run or a bundle, and what tells its masks from those of any other.

    Args:
        path: The run or bundle.
        runtime: See ``exports.selection.choose``; of a bundle only.
        precision: See there; of a bundle only.
        threads: To compute with; None for one per core.

    Raises:
        RunError, ExportError: If it cannot be loaded.
    """
    from cryoseg_tf.exports.bundle import Bundle, is_bundle
    from cryoseg_tf.run import Run
    from cryoseg_tf.segmentation.segmenter import Segmenter

    if is_bundle(path):
        from cryoseg_tf.exports.selection import choose

        return choose(Bundle.open(path), runtime, precision, threads)
    return Segmenter.from_run(path), Run(path).fingerprint()


@dataclass(frozen=True)
class Loader:
    """Loads a model in a worker process; ``runtime`` is not "auto", or each might take another."""

    path: Path
    runtime: str
    precision: str
    threads: int | None

    def __call__(self) -> "Segmenter":
        """Load it."""
        from cryoseg_tf.training.strategy import use_threads

        use_threads(self.threads)
        return load_model(self.path, self.runtime, self.precision, self.threads)[0]


def loader(path: Path, runtime: str, precision: str, threads: int | None) -> Loader:
    """Return what loads a model in other processes; see ``load_model``.

    Raises:
        ExportError: If the runtime is to be chosen and none passes here.
    """
    from cryoseg_tf.exports.bundle import Bundle, is_bundle

    if is_bundle(path) and runtime == "auto":
        from cryoseg_tf.exports.selection import fastest

        runtime = fastest(Bundle.open(path), precision, threads)
    return Loader(path.absolute(), runtime, precision, threads)


def entry(source: Source, given: "Given", pairs: "Sequence[Pair]") -> "Entry":
    """Return an entry of a comparison; a network is loaded, and a method learns, only when it is asked to.

    Args:
        source: What was named.
        given: What a method may use; its settings are those of the comparison.
        pairs: The images that are compared.

    Raises:
        CryoSegError: If it cannot work.
    """
    makers = {"run": _run, "bundle": _bundle, "masks": _masks, "method": _method}
    return makers[source.kind](source, given, pairs)


def _kind(text: str) -> "Kind":
    from cryoseg_tf.errors import DataError
    from cryoseg_tf.exports.bundle import is_bundle
    from cryoseg_tf.io.micrograph import SUFFIXES
    from cryoseg_tf.run import Run

    path = Path(text)
    if path.is_dir():
        if is_bundle(path):
            return "bundle"
        if Run(path).exists:
            return "run"
        if any(p.suffix.lower() in SUFFIXES for p in path.rglob("*")):
            return "masks"
        raise DataError(f"{path} is no run, bundle or folder of masks: it holds no run.json, manifest.json or image")
    if path.exists():
        raise DataError(f"{path} is a file: name a run, a bundle or a folder of masks")
    if not LIKE_METHOD.fullmatch(text):
        raise DataError(f"{path} does not exist")
    return "method"


def _names(kind: "Kind", text: str) -> list[str]:
    """Return what a source may be called, the shortest first."""
    if kind == "method":
        name, _, options = text.partition("(")
        values = re.findall(r"\w+\s*=\s*([^,)]+)", options)
        return [_usable(name), "-".join([_usable(name), *(re.sub(r"[^\w.+-]", "", value) for value in values)])]
    *above, last = Path(text).resolve().parts
    last = last.removesuffix(".cryoseg")
    return [_usable("-".join([*above[len(above) - more :], last])) for more in range(min(len(above), 4))]


def _usable(name: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", name).strip(".+-") or "entry"


def _shortest(called: Sequence[Sequence[str]]) -> list[str]:
    """Choose names that differ, as short as they may be."""
    levels = [0] * len(called)
    for _ in range(max(map(len, called), default=0)):
        names = [options[level] for options, level in zip(called, levels, strict=True)]
        counts = Counter(name.casefold() for name in names)
        for place, name in enumerate(names):
            if counts[name.casefold()] > 1:
                levels[place] = min(levels[place] + 1, len(called[place]) - 1)
    return [options[level] for options, level in zip(called, levels, strict=True)]


def _run(source: Source, given: "Given", pairs: "Sequence[Pair]") -> "Entry":
    from cryoseg_tf.evaluation.entries import Entry
    from cryoseg_tf.evaluation.provenance import facts
    from cryoseg_tf.run import Run
    from cryoseg_tf.segmentation.method import Loaded

    _refuse_two_meanings(source.text)
    path = Path(source.text)
    run = Run(path)
    identity, known, what = run.fingerprint() + run.contract.model_dump_json(), run.environment()["files"], facts(run)
    about = f"{what['Network']}; {what['Training images']} training images"
    return Entry(
        source.name, "run", source.text, identity, lambda: Loaded(load_model(path)[0], about), frozenset(known.values())
    )


def _bundle(source: Source, given: "Given", pairs: "Sequence[Pair]") -> "Entry":
    from cryoseg_tf.evaluation.entries import Entry
    from cryoseg_tf.exports.bundle import MANIFEST, Bundle
    from cryoseg_tf.io.atomic import sha256
    from cryoseg_tf.segmentation.method import Loaded

    _refuse_two_meanings(source.text)
    path = Path(source.text)

    def load() -> Loaded:
        segmenter, model = load_model(path, threads=given.threads)
        return Loaded(segmenter, f"in {model.partition(' ')[2]}")  # after the digest: runtime and precision

    known = frozenset(Bundle.open(path).manifest.provenance.images.values())
    return Entry(source.name, "bundle", source.text, sha256(path / MANIFEST), load, known)


def _masks(source: Source, given: "Given", pairs: "Sequence[Pair]") -> "Entry":
    from cryoseg_tf.evaluation.entries import Entry
    from cryoseg_tf.io.atomic import sha256
    from cryoseg_tf.segmentation.given import GivenMasks
    from cryoseg_tf.segmentation.method import Loaded

    _refuse_two_meanings(source.text)
    data = given.config.data
    method = GivenMasks(Path(source.text), pairs, data)
    identity = " ".join(f"{image.name} {sha256(mask)}" for image, mask in sorted(method.masks.items()))
    about = f"masks of {len(method.masks)} of {len(pairs)} images"
    about += f"; any label above 0 is taken for {data.classes[1]}" if data.instances else ""
    return Entry(source.name, "masks", source.text, identity, lambda: Loaded(method, about))


def _method(source: Source, given: "Given", pairs: "Sequence[Pair]") -> "Entry":
    from cryoseg_tf.errors import DataError
    from cryoseg_tf.evaluation.entries import Entry
    from cryoseg_tf.io.atomic import sha256
    from cryoseg_tf.segmentation.classical import METHODS, read_method, recipe

    term = read_method(source.text)
    if term is None:
        raise DataError(f"{source.text} does not exist, and is no method: methods are {', '.join(METHODS)}")
    made = recipe(term)
    made.check(given)
    learned = given.train if made.learns else ()
    files = {path: sha256(path) for pair in learned for path in (pair.image, pair.mask)}
    identity = " ".join([source.text, *files.values()])
    return Entry(source.name, "method", source.text, identity, lambda: made.load(given), frozenset(files.values()))


def _refuse_two_meanings(text: str) -> None:
    from cryoseg_tf.errors import DataError
    from cryoseg_tf.segmentation.classical import METHODS

    if text in METHODS:
        raise DataError(f"{text} is a method and a folder here: write ./{text} for the folder, {text}() for the method")
