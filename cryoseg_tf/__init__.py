"""Learn to segment cells on cryo-SEM grids from a few dozen annotated images.

The names below are loaded when first used: TensorFlow takes seconds to import.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Config": "config",
    "CryoSegError": "errors",
    "Micrograph": "io.micrograph",
    "PhantomOptions": "data.phantom",
    "Run": "run",
    "Segmenter": "segmentation.segmenter",
    "check": "data.check",
    "evaluate": "evaluation",
    "find_groups": "data",
    "find_pairs": "data",
    "fit": "training",
    "read_micrograph": "io.micrograph",
    "segment_files": "segmentation.batch",
    "split": "data",
    "use_threads": "training.strategy",
    "with_labels": "data",
    "write_phantom": "data.phantom",
    "write_report": "evaluation",
}

__all__ = [*_HOMES, "__version__"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
