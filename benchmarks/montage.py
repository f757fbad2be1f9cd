"""Time and memory of ``segment`` on montages of several sizes, each in a process of its own.

    python benchmarks/montage.py RUN [--sides 4096 8192 16384] [--threads 2]

A montage is a phantom square repeated: 8 bit, tiled, compressed. From the file to the mask on the disk; starting up is
counted, so the seconds a megapixel fall towards those of the network. Goals: the same for every size, below 2 GB.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile

from cryoseg_tf import PhantomOptions, Run, find_pairs, read_micrograph, write_phantom


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--sides", type=int, nargs="+", default=[4096, 8192, 16384])
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    for side in options.sides:
        with tempfile.TemporaryDirectory() as folder:
            image = Path(folder) / "montage.tif"
            write_montage(image, side)
            seconds, memory = measured(options, image)
        print(f"{side}x{side}: {seconds:7.1f} s, {seconds / (side * side / 1e6):.3f} s/MP, {memory / 2**20:.2f} GB")


def write_montage(path: Path, side: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_phantom(Path(folder), images=1, test=0, options=PhantomOptions(classes=("cell",)))
        (pair,) = find_pairs(Path(folder), "train")
        square = read_micrograph(pair.image).pixels
    square = (square / square.max() * 255).astype(np.uint8)
    times = -(-side // min(square.shape))
    montage = np.tile(square, (times, times))[:side, :side]
    tifffile.imwrite(path, montage, tile=(512, 512), compression="zlib", photometric="minisblack")


def measured(options: argparse.Namespace, image: Path) -> tuple[float, int]:
    """Return seconds, and kB at the peak."""
    command = [sys.executable, "-m", "cryoseg_tf.cli.main", "segment", options.run, image]
    command += ["--out", image.parent / "masks", "--threads", options.threads]
    if size := Run(options.run).contract.pixel_size:
        command += ["--pixel-size", size]
    # a child of a child: of this process' own children the largest ever is told, not the last
    code = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=sys.stderr); "
    code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, command)], stdout=subprocess.PIPE, text=True, check=True
    )
    return time.perf_counter() - started, int(done.stdout)


if __name__ == "__main__":
    main()
