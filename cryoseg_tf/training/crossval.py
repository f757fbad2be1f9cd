"""Cross-validation: a network for each fold, in one run folder, and their ensemble as that run's model."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import keras

from ..config import Config
from ..data.splits import Split
from ..errors import ConfigError, RunError
from ..io import atomic
from ..run import Run
from .assembly import check_names
from .choices import resolve
from .devices import find_devices, refuse_cluster
from .ensemble import join
from .fit import fit
from .strategy import use_threads
from .survey import survey
from .writing import Existing, claim, writing

Watch = Callable[[int], Sequence[keras.callbacks.Callback]]
"""Gives the callbacks of a fold, from 1."""

log = logging.getLogger(__name__)


def fit_folds(
    config: Config,
    splits: Sequence[Split],
    run: Path | str,
    *,
    minutes: float | None = None,
    existing: Existing = "refuse",
    watch: Watch = lambda fold: (),
) -> Run:
    """Train a network on each split; the run is their ensemble, averaging probabilities.

    What follows from the images (scale, patch size, class weights) is chosen once, on all of them:
    else the networks could not be averaged. A run that was interrupted goes on with the fold it was at.

    Args:
        config: The settings of all of them.
        splits: As from ``data.folds``.
        run: The folder to write; each fold's own run is ``fold_1``, ``fold_2`` ... in it.
        minutes: Take this long for all of them together.
        existing: What to do with a run that is there: "refuse", "resume" or "overwrite".
        watch: Gives the Keras callbacks of each fold, for progress.

    Raises:
        ConfigError: If a setting does not suit the images, or they are to be divided by area.
        DataError: If an image or mask cannot be used.
        RunError: If the folder cannot be written, resumed or overwritten.
    """
    use_threads()
    refuse_cluster(config.training, "folds are trained by one process")
    check_names(config)
    if config.data.split == "area":
        raise ConfigError("data.split is area, and folds hold whole images back: leave one of them out")
    folder = Run(run)
    claim(folder, existing)
    if existing == "resume" and folder.exists and (begun := folder.info.folds) != len(splits):
        before = "without --folds" if begun is None else f"with --folds {begun}"
        raise RunError(f"{folder.path} was begun {before}: --resume takes the same")
    with writing(folder, config, minutes, existing) as info:
        folder.update(folds=len(splits), status="running")
        fixed = _fixed(folder, config, splits)
        names = tuple(f"fold_{number}" for number in range(1, len(splits) + 1))
        for number, (name, split) in enumerate(zip(names, splits, strict=True), 1):
            place = Run(folder.path / name)
            if place.exists and place.info.status == "finished":
                continue
            log.info("fold %d of %d: %d images are held back", number, len(splits), len(split.validation))
            share = None if minutes is None else minutes / len(splits)
            fit(fixed, split, place.path, minutes=share, existing="resume", callbacks=watch(number))
        join(folder, info.model_copy(update={"folds": len(splits), "members": names}))
    return folder


def _fixed(folder: Run, config: Config, splits: Sequence[Split]) -> Config:
    """Return the settings with what follows from all images filled in, as they were written down at first."""
    place = folder.path / "config.yaml"
    if not place.is_file():
        pairs = sorted({pair.name: pair for split in splits for pair in split.validation}.items())
        everything = Split(tuple(pair for _, pair in pairs), ())
        log.info("reading all %d annotated images", len(pairs))
        chosen = resolve(config, survey(everything, config), find_devices(config.training))
        for line in chosen.lines:
            log.info("%s", line)
        with atomic.written(place) as part:
            chosen.config.save(part)
    return folder.config
