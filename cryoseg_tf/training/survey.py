"""Look at all images before anything is trained on them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from ..config import Config, Contract
from ..data.images import Facts, examine
from ..data.pairs import Pair, note_instances, read_annotated
from ..data.splits import Split
from ..errors import DataError, ImageError
from ..io import atomic
from ..io.micrograph import warn_of_data_bar

log = logging.getLogger(__name__)


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
        pixels = annotated.micrograph.pixels
        if pair.part is None and pixels.min() == pixels.max():  # a part may be, of an image that is not
            raise ImageError(f"{pair.image} is blank: every pixel is {pixels.min()}; remove it")
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
