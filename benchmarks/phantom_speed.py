"""Time to draw and write phantoms.

    python benchmarks/phantom_speed.py [--images 40] [--size 512]

Goal: 40 images of 512x512 in under 20 s on 2 cores.
"""

import argparse
import tempfile
import time
from pathlib import Path

from cryoseg_tf import PhantomOptions, write_phantom


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--size", type=int, default=512)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        started, busy = time.perf_counter(), time.process_time()
        write_phantom(Path(folder) / "data", options.images, test=0, options=PhantomOptions(options.size))
        wall, busy = time.perf_counter() - started, time.process_time() - busy
    print(f"{options.images} images of {options.size} px: {wall:.1f} s, of which {busy:.1f} s of one core")


if __name__ == "__main__":
    main()
