"""Choose, from what was found about the images, what nobody set: scale, patch, batch, class weights.

Each choice is said in a line, with its reason.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import psutil

from ..config import Config, Contract
from ..data.augment import COARSEST
from ..data.images import Facts
from ..data.patches import patch_side
from ..data.preprocess import SMALLEST_SIDE, model_shape
from ..errors import DataError
from .survey import Survey

PIXEL_SIZE_MARGIN = (0.25, COARSEST)
"""Images may be this much finer or coarser than any training image."""

LARGE = 64.0
"""Objects of more pixels across are shown smaller: the network sees about twice as far, and has less to compute."""

REDUCTIONS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0)

BYTES = 330
"""Memory that training takes for each pixel of a batch and base filter; measured."""

MEMORY_SHARE = 0.6
"""Of the free memory, what a batch may take."""

HEAVIEST = 10.0
"""A class weighs at most so many times the mean."""


class Choices(NamedTuple):
    """The settings with nothing automatic left, the contract that follows, and the reasons in words."""

    config: Config
    contract: Contract
    lines: tuple[str, ...]


def resolve(config: Config, found: Survey) -> Choices:
    """Fill in what follows from the images.

    Raises:
        DataError: If an image nearly vanishes at the network's scale.
    """
    facts = [*found.train, *found.validation]
    contract, why_scale = _scale(config, found, facts)
    sides = [int(min(model_shape(*f.shape, f.pixel_size or 0.0, contract).numpy())) for f in facts]
    _check_sides(facts, sides, contract)
    zooms = [side / min(fact.shape) for side, fact in zip(sides, facts, strict=True)]
    train = found.train
    diameters = _by_class(train, lambda f, zoom: zoom, zooms[: len(train)])
    patch = config.data.patch or patch_side(sides[: len(train)], config.model.stride, max(diameters.values()))
    batch, why_batch = _batch(config, patch)
    weights = _class_weights(config, train)
    settings = {
        "data.scale": contract.scale,
        "data.pixel_size": contract.pixel_size,
        "data.factor": contract.factor,
        "data.patch": patch,
        "training.batch_size": batch,
        "training.class_weights": weights,
    }
    names = config.data.classes
    sizes = ", ".join(f"{names[index]} {round(d)} px" for index, d in diameters.items())
    lines = [
        f"scale: {why_scale}; there objects are typically {sizes} across",
        f"patches: {patch} px of images of {_range(sides)} px on the shorter side, "
        f"{round(100 * config.data.foreground_patches)}% of them taken on objects",
        f"batch: {batch} patches, {why_batch}",
    ]
    if len(names) > 2 or "weighted_bce" in config.training.loss:
        shares = _shares(train, len(names))
        lines.append(
            "classes: "
            + ", ".join(f"{n} {100 * s:.2g}%, weight {w:.2g}" for n, s, w in zip(names, shares, weights, strict=True))
        )
    return Choices(config.replace(settings), contract, tuple(lines))


def _scale(config: Config, found: Survey, facts: Sequence[Facts]) -> tuple[Contract, str]:
    data = config.data
    sizes = [f.pixel_size for f in facts if f.pixel_size]
    scale, target, factor = data.scale, data.pixel_size, data.factor
    if scale == "auto":
        scale = "pixel_size" if len(sizes) == len(facts) else "factor"
    why = "images as they are"
    if scale == "pixel_size":
        typical = statistics.median(f.pixel_size for f in found.train if f.pixel_size)
        across = min(_by_class(found.train, lambda f, _: (f.pixel_size or typical) / typical).values())
        why = f"{target:g} nm a pixel, as set" if target else ""
        target = target or typical * (data.factor or reduction(across)) ** (-1 if data.factor else 1)
        why = why or f"{target:g} nm a pixel, " + (
            "the images' median" if target == typical else f"from {typical:g} nm, since objects are {across:.0f} px across"
        )
    elif scale == "factor":
        across = min(_by_class(found.train, lambda f, _: 1.0).values())
        factor = data.factor or 1 / reduction(across)
        if factor != 1:
            why = f"{factor:.3g} of the images' size, " + (
                "as set" if data.factor else f"since objects are {across:.0f} px across"
            )
        elif not data.factor:
            scale = "none"
    elif scale == "shape":
        why = f"every image at {data.shape[0]}x{data.shape[1]} px, as set"
    contract = Contract(
        classes=data.classes,
        scale=scale,
        pixel_size=target if scale == "pixel_size" else None,
        pixel_size_range=(
            (min(sizes) * PIXEL_SIZE_MARGIN[0], max(sizes) * PIXEL_SIZE_MARGIN[1]) if scale == "pixel_size" else None
        ),
        factor=factor if scale == "factor" else None,
        shape=data.shape if scale == "shape" else None,
        percentiles=data.percentiles,
        minimum_contrast=min(f.contrast for f in facts),
    )
    return contract, why


def reduction(across: float) -> float:
    """Return how many times smaller objects of ``across`` pixels are shown."""
    return max(r for r in REDUCTIONS if r <= max(across / LARGE, 1.0) * 1.01)


def _by_class(
    facts: Sequence[Facts], factor: Callable[[Facts, float], float], zooms: Sequence[float] | None = None
) -> dict[int, float]:
    """Return each class' typical diameter over all images, times ``factor``: the median, by area."""
    found: dict[int, list[tuple[float, int]]] = {}
    for fact, zoom in zip(facts, zooms or [1.0] * len(facts), strict=True):
        for index, diameter in fact.diameters.items():
            found.setdefault(index, []).append((diameter * factor(fact, zoom), fact.classes[index]))
    return {index: _weighted_median(pairs) for index, pairs in sorted(found.items())}


