"""Training speed, in one run: ``fit`` with all it does, its bare steps, and the same network in PyTorch.

    pip install torch
    python benchmarks/training.py [--base 16] [--patch 256] [--batch 8] [--steps 10] [--rounds 3] [--threads 2]
        [--precision float32 bfloat16]

``fit`` cuts, augments (the default recipe) and feeds patches, and calls its callbacks; bare steps repeat one batch
by ``train_on_batch``. PyTorch is in channels-last layout, and cuts, flips and turns patches by itself; beyond
float32 with autocast. Each has a process of its own; they take turns, and the median of the rounds counts.
Goals: fit at 95 % of bare steps; 1.05 of PyTorch in float32, and 1.0 in the best precision of each.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

IMAGES = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("base", 16), ("patch", 256), ("batch", 8), ("steps", 10), ("rounds", 3), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--precision", nargs="+", default=["float32"], choices=("float32", "bfloat16", "float16"))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        method, precision = options.one.split(":")
        print(json.dumps(rates(METHODS[method](options, precision), options)))
        return
    found: dict[str, list[float]] = {}
    for number in range(options.rounds):
        for precision in options.precision:
            for method in options.methods:
                found.setdefault(f"{method} {precision}", []).append(child(f"{method}:{precision}"))
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
    report({name: statistics.median(values) for name, values in found.items()})


def child(one: str) -> float:
    """Return the patches a second that a process of its own reaches."""
    done = subprocess.run(
        [sys.executable, __file__, *sys.argv[1:], "--one", one], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def rates(work: Callable[[int], None], options: argparse.Namespace) -> float:
    work(3)  # traces, and lets oneDNN choose its kernels
    started = time.perf_counter()
    work(options.steps)
    return options.steps * options.batch / (time.perf_counter() - started)


def keras_work(options: argparse.Namespace, precision: str, whole: bool) -> Callable[[int], None]:
    """Return what does so many steps: ``fit``, or bare ones."""
    from cryoseg_tf import Config, PhantomOptions, find_pairs, split, use_threads, write_phantom

    use_threads(options.threads)
    from cryoseg_tf.data.images import Images
    from cryoseg_tf.data.pipeline import patches
    from cryoseg_tf.training.assembly import compiled
    from cryoseg_tf.training.callbacks import Schedule
    from cryoseg_tf.training.choices import resolve
    from cryoseg_tf.training.schedules import learning_rates
    from cryoseg_tf.training.survey import survey

    settings = {"model.base_filters": options.base, "data.patch": options.patch, "training.precision": precision}
    config = Config().replace(settings | {"training.batch_size": options.batch})
    with tempfile.TemporaryDirectory() as folder:
        write_phantom(Path(folder), images=IMAGES, test=0, options=PhantomOptions(classes=("cell",)))
        pairs = split(find_pairs(Path(folder), "train"), config.data)
        found = survey(pairs, config)
        config, contract, _ = resolve(config, found)
        images = Images(pairs.train, config, contract)
        for index in range(len(images)):
            _ = images[index]  # read while the folder is there
    _, model = compiled(config)
    batches = patches(images, found.train, config)
    if whole:
        rate = Schedule(learning_rates(config.training, 10**6), 0)
        return lambda steps: model.fit(batches, steps_per_epoch=steps, shuffle=False, verbose=0, callbacks=[rate])
    x, y = (tensor.numpy() for tensor in next(iter(batches)))
    return lambda steps: [model.train_on_batch(x, y) for _ in range(steps)]


def torch_work(options: argparse.Namespace, precision: str) -> Callable[[int], None]:
    import torch
    from thesis_torch import UNet, dice_loss

    torch.set_num_threads(options.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = UNet(options.base, 1).to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    batches = torch_batches(options)

    def step() -> None:
        x, y = (part.to(device) for part in next(batches))
        optimizer.zero_grad()
        with torch.autocast(device, getattr(torch, precision), enabled=precision != "float32"):
            logits = model(x.to(memory_format=torch.channels_last))
        dice_loss(logits.float(), y).backward()
        optimizer.step()

    def work(steps: int) -> None:
        for _ in range(steps):
            step()
        if device == "cuda":
            torch.cuda.synchronize()

    return work


def torch_batches(options: argparse.Namespace) -> Iterator[tuple[object, object]]:
    import torch

    rng, side = np.random.default_rng(0), options.patch
    images = torch.from_numpy(rng.random((IMAGES, 1, 2 * side, 2 * side), np.float32))
    masks = (images[:, 0] > 0.5).long()

    def patch() -> tuple[object, object]:
        index, (top, left), turns = rng.integers(IMAGES), rng.integers(side + 1, size=2), int(rng.integers(4))
        place = (..., slice(top, top + side), slice(left, left + side))
        x, y = images[index][place], masks[index][place]
        if rng.integers(2):
            x, y = x.flip(-1), y.flip(-1)
        return torch.rot90(x, turns, (-2, -1)), torch.rot90(y, turns, (-2, -1))

    while True:
        drawn = [patch() for _ in range(options.batch)]
        yield torch.stack([x for x, _ in drawn]), torch.stack([y for _, y in drawn])


METHODS = {
    "fit": lambda options, precision: keras_work(options, precision, whole=True),
    "bare": lambda options, precision: keras_work(options, precision, whole=False),
    "PyTorch": torch_work,
}


def report(found: dict[str, float]) -> None:
    for name, rate in found.items():
        precision = name.split()[-1]
        bases = {base: found.get(f"{base} {precision}") for base in ("bare", "PyTorch") if base != name.split()[0]}
        shares = "".join(f"   {rate / other:.2f} of {base}" for base, other in bases.items() if other)
        print(f"{name:18} {rate:8.2f} patches/s{shares}")
    best = {
        kind: max(rate for name, rate in found.items() if name.startswith(kind))
        for kind in ("fit", "PyTorch")
        if any(name.startswith(kind) for name in found)
    }
    if len(best) == 2:
        print(f"fit at {best['fit'] / best['PyTorch']:.2f} of PyTorch, each in its best precision")


if __name__ == "__main__":
    main()
