"""Speed of ``fit`` (pipeline, augmentation, callbacks) as a share of bare ``train_on_batch``.

    python benchmarks/training_speed.py [--base 16] [--patch 256] [--batch 8] [--steps 20] [--rounds 3]

Both train the same compiled network on the same data, in turn; the median of the rounds is
printed. Without validation, after warm-up. Goal: 95%.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from cryoseg_tf import Config, PhantomOptions, find_pairs, split, use_threads, write_phantom


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("base", 16), ("patch", 256), ("batch", 8), ("steps", 20), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    use_threads()
    from cryoseg_tf.data.images import Images
    from cryoseg_tf.data.pipeline import patches
    from cryoseg_tf.training.assembly import compiled
    from cryoseg_tf.training.callbacks import Schedule
    from cryoseg_tf.training.choices import resolve
    from cryoseg_tf.training.schedules import learning_rates
    from cryoseg_tf.training.survey import survey

    config = Config().replace(
        {
            "model.base_filters": options.base,
            "data.patch": options.patch,
            "training.batch_size": options.batch,
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        write_phantom(Path(folder) / "data", images=12, test=0, options=PhantomOptions(classes=("cell",)))
        pairs = split(find_pairs(Path(folder) / "data", "train"), config.data)
        found = survey(pairs, config)
        config, contract, _ = resolve(config, found)
        images = Images(pairs.train, config, contract)
        _, model = compiled(config)
        batches = patches(images, found.train, config)
        x, y = (tensor.numpy() for tensor in next(iter(batches)))
        rates = Schedule(learning_rates(config.training, 10**6), 0)

        def fit() -> None:
            model.fit(batches, steps_per_epoch=options.steps, shuffle=False, verbose=0, callbacks=[rates])

        def bare() -> None:
            for _ in range(options.steps):
                model.train_on_batch(x, y)

        fit(), bare()  # warm-up
        ratios = []
        for _ in range(options.rounds):
            seconds = [timed(work) for work in (bare, fit)]
            ratios.append(seconds[0] / seconds[1])
            rates_shown = [options.steps * options.batch / s for s in seconds]
            print(f"bare {rates_shown[0]:.2f} images/s, fit {rates_shown[1]:.2f} images/s: {ratios[-1]:.1%}")
        print(f"fit runs at {statistics.median(ratios):.1%} of bare train_on_batch (median of {options.rounds})")


def timed(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
