"""The ways to run a bundle on this machine, each checked against the golden images."""

import dataclasses
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cryoseg_tf.data.preprocess import Status
from cryoseg_tf.errors import CryoSegError, ExportError
from cryoseg_tf.io.micrograph import Micrograph
from cryoseg_tf.segmentation.segmenter import Segmenter, examine

from . import vnni
from .bundle import Bundle, GoldenCase
from .comparison import Comparison, Objects
from .golden import mirrored
from .integrity import Integrity, examine_files
from .runtimes import RUNTIMES, Answer, segmenter

LARGE = 768
"""Side in pixels of the image that runtimes are timed on."""

NETWORK, TILED, WHOLE, FILES = "network", "network, tiled", "segment", "files"


@dataclass(frozen=True)
class Check:
    """One thing that was checked, or could not be.

    Attributes:
        artefact: "network", "network, tiled", "network, VNNI off" or "segment"; "files", or the file that is wrong.
        runtime: A name from ``RUNTIMES``; empty for files.
        precision: Of the network; empty for files, and for a runtime that cannot be used here.
        passed: Whether nothing is wrong; also true of what was skipped.
        skipped: Whether nothing was tried, or it was not asked for.
        reason: Why it failed or was skipped.
        version: Of the runtime.
        max_difference: The largest of any probability, over all golden images.
        differing_pixels: Of all masks.
        dice: Of each class, over all golden images.
        objects: How many are the same.
        seconds_per_megapixel: On a golden image mirrored to ``LARGE``, of its own pixels.
    """

    artefact: str
    runtime: str = ""
    precision: str = ""
    passed: bool = True
    skipped: bool = False
    reason: str = ""
    version: str = ""
    max_difference: float | None = None
    differing_pixels: int | None = None
    dice: dict[str, float] | None = None
    objects: Objects | None = None
    seconds_per_megapixel: float | None = None


class Example(NamedTuple):
    """A golden image and the trained model's answer."""

    name: str
    micrograph: Micrograph
    answer: Answer


