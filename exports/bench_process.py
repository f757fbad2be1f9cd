"""The process of a combination, from outside: see ``bench_worker``."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from subprocess import PIPE
from tempfile import TemporaryFile
from typing import IO, Any, NamedTuple

from cryoseg_tf.errors import ExportError

from .bench_worker import MARK, Job
from .children import last_words


class Process(NamedTuple):
    """A process that measures.

    Attributes:
        process: It.
        said: What it and its runtime say of errors.
        began: When it was started.
    """

    process: subprocess.Popen[str]
    said: IO[str]
    began: float

    def tell(self, what: object) -> None:
        """Say what to do next."""
        if self.process.stdin:
            with suppress(OSError):  # it has ended: what it said last tells why
                self.process.stdin.write(json.dumps(what) + "\n")
                self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """Return the next answer.

        Raises:
            ExportError: If it says what is wrong, or ends.
        """
        for line in self.process.stdout or ():
            if line.startswith(MARK):
                answer: dict[str, Any] = json.loads(line.removeprefix(MARK))
                if "error" in answer:
                    raise ExportError(answer["error"])
                return answer
        code = self.process.wait()
        self.said.seek(0)
        raise ExportError(f"its process ended with exit code {code}: {last_words(self.said.read())}")


@contextmanager
def started(job: Job) -> Iterator[Process]:
    """Start a process with a job; it ends with the block."""
    # processes that share a graphics card take of its memory what they need, not all
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    command = [sys.executable, "-m", f"{__package__}.bench_worker"]
    with TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=PIPE, stdout=PIPE, stderr=said, env=environment, encoding="utf-8", errors="replace"
        )
        worker = Process(process, said, began)
        try:
            worker.tell(job)
            yield worker
        finally:
            process.kill()
            process.communicate()
