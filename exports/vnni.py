"""int8 without the instructions that newer processors have for it: does the bundle need them?

VNNI adds products of bytes in 32 bits. Without it, runtimes add pairs in 16 bits, where large ones
saturate, so a mask that is good on one PC may be bad on another. Who has VNNI checks both:

- OpenVINO: ``ONEDNN_MAX_CPU_ISA=AVX2`` keeps oneDNN, which computes its convolutions, from AVX-512 and VNNI. The
  name is read as the process starts, hence the child process. Its own few kernels follow ``OV_CPU_MAX_ISA``, in
  debug builds alone; they only convert and move int8.
- ONNX Runtime: MLAS asks the processor itself, and nothing can be switched off;
  ``session.x64quantprecision`` avoids saturation, but without VNNI only.
- LiteRT: XNNPACK asks the processor itself, too. It multiplies in 32 bits on either kind.
- TensorRT has no part in it: its int8 is on the GPU.
"""

import dataclasses
import json
import os
import platform
import subprocess
import sys
from typing import TYPE_CHECKING

from cryoseg_tf.errors import ExportError
from cryoseg_tf.training.strategy import cpu_flags

from .bundle import Bundle
from .children import last_words
from .comparison import Objects

if TYPE_CHECKING:
    from .verifier import Check

ARTEFACT = "network, VNNI off"

SWITCH = {"ONEDNN_MAX_CPU_ISA": "AVX2", "OV_CPU_MAX_ISA": "AVX2"}

HEARS = ("openvino",)
"""Runtimes that ``SWITCH`` reaches."""


def has_vnni() -> bool:
    """Say whether this processor has VNNI; also true where that cannot be told, as on Windows."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    flags = cpu_flags()
    return not flags or "avx512_vnni" in flags or "avx_vnni" in flags


def check(bundle: Bundle, task: "Check", threads: int | None = None) -> "Check":
    """Check a runtime's int8 network with VNNI off, where there is any and that can be done."""
    reason = ""
    if not has_vnni():
        reason = "this CPU has none"
    elif task.runtime not in HEARS:
        reason = f"{task.runtime} asks the processor itself"
    return dataclasses.replace(task, skipped=True, reason=reason) if reason else check_apart(bundle, task, threads)


def check_apart(bundle: Bundle, task: "Check", threads: int | None = None) -> "Check":
    """Check a runtime's int8 network in a process of its own, with VNNI off.

    Raises:
        ExportError: If that process stops.
    """
    from .verifier import Check

    command = [sys.executable, "-m", __name__, str(bundle.path), task.runtime, str(threads or 0)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, env=os.environ | SWITCH
    )
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        words = last_words(done.stderr)
        raise ExportError(f"the process with VNNI off stopped with exit code {done.returncode}: {words}")
    found = json.loads(lines[-1])
    return Check(**found | {"version": task.version, "objects": found["objects"] and Objects(**found["objects"])})


def main() -> int:
    """Check the bundle, runtime and threads that the arguments name; print what was found."""
    from .verifier import NETWORK, Check, Verifier

    path, runtime, threads = sys.argv[1:]
    task = Check(NETWORK, runtime, "int8")
    found = dataclasses.replace(Verifier(Bundle.open(path), int(threads) or None).run(task), artefact=ARTEFACT)
    sys.stdout.write(json.dumps(dataclasses.asdict(found)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