class Verifier:
    """Checks one bundle.

    Args:
        bundle: What to check.
        threads: For runtimes that can be told.
        timed: Whether to measure how long they take, too.
    """

    def __init__(self, bundle: Bundle, threads: int | None = None, timed: bool = True) -> None:
        self.bundle = bundle
        self.threads = threads
        self.timed = timed
        self.integrity: Integrity = examine_files(bundle)
        self.examples = list(self._examples())

    def files(self, formats: Collection[str]) -> list[Check]:
        """Return a check for each file that is wrong, skipped if these formats do without it; else a single one."""
        checks = []
        for name, flaw in self.integrity.flaws.items():
            aside = not self.integrity.matters(name, formats)
            checks.append(Check(name, passed=aside, skipped=aside, reason=flaw + " (not asked for)" * aside))
        whole = f"{len(self.bundle.manifest.files)} files hash to what the manifest says"
        return checks or [Check(FILES, reason=whole)]

    def tasks(self, runtime: str) -> list[Check]:
        """Return the checks of a runtime, to be run."""
        version, manifest = RUNTIMES[runtime].version, self.bundle.manifest
        blank = Check("all", runtime, version=version or "")
        reason = _unusable(runtime)
        if reason:
            return [dataclasses.replace(blank, skipped=True, reason=reason)]
        precisions = self.bundle.precisions(runtime)
        planned = [(NETWORK, precision) for precision in precisions]
        planned += [(TILED, "float32")] if "float32" in precisions and manifest.network.halo is not None else []
        planned += [(WHOLE, "float32")] if WHOLE in manifest.formats[runtime] else []
        planned += [(vnni.ARTEFACT, "int8")] if "int8" in precisions else []
        return [dataclasses.replace(blank, artefact=artefact, precision=precision) for artefact, precision in planned]

    def run(self, task: Check) -> Check:
        """Run a check."""
        if task.skipped:
            return task
        what = WHOLE if task.artefact == WHOLE else task.precision
        problem = self.integrity.problem(self.bundle.manifest.formats[task.runtime][what])
        if not problem and not self.examples:
            problem = "there is no golden image to compare with"
        if problem:
            return dataclasses.replace(task, passed=False, reason=problem)
        try:
            if task.artefact == vnni.ARTEFACT:
                return vnni.check(self.bundle, task, self.threads)
            return self._tiled(task) if task.artefact == TILED else self.compare(task)
        except CryoSegError as error:
            return dataclasses.replace(task, passed=False, reason=str(error))
        except MemoryError:
            return dataclasses.replace(task, passed=False, reason="it needs more memory than there is")

    def compare(self, task: Check) -> Check:
        """Compare a runtime's answers to the golden images with the trained model's."""
        segment = self._segment(task)
        comparison = Comparison(self.bundle.manifest, task.precision)
        for name, micrograph, golden in self.examples:
            comparison.add(name, golden, segment(micrograph))
        return _filled(task, comparison, self._pace(segment) if self.timed else None)

    def _pace(self, segment: Callable[[Micrograph], Answer]) -> float | None:
        """Return seconds per megapixel on an image large enough to tell runtimes apart, which small ones do not."""
        large = self._mirrored(LARGE, LARGE)
        if large is None:
            return None
        for _ in range(2):  # the first image of each size waits for the runtime to prepare
            started = time.perf_counter()
            segment(large)
        return (time.perf_counter() - started) / large.pixels.size * 1e6

    def _tiled(self, task: Check) -> Check:
        manifest = self.bundle.manifest
        halo = manifest.network.halo or 0
        strip = self._strip(4 * halo)
        if strip is None or max(examine(strip, manifest.contract).shape) <= 3 * halo:
            return dataclasses.replace(task, skipped=True, reason="no golden image is larger than a tile")
        whole = segmenter(self.bundle, task.runtime, task.precision, self.threads)
        # the segmenter makes a tile that is too small as large as it must be: three halos
        answers = [_answer(Segmenter(whole.predictor, manifest.contract, tile), strip) for tile in (None, 1)]
        comparison = Comparison(manifest, task.precision)
        comparison.add("in tiles", *answers)
        return _filled(task, comparison, None)

    def _strip(self, side: int) -> Micrograph | None:
        """Return a golden image, cut to ``side`` pixels at the network's scale, and repeated to as many rows."""
        one = self._mirrored(0, 0)
        if one is None:
            return None
        shape = examine(one, self.bundle.manifest.contract).shape
        rows, columns = (-(-side * own // shown) for own, shown in zip(one.pixels.shape, shape, strict=True))
        strip = self._mirrored(rows, 0)
        return strip and Micrograph(np.ascontiguousarray(strip.pixels[:rows, :columns]), strip.pixel_size)

    def _mirrored(self, rows: int, columns: int) -> Micrograph | None:
        """Return the first usable golden image, mirrored at its edges until it has at least so many pixels."""
        usable = [micrograph for _, micrograph, answer in self.examples if answer.status == Status.OK]
        if not usable:
            return None
        return Micrograph(mirrored(usable[0].pixels, (rows, columns)), usable[0].pixel_size)

    def _segment(self, task: Check) -> Callable[[Micrograph], Answer]:
        if task.artefact == WHOLE:
            whole = RUNTIMES[task.runtime].whole(self.bundle, self.threads)
            return lambda micrograph: whole(micrograph.pixels, micrograph.pixel_size or 0.0)
        loaded = segmenter(self.bundle, task.runtime, task.precision, self.threads)
        return lambda micrograph: _answer(loaded, micrograph)

    def _examples(self) -> Iterator[Example]:
        """Yield the golden images whose files are whole; the others are flaws."""
        for case in self.bundle.manifest.golden:
            names = (case.image, case.mask, case.probability)
            if not any(self.integrity.problem(name) for name in names):
                try:
                    yield _read(self.bundle, case)
                except (OSError, ValueError) as error:
                    self.integrity.flaws[case.image] = f"or its answers cannot be read: {error}"


def reduced_failures(bundle: Bundle) -> Iterator[Check]:
    """Yield the check of each float16 or int8 network that does not answer as the trained model does."""
    verifier = Verifier(bundle, timed=False)
    for name in bundle.manifest.formats:
        for task in verifier.tasks(name):
            if task.artefact == NETWORK and task.precision != "float32" and not task.skipped:
                check = verifier.run(task)
                if not check.passed:
                    yield check


def _unusable(runtime: str) -> str:
    if RUNTIMES[runtime].version is None:
        extra = RUNTIMES[runtime].extra
        return "not installed: pip install " + (f"'cryoseg-tf[{extra}]'" if extra else RUNTIMES[runtime].packages[0])
    if runtime == "tensorrt":
        from .gpu import this_gpu

        try:
            this_gpu()
        except ExportError as error:
            return str(error)
    return ""


def _filled(task: Check, comparison: Comparison, seconds: float | None) -> Check:
    return dataclasses.replace(
        task,
        passed=not comparison.reason,
        reason=comparison.reason,
        max_difference=comparison.max_difference,
        differing_pixels=comparison.differing_pixels,
        dice=comparison.dice,
        objects=comparison.objects,
        seconds_per_megapixel=seconds,
    )


def _answer(loaded: Segmenter, micrograph: Micrograph) -> Answer:
    result = loaded.segment(micrograph, probabilities=True)
    if result.probabilities is None:
        raise ExportError("the segmenter kept no probabilities")
    return Answer(result.mask, result.probabilities, int(result.status))


def _read(bundle: Bundle, case: GoldenCase) -> Example:
    # mapped first: a file that claims more than it holds takes no memory
    image, mask, probability = (
        np.array(np.load(bundle.path / name, mmap_mode="r", allow_pickle=False))
        for name in (case.image, case.mask, case.probability)
    )
    channels = bundle.manifest.network.channels
    if image.ndim != 2 or mask.shape != image.shape or probability.shape != (*image.shape, channels):
        raise ValueError(f"their shapes are {image.shape}, {mask.shape} and {probability.shape}")
    return Example(case.name, Micrograph(image, case.pixel_size or None), Answer(mask, probability, case.status))
