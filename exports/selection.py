"""Which runtime is to segment: the one asked for, or the fastest that passed ``verify`` on this machine.

What was found is kept for the next time: one file a bundle, in the user's cache folder, named by the
SHA-256 of the bundle's manifest. What was found with another version of a runtime, or on another
machine that shares the folder, is not counted.
"""

import logging
import math
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

from cryoseg_tf.config import Branch
from cryoseg_tf.errors import ExportError
from cryoseg_tf.io import atomic
from cryoseg_tf.segmentation.segmenter import Segmenter

from .bundle import MANIFEST, Bundle, user_cache
from .integrity import require_whole
from .runtimes import RUNTIMES, segmenter

log = logging.getLogger(__name__)


class Checked(Protocol):
    """What is remembered of a ``cryoseg_tf.exports.verify.Check``."""

    @property
    def artefact(self) -> str:
        """What was checked."""

    @property
    def runtime(self) -> str:
        """A name from ``RUNTIMES``."""

    @property
    def precision(self) -> str:
        """One of ``PRECISIONS``."""

    @property
    def passed(self) -> bool:
        """Whether the answers are those of the trained model."""

    @property
    def seconds_per_megapixel(self) -> float | None:
        """None where it was not timed."""


class Result(NamedTuple):
    """What is known of a runtime at a precision.

    Attributes:
        passed: Whether all its checks did.
        seconds_per_megapixel: Of the network, as ``segment`` calls it; None where it was not timed.
    """

    passed: bool
    seconds_per_megapixel: float | None


Results = dict[tuple[str, str], Result]
"""By runtime and precision."""


class Entry(Branch):
    """A result as the file keeps it, with what else it depends on."""

    runtime: str
    precision: str
    version: str | None
    machine: str
    passed: bool
    seconds_per_megapixel: float | None


class Record(Branch):
    """The content of a bundle's file."""

    results: tuple[Entry, ...]


class Choice(NamedTuple):
    """What segments with a bundle.

    Attributes:
        segmenter: For images of any size.
        model: What tells its masks from those of another bundle, runtime or precision.
    """

    segmenter: Segmenter
    model: str


def choose(bundle: Bundle, runtime: str = "auto", precision: str = "float32", threads: int | None = None) -> Choice:
    """Load a bundle's network in a runtime, after a look at whether its files are whole.

    Args:
        bundle: What to load.
        runtime: A name from ``RUNTIMES``, or "auto" for the ``fastest``.
        precision: One of ``PRECISIONS``; no other is ever taken instead.
        threads: To compute with; None for one per core.

    Raises:
        ExportError: If the runtime is not installed, the bundle has nothing for it or is damaged, or
            with "auto" nothing passes.
    """
    names = _candidates(bundle, precision) if runtime == "auto" else [runtime]
    for name in names:
        bundle.file(name, precision)  # says what the bundle holds, where it does not hold this
    require_whole(bundle, [bundle.manifest.formats[name][precision] for name in names])
    name = fastest(bundle, precision, threads) if runtime == "auto" else runtime
    loaded = segmenter(bundle, name, precision, threads)
    log.info("%s runs on %s %s, in %s", bundle.path.name, name, RUNTIMES[name].version, precision)
    return Choice(loaded, f"{_digest(bundle)} {name} {precision}")


def fastest(bundle: Bundle, precision: str = "float32", threads: int | None = None) -> str:
    """Return the fastest runtime that is installed and passed ``verify`` on this machine at a precision.

    Those of which nothing is known are verified first.

    Raises:
        ExportError: If nothing is installed for what the bundle holds, or nothing passes.
    """
    names = _candidates(bundle, precision)
    known = recall(bundle)
    new = [name for name in names if (name, precision) not in known]
    if new:
        known |= _verified(bundle, new, precision, threads)
    results = {name: known[name, precision] for name in names}
    passed = [name for name, result in results.items() if result.passed]
    if not passed:
        raise ExportError(
            f"{bundle.path}: no runtime passes in {precision} on this machine, of {', '.join(names)}: "
            f"'cryoseg-tf verify {bundle.path}' shows why"
        )
    return min(passed, key=lambda name: _seconds(results[name]))


