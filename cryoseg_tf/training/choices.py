"""Choose, from what was found about the images, what nobody set: scale, patch, batch, class weights.

Each choice is said in a line, with its reason.
"""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import psutil

from ..config import Config, Contract
from ..data.augment import COARSEST
from ..data.images import Facts
from ..data.patches import patch_side
from ..data.preprocess import SMALLEST_SIDE, model_shape
from ..errors import DataError
from .devices import ONE, Devices
from .precision import choose_precision
from .scale import Scale, choose_scale, typical_diameters
from .strategy import has_gpu
from .survey import Survey

PIXEL_SIZE_MARGIN = (0.25, COARSEST)
"""Images may be this much finer or coarser than any training image."""

BYTES = 330
"""Memory that training takes for each pixel of a batch and base filter; measured."""

MEMORY_SHARE = 0.6
"""Of the free memory, what a batch may take."""

LARGEST_ZOOM = 8
"""Images are not shown larger than this many times."""

HEAVIEST = 10.0
"""A class weighs at most so many times the mean."""


class Choices(NamedTuple):
    """The settings with nothing automatic left, the contract that follows, and the reasons in words."""

    config: Config
    contract: Contract
    lines: tuple[str, ...]


def resolve(config: Config, found: Survey, devices: Devices = ONE) -> Choices:
    """Fill in what follows from the images, and from what is trained on.

    Raises:
        ConfigError: If there is not one weight for each class.
        DataError: If an image nearly vanishes at the network's scale.
    """
    config = config.replace({"data.classes": config.data.classes})  # no folder will name others: weights are counted
    config = _with_kind(config, [*found.train, *found.validation])
    scale = choose_scale(config.data, found.train)
    contract = _contract(config, found, scale)
    sides = _sides([*found.train, *found.validation], contract)[: len(found.train)]
    zooms = [side / min(fact.shape) for fact, side in zip(found.train, sides, strict=True)]
    diameters = typical_diameters(found.train, zooms)
    patch = config.data.patch or patch_side(sides, config.model.stride, min(diameters.values()))
    batch, room = _batch(config, patch, devices)
    precision, reason = choose_precision(config.training.precision, config.model.base_filters)
    shares = _shares(found.train, len(config.data.classes))
    weights = _class_weights(config, shares)
    settings = {
        "data.scale": contract.scale,
        "data.pixel_size": contract.pixel_size,
        "data.factor": contract.factor,
        "data.patch": patch,
        "training.batch_size": batch,
        "training.precision": precision,
        "training.class_weights": weights,
    }
    names = config.data.classes
    sizes = ", ".join(f"{names[index]} {round(d)} px" for index, d in diameters.items())
    weighed = (f"{n} {s:.2%}, weight {w:.2g}" for n, s, w in zip(names, shares, weights, strict=True))
    lines = (
        f"scale: {scale.why}; objects are typically as large as {sizes} there",
        f"patches: {patch} px, of images whose shorter side is {_range(sides)} px; "
        f"{config.data.foreground_patches:.0%} are taken on objects",
        f"batch: {batch} patches, {room}",
        reason,
        f"classes: {', '.join(weighed)}",
    )
    return Choices(config.replace(settings), contract, lines if len(names) > 2 else lines[:-1])


def _with_kind(config: Config, facts: Sequence[Facts]) -> Config:
    if config.data.scale != "auto":
        return config
    known = all(fact.pixel_size for fact in facts)
    if config.data.pixel_size and not known:
        raise DataError(
            f"data.pixel_size is {config.data.pixel_size:g} nm, but not every image says its own: pass --pixel-size"
        )
    return config.replace({"data.scale": "pixel_size" if known else "factor"})


def _contract(config: Config, found: Survey, scale: Scale) -> Contract:
    facts, data = [*found.train, *found.validation], config.data
    sizes = [fact.pixel_size for fact in facts if fact.pixel_size]
    low, high = PIXEL_SIZE_MARGIN
    contract = Contract(
        classes=data.classes,
        scale=scale.kind,
        pixel_size=scale.pixel_size,
        pixel_size_range=(min(sizes) * low, max(sizes) * high) if scale.kind == "pixel_size" else None,
        factor=scale.factor,
        shape=data.shape if scale.kind == "shape" else None,
        percentiles=data.percentiles,
        minimum_contrast=min(fact.contrast for fact in facts),
    )
    return contract if scale.kind == "shape" else contract.model_copy(update={"field": _field(found.train, contract)})


