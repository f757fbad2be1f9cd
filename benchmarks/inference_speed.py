"""Speed of a bundle's formats against PyTorch in eager mode, float32, on the same network and image, in one run.

    python benchmarks/inference_speed.py BUNDLE [--size 1536x1024] [--threads 2] [--repeats 5] [--rounds 2]

From a raw uint16 TIFF to the mask on disk. The network in PyTorch has the same width and depth; its weights are
random, which takes the same time. What stands around it is numpy: percentiles of the image, padding, a threshold.
Each format and PyTorch have processes of their own, which take turns; the median of all times is printed. Goal:
the fastest format takes a quarter of PyTorch's time.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from cryoseg_tf.exports import Bundle

DEPTH = 4
"""Of the network in ``thesis_torch``."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--size", default="1536x1024")
    for name, default in (("threads", 2), ("repeats", 5), ("rounds", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(torch_times(json.loads(options.one))))
        return
    with tempfile.TemporaryDirectory() as folder:
        report(measured(options, Path(folder)))


def measured(options: argparse.Namespace, folder: Path) -> dict[str, list[float]]:
    """Return seconds by name, of all rounds."""
    bundle = Bundle.open(options.bundle)
    contract, model = bundle.manifest.contract, bundle.manifest.provenance.config["model"]
    if model["depth"] != DEPTH or contract.scale == "shape":
        raise SystemExit(f"the bundle's network has depth {model['depth']} and scale {contract.scale}: not comparable")
    image = folder / "image.tif"
    width, height = map(int, options.size.split("x"))
    tifffile.imwrite(image, np.random.default_rng(0).integers(0, 4096, (height, width), np.uint16))
    task = {
        "image": str(image),
        "base": model["base_filters"],
        "channels": contract.channels,
        "factor": contract.factor or 1.0,
        "threads": options.threads,
        "repeats": options.repeats,
    }
    pixel_size = ["--pixel-size", str(contract.pixel_size)] if contract.scale == "pixel_size" else []
    command = [sys.executable, "-m", "cryoseg_tf.cli.main", "bench", bundle.path, image, *pixel_size]
    command += ["--threads", str(options.threads), "--repeats", str(options.repeats), "--json"]
    times: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        times.setdefault("PyTorch", []).extend(run([sys.executable, __file__, "-", "--one", json.dumps(task)]))
        for row in run(command)["rows"]:
            name = f"{row['runtime']} {row['precision']}"
            if row["error"]:
                print(f"{name}: {row['error']}")
            else:
                times.setdefault(name, []).extend(turn["total"] / 1000 for turn in row["turns"])
    return times


def run(command: list[object]) -> object:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if not done.stdout:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def torch_times(task: dict[str, object]) -> list[float]:
    """Return the seconds of each repeat after a first one."""
    import torch
    from thesis_torch import UNet

    torch.set_num_threads(task["threads"])
    model = UNet(task["base"], task["channels"]).eval()
    mask = Path(task["image"]).with_suffix(".png")
    seconds = []
    for _ in range(task["repeats"] + 1):
        started = time.perf_counter()
        pixels = tifffile.imread(task["image"]).astype(np.float32)
        low, high = np.percentile(pixels, (1, 99.8))
        x = torch.from_numpy((pixels - low) / (high - low))[None, None].float()
        with torch.inference_mode():
            if task["factor"] != 1:
                x = torch.nn.functional.interpolate(x, scale_factor=task["factor"], mode="bilinear", antialias=True)
            height, width = x.shape[-2:]
            x = torch.nn.functional.pad(x, (0, -width % 2**DEPTH, 0, -height % 2**DEPTH), mode="replicate")
            logits = model(x)[..., :height, :width]
            logits = torch.nn.functional.interpolate(logits, pixels.shape) if task["factor"] != 1 else logits
            found = logits[0, 0] >= 0 if task["channels"] == 1 else logits[0].argmax(0)
        Image.fromarray(found.numpy().astype(np.uint8)).save(mask)
        seconds.append(time.perf_counter() - started)
    return seconds[1:]


def report(times: dict[str, list[float]]) -> None:
    medians = {name: statistics.median(values) for name, values in times.items()}
    base = medians.pop("PyTorch")
    print(f"{'PyTorch float32':24} {base:7.3f} s")
    for name, value in sorted(medians.items(), key=lambda item: item[1]):
        print(f"{name:24} {value:7.3f} s   {value / base:.2f} of PyTorch")


if __name__ == "__main__":
    main()
