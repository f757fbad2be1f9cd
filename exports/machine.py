"""What a measurement was taken on."""

import os
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import tensorflow as tf

from cryoseg_tf import __version__
from cryoseg_tf.training.strategy import available_cores

from .runtimes import RUNTIMES


def machine() -> dict[str, Any]:
    """Return processor, cores, memory, graphics cards, and the versions of what computes."""
    cards = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    versions = {"cryoseg-tf": __version__, "tensorflow": tf.__version__, "numpy": np.__version__}
    return {
        "processor": processor(),
        "cores": available_cores(),
        "processors": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "graphics_cards": [card.get("device_name", "unknown") for card in cards],
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions | {name: runtime.version for name, runtime in RUNTIMES.items() if runtime.version},
    }


def processor() -> str:
    """Return the name that the processor gives itself."""
    if sys.platform == "win32":
        import winreg

        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"HARDWARE\DESCRIPTION\System\CentralProcessor\0") as key:
            return str(winreg.QueryValueEx(key, "ProcessorNameString")[0]).strip()
    listed = Path("/proc/cpuinfo")
    if listed.is_file():
        lines = (line.partition(":") for line in listed.read_text("utf-8", "replace").splitlines())
        name = next((value.strip() for label, _, value in lines if label.strip() == "model name"), "")
        return name or platform.machine()
    return platform.processor() or platform.machine()
