"""A trial of a search, in a process of its own: what it does to memory, or to itself, ends there.

``python -m cryoseg_tf.training.trial JOB [THREADS]`` trains as the file says and leaves beside it how it went.
The test images are in no job. In the folder of a search lie::

    jobs/07.json          what to train, on which images, for how long at most
    jobs/07.result.json   how it went
    jobs/07.log           what the process said
    trials/07/            the run
"""

import logging
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import keras
import psutil
import tensorflow as tf
from pydantic import ValidationError

from ..config import Branch, Config
from ..data.splits import Split
from ..errors import CryoSegError, RunError
from ..expressions import first_flaw
from ..io import atomic
from ..io.process import leave_with_parent
from ..run import Run, RunInfo
from .fit import fit
from .strategy import use_threads

POLL = 1.0
"""Seconds between looks at a trial's process."""

log = logging.getLogger(__name__)


class Job(Branch):
    """What a trial does.

    Attributes:
        seconds: How long it may take, or None.
    """

    config: Config
    split: Split
    seconds: float | None = None


class Outcome(Branch):
    """How a trial went.

    Attributes:
        status: "cut" where the search's time was over before it had trained for as long as it should;
            "stopped" where something was in the way that is not the trial's fault, as a full disk.
        score: Validation Dice of the masks as deployed, with calibrated temperature and threshold.
        epochs: So many were trained.
        reason: Why it was not done.
    """

    status: Literal["done", "cut", "failed", "stopped"]
    score: float | None = None
    epochs: int = 0
    reason: str = ""


class StopAt(keras.callbacks.Callback):
    """Ends training at a moment of ``time.monotonic``, and remembers that it did."""

    def __init__(self, deadline: float) -> None:
        super().__init__()
        self.deadline, self.reached = deadline, False

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if time.monotonic() > self.deadline:
            self.reached = self.model.stop_training = True


def launch(job: Path, threads: int | None, watch: Callable[[], None]) -> Outcome:
    """Do a job in a process of its own.

    Args:
        job: The file.
        threads: For each operation; None for one per core.
        watch: Called every second; what it raises ends the process, and comes out here.

    Raises:
        RunError: If something was in the way that is not the trial's fault.
    """
    beside(job).unlink(missing_ok=True)
    command = [sys.executable, "-m", __name__, str(job), *([str(threads)] if threads else [])]
    # processes that share a graphics card take of its memory what they need, not all
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_FORCE_GPU_ALLOW_GROWTH": "true"} | os.environ
    with job.with_suffix(".log").open("ab") as said:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=said, stderr=said, env=environment)
        try:
            while process.poll() is None:
                watch()
                try:
                    process.wait(POLL)
                except subprocess.TimeoutExpired:
                    continue
        finally:
            process.kill()
            process.communicate()
    if not beside(job).is_file():
        return Outcome(status="failed", reason=_death(process.returncode, job.with_suffix(".log")))
    outcome = read_outcome(job)
    if outcome.status == "stopped":
        raise RunError(f"trial {job.stem} stopped: {outcome.reason}; mend it, and the same command goes on")
    return outcome


def beside(job: Path) -> Path:
    """Return the file that tells how a job went."""
    return job.with_suffix(".result.json")


def read_outcome(job: Path) -> Outcome:
    """Return how a job went.

    Raises:
        RunError: If its file cannot be read.
    """
    try:
        return Outcome.model_validate_json(beside(job).read_bytes())
    except OSError as error:
        raise RunError(f"{beside(job)} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise RunError(f"{beside(job)} is damaged: {first_flaw(error)}") from None


def attempt(job: Job, run: Run, spent: float = 0.0) -> Outcome:
    """Train, or go on with it, and say how it went; so many seconds of its time were spent before."""
    left = math.inf if job.seconds is None else job.seconds - spent
    deadline = StopAt(time.monotonic() + left)
    config = job.config
    if config.training.strategy == "auto":  # a search makes use of several devices by several trials
        config = config.replace({"training.strategy": "one"})
    try:
        result = fit(
            config, job.split, run.path, existing="resume", callbacks=[deadline, keras.callbacks.TerminateOnNaN()]
        )
    except CryoSegError as error:
        return Outcome(status="failed", reason=_diverged(run) or str(error))
    except OSError as error:
        return Outcome(status="stopped", reason=atomic.explain(error))
    except (MemoryError, tf.errors.ResourceExhaustedError):
        return Outcome(status="failed", reason="it needs more memory than there is")
    except Exception as error:  # whatever these settings led to: the search goes on
        log.exception("the trial failed")
        return Outcome(status="failed", reason=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
    score = deployed(run.info)
    if why := _diverged(run) or ("" if score is not None else "no validation image has anything to find"):
        return Outcome(status="failed", epochs=result.epochs, reason=why)
    why = "the time of the search was over" if deadline.reached else ""
    return Outcome(status="cut" if why else "done", score=score, epochs=result.epochs, reason=why)


def deployed(info: RunInfo) -> float | None:
    """Return the validation Dice of the masks as the run gives them; None where it is not defined."""
    if info.calibration is not None:
        return info.calibration.get("dice")
    return info.validation_dice


def main() -> int:
    """Do the job that the first argument names, with so many threads as the second says."""
    threading.Thread(target=leave_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that waits
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    file = Path(sys.argv[1])
    use_threads(int(sys.argv[2]) if len(sys.argv) > 2 else None)
    run = Run(file.parents[1] / "trials" / file.stem)
    spent = time.time() - psutil.Process().create_time()  # loading TensorFlow takes its time
    outcome = attempt(Job.model_validate_json(file.read_bytes()), run, spent)
    atomic.write_text(beside(file), outcome.model_dump_json(indent=2) + "\n")
    return 0


def _diverged(run: Run) -> str:
    for row in run.history():
        if not math.isfinite(row["loss"]):
            return f"it diverged: the loss was {row['loss']} in epoch {row['epoch']:.0f}"
    return ""


def _death(code: int, said: Path) -> str:
    if code == -signal.SIGABRT or code >= 0:
        lines = said.read_text("utf-8", "replace").strip().splitlines() or ["it said nothing"]
        return f"its process ended with exit code {code}: {lines[-1][:300]}"
    why = ", as a system does that runs out of memory" if code == -signal.SIGKILL else ""
    return f"its process was killed ({signal.Signals(-code).name}){why}"


if __name__ == "__main__":
    sys.exit(main())
