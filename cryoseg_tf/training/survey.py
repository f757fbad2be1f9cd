"""Look at the images first, and fix what follows from them: scale, patch size, contract."""

import logging
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ..config import Config, Contract
from ..data.augment import COARSEST
from ..data.pairs import Pair, note_instances, read_annotated
from ..data.patches import patch_side
from ..data.pipeline import Facts, examine
from ..data.preprocess import SMALLEST_SIDE, model_shape
from ..data.splits import Split
from ..errors import DataError
from ..io import atomic
from ..io.micrograph import warn_of_data_bar

log = logging.getLogger(__name__)

PIXEL_SIZE_MARGIN = (0.25, COARSEST)
"""Images may be this much finer or coarser than any training image."""


@dataclass(frozen=True)
class Survey:
    """What was found about the images of a split, in its order, and the SHA-256 of each file by name."""

    train: list[Facts]
    validation: list[Facts]
    files: dict[str, str]


def survey(split: Split, config: Config) -> Survey:
    """Read every image and mask once.

    Raises:
        ImageError: If one cannot be used.
        DataError: If no training mask holds any foreground, or pixel sizes are asked for and missing.
    """
    contract = Contract(classes=config.data.classes, percentiles=config.data.percentiles)
    note_instances([*split.train, *split.validation], config.data)

    def facts(pair: Pair) -> Facts:
        annotated = read_annotated(pair, config.data)
        warn_of_data_bar(annotated.micrograph)
        return examine(annotated, contract)

    train, validation = ([facts(pair) for pair in pairs] for pairs in (split.train, split.validation))
    _check_classes(train, config.data.classes)
    _check_pixel_sizes([*train, *validation], config.data.scale)
    files = {}
    for pair in sorted([*split.train, *split.validation]):
        files[pair.name] = atomic.sha256(pair.image)
        files[f"{pair.name} mask"] = atomic.sha256(pair.mask)
    return Survey(train, validation, files)


def _check_classes(facts: Sequence[Facts], names: Sequence[str]) -> None:
    absent = [name for index, name in enumerate(names) if index and not any(index in f.classes for f in facts)]
    if len(absent) == len(names) - 1:
        wanted = " or ".join(absent)
        raise DataError(f"no mask of the {len(facts)} training images holds any {wanted}: there is nothing to learn")
    if absent:
        log.warning("no mask to train on holds %s: the model cannot learn it", " or ".join(absent))


def _check_pixel_sizes(facts: Sequence[Facts], scale: str) -> None:
    without = [str(f.source) for f in facts if f.pixel_size is None]
    if not without or (scale == "auto" and len(without) == len(facts)) or scale in ("none", "shape"):
        return
    names = ", ".join(without[:3]) + (f" and {len(without) - 3} more" if len(without) > 3 else "")
    if scale == "pixel_size":
        raise DataError(f"data.scale is pixel_size, but {names} do not say theirs: pass --pixel-size NM")
    log.warning("pixel sizes are not used, since %s do not say theirs: pass --pixel-size NM", names)


def _check_sides(facts: Sequence[Facts], sides: Sequence[int], contract: Contract) -> None:
    for fact, side in zip(facts, sides, strict=True):
        if side < SMALLEST_SIDE and contract.scale == "pixel_size":
            raise DataError(
                f"{fact.source} is {fact.shape[1]}x{fact.shape[0]} at {fact.pixel_size:g} nm: at the network's "
                f"{contract.pixel_size:g} nm its shorter side has {side} pixels; is its pixel size right?"
            )


def resolve(config: Config, found: Survey) -> tuple[Config, Contract]:
    """Fill in what follows from the images: the scale, the patch size, the contract."""
    facts = [*found.train, *found.validation]
    sizes = [f.pixel_size for f in facts]
    scale, target = config.data.scale, config.data.pixel_size
    if scale == "auto":
        scale = "pixel_size" if all(sizes) else "none"
    if scale == "pixel_size":
        target = target or statistics.median(f.pixel_size for f in found.train if f.pixel_size)
    known = [s for s in sizes if s]
    contract = Contract(
        classes=config.data.classes,
        scale=scale,
        pixel_size=target if scale == "pixel_size" else None,
        pixel_size_range=(
            (min(known) * PIXEL_SIZE_MARGIN[0], max(known) * PIXEL_SIZE_MARGIN[1]) if scale == "pixel_size" else None
        ),
        shape=config.data.shape if scale == "shape" else None,
        percentiles=config.data.percentiles,
        minimum_contrast=min(f.contrast for f in facts),
    )
    sides = [int(min(model_shape(*f.shape, f.pixel_size or 0.0, contract).numpy())) for f in facts]
    _check_sides(facts, sides, contract)
    patch = config.data.patch or patch_side(sides[: len(found.train)], config.model.stride)
    settings = {"data.scale": scale, "data.pixel_size": contract.pixel_size, "data.patch": patch}
    return config.replace(settings), contract
