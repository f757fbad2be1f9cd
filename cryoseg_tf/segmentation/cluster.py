"""Segment many files in many processes, here or on many machines, with Dask.

Each worker loads the model once. What it makes of an image comes back as the content of files, which
this process alone writes: the masks and records are those that one process would have made, and
workers need to read the images only. A worker that is lost loses nothing but time: its images are
done by others.
"""

import asyncio
import dataclasses
import functools
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from ..config import Contract
from ..errors import CryoSegError, DataError
from ..io.native import load_tensorflow
from .segmenter import Segmenter
from .work import Made, Task, make

if TYPE_CHECKING:
    from distributed import Client

Loader = Callable[[], Segmenter]
"""Loads a model; hashable, and can be pickled: it is sent to workers, and each calls it once."""

AHEAD = 4
"""So many tasks for each worker are sent ahead: none waits for the next, and none is given all."""

PATIENCE = 60
"""Seconds to wait for a first worker."""

_LOADING = Lock()

log = logging.getLogger(__name__)


class OnDask:
    """Does tasks on the workers of a Dask cluster; see ``work.Workforce``.

    Args:
        client: Connected to the scheduler.
        load: Loads the model in a worker.
        contract: The model's.
    """

    def __init__(self, client: "Client", load: Loader, contract: Contract) -> None:
        self.client, self.load, self.contract = client, load, contract

    def map(self, tasks: Iterable[Task]) -> Iterator[tuple[Task, Made]]:
        """See ``Workforce.map``; as they are finished.

        Raises:
            DataError: If no worker is there within a minute.
        """
        from distributed import as_completed

        left, done = iter(tasks), as_completed(loop=self.client.loop)
        sent: dict[Any, Task] = {}
        ahead = AHEAD * self._workers()
        while True:
            for task in islice(left, max(ahead - len(sent), 0)):
                there = dataclasses.replace(task, image=task.image.absolute())  # workers have folders of their own
                future = self.client.submit(_make, self.load, there, pure=False)
                sent[future.key] = task
                done.add(future)
            if not sent:
                return
            future = next(done)
            yield sent.pop(future.key), _answer(future)

    def _workers(self) -> int:
        try:
            self.client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError:
            raise DataError(f"no worker came within {PATIENCE} s: start some by 'dask worker ADDRESS'") from None
        return len(self.client.nthreads())


@contextmanager
def connected(address: str) -> Iterator["Client"]:
    """Connect to the scheduler of a cluster, by its address or the file that it writes.

    Raises:
        DataError: If Dask is not installed, or there is no scheduler.
    """
    distributed = _distributed()
    log.info("connecting to %s, for up to %d s", address, PATIENCE)
    try:
        place = json.loads(Path(address).read_text("utf-8"))["address"] if Path(address).is_file() else address
        asyncio.run(_answering(place))  # a client that finds none hangs when it is given up
    except (OSError, ValueError, TypeError, LookupError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"there is no Dask scheduler at {address}: {reason}") from None
    except MemoryError:  # the first bytes are taken for a length
        raise DataError(f"there is no Dask scheduler at {address}: what answers there is something else") from None
    with distributed.Client(place, timeout=PATIENCE, set_as_default=False) as client:
        yield _heard(client)


@contextmanager
def local(workers: int) -> Iterator["Client"]:
    """Start workers on this machine, each a process; they end with the block.

    Raises:
        DataError: If Dask is not installed.
    """
    distributed = _distributed()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with (
        # a task computes on all threads of its worker: two at a time would only take memory
        distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=0,
            dashboard_address=None,
            silence_logs=logging.ERROR,
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        client.run(load_tensorflow)
        yield _heard(client)


async def _answering(address: str) -> None:
    from distributed import Security
    from distributed.core import rpc

    async with rpc(address, timeout=PATIENCE, connection_args=Security().get_connection_args("client")) as scheduler:
        await asyncio.wait_for(scheduler.identity(), PATIENCE)


def _heard(client: "Client") -> "Client":
    client.forward_logging("cryoseg_tf")  # what workers warn of is said here
    return client


def _distributed() -> Any:
    try:
        import distributed
    except ImportError:
        raise DataError("workers need Dask: pip install 'cryoseg-tf[dask]'") from None
    return distributed


@functools.lru_cache(maxsize=1)
def _loaded(load: Loader) -> Segmenter:
    return load()


def _make(load: Loader, task: Task) -> Made:
    try:
        with _LOADING:  # a worker of several threads loads it once, too
            segmenter = _loaded(load)
    except CryoSegError as error:
        return Made(error=f"{task.image}: a worker cannot load the model: {error}")
    return make(segmenter, task)


def _answer(future: Any) -> Made:
    error = future.exception()
    if error is None:
        return future.result()
    return Made(error=f"the workers that worked on it stopped ({type(error).__name__}): memory may be too little")