def remember(bundle: Bundle, checks: Iterable[Checked]) -> None:
    """Keep what was found, in place of what was known of the same; nothing where the folder cannot be written."""
    new = [
        Entry(
            runtime=runtime,
            precision=precision,
            version=RUNTIMES[runtime].version,
            machine=platform.node(),
            passed=result.passed,
            seconds_per_megapixel=result.seconds_per_megapixel,
        )
        for (runtime, precision), result in _summary(checks).items()
    ]
    replaced = {_of(entry) for entry in new}
    kept = [entry for entry in _entries(bundle) if _of(entry) not in replaced]
    try:
        atomic.write_json(_file(bundle), Record(results=(*kept, *new)).model_dump(mode="json"))
    except OSError as error:
        log.info("what was verified is not remembered: %s", atomic.explain(error))


def recall(bundle: Bundle) -> Results:
    """Return what is known of a bundle on this machine, with the runtimes as they are installed now."""
    versions = {name: runtime.version for name, runtime in RUNTIMES.items()}
    return {
        (entry.runtime, entry.precision): Result(entry.passed, entry.seconds_per_megapixel)
        for entry in _entries(bundle)
        if entry.machine == platform.node() and entry.version == versions.get(entry.runtime)
    }


def _candidates(bundle: Bundle, precision: str) -> list[str]:
    """Return the runtimes that are installed and have a network to run."""
    held = [name for name in RUNTIMES if precision in bundle.precisions(name)]
    installed = [name for name in held if RUNTIMES[name].version]
    if not held:
        there = dict.fromkeys(p for name in RUNTIMES for p in bundle.precisions(name))
        why = bundle.left_out(precision, *bundle.manifest.formats)
        raise ExportError(
            f"{bundle.path} holds no network in {precision}, only in {', '.join(there) or 'nothing'}{why}"
        )
    if not installed:
        RUNTIMES[held[0]].require()
    return installed


def _verified(bundle: Bundle, runtimes: list[str], precision: str, threads: int | None) -> Results:
    from .verify import NETWORK, Check, verify

    log.info("verifying %s on this machine, once", bundle.path.name)
    results = _summary(verify(bundle, runtimes, threads))
    # what could not even be tried, such as TensorRT without a GPU, is not tried each time
    untried = [name for name in runtimes if (name, precision) not in results]
    failed = [Check(NETWORK, name, precision, passed=False) for name in untried]
    if failed:
        remember(bundle, failed)
    return results | _summary(failed)


def _summary(checks: Iterable[Checked]) -> Results:
    """Return one result for each runtime and precision, which may have been checked in several ways."""
    from .verify import NETWORK

    summary: Results = {}
    for check in checks:
        if check.runtime and check.precision:
            before = summary.get((check.runtime, check.precision), Result(True, None))
            seconds = check.seconds_per_megapixel if check.artefact == NETWORK else before.seconds_per_megapixel
            summary[check.runtime, check.precision] = Result(before.passed and check.passed, seconds)
    return summary


def _seconds(result: Result) -> float:
    return math.inf if result.seconds_per_megapixel is None else result.seconds_per_megapixel


def _of(entry: Entry) -> tuple[str, str, str]:
    return entry.runtime, entry.precision, entry.machine


def _entries(bundle: Bundle) -> tuple[Entry, ...]:
    try:
        return Record.model_validate_json(_file(bundle).read_bytes()).results
    except (OSError, ValueError):  # none yet, or one that nobody can read: it is written anew
        return ()


def _file(bundle: Bundle) -> Path:
    return user_cache() / "verified" / f"{_digest(bundle)}.json"


def _digest(bundle: Bundle) -> str:
    return atomic.sha256(bundle.path / MANIFEST)
