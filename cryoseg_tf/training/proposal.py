"""Say what a training would do, without training."""

import time
from pathlib import Path

from ..config import Config
from ..data.images import Images
from ..data.pipeline import patches
from ..data.preview import write_preview
from ..data.splits import Split
from ..errors import ConfigError
from .assembly import check_names, compiled
from .choices import resolve
from .devices import check_batch, find_devices, refuse_cluster
from .feed import Feed
from .planning import SAFETY, START_UP, plan, time_training
from .strategy import use_threads
from .survey import survey


def propose(config: Config, split: Split, minutes: float | None = None, preview: Path | None = None) -> list[str]:
    """Look at annotated images and return what ``fit`` would choose and why, a line each.

    Args:
        config: The settings.
        split: The pairs to train and validate on.
        minutes: The time for training: some steps are timed to tell the epochs.
        preview: Where to draw patches as the network would see them.

    Raises:
        ConfigError: If a setting does not suit the images.
        DataError: If an image or mask cannot be used.
    """
    started = time.monotonic()
    use_threads()
    refuse_cluster(config.training, "a plan is made by one process")
    devices = find_devices(config.training)
    check_batch(config.training.batch_size, devices.replicas)
    check_names(config)
    found = survey(split, config)
    config, contract, lines = resolve(config, found, devices)
    train, validation = (Images(pairs, config, contract) for pairs in (split.train, split.validation))
    if preview:
        write_preview(preview, patches(train, found.train, config))
    if minutes is None:
        return [*lines, f"epochs: {config.training.epochs} of {config.data.patches_per_image * len(train)} patches"]
    network, model = compiled(config, devices)
    timing = time_training(model, network, Feed(devices, train, validation, found))
    left = minutes * 60 * SAFETY - START_UP - (time.monotonic() - started)
    try:
        return [*lines, plan(config, timing, left, len(train))[1]]
    except ConfigError as error:  # what was chosen is worth knowing all the same
        return [*lines, f"epochs: none; {error}"]