def _weighted_median(pairs: Sequence[tuple[float, int]]) -> float:
    values, weights = (np.array(column) for column in zip(*sorted(pairs), strict=True))
    cumulated = np.cumsum(weights)
    return float(values[np.searchsorted(cumulated, cumulated[-1] / 2)])


def _batch(config: Config, patch: int) -> tuple[int, str]:
    each = BYTES * patch * patch * config.model.base_filters
    free = psutil.virtual_memory().available
    fits = max(1, int(free * MEMORY_SHARE / each))
    wanted = config.training.batch_size
    words = f"about {min(wanted, fits) * each / 2**30:.1f} GB of {free / 2**30:.0f} GB free"
    if fits < wanted:
        words += f"; {wanted} would not fit"
    return min(wanted, fits), words


def _shares(facts: Sequence[Facts], classes: int) -> list[float]:
    counts = [sum(f.classes.get(index, 0) for f in facts) for index in range(classes)]
    return [count / max(sum(counts), 1) for count in counts]


def _class_weights(config: Config, facts: Sequence[Facts]) -> tuple[float, ...]:
    """Weigh classes by one over the root of their share, mean 1 over the classes: rare ones more, not all too much."""
    stated = config.training.class_weights
    if isinstance(stated, tuple):
        return stated
    shares = _shares(facts, len(config.data.classes))
    if stated == "none":
        return (1.0,) * len(shares)
    raw = [1 / math.sqrt(share) if share else 0.0 for share in shares]
    mean = sum(raw) / max(sum(r > 0 for r in raw), 1)
    return tuple(round(min(r / mean, HEAVIEST), 4) if r else 1.0 for r in raw)


def _range(sides: Sequence[int]) -> str:
    return f"{min(sides)}" if min(sides) == max(sides) else f"{min(sides)} to {max(sides)}"


def _check_sides(facts: Sequence[Facts], sides: Sequence[int], contract: Contract) -> None:
    for fact, side in zip(facts, sides, strict=True):
        if side < SMALLEST_SIDE and contract.scale == "pixel_size":
            raise DataError(
                f"{fact.source} is {fact.shape[1]}x{fact.shape[0]} at {fact.pixel_size:g} nm: at the network's "
                f"{contract.pixel_size:g} nm its shorter side has {side} pixels; is its pixel size right?"
            )
