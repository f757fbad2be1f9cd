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


WIDTH = 16
"""oneDNN computes bfloat16 fast where channels come in multiples of this, and else slower than float32."""


def choose_precision(asked: str, base_filters: int) -> tuple[str, str]:
    """Return the precision to train in, and a line that says why.

    Args:
        asked: "auto", or one of ``POLICIES``.
        base_filters: The network's width, of which all others are multiples.
    """
    fast, why = _fastest(base_filters)
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


def _fastest(base_filters: int) -> tuple[str, str]:
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        capability = tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0))
        if capability >= MATRIX_UNITS:
            return "float16", "the GPU has matrix units for it"
        return "float32", "the GPU has no matrix units for float16"
    found = next((flag for flag in BFLOAT16 if flag in cpu_flags()), None)
    if found is None:
        return "float32", "the processor has no instructions for bfloat16"
    if base_filters % WIDTH:
        return (
            "float32",
            f"bfloat16 is fast with a multiple of {WIDTH} base filters, not with {base_filters}",
        )
    return "bfloat16", f"the processor has {found.upper()}"
