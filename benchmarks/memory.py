"""Peak memory of ``cryoseg-tf segment`` on a large image against a small one.

    python benchmarks/memory.py [--side 16384] [--base 16]

Goal: a 16k x 16k 8-bit image takes at most 1.5 GB more than a 1k image (base 16, mask only).
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile

CLI = [sys.executable, "-m", "cryoseg_tf.cli.main"]


def peak_memory(run: Path, image: Path, out: Path) -> tuple[float, float]:
    """Return the peak resident GB and the seconds of one ``segment`` process."""
    started = time.perf_counter()
    process = subprocess.Popen([*CLI, "segment", run, image, "--out", out], stdout=subprocess.DEVNULL)
    _, code, usage = os.wait4(process.pid, 0)
    if code:
        raise SystemExit(f"segment failed on {image}")
    return usage.ru_maxrss / 2**20, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=16384)
    parser.add_argument("--base", type=int, default=16)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        fit = ["fit", root / "data", "--out", root / "run", "--epochs", "1", "--set", "data.scale=none"]
        subprocess.run(
            [*CLI, "phantom", root / "data", "--images", "4", "--test", "0", "--size", "256", "--classes", "cell"],
            check=True,
        )
        subprocess.run([*CLI, *fit, "--set", f"model.base_filters={options.base}"], check=True)
        peaks = []
        for side in (1024, options.side):
            image = root / f"{side}.tif"
            pixels = np.random.default_rng(0).integers(0, 255, (side, side), np.uint8)
            tifffile.imwrite(image, pixels)
            del pixels
            peak, seconds = peak_memory(root / "run", image, root / f"masks{side}")
            peaks.append(peak)
            print(f"{side} x {side}: peak {peak:.2f} GB, {seconds:.0f} s")
        print(f"difference: {peaks[1] - peaks[0]:.2f} GB")


if __name__ == "__main__":
    main()
