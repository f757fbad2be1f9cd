"""What a run notes down of its images and its machine, and checks when it goes on."""

import importlib.metadata
import json
import platform
from typing import Any

from ..config import Config
from ..data.splits import Split
from ..errors import RunError
from ..io import atomic
from ..run import Run
from .devices import Devices, find_devices
from .strategy import device


def write_records(run: Run, split: Split, config: Config, files: dict[str, str]) -> None:
    """Write ``split.json`` and ``environment.json``.

    Args:
        run: The run.
        split: Which images train and which validate.
        config: Gives the seed.
        files: SHA-256 of each image and mask by name.
    """
    atomic.write_json(run.path / "split.json", split.facts())
    # where they lay, for an export to find them again: it looks at what they hash to
    places = {p.name: str(p.image.resolve()) for p in (*split.train, *split.validation)}
    atomic.write_json(run.path / "environment.json", {**environment(config, files), "places": places})


def environment(config: Config, files: dict[str, str]) -> dict[str, Any]:
    """Return what a run depended on beside its settings."""
    packages = ("cryoseg-tf", "tensorflow", "keras", "numpy")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: importlib.metadata.version(name) for name in packages},
        "device": device(),
        "replicas": find_devices(config.training).replicas,
        "seed": config.seed,
        "files": files,
    }


def check_unchanged(run: Run, split: Split, files: dict[str, str]) -> None:
    """Refuse to go on with a run whose images are no longer those it was begun with.

    Raises:
        RunError: Naming what changed.
    """
    before = run.environment()["files"]
    changed = sorted(name for name in files.keys() | before.keys() if files.get(name) != before.get(name))
    if changed:
        raise RunError(f"{changed[0]} changed since {run.path} was begun: put it back, or start anew with --overwrite")
    then, now = run.split(), split.facts()
    if any(then.get(what) != now[what] for what in ("validation", "areas")):
        # going on would validate on what was trained on
        raise RunError(
            f"the groups of images changed, or how they are divided, since {run.path} was begun: "
            "start anew with --overwrite"
        )


def check_same(files: dict[str, str], devices: Devices) -> None:
    """Refuse to train on other images than worker 0 has; all workers have to call it.

    Args:
        files: SHA-256 of each image and mask by name.
        devices: What is trained on.

    Raises:
        RunError: Naming the first that differs.
    """
    there: dict[str, str] = json.loads(devices.told(json.dumps(files).encode()))
    other = sorted(name for name in files.keys() | there.keys() if files.get(name) != there.get(name))
    if other:
        raise RunError(f"{other[0]} is not what worker 0 has: all workers need the same images")


def take_over(run: Run, devices: Devices, config: Config, minutes: float | None) -> None:
    """Take what worker 0 hands out of its run; that worker itself has it.

    Raises:
        RunError: If worker 0 was started with other settings.
    """
    if devices.first:
        return
    devices.hand_out(run.path)
    info = run.info
    other = info.requested.differences(config) + ["--minutes"] * (info.minutes != minutes)
    if other:
        raise RunError(f"worker {devices.worker} was started with other settings than worker 0: {', '.join(other)}")
