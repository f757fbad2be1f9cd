"""A worker of a search: makes the trials that a chief gives out; see ``chief.py``.

``python -m cryoseg_tf.training.worker OUT ADDRESS NAME THREADS`` is how a chief starts one on its own machine.
"""

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import grpc
from keras_tuner.src import protos

from ..errors import CryoSegError, RunError
from ..io.process import leave_with_parent
from .trial import launch

HEARTBEAT, ANSWER = 2.0, 15.0
"""Seconds between signs of life, and for an answer to one: without it the trial is stopped."""

JOINING = 600.0
"""Seconds that a worker waits for its chief, and a chief for its first worker."""

NAME = "worker"
"""Under which what a worker says carries its name."""

service = protos.get_service()
log = logging.getLogger(__name__)


class LostTrialError(Exception):
    """The chief cannot be reached, or gave the trial to another."""


class Client:
    """The chief, as a worker sees it."""

    def __init__(self, address: str, name: str) -> None:
        self.address, self.metadata = address, ((NAME, name),)
        options = (("grpc.max_reconnect_backoff_ms", 5000), ("grpc.enable_http_proxy", 0))
        self.stub = protos.get_service_grpc().OracleStub(grpc.insecure_channel(address, options))
        self.name, self.said = name, 0.0

    def ask(self) -> Any:
        """Return the next trial; waits for the chief.

        Raises:
            RunError: If it does not answer, or says what is wrong.
        """
        try:
            request = service.CreateTrialRequest(tuner_id=self.name)
            return self.stub.CreateTrial(request, wait_for_ready=True, timeout=JOINING).trial
        except grpc.RpcError as error:
            why = error.details() if error.code() == grpc.StatusCode.INTERNAL else "it does not answer"
            raise RunError(f"the chief at {self.address}: {why}") from None

    def stay(self, number: str) -> None:
        """Say that the worker is at its trial, if it is time for it.

        Raises:
            LostTrialError: If it is no longer.
        """
        if time.monotonic() - self.said > HEARTBEAT:
            self._say(self.stub.GetTrial, service.GetTrialRequest(trial_id=number))

    def end(self, trial: Any) -> None:
        """Say that a trial has ended.

        Raises:
            LostTrialError: If the chief does not take it: the trial will be given out again, and end at once.
        """
        self._say(self.stub.EndTrial, service.EndTrialRequest(trial=trial))

    def _say(self, call: Callable[..., Any], request: Any) -> None:
        try:
            call(request, timeout=ANSWER, metadata=self.metadata)
        except grpc.RpcError as error:
            raise LostTrialError(error.details()) from None
        self.said = time.monotonic()


def work(out: Path, address: str, threads: int | None = None, name: str = "") -> int:
    """Make trials for a chief until there are no more; return how many.

    Args:
        out: The folder of the search.
        address: Where the chief is.
        threads: Of each trial; None for one per core.
        name: To be known by; one of its own if empty.

    Raises:
        RunError: If the chief does not answer, or something is in the way of all trials.
    """
    client, done = Client(address, name or f"{socket.gethostname()}-{os.getpid()}"), 0
    statuses = protos.get_proto().TrialStatus
    while (trial := client.ask()).status != statuses.STOPPED:
        if trial.status == statuses.IDLE:
            time.sleep(HEARTBEAT)
            continue
        number = trial.trial_id
        log.info("trial %s begins", number)
        try:
            launch(out / "jobs" / f"{number}.json", threads, partial(client.stay, number))
            client.end(trial)
            done += 1
        except LostTrialError as why:
            log.warning("trial %s is left: %s", number, why)
    return done


def main() -> int:
    """Work as a chief on this machine asks: OUT ADDRESS NAME THREADS."""
    threading.Thread(target=leave_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the chief
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    out, address, name, threads = sys.argv[1:]
    try:
        work(Path(out), address, int(threads), name)
    except (CryoSegError, OSError) as error:
        log.error("%s", error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
