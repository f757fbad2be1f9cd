"""How long a bundle takes on this machine, from an image's file to its mask on disk.

Each combination of runtime, precision and threads is measured in a process of its own (``bench_worker``).
A machine is now faster, now slower: so as many of them as memory has room for are there at a time, and
take turns image by image::

    combination 1   start, load, first image |  1      4   ...
    combination 2   start, load, first image |    2  5     ...    the order moves on each round
    combination 3   start, load, first image |      3    6 ...

Images come from the system's cache, as a file does that a detector has just written.
"""

import dataclasses
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from cryoseg_tf.errors import ExportError

from .bench_images import Picture, golden_picture, look
from .bench_process import Process, started
from .bench_rows import Combination, Row, Turn
from .bench_worker import Job
from .bundle import PRECISIONS, Bundle
from .runtimes import RUNTIMES

REPEATS = 20
"""Fewer say little of how late the slow ones are."""

START = 10
"""A process is ready, and done with its first image, after about as long as so many others take."""

Progress = Callable[[int, int, str], None]


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        combinations: See ``combinations``.
        images: Files; none: one is made of the bundle's golden images.
        size: ``(width, height)`` of the one that is made.
        repeats: Turns of each combination; each takes the next image. None: ``REPEATS``, or every image
            once if there are more; if ``seconds`` are given, as many as they allow.
        seconds: A combination stops after so long, too.
        pixel_size: In nm, for images whose file does not say.
        data_bar: Rows of data bar, likewise.
    """

    combinations: Sequence[Combination]
    images: Sequence[Path] = ()
    size: tuple[int, int] = (1536, 1024)
    repeats: int | None = None
    seconds: float | None = None
    pixel_size: float | None = None
    data_bar: int | None = None

    @property
    def each(self) -> int:
        """What a combination has to do: turns, or seconds if nothing else ends it."""
        return self.repeats or round(self.seconds or max(REPEATS, len(self.images))) or 1

    @property
    def total(self) -> int:
        """What all have to do, for ``progress``."""
        return (START + self.each) * len(self.combinations)


def combinations(
    bundle: Bundle, names: Sequence[str] = (), precisions: Sequence[str] = (), threads: Sequence[int] = ()
) -> list[Combination]:
    """Return every combination of these; of what is not named, all that the bundle holds, on all cores.

    Raises:
        ExportError: If a runtime or precision is not known.
    """
    for what, asked, known in (("runtime", names, RUNTIMES), ("precision", precisions, PRECISIONS)):
        for name in asked:
            if name not in known:
                raise ExportError(f"{what} {name!r} is not known: choose from {', '.join(known)}")
    found: list[Combination] = []
    for name in names or [name for name in RUNTIMES if name in bundle.manifest.formats]:
        of_it = precisions or bundle.precisions(name) or PRECISIONS[:1]
        found += [Combination(name, *rest) for rest in product(of_it, threads or (None,))]
    return list(dict.fromkeys(found))


def bench(bundle: Bundle, plan: Plan, progress: Progress | None = None) -> tuple[list[Row], list[Picture]]:
    """Measure each combination on this machine; one that fails has a reason instead.

    Args:
        bundle: What to measure.
        plan: How.
        progress: Called with (done, total, combination) after each image.

    Returns:
        A row for each combination, in order, and the images.

    Raises:
        CryoSegError: If an image cannot be read, or its mask is empty before the network sees it.
    """
    with TemporaryDirectory(prefix="cryoseg-bench-") as scratch:
        if plan.images:
            pictures = [look(path, bundle, plan.pixel_size, plan.data_bar) for path in plan.images]
        else:
            pictures = [golden_picture(bundle, plan.size, Path(scratch))]
        session = _Session(bundle, plan, pictures, Path(scratch))
        for row in session.measure():
            if progress and session.done():
                progress(session.done(), plan.total, str(row.combination))
    return session.rows, pictures


class _Session:
    """Lets processes take turns."""

    def __init__(self, bundle: Bundle, plan: Plan, pictures: list[Picture], scratch: Path) -> None:
        self.bundle, self.plan, self.pictures, self.scratch = bundle, plan, pictures, scratch
        self.rows = [Row(combination) for combination in plan.combinations]

    def measure(self) -> Iterator[Row]:
        """Fill the rows, yielding one after each image or failure."""
        waiting = deque(range(len(self.rows)))
        while waiting:
            with ExitStack() as stack:
                group: dict[int, Process] = {}
                while waiting and _has_room([self.rows[index].peak for index in group]):
                    index = waiting.popleft()
                    row = self.rows[index]
                    worker = stack.enter_context(started(self._job(row.combination, self.scratch / str(index))))
                    with _reason(row):
                        self._begin(row, worker)
                        group[index] = worker
                    yield row
                yield from self._take_turns(group)

    def done(self) -> int:
        """Return how much of ``plan.total`` is done."""
        whole = START + self.plan.each
        return sum(whole if self._over(row) else START * bool(row.first) + self._spent(row) for row in self.rows)

    def _begin(self, row: Row, worker: Process) -> None:
        loaded = worker.hear()
        row.load = loaded["load"]
        row.start = time.perf_counter() - worker.began - row.load
        row.first = self._measure(row, worker, 0).total

    def _take_turns(self, group: dict[int, Process]) -> Iterator[Row]:
        order = deque(group)
        while order:
            for index in list(order):
                row = self.rows[index]
                with _reason(row):
                    number = len(row.turns) % len(self.pictures)
                    row.turns.append(self._measure(row, group[index], number))
                if self._over(row):
                    order.remove(index)
                yield row
            order.rotate(-1)

    def _measure(self, row: Row, worker: Process, number: int) -> Turn:
        worker.tell(str(self.pictures[number].path))
        answer = worker.hear()
        row.peak = max(row.peak, answer["peak"])
        row.masks[number] = answer["mask"]
        return Turn(number, answer["steps"], answer["total"])

    def _over(self, row: Row) -> bool:
        late = self.plan.seconds is not None and _time(row) >= self.plan.seconds
        return bool(row.error) or late or (self._counts_turns and len(row.turns) >= self.plan.each)

    def _spent(self, row: Row) -> int:
        return len(row.turns) if self._counts_turns else min(int(_time(row)), self.plan.each)

    @property
    def _counts_turns(self) -> bool:
        return self.plan.repeats is not None or self.plan.seconds is None

    def _job(self, combination: Combination, out: Path) -> Job:
        return Job(str(self.bundle.path), *combination, str(out), self.plan.pixel_size, self.plan.data_bar)


@contextmanager
def _reason(row: Row) -> Iterator[None]:
    """Keep the reason why a combination cannot be measured."""
    try:
        yield
    except ExportError as error:
        row.error = str(error)


def _time(row: Row) -> float:
    return sum(turn.total for turn in row.turns)


def _has_room(peaks: Sequence[int]) -> bool:
    """Say whether another process fits into memory beside those there: a system that swaps measures nothing."""
    return not peaks or psutil.virtual_memory().available > 2 * max(peaks)
