"""Processors and threads."""

import logging
import os
from pathlib import Path

import tensorflow as tf

CPUINFO = Path("/proc/cpuinfo")

log = logging.getLogger(__name__)


def use_threads(threads: int | None = None) -> None:
    """Fix how many threads compute, so that training repeats bit by bit.

    One operation runs at a time, on all threads. With two at a time the oneDNN kernels add up
    in an order that varies from run to run, even under TensorFlow's determinism flag; and it is
    no faster, since each operation already uses every core.

    Args:
        threads: Threads for each operation; None for what was set before, or one per core.
    """
    config = tf.config.threading
    try:
        config.set_inter_op_parallelism_threads(1)
        config.set_intra_op_parallelism_threads(
            threads or config.get_intra_op_parallelism_threads() or available_cores()
        )
    except RuntimeError:  # TensorFlow has computed something already
        if config.get_inter_op_parallelism_threads() != 1:
            log.warning(
                "TensorFlow was in use before: training may differ in the last bits from run to run; "
                "call cryoseg_tf.use_threads() first"
            )


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_flags() -> frozenset[str]:
    """Return what the processor can do, as Linux names it; empty where that cannot be told."""
    try:
        return frozenset(CPUINFO.read_text("utf-8", "replace").split())
    except OSError:
        return frozenset()


def has_gpu() -> bool:
    """Whether there is a GPU to compute on."""
    return bool(tf.config.list_physical_devices("GPU"))


def device() -> str:
    """Return the name of what computes."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return f"CPU, {tf.config.threading.get_intra_op_parallelism_threads()} threads"
    return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", gpus[0].name))
