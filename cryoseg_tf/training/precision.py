"""In what precision a network is trained. Its weights are float32 all the while; so is every model that is saved.

Mixed precision after Micikevicius et al. 2018 (arXiv:1710.03740): convolutions in 16 bits, weights,
statistics, losses and probabilities in 32.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from .strategy import cpu_flags

POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
"""What Keras calls it."""

MATRIX_UNITS = (7, 0)
"""NVIDIA GPUs from this compute capability on multiply float16 matrices in units of their own."""

BFLOAT16 = ("avx512_bf16", "amx_bf16")
"""Either of these instructions makes bfloat16 faster than float32 on a CPU."""


def choose_precision(asked: str) -> tuple[str, str]:
    """Return the precision to train in, and a line that says why.

    Args:
        asked: "auto", or one of ``POLICIES``.
    """
    fast, why = _fastest()
    if asked == "auto":
        return fast, f"precision: {fast}; {why}"
    note = "" if asked in ("float32", fast) else f"; {why}: {asked} may well be slower than {fast}"
    return asked, f"precision: {asked}, as set{note}"


@contextmanager
def layers_in(precision: str) -> Iterator[None]:
    """Let layers that are made meanwhile compute in a precision, one of ``POLICIES``."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(POLICIES[precision])
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _fastest() -> tuple[str, str]:
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
        if capability >= MATRIX_UNITS:
            return "float16", "the GPU has matrix units for it"
        return "float32", "the GPU has no matrix units for float16"
    if found := next((flag for flag in BFLOAT16 if flag in cpu_flags()), None):
        return "bfloat16", f"the processor has {found.upper()}"
    return "float32", "the processor has no instructions for bfloat16"
