"""A chief gives out trials to workers, here or on other machines, by the protocol that KerasTuner has for it.

The folder of the search lies on a file system that all of them share, at the same paths as the images. The chief
alone decides and writes down; a worker is told the number of a trial, does its job, and says that it is done.
What KerasTuner leaves out: a worker says every two seconds that it is still at it (``GetTrial``), so
that a trial whose worker died is given to another, and the chief ends when all are gone::

    worker                chief
      | CreateTrial  ------> |   07
      | GetTrial 07  ------> |   yes, it is yours         every HEARTBEAT
      | EndTrial 07  ------> |   reads jobs/07.result.json
      | CreateTrial  ------> |   08, or wait, or there are no more
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
from keras_tuner.src import protos
from keras_tuner.src.distribute.oracle_chief import OracleServicer

from ..errors import RunError
from ..io.native import no_native_stderr
from . import worker
from .search import Search
from .strategy import available_cores
from .trial import read_outcome
from .tuning_result import Progress

SILENCE = 45.0
"""Seconds without a sign of life, until a worker's trial is given away.

Longer than a worker takes to stop a trial when it has lost its chief, so that no two are at one.
"""

ANY_HOST = ("0.0.0.0", "[::]")

service = protos.get_service()


class Chief(OracleServicer):
    """Answers workers, and knows when it heard of each.

    Attributes:
        heard: The workers that are there, and when they last said something.
        known: All that ever were.
        told: Those that were told that there are no more trials.
        error: What went wrong while it answered.
    """

    def __init__(self, search: Search) -> None:
        super().__init__(search.oracle)
        self.search = search
        self.heard: dict[str, float] = {}
        self.known: set[str] = set()
        self.told: set[str] = set()
        self.error: Exception | None = None

    def CreateTrial(self, request: Any, context: Any) -> Any:  # noqa: N802 - the protocol's names
        name = request.tuner_id
        self._hear(name)
        with self._kept(context):
            trial = self.search.ask(name)
        self._hear(name)  # choosing it may have taken long
        if trial.status == "STOPPED":
            self.told.add(name)
        return service.CreateTrialResponse(trial=trial.to_proto())

    def GetTrial(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._check(request.trial_id, context)
        return super().GetTrial(request, context)

    def EndTrial(self, request: Any, context: Any) -> Any:  # noqa: N802
        number = request.trial.trial_id
        self._check(number, context)
        with self._kept(context):
            self.search.tell(number, read_outcome(self.search.job(number)))
        return service.EndTrialResponse()

    def gone(self, ended: set[str]) -> list[str]:
        """Forget workers that ended, were told that there is no more, or are silent; return them."""
        now = time.monotonic()
        left = ended | self.told
        gone = [name for name, when in list(self.heard.items()) if name in left or now - when > SILENCE]
        for name in gone:
            del self.heard[name]
        return gone

    def _hear(self, name: str) -> None:
        self.known.add(name)
        self.heard[name] = time.monotonic()

    def _check(self, number: str, context: Any) -> None:
        name = dict(context.invocation_metadata()).get(worker.NAME, "")
        if self.search.running.get(name) != number:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "it was given to another")
        self._hear(name)

    @contextmanager
    def _kept(self, context: Any) -> Iterator[None]:
        """Keep an error for the one that waits, in another thread."""
        try:
            yield
        except Exception as error:
            self.error = error
            context.abort(grpc.StatusCode.INTERNAL, str(error))


def serve(search: Search, address: str, workers: int, threads: int | None, progress: Progress) -> None:
    """Let workers make the trials, until all are done.

    Args:
        search: What is searched.
        address: "HOST:PORT" to be reached at; port 0 for any.
        workers: So many are started here.
        threads: Of each trial here; None for all cores, shared between them.
        progress: Called when a trial has ended.

    Raises:
        RunError: If the address cannot be used, no worker comes, or all are gone.
    """
    chief = Chief(search)
    with _listening(chief, address) as reached, _started(search.out, reached, workers, threads) as here:
        began, ended = time.monotonic(), len(search.notes.outcomes)
        while chief.heard or not (chief.told and not search.running):
            time.sleep(0.5)
            search.tick()
            if chief.error is not None:
                raise chief.error
            if len(search.notes.outcomes) != ended:
                ended = len(search.notes.outcomes)
                progress(search.result())
            search.check()
            dead = {name for name, process in here.items() if process.poll() is not None}
            for name in chief.gone(dead):
                if name in search.running:
                    search.give_up(name)
            waiting = not chief.known and not here and time.monotonic() - began < worker.JOINING
            if not (chief.heard or chief.told or len(dead) < len(here) or waiting):
                raise _abandoned(search, bool(chief.known or here), dead)
        _leave(here)


@contextmanager
def _listening(chief: Chief, address: str) -> Iterator[str]:
    """Answer workers; yield the address at which those on this machine reach the chief."""
    server = grpc.server(ThreadPoolExecutor(8), options=(("grpc.so_reuseport", 0),))
    protos.get_service_grpc().add_OracleServicer_to_server(chief, server)
    try:
        with no_native_stderr():
            port = server.add_insecure_port(address)
    except RuntimeError:
        raise RunError(f"{address} cannot be listened at: is it this machine's, and the port free?") from None
    server.start()
    host = address.rpartition(":")[0]
    try:
        yield f"{'127.0.0.1' if host in ANY_HOST else host}:{port}"
    finally:
        server.stop(grace=1.0).wait()


@contextmanager
def _started(
    out: Path, address: str, workers: int, threads: int | None
) -> Iterator[dict[str, "subprocess.Popen[bytes]"]]:
    """Start workers on this machine; they end with the block."""
    logs = out / "workers"
    logs.mkdir(exist_ok=True)
    share = threads or max(1, available_cores() // max(workers, 1))
    here: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for number in range(1, workers + 1):
            name = f"worker_{number}"
            command = [sys.executable, "-m", worker.__name__, str(out), address, name, str(share)]
            with (logs / f"{name}.log").open("wb") as said:
                here[name] = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=said, stderr=said)
        yield here
    finally:
        for process in here.values():
            process.kill()
            process.communicate()


def _leave(here: dict[str, "subprocess.Popen[bytes]"]) -> None:
    """Let workers that were told to leave do so."""
    for process in here.values():
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)


def _abandoned(search: Search, came: bool, dead: set[str]) -> RunError:
    """Say that nobody is there to make the trials that are left."""
    if not came:
        return RunError(
            f"no worker has come within {worker.JOINING / 60:.0f} minutes: is --chief where they look for it?"
        )
    logs = [search.out / "workers" / f"{name}.log" for name in sorted(dead)]
    said = [line for file in logs for line in file.read_text("utf-8", "replace").strip().splitlines()[-1:]]
    why = f"; the last one said: {said[-1]}" if said else ""
    result = search.result()
    ended = f"{len(result.ended)} of {result.total} trials"
    return RunError(f"all workers are gone after {ended}{why}; the same command goes on")
