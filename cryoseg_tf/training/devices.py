"""What a training computes on: one device, all graphics cards of this machine, or several processes.

A *replica* is the network on one device. All have the same weights; each takes an equal piece of every batch,
and what they learn is added up, so that the batch stays the whole::

    batch     |  0  1  2  3  |  4  5  6  7  |     two workers with two devices each: four replicas
    replica   |  0     1     |  2     3     |
    worker    |  0           |  1           |     worker 0 decides, and writes the run
"""

import functools
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import tensorflow as tf
from pydantic import BaseModel

from ..config import Config, TrainingConfig
from ..data.pipeline import Share
from ..errors import ConfigError
from . import cluster

RESUMED = ("*.json", "*.yaml", "state/*.npz")
"""The files of a run with which a training goes on."""

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Devices:
    """What a training computes on, and which part of it this process is.

    Attributes:
        words: Which, and why, for people.
        strategy: TensorFlow's; None for one device, where nothing is to be distributed.
        worker: The number of this process, from 0.
        workers: How many there are.
    """

    words: str
    strategy: tf.distribute.Strategy | None = None
    worker: int = 0
    workers: int = 1

    @property
    def replicas(self) -> int:
        """How many there are, on all workers together."""
        return int(self.strategy.num_replicas_in_sync) if self.strategy else 1

    @property
    def first(self) -> bool:
        """Whether this process decides and writes."""
        return self.worker == 0

    def scope(self) -> AbstractContextManager[Any]:
        """Within it a network is made, and trained, on all of them."""
        return self.strategy.scope() if self.strategy else nullcontext()

    def dataset(self, make: Callable[[Share | None], tf.data.Dataset]) -> tf.data.Dataset:
        """Distribute what ``make`` gives for the share of this process; with one device it gives all."""
        if self.strategy is None:
            return make(None)
        here = self.replicas // self.workers
        share = Share(self.worker * here, here, self.replicas)
        return self.strategy.distribute_datasets_from_function(lambda context: make(share))

    def told(self, content: bytes) -> bytes:
        """Return what worker 0 has as ``content``; all workers have to call it."""
        if self.workers == 1:
            return content
        return cluster.told(self.strategy, self.first, content)

    def agreed(self, decision: bool) -> bool:
        """Return what worker 0 decided: all have to end at the same step, or the others wait for ever."""
        return self.told(b"1" if decision else b"") == b"1"

    def same(self, settings: Model) -> Model:
        """Return worker 0's settings, or contract; all workers have to call it."""
        content = self.told(settings.model_dump_json(exclude_unset=True).encode())
        return settings if self.first else type(settings).model_validate_json(content)

    def hand_out(self, folder: Path, patterns: Sequence[str] = RESUMED) -> None:
        """Let all workers have what worker 0 has in a run folder, in folders of their own."""
        if self.workers > 1:
            content = self.told(cluster.packed(folder, patterns) if self.first else b"")
            if not self.first:
                cluster.unpack(content, folder)


ONE = Devices("one")


def find_devices(training: TrainingConfig) -> Devices:
    """Return what ``training.strategy`` asks for; "auto" stays on this machine, see ``with_cluster``.

    Raises:
        ConfigError: If it is not there.
    """
    match training.strategy:
        case "one":
            return Devices("one, as training.strategy says")
        case "mirrored":
            names = _local()
            if len(names) < 2:
                raise ConfigError(
                    "training.strategy is mirrored, and there are not two graphics cards here: set it to auto or one"
                )
            return Devices(f"{len(names)}, mirrored, as training.strategy says", _mirrored(names))
        case "multiworker":
            return _together()
    return _automatic(training.batch_size)


def with_cluster(config: Config) -> Config:
    """Have "auto" train together with the other processes that TF_CONFIG or srun name.

    Only where one network is all that is trained: the processes of a search each have networks of their own.
    """
    if config.training.strategy == "auto" and cluster.member():
        return config.replace({"training.strategy": "multiworker"})
    return config


def check_batch(batch: int, replicas: int) -> None:
    """Refuse a batch that replicas cannot take equal pieces of.

    Raises:
        ConfigError: Naming sizes that they can.
    """
    if batch % replicas:
        near = [size for size in (batch - batch % replicas, batch + -batch % replicas) if size]
        raise ConfigError(
            f"training.batch_size is {batch}: {replicas} devices take equal pieces of it, so it must be a "
            f"multiple of {replicas}, as {' or '.join(map(str, near))}"
        )


def refuse_cluster(training: TrainingConfig, what: str) -> None:
    """Refuse several workers where one process does it all.

    Raises:
        ConfigError: If the settings ask for them.
    """
    if training.strategy == "multiworker":
        raise ConfigError(f"training.strategy is multiworker, and {what}: set it to auto, mirrored or one")


def _automatic(batch: int) -> Devices:
    cards = len(tf.config.list_physical_devices("GPU"))
    used = max((count for count in range(1, cards + 1) if batch % count == 0), default=1)
    if used > 1:
        why = "all graphics cards" if used == cards else f"of {cards} graphics cards as many as divide the batch"
        return Devices(f"{used}, mirrored: {why}", _mirrored(tuple(f"GPU:{n}" for n in range(used))))
    there = {0: "there is no graphics card", 1: "there is one graphics card"}
    return Devices(f"one: {there.get(cards, f'a batch of {batch} cannot be divided over {cards} graphics cards')}")


def _local() -> tuple[str, ...]:
    """Name the graphics cards, or else the parts that the processor was divided into."""
    if cards := len(tf.config.list_physical_devices("GPU")):
        return tuple(f"GPU:{n}" for n in range(cards))
    parts = tf.config.get_logical_device_configuration(tf.config.list_physical_devices("CPU")[0])
    return tuple(f"CPU:{n}" for n in range(len(parts or [None])))


@functools.cache
def _mirrored(names: tuple[str, ...]) -> tf.distribute.Strategy:
    return tf.distribute.MirroredStrategy(list(names))


def _together() -> Devices:
    found = cluster.member()
    if found is None:
        raise ConfigError(
            "training.strategy is multiworker, and neither TF_CONFIG nor srun names other processes: "
            "see docs/scaling.md, or set it to auto"
        )
    strategy, count = cluster.join(found), len(found.addresses)
    words = f"{strategy.num_replicas_in_sync} on {count} workers; this is worker {found.number}"
    return Devices(words, strategy, found.number, count)
