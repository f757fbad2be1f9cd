"""Time and memory of ``segment`` on montages of several sizes, each in a process of its own.

    python benchmarks/montage.py RUN [--sides 4096 8192 16384] [--threads 2] [--dtype uint16]

A montage is a phantom square repeated, tiled and compressed. From the file to the mask on the disk; starting up is
counted, so the seconds a megapixel fall towards those of the network. That is timed before and after each, on as many
tiles of that size, halo and all: the bare network. Goals: below 2 GB, the same seconds for every size, at most 1.1 of
the bare network's.
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
    parser.add_argument("--dtype", choices=("uint8", "uint16"), default="uint8")
    parser.add_argument("--bare", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        print(*bare_network(options))
        return
    for side in options.sides:
        with tempfile.TemporaryDirectory() as folder:
            image = Path(folder) / "montage.tif"
            write_montage(image, side, options.dtype)
            before, halo = bare(options, side)
            seconds, memory = measured(options, image)
            bare_seconds = (before + bare(options, side)[0]) / 2
        each = seconds / (side * side / 1e6)
        print(
            f"{side}x{side}: {seconds:7.1f} s, {each:.3f} s/MP, {memory / 2**20:.2f} GB; "
            f"{each / bare_seconds:.2f} of the bare network's {bare_seconds:.3f} s/MP, {halo:.2f} of it for its halo",
            flush=True,
        )


def bare(options: argparse.Namespace, side: int) -> tuple[float, float]:
    """Return the seconds for a megapixel of result that the network alone takes, and the share that is halo."""
    command = [sys.executable, __file__, options.run, "--threads", options.threads, "--bare", side]
    done = subprocess.run([*map(str, command)], stdout=subprocess.PIPE, text=True, check=True)
    seconds, halo = map(float, done.stdout.split())
    return seconds, halo


def bare_network(options: argparse.Namespace) -> tuple[float, float]:
    from cryoseg_tf import Segmenter, use_threads
    from cryoseg_tf.segmentation.montage import TILE
    from cryoseg_tf.segmentation.tiling import spans

    use_threads(options.threads)
    network = Segmenter.from_run(options.run).predictor
    length = -(-options.bare // network.stride) * network.stride
    plan = spans(length, TILE, network.halo, network.stride)
    side = plan[0].read.stop
    tile = np.random.default_rng(0).random((1, side, side, 1), np.float32)
    list(network.map([tile]))
    started, count = time.perf_counter(), 20
    list(network.map([tile] * count))
    each = (time.perf_counter() - started) / count
    return each * len(plan) ** 2 / (length**2 / 1e6), 1 - (length / (len(plan) * side)) ** 2


def write_montage(path: Path, side: int, dtype: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_phantom(Path(folder), images=1, test=0, options=PhantomOptions(classes=("cell",)))
        (pair,) = find_pairs(Path(folder), "train")
        square = read_micrograph(pair.image).pixels
    square = (square / square.max() * np.iinfo(dtype).max).astype(dtype)
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
