"""Turn minutes into epochs: time the first steps, then fix a number that fits."""

import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import keras

from ..config import Config
from ..errors import ConfigError
from .devices import Devices
from .feed import Feed
from .state import Progress, restore, save_state, snapshot

EPOCHS_WANTED = 20
"""With fewer, epochs are made shorter: the best one is chosen by validation after each."""

OVERHEAD = 0.4
"""Validating and saving may take this share of the time of an epoch's steps."""

START_UP = 5.0
"""Seconds that loading TensorFlow takes before the clock of ``fit`` starts."""

STEPS_TIMED = 10
SECONDS_TIMED = 8.0
"""Beyond so many seconds three timed steps are enough: what is timed is not trained."""

UNTIMED = 2
"""The first steps trace the graph and let oneDNN choose its kernels."""

CALIBRATION, LOADING = 3.0, 3.0
"""Calibrating takes about as long as so many validations, and so many seconds to load the best weights."""

SAFETY = 0.95
"""The share of the minutes to fill; the machine may be slower later."""


class Timing(NamedTuple):
    """Seconds for one training step, one validation, and one saving of model and state."""

    step: float
    validation: float
    saving: float


class _StepTimes(keras.callbacks.Callback):
    def __init__(self, devices: Devices) -> None:
        super().__init__()
        self.devices = devices
        self.ends: list[float] = []

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.ends.append(time.perf_counter())
        timed = self.ends[UNTIMED:]
        if self.devices.agreed(len(timed) > 3 and timed[-1] - timed[0] > SECONDS_TIMED):
            self.model.stop_training = True


def time_training(model: keras.Model, network: keras.Model, feed: Feed) -> Timing:
    """Time real steps, a validation and a saving; the model is left as it was.

    Args:
        model: What is trained.
        network: What is saved.
        feed: What to train and validate on.
    """
    with feed.devices.scope():
        return _timed(model, network, feed)


def _timed(model: keras.Model, network: keras.Model, feed: Feed) -> Timing:
    before = snapshot(model)
    times = _StepTimes(feed.devices)
    steps = UNTIMED + 1 + STEPS_TIMED
    model.fit(feed.patches(), steps_per_epoch=steps, epochs=1, shuffle=False, verbose=0, callbacks=[times])
    step = statistics.median(end - start for start, end in pairwise(times.ends[UNTIMED:]))
    validation, rounds = feed.validated()
    model.evaluate(validation, steps=rounds, verbose=0)
    start = time.perf_counter()
    model.evaluate(validation, steps=rounds, verbose=0)
    validated = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        save_state(Path(folder) / "state.npz", model, Progress())
        network.save(Path(folder) / "model.keras")
        saved = time.perf_counter()
    restore(model, before)
    return Timing(step, validated - start, saved - validated)


def plan(config: Config, timing: Timing, seconds: float, images: int) -> tuple[Config, str]:
    """Return ``config`` with as many epochs as fit in ``seconds``, and with their length; and a line that says so.

    Epochs are shortened until ``EPOCHS_WANTED`` fit, but not so far that validating and saving
    take more than ``OVERHEAD`` of the training steps' time.

    Raises:
        ConfigError: If not even one step fits.
    """
    around = timing.validation + timing.saving
    ending = CALIBRATION * timing.validation + LOADING if config.training.calibrate else 0.0
    seconds -= ending
    if seconds < timing.step + around:
        raise ConfigError(
            f"a step takes {timing.step:.1f} s, validating and saving {around:.1f} s, calibrating {ending:.1f} s, and "
            f"{max(seconds + ending, 0):.0f} s are left after looking at the images: no epoch fits in these minutes; "
            "allow more, or set a smaller model.base_filters"
        )

    def work(patches_per_image: int) -> float:
        return -(-patches_per_image * images // config.training.batch_size) * timing.step

    each = config.data.patches_per_image
    while each > 1 and seconds / (work(each) + around) < EPOCHS_WANTED:
        each -= 1
    while work(each) * OVERHEAD < around and work(each) + around < seconds / 2:
        each += 1
    epochs = max(1, int(seconds / (work(each) + around)))
    line = (
        f"epochs: {epochs} of {each * images} patches; a step takes {timing.step * 1e3:.0f} ms, "
        f"validating and saving {around:.1f} s"
    )
    return config.replace({"data.patches_per_image": each, "training.epochs": epochs}), line