def _field(facts: Sequence[Facts], contract: Contract) -> tuple[int, int]:
    """Return height and width of the image that is in the middle of all by each."""
    shapes = [model_shape(*fact.shape, fact.pixel_size or 0.0, contract).numpy() for fact in facts]
    height, width = (int(statistics.median_low(sides)) for sides in zip(*shapes, strict=True))
    return height, width


def _sides(facts: Sequence[Facts], contract: Contract) -> list[int]:
    """Return each image's shorter side at the network's scale."""
    sides = []
    for fact in facts:
        side = int(min(model_shape(*fact.shape, fact.pixel_size or 0.0, contract).numpy()))
        if side < SMALLEST_SIDE and contract.scale == "pixel_size":
            raise DataError(
                f"{fact.source} is {fact.shape[1]}x{fact.shape[0]} at {fact.pixel_size:g} nm: at the network's "
                f"{contract.pixel_size:g} nm its shorter side has {side} pixels; is its pixel size right?"
            )
        if side < SMALLEST_SIDE and contract.scale == "factor":
            raise DataError(
                f"{fact.source} is {fact.shape[1]}x{fact.shape[0]}: at {contract.factor:.3g} times its size its "
                f"shorter side has {side} pixels, too few to see anything; set a larger data.factor"
            )
        if side > LARGEST_ZOOM * min(fact.shape):
            raise DataError(
                f"{fact.source} is {fact.shape[1]}x{fact.shape[0]}: at the network's scale its shorter side has {side} "
                "pixels, which shows nothing more; is its pixel size right, and data.pixel_size?"
            )
        sides.append(side)
    return sides


def _batch(config: Config, patch: int, devices: Devices) -> tuple[int, str]:
    """Return the batch size that is set, or the largest that memory holds; and how they compare."""
    each, wanted = BYTES * patch * patch * config.model.base_filters / 2**30, config.training.batch_size
    if has_gpu():
        return wanted, f"about {wanted * each / devices.replicas:.2g} GB of each GPU's memory"
    free = psutil.virtual_memory().available / 2**30
    here = devices.replicas // devices.workers
    if here * each > free:
        raise DataError(
            f"a patch of {patch} px takes about {each:.2g} GB to train on and {free:.2g} GB are free: "
            "set a smaller data.patch or model.base_filters"
        )
    fit = max(1, int(free * MEMORY_SHARE / each / here))  # for each replica
    batch = min(wanted, fit * devices.replicas)
    words = f"about {batch * each / devices.workers:.2g} of {free:.2g} GB that are free"
    return batch, words if batch == wanted else f"{words}; {wanted} would not fit"


def _shares(facts: Sequence[Facts], classes: int) -> list[float]:
    counts = [sum(fact.classes.get(index, 0) for fact in facts) for index in range(classes)]
    return [count / max(sum(counts), 1) for count in counts]


def _class_weights(config: Config, shares: Sequence[float]) -> tuple[float, ...]:
    """Weigh classes by one over the root of their share, 1 on average: rare ones more, yet not as they are rare."""
    stated = config.training.class_weights
    if isinstance(stated, tuple):
        return stated
    # two are told apart by the calibrated threshold
    if stated == "none" or len(shares) == 2 or not config.training.weighs_classes:
        return (1.0,) * len(shares)
    raw = [1 / math.sqrt(share) if share else 0.0 for share in shares]
    mean = sum(raw) / max(sum(weight > 0 for weight in raw), 1)
    return tuple(round(min(weight / mean, HEAVIEST), 4) if weight else 1.0 for weight in raw)


def _range(sides: Sequence[int]) -> str:
    return f"{min(sides)}" if min(sides) == max(sides) else f"{min(sides)} to {max(sides)}"
