"""The NVIDIA GPU of this machine, through the CUDA runtime."""

from typing import Any

from cryoseg_tf.config import Branch
from cryoseg_tf.errors import ExportError

NO_GPU = "no NVIDIA GPU was found ({}); the ONNX files stay usable: --runtime onnx"


class Target(Branch):
    """What an engine is for.

    Attributes:
        capability: The compute capability, as 8.9.
        gpu: The name of the GPU; empty: any of that capability.
        driver: The version of its driver; empty: any.
    """

    capability: str
    gpu: str = ""
    driver: str = ""

    def __str__(self) -> str:
        return self.gpu or f"compute capability {self.capability}"


def this_gpu() -> Target:
    """Return the GPU that CUDA takes first; CUDA_VISIBLE_DEVICES names another.

    Raises:
        ExportError: If there is none.
    """
    error, count = cudart().cudaGetDeviceCount()
    if error:
        raise ExportError(NO_GPU.format(_said(error)))
    if not count:
        raise ExportError(NO_GPU.format("CUDA counts none"))
    facts = cuda(cudart().cudaGetDeviceProperties(0))
    return Target(capability=f"{facts.major}.{facts.minor}", gpu=facts.name.decode().rstrip("\0"), driver=_driver())


def cudart() -> Any:
    """Return the bindings of the CUDA runtime.

    Raises:
        ExportError: If they are not installed.
    """
    try:
        from cuda.bindings import runtime
    except ImportError:
        why = "cuda-python, which looks for it, is not installed: pip install 'cryoseg-tf[tensorrt]'"
        raise ExportError(NO_GPU.format(why)) from None
    return runtime


def cuda(answer: tuple[Any, ...]) -> Any:
    """Return what a call of CUDA gave.

    Raises:
        ExportError: In its own words, if it failed.
    """
    error, *values = answer
    if error:
        remedy = "; prepare with a smaller --batch" if "MemoryAllocation" in error.name else ""
        raise ExportError(f"the GPU stopped: {_said(error)}{remedy}")
    return values[0] if values else None


def _driver() -> str:
    try:
        from cuda.bindings import nvml

        nvml.init_v2()
        return str(nvml.system_get_driver_version())
    except Exception:  # its kinds are many; small containers have CUDA without NVML
        return f"for CUDA {cuda(cudart().cudaDriverGetVersion())}"


def _said(error: Any) -> str:
    return str(cudart().cudaGetErrorString(error)[1].decode())
