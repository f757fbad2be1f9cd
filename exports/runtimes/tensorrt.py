"""TensorRT and TensorRT RTX, on an NVIDIA GPU. Written by their documentation: not run on a GPU yet.

Three batches are under way at a time, each in memory of its own, so that copying to the GPU, computing,
copying back, and what the caller does before and after overlap::

    upload      |1|2|3|     |4|   |5|
    compute       |  1  |  2  |  3  |  4  |
    download            |1|   |2|   |3|
    the caller  reads 4 ..., writes 1, reads 5 ...
"""

import ctypes
import itertools
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from cryoseg_tf.errors import ExportError
from cryoseg_tf.segmentation.predictor import Array

from .. import nvidia
from ..bundle import Bundle
from ..gpu import cuda, cudart
from ..nvidia import PROBABILITY, TILE
from ..tensorrt import ready
from . import Whole

SLOTS = 3


class Slot(NamedTuple):
    """Memory for one batch on both sides, and the events that say how far it is."""

    host_in: Array
    host_out: Array
    device_in: int
    device_out: int
    uploaded: Any
    computed: Any
    downloaded: Any


class TensorrtPredictor:
    """Runs an engine; see ``cryoseg_tf.segmentation.predictor.Predictor``. One ``map`` at a time.

    Attributes:
        batch: Tiles that it takes at once.
    """

    def __init__(self, bundle: Bundle, precision: str, threads: int | None) -> None:
        network = bundle.manifest.network
        self.channels, self.stride, self.halo = network.channels, network.stride, network.halo
        _leave_memory()
        engine = ready(bundle, precision)
        self._largest = engine.facts.profile.maximum
        self.batch = self._largest[0]
        self._toolkit, _ = nvidia.find()
        self._engine, self._runtime = self._toolkit.load(engine.path)
        self._context = self._engine.create_execution_context()
        if self._context is None:
            words = self._toolkit.logger.words()
            raise ExportError(f"{engine.path} cannot run: {words}; prepare with a smaller --batch")
        self._cudart = cudart()
        self._take_memory()

    def map(self, batches: Iterable[Array]) -> Iterator[Array]:
        """See ``Predictor.map``."""
        under_way: deque[tuple[Slot, tuple[int, ...]]] = deque()
        for slot, batch in zip(itertools.cycle(self._slots), batches, strict=False):
            if len(under_way) == SLOTS:
                yield self._finish(*under_way.popleft())
            self._start(slot, batch)
            under_way.append((slot, batch.shape))
        while under_way:
            yield self._finish(*under_way.popleft())

    def _start(self, slot: Slot, batch: Array) -> None:
        if any(size > most for size, most in zip(batch.shape, self._largest, strict=True)):
            raise ExportError(f"a batch of tiles is {batch.shape}, but the engine takes at most {self._largest}")
        runtime, kinds = self._cudart, self._cudart.cudaMemcpyKind
        cuda(runtime.cudaEventSynchronize(slot.downloaded))  # a map that was given up may have left work
        slot.host_in[: batch.size] = batch.reshape(-1)
        source, size = slot.host_in.ctypes.data, batch.nbytes
        cuda(runtime.cudaMemcpyAsync(slot.device_in, source, size, kinds.cudaMemcpyHostToDevice, self._upload))
        self._follow(slot.uploaded, self._upload, self._compute)
        self._enqueue(slot, batch.shape)
        self._follow(slot.computed, self._compute, self._download)
        target, size = slot.host_out.ctypes.data, batch.nbytes * self.channels
        cuda(runtime.cudaMemcpyAsync(target, slot.device_out, size, kinds.cudaMemcpyDeviceToHost, self._download))
        cuda(runtime.cudaEventRecord(slot.downloaded, self._download))

    def _enqueue(self, slot: Slot, shape: tuple[int, ...]) -> None:
        context = self._context
        started = (
            context.set_input_shape(TILE, shape)
            and context.set_tensor_address(TILE, slot.device_in)
            and context.set_tensor_address(PROBABILITY, slot.device_out)
            and context.execute_async_v3(int(self._compute))
        )
        if not started:
            raise ExportError(f"the engine stopped at a batch of tiles {shape}: {self._toolkit.logger.words()}")

    def _follow(self, event: Any, first: Any, second: Any) -> None:
        """Let what comes next in one stream wait for what is in another."""
        cuda(self._cudart.cudaEventRecord(event, first))
        cuda(self._cudart.cudaStreamWaitEvent(second, event, 0))

    def _finish(self, slot: Slot, shape: tuple[int, ...]) -> Array:
        cuda(self._cudart.cudaEventSynchronize(slot.downloaded))
        shape = (*shape[:-1], self.channels)
        return slot.host_out[: int(np.prod(shape))].reshape(shape).copy()

    def _take_memory(self) -> None:
        with ExitStack() as stack:
            lender = Lender(self._cudart, stack)
            self._upload, self._compute, self._download = lender.stream(), lender.stream(), lender.stream()
            self._slots = [self._slot(lender) for _ in range(SLOTS)]
            weakref.finalize(self, stack.pop_all().close)

    def _slot(self, lender: "Lender") -> Slot:
        taken = int(np.prod(self._largest))
        given = taken * self.channels
        return Slot(
            host_in=lender.host(taken),
            host_out=lender.host(given),
            device_in=lender.device(taken),
            device_out=lender.device(given),
            uploaded=lender.event(),
            computed=lender.event(),
            downloaded=lender.event(),
        )


class Lender:
    """Takes things from CUDA; they are given back when the stack is closed."""

    def __init__(self, cudart: Any, stack: ExitStack) -> None:
        self._cudart, self._stack = cudart, stack

    def host(self, count: int) -> Array:
        """Return memory for float32 values; it is pinned, for no other is copied while the GPU computes."""
        place = cuda(self._cudart.cudaMallocHost(4 * count))
        self._stack.callback(self._cudart.cudaFreeHost, place)
        return np.ctypeslib.as_array((ctypes.c_float * count).from_address(int(place)))

    def device(self, count: int) -> int:
        """Return the address of memory on the GPU for float32 values."""
        place = cuda(self._cudart.cudaMalloc(4 * count))
        self._stack.callback(self._cudart.cudaFree, place)
        return int(place)

    def stream(self) -> Any:
        """Return a stream that waits for no other."""
        stream = cuda(self._cudart.cudaStreamCreateWithFlags(self._cudart.cudaStreamNonBlocking))
        self._stack.callback(self._cudart.cudaStreamDestroy, stream)
        return stream

    def event(self) -> Any:
        """Return an event."""
        event = cuda(self._cudart.cudaEventCreateWithFlags(self._cudart.cudaEventDisableTiming))
        self._stack.callback(self._cudart.cudaEventDestroy, event)
        return event


def _leave_memory() -> None:
    """Keep TensorFlow, which prepares the images, from taking all of the GPU's memory."""
    for gpu in tf.config.list_physical_devices("GPU"):
        with suppress(RuntimeError):  # it has taken it already
            tf.config.experimental.set_memory_growth(gpu, True)


predictor = TensorrtPredictor


def whole(bundle: Bundle, threads: int | None) -> Whole:
    """Refuse: there is no engine of the whole way.

    Raises:
        ExportError: Always.
    """
    raise ExportError(f"{bundle.path}: TensorRT runs the network alone")
