"""Time of ``cryoseg-tf check``, and of its contact sheet, on many images.

    python benchmarks/check_speed.py [--images 1000] [--side 1024]

Goal: 1,000 8-bit images of 1024x1024 in under a minute on 2 cores.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from cryoseg_tf.data.phantom import PhantomOptions, render

CLI = [sys.executable, "-m", "cryoseg_tf.cli.main", "check"]
SCENES = 20


def write_set(root: Path, images: int, side: int) -> None:
    """Write phantoms as PNG; a scene moves round by an odd number of pixels for each image made of it."""
    windows = [render(seed, PhantomOptions(side, classes=("cell",)), bits=8) for seed in range(min(SCENES, images))]
    scenes = [(window.image, window.mask) for window in windows]
    for kind in ("images", "masks"):
        (root / kind).mkdir()
    for number in range(images):
        turns = 1 + 2 * (number // SCENES)
        step = (turns * 37 % side, turns * 101 % side)
        for kind, pixels in zip(("images", "masks"), scenes[number % len(scenes)], strict=True):
            moved = Image.fromarray(np.roll(pixels, step, (0, 1)))
            moved.save(root / kind / f"{number:05}.png", compress_level=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--side", type=int, default=1024)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data, page = Path(folder) / "data", Path(folder) / "check.html"
        data.mkdir()
        write_set(data, options.images, options.side)
        for name, more in (("check", []), ("check --html", ["--html", page])):
            started = time.perf_counter()
            done = subprocess.run([*CLI, data, *more], check=True, capture_output=True, text=True)
            print(f"{name}: {time.perf_counter() - started:.1f} s; {done.stdout.splitlines()[-1]}")
        print(f"contact sheet: {page.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
