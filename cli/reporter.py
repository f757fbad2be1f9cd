"""The one place that shows messages and progress; results alone go to standard output."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

if TYPE_CHECKING:
    import keras

    from cryoseg_tf.config import TrainingConfig

T = TypeVar("T")
console = Console(stderr=True, highlight=False)

QUIET_SECONDS = 5.0
"""Without a terminal, progress is a line at most this often."""


def start() -> None:
    """Show the library's messages."""
    logger = logging.getLogger("cryoseg_tf")
    if not logger.handlers:
        logger.addHandler(Messages(logging.INFO))
    logger.setLevel(logging.DEBUG)
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what matters of it comes as an error


def load_tensorflow(threads: int | None = None) -> None:
    """Load TensorFlow, which takes seconds, without its own messages, and fix its threads."""
    from cryoseg_tf.io import native

    native.load_tensorflow()
    from cryoseg_tf.training.strategy import use_threads

    use_threads(threads)


def hush() -> None:
    """Say nothing from now on: another process says it all. Errors are not said here."""
    console.quiet = True


class Messages(logging.Handler):
    """Prints each message once, as one line: a file that is read again has the same to say."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if message not in self.said:
            self.said.add(message)
            style = "yellow" if record.levelno >= logging.WARNING else ""
            console.print(message, soft_wrap=True, markup=False, style=style)


def track(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Pass items through, showing how many are done and when the rest will be."""
    with counted(total, what) as progress:
        for done, item in enumerate(items, 1):
            progress(done, total, "")
            yield item


@contextmanager
def counted(total: int, what: str) -> Iterator[Callable[[int, int, str], None]]:
    """Yield a function to call with (done, total, name) after each item; it shows progress and ETA."""
    started = last = time.monotonic()
    with bar() as progress:
        task = progress.add_task(what, total=total)

        def show(done: int, total: int, name: str) -> None:
            nonlocal last
            progress.update(task, completed=done)
            now = time.monotonic()
            if not console.is_terminal and (now - last > QUIET_SECONDS or done == total):
                last = now
                left = (now - started) / done * (total - done)
                console.print(f"{what}: {done} of {total}" + (f", {clock(left)} to go" if done < total else ""))

        yield show


def bar() -> Progress:
    """A progress bar with an ETA; nothing where there is no terminal."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("ETA"), TimeRemainingColumn(), console=console, disable=not console.is_terminal,
    )  # fmt: skip


def count(number: int, one: str, more: str) -> str:
    """Write a number of things: 1 mask, 2 masks."""
    return f"{number} {one if number == 1 else more}"


def clock(seconds: float) -> str:
    """Write a time as 3:05 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def fit_progress(config: "TrainingConfig") -> "keras.callbacks.Callback":
    """Return a Keras callback that shows loss, validation Dice, patches a second and the time left."""
    import keras

    from cryoseg_tf.training.callbacks import is_kept

    class FitProgress(keras.callbacks.Callback):
        """A bar of all steps in a terminal; else a line now and then."""

        def on_train_begin(self, logs: object = None) -> None:
            self.progress = bar()
            self.progress.start()
            self.task = self.progress.add_task("training", total=self.params["epochs"] * self.params["steps"])
            self.started = self.last = time.monotonic()
            self.done, self.rate = 0, 0.0
            if not hasattr(self, "best"):  # a training may have several stages
                self.best, self.best_epoch = -1.0, 0
            self.skipped: int | None = None

        def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
            if self.skipped is None:  # epochs before a resume
                self.skipped = epoch
                self.progress.update(self.task, completed=epoch * self.params["steps"])
            self.epoch_started = time.monotonic()

        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            self.progress.update(self.task, advance=1)

        def on_test_begin(self, logs: object = None) -> None:
            self.rate = self.params["steps"] / (time.monotonic() - self.epoch_started)

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            logs = logs or {}
            self.done += 1
            now, epochs = time.monotonic(), self.params["epochs"]
            if is_kept(config, epochs, epoch, logs["val_dice"], self.best):
                self.best, self.best_epoch = logs["val_dice"], epoch + 1
            left = (now - self.started) / self.done * (epochs - epoch - 1)
            text = (
                f"epoch {epoch + 1}/{epochs}  loss {logs['loss']:.3f}  validation Dice {logs['val_dice']:.3f} "
                f"(best {self.best:.3f} at {self.best_epoch})  {self.rate * config.batch_size:.1f} patches/s"
            )
            self.progress.update(self.task, description=text)
            if not console.is_terminal and (now - self.last > QUIET_SECONDS or epoch + 1 == epochs or self.done == 1):
                self.last = now
                console.print(f"{text}  ETA {clock(left)}", soft_wrap=True)

        def on_train_end(self, logs: object = None) -> None:
            self.progress.stop()

    return FitProgress()
