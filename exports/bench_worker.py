"""Measure one combination of runtime, precision and threads in a process of its own, as ``bench`` calls it.

How many threads compute cannot be changed once TensorFlow has run, and a peak of memory is a
process's: so each combination has a process. It is told what to do a line of JSON at a time, first
its ``Job`` and then one image after the other, and answers each by a marked line on standard output.

The way is that of ``segment``, from file to mask on disk. Its steps are timed by wrapping them; what is
in none of them (scaling, cutting tiles, the decision) is "other", so that they add up to the whole.
"""

import functools
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from cryoseg_tf.config import DataConfig
from cryoseg_tf.errors import CryoSegError, ExportError
from cryoseg_tf.io import atomic
from cryoseg_tf.segmentation import batch, segmenter, work
from cryoseg_tf.segmentation.predictor import Array
from cryoseg_tf.training.strategy import use_threads

from .bundle import Bundle
from .selection import choose

STEPS = ("read", "statistics", "network", "write", "other")

MARK = "cryoseg-bench "
"""Before each answer; runtimes may print in between."""

END: Any = object()


class Job(NamedTuple):
    """What a worker is told first.

    Attributes:
        bundle: Its folder.
        runtime: A name from ``RUNTIMES``.
        precision: Of the network.
        threads: None: what the runtime takes by itself, one per core.
        out: A folder for masks, which are removed again.
        pixel_size: For images whose file does not say.
        data_bar: Likewise.
    """

    bundle: str
    runtime: str
    precision: str
    threads: int | None
    out: str
    pixel_size: float | None = None
    data_bar: int | None = None


class Clock:
    """Shares out time among ``STEPS``: at any moment one of them is going on."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Begin anew, with "other"."""
        self.spent = dict.fromkeys(STEPS, 0.0)
        self._step, self._since = "other", time.perf_counter()

    def stop(self) -> dict[str, float]:
        """Return the seconds of each step since the start."""
        self._switch("other")
        return dict(self.spent)

    def timed(self, step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function whose calls count for a step, unless they are part of another."""

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with self._during(step if self._step == "other" else self._step):
                return function(*args, **kwargs)

        return call

    def each(self, step: str, items: Iterable[Array]) -> Iterator[Array]:
        """Pass items through; waiting for one counts for a step, whatever asks for it."""
        iterator = iter(items)
        while True:
            with self._during(step):
                item = next(iterator, END)
            if item is END:
                return
            yield item

    @contextmanager
    def _during(self, step: str) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield  # a runtime that reads ahead: nobody waits for that
            return
        before = self._switch(step)
        try:
            yield
        finally:
            self._switch(before)

    def _switch(self, step: str) -> str:
        now = time.perf_counter()
        self.spent[self._step] += now - self._since
        before, self._step, self._since = self._step, step, now
        return before


class Worker:
    """Has a model loaded and measures images with it."""

    def __init__(self, job: Job) -> None:
        started = time.perf_counter()
        use_threads(job.threads)
        bundle = Bundle.open(job.bundle)
        self.segmenter, self.model = choose(bundle, job.runtime, job.precision, job.threads)
        self.load = time.perf_counter() - started
        self.out = Path(job.out)
        self.data = DataConfig(image_pixel_size=job.pixel_size, data_bar=job.data_bar)
        self.clock = Clock()
        self._wrap()

    def measure(self, image: Path) -> dict[str, Any]:
        """Segment an image and return the seconds of each step and in total, and the SHA-256 of the mask's file.

        Raises:
            ExportError: If it could not be segmented.
        """
        self.clock.start()
        started = time.perf_counter()
        (outcome,) = batch.segment_files(self.segmenter, [image], self.out, model=self.model, data=self.data)
        total = time.perf_counter() - started
        steps = self.clock.stop()
        if outcome.mask is None:
            raise ExportError(outcome.error)
        mask = atomic.sha256(outcome.mask)
        for path in self.out.iterdir():  # done before, it would be skipped
            path.unlink()
        return {"steps": steps, "total": total, "mask": mask, "peak": peak_memory()}

    def _wrap(self) -> None:
        clock, predictor = self.clock, self.segmenter.predictor
        for module, name, step in (
            (atomic, "sha256", "read"),
            (work, "read_micrograph", "read"),
            (segmenter, "examine", "statistics"),
            (work, "write_mask", "write"),
            (batch.MaskFolder, "write", "write"),
        ):
            setattr(module, name, clock.timed(step, getattr(module, name)))
        # a predictor asks for its batches: cutting them is not its work
        map_batches, name = predictor.map, "map"
        setattr(predictor, name, lambda batches: clock.each("network", map_batches(clock.each("other", batches))))


def peak_memory() -> int:
    """Return the most bytes of memory that this process has had at once."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    status = Path("/proc/self/status")
    if status.is_file():
        # rather than ru_maxrss, which on Linux begins with the peak of the process that started this one
        lines = (line.split() for line in status.read_text("utf-8", "replace").splitlines())
        kibibytes = next((int(line[1]) for line in lines if line[:1] == ["VmHWM:"]), 0)
        if kibibytes:
            return kibibytes * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def say(answer: dict[str, Any]) -> None:
    """Answer the process that asked."""
    sys.stdout.write(f"{MARK}{json.dumps(answer)}\n")
    sys.stdout.flush()


def main() -> int:
    """Measure what is asked for, until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks: it ends this one
    asked = iter(sys.stdin.readline, "")
    try:
        worker = Worker(Job(*json.loads(next(asked))))
        say({"load": worker.load})
        for line in asked:
            say(worker.measure(Path(json.loads(line))))
    except CryoSegError as error:
        say({"error": str(error)})
    except OSError as error:
        say({"error": atomic.explain(error)})
    except MemoryError:
        say({"error": "it needs more memory than there is"})
    return 0


if __name__ == "__main__":
    sys.exit(main())
