"""One process on all cores against several with a share of them each: images a second of ``segment``.

    python benchmarks/workers.py RUN [--workers 2] [--images 100] [--side 1024] [--rounds 3]

From the command to the last mask, starting up counted, and without it: the time of twice as many images less that of
the images. They are copies of four phantoms. Which is faster decides what ``segment`` does where nothing is asked.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cryoseg_tf import PhantomOptions, Run, write_phantom


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    for name, default in (("workers", 2), ("images", 100), ("side", 1024), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    ways = {"one process": [], f"{options.workers} workers": ["--workers", options.workers]}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        images = written(Path(folder), options)
        for _ in range(options.rounds):
            for name, words in ways.items():
                once, twice = (seconds(options, files, words) for files in (images[: len(images) // 2], images))
                found[name].append((once, twice - once))
    alone = statistics.median(steady for _, steady in found["one process"])
    for name, times in found.items():
        whole, steady = (statistics.median(values) for values in zip(*times, strict=True))
        print(
            f"{name:12} {options.images / whole:6.2f} images/s, {options.images / steady:6.2f} without the start: "
            f"{alone / steady:.2f} of one process; the start takes {whole - steady:.1f} s"
        )


def written(folder: Path, options: argparse.Namespace) -> list[Path]:
    size = Run(options.run).contract.pixel_size
    phantom = PhantomOptions(size=options.side, classes=("cell",), **({"pixel_size": size} if size else {}))
    drawn = write_phantom(folder / "data", images=4, test=0, options=phantom)
    copies = [folder / f"{number:04}{drawn[0].suffix}" for number in range(2 * options.images)]
    return [Path(shutil.copyfile(drawn[number % len(drawn)], copy)) for number, copy in enumerate(copies)]


def seconds(options: argparse.Namespace, images: list[Path], words: list[object]) -> float:
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "cryoseg_tf.cli.main", "segment", options.run, *images, "--out", out, *words]
        started = time.perf_counter()
        subprocess.run([*map(str, command)], check=True, capture_output=True)
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
