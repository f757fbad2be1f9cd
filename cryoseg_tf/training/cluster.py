"""Processes that train one network together: which they are, and what the first of them tells the others.

TensorFlow connects them, adds up what they compute and notices when one is gone: its coordination service
gives up a worker that was silent for ten seconds, and every sum that waits for it ends in an error.
"""

import atexit
import functools
import io
import json
import logging
import os
import re
import signal
import sys
import threading
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.python.distribute.cluster_resolver import slurm_cluster_resolver as slurm

from ..errors import ConfigError, RunError

log = logging.getLogger(__name__)

TF_CONFIG, TASKS = "TF_CONFIG", "SLURM_STEP_NUM_TASKS"

PORTS = 20000
"""Under SLURM a job's ports lie from here on, at its number modulo ``JOBS``, so that jobs on a node do not meet."""

JOBS = 1000
PORTS_EACH = 16

PIECE = 2**22
"""What is told goes in pieces of so many numbers: an RPC has a limit."""

FAILED, INTERRUPTED = 2, 130
"""Exit codes."""

LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)
"""What a sum over workers ends in when one of them is gone."""


class Member(NamedTuple):
    """A process among those that train together: the addresses of all, and its own number."""

    addresses: tuple[str, ...]
    number: int


def member() -> Member | None:
    """Return what TF_CONFIG or srun says of this process; None where it is the only one.

    Raises:
        ConfigError: If what they say cannot be used.
    """
    try:
        if text := os.environ.get(TF_CONFIG):
            found = _of_tf_config(json.loads(text))
        elif int(os.environ.get(TASKS, "1")) > 1:
            found = _of_slurm(os.environ)
        else:
            return None
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        name = TF_CONFIG if os.environ.get(TF_CONFIG) else "what SLURM says of this step"
        why = f"it lacks {error}" if isinstance(error, KeyError) else str(error) or "it is incomplete"
        raise ConfigError(f"{name} cannot be used: {why}; docs/scaling.md shows how it should look") from None
    return found if len(found.addresses) > 1 else None


def _of_tf_config(content: dict[str, Any]) -> Member:
    cluster, task = content["cluster"], content["task"]
    others = sorted(cluster.keys() - {"chief", "worker"})
    if others or task["type"] not in cluster:
        raise ValueError("there are only workers here, or a chief and workers")
    chiefs = cluster.get("chief", [])
    addresses = (*chiefs, *cluster.get("worker", []))
    number = int(task["index"]) + (len(chiefs) if task["type"] == "worker" else 0)
    return _numbered(addresses, number)


def _of_slurm(said: Any) -> Member:
    # not SlurmClusterResolver: it sorts hosts by name, node10 before node9, and SLURM numbers tasks as it lists hosts
    hosts = slurm.expand_hostlist(said["SLURM_STEP_NODELIST"])
    tasks = slurm.expand_tasks_per_node(said["SLURM_STEP_TASKS_PER_NODE"])
    base = PORTS + int(said.get("SLURM_JOB_ID", 0)) % JOBS * PORTS_EACH
    addresses = [f"{host}:{base + n}" for host, count in zip(hosts, tasks, strict=True) for n in range(count)]
    return _numbered(tuple(addresses), int(said["SLURM_PROCID"]))


def _numbered(addresses: tuple[str, ...], number: int) -> Member:
    if number not in range(len(addresses)):
        raise ValueError(f"worker {number} of {len(addresses)} does not exist, as they count from 0")
    return Member(addresses, number)


@functools.cache
def join(cluster: Member) -> tf.distribute.Strategy:
    """Connect with the others, and wait until all are there.

    Raises:
        ConfigError: If TensorFlow computed something before, or cannot listen at this process' address.
    """
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.addresses)}),
        task_type="worker",
        task_id=cluster.number,
        num_accelerators={"GPU": len(tf.config.list_physical_devices("GPU"))},
        rpc_layer="grpc",
    )
    log.info(
        "worker %d of %d: waiting for all of %s", cluster.number, len(cluster.addresses), ", ".join(cluster.addresses)
    )
    try:
        with _ended_by_ctrl_c():
            strategy = tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)
    except RuntimeError:
        raise ConfigError(
            "TensorFlow was in use before this process could join the others: a training on several machines has to "
            "begin before anything else is computed"
        ) from None
    except tf.errors.OpError as error:
        address = cluster.addresses[cluster.number]
        raise ConfigError(
            f"worker {cluster.number} cannot join the others at {address} ({error.message.splitlines()[0]}): is it "
            "this machine's address, is the port free and open, and were all workers started?"
        ) from None
    atexit.register(_leave)
    return strategy


@contextmanager
def _ended_by_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C end the process at once: while TensorFlow waits, Python does not come to see it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def training_of(workers: int) -> Iterator[None]:
    """Within it all workers train; say what happened where another one is gone.

    Raises:
        RunError: Then.
    """
    try:
        yield
        _End.code = None
    except KeyboardInterrupt:
        _End.code = INTERRUPTED
        raise
    except LOST as error:
        if workers == 1:
            raise
        gone = re.search(r"reported from /job:worker/task:(\d+)", str(error))
        who = f"worker {gone[1]}" if gone else "another worker"
        raise RunError(
            f"{who} ended or cannot be reached, and none goes on without it: see what it said; "
            "the same command with --resume, on all workers, goes on from the last epoch"
        ) from error


class _End:
    """With which code this process ends at once; None to end as Python does."""

    code: int | None = FAILED


def _leave() -> None:
    # TensorFlow's own end may wait for ever for workers that are gone, or that wait for this one
    if _End.code is not None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_End.code)


def told(strategy: tf.distribute.Strategy, first: bool, content: bytes) -> bytes:
    """Return what the first worker has as ``content``, on all of them; all have to call it."""
    size = _told(strategy, first, np.frombuffer(len(content).to_bytes(8, "little"), np.uint16))
    length = int.from_bytes(size.tobytes(), "little")
    numbers = np.zeros(-(-length // 2), np.uint16)
    if first:
        numbers[:] = np.frombuffer(content + b"\0" * (length % 2), np.uint16)
    pieces = [_told(strategy, first, numbers[at : at + PIECE]) for at in range(0, len(numbers), PIECE)]
    return b"".join(piece.tobytes() for piece in pieces)[:length]


def _told(strategy: tf.distribute.Strategy, first: bool, numbers: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
    # float32 holds them exactly, and every kind of collective adds it
    own = numbers.astype(np.float32) * first
    total: npt.NDArray[np.float32] = strategy.reduce("SUM", tf.constant(own), axis=None).numpy()
    return total.astype(np.uint16)


def packed(folder: Path, patterns: Sequence[str]) -> bytes:
    """Return the files of a folder that match, as a ZIP archive."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for file in (file for pattern in patterns for file in folder.glob(pattern)):
            archive.write(file, file.relative_to(folder))
    return content.getvalue()


def unpack(content: bytes, folder: Path) -> None:
    """Write what ``packed`` gave to another folder."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        archive.extractall(folder)
