"""Say what a training would do, without training."""

import time
from pathlib import Path

from ..config import Config
from ..data.images import Images
from ..data.pipeline import patches, validation_windows
from ..data.preview import write_preview
from ..data.splits import Split
from ..errors import ConfigError
from .choices import resolve
from .fit import check_names, compiled
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
    check_names(config)
    found = survey(split, config)
    config, contract, lines = resolve(config, found)
    train, validation = (Images(pairs, config, contract) for pairs in (split.train, split.validation))
    batches = patches(train, found.train, config)
    if preview:
        write_preview(preview, batches)
    if minutes is None:
        return [*lines, f"epochs: {config.training.epochs} of {config.data.patches_per_image * len(train)} patches"]
    network, model = compiled(config)
    timing = time_training(model, network, batches, validation_windows(validation, found.validation, config))
    left = minutes * 60 * SAFETY - START_UP - (time.monotonic() - started)
    try:
        return [*lines, plan(config, timing, left, len(train))[1]]
    except ConfigError as error:  # what was chosen is worth knowing all the same
        return [*lines, f"epochs: none; {error}"]
