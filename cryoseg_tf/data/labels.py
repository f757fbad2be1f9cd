"""The names of the classes, where a data folder says them itself.

nnU-Net's ``dataset.json`` has ``"labels": {"background": 0, "cell": 1, "ignore": 2}``, and in old
data sets ``{"0": "background", "1": "cell"}``. ``classes.txt`` has a name in each line, background
first: the first line names what a mask's 0 means. It is not filled in where it is missing, since
a list of all names but that of 0, taken for a whole one, would give every class its neighbour's name.
"""

import json
import logging
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ..config import Config
from ..errors import ConfigError, DataError
from ..io.labelme import IGNORE_LABEL, ignored_labels, labels_in
from .pairs import Pair, find_pairs

BACKGROUND = frozenset({"background", "_background_", "bg"})
"""What the first name may be, in any case."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Labels:
    """Class names by index, and the mask value of pixels that are not annotated, as a file says them."""

    source: Path
    classes: tuple[str, ...]
    ignore: int | None = None


def with_labels(config: Config, folder: Path | str, part: str | None = None) -> Config:
    """Take over the class names that a data folder states, where the user set none.

    Args:
        config: Settings; ``data.classes`` counts as set if it is in a file, in ``--set``, or given in code.
        folder: The data folder.
        part: As for ``find_pairs``.

    Raises:
        DataError: If the folder's names cannot be used, or LabelMe's labels are not the default classes.
    """
    if "classes" in config.data.model_fields_set:
        return config
    labels = find_labels(folder)
    if labels is None:
        _check_drawn(find_pairs(folder, part), config)
        return config
    settings: dict[str, Any] = {"data.classes": labels.classes}
    if labels.ignore is not None and "ignore" not in config.data.model_fields_set:
        settings["data.ignore"] = labels.ignore
    named = _replaced(config, settings, labels)
    log.info("%s names the classes %s", labels.source, ", ".join(labels.classes))
    return named


def for_scoring(config: Config, folder: Path | str) -> Config:
    """Return a trained model's settings as they apply to the masks in a data folder, which may state names itself.

    Raises:
        DataError: If its names differ from the model's: masks would be scored against other classes.
    """
    labels = find_labels(folder)
    if labels is None:
        return config
    if labels.classes != config.data.classes:
        raise DataError(
            f"{labels.source} names the classes {', '.join(labels.classes)}, "
            f"but the model tells apart {', '.join(config.data.classes)}"
        )
    return config if labels.ignore is None else _replaced(config, {"data.ignore": labels.ignore}, labels)


def find_labels(folder: Path | str) -> Labels | None:
    """Return what ``dataset.json`` or ``classes.txt`` in a data folder, or its train/ and test/, say.

    Raises:
        DataError: If one cannot be used, or two disagree.
    """
    places = [Path(folder), Path(folder) / "train", Path(folder) / "test"]
    found = [labels for place in places for labels in (_nnunet(place / "dataset.json"), _text(place / "classes.txt"))]
    given = [labels for labels in found if labels]
    for labels in given:
        if labels.classes != given[0].classes:
            raise DataError(
                f"{given[0].source} names the classes {', '.join(given[0].classes)}, "
                f"but {labels.source} {', '.join(labels.classes)}: remove one of them"
            )
    return given[0] if given else None


def _replaced(config: Config, settings: dict[str, Any], labels: Labels) -> Config:
    try:
        return config.replace(settings)
    except ConfigError as error:
        raise DataError(f"{labels.source} cannot be used: {error}") from None


def _nnunet(path: Path) -> Labels | None:
    try:
        content = json.loads(_read(path)) if path.is_file() else None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is no JSON: {error}") from None
    labels = content.get("labels") if isinstance(content, dict) else None
    if labels is None:  # another program's
        return None
    names = _by_index(labels, path)
    ignore = next((index for index, name in names.items() if name.lower() == IGNORE_LABEL), None)
    indices = sorted(names.keys() - {ignore})
    if indices != list(range(len(indices))):
        raise DataError(f"{path} numbers its labels {', '.join(map(str, sorted(names)))}: they must be 0, 1, 2, ...")
    return Labels(path, tuple(names[index] for index in indices), ignore)


def _by_index(labels: Any, path: Path) -> dict[int, str]:
    try:
        old = all(str(key).isdecimal() for key in labels)
        named = [(int(k), v) if old else (int(str(v)), k) for k, v in labels.items()]
    except (AttributeError, TypeError, ValueError):
        raise DataError(f'{path} has labels of a form unknown here: it must be "cell": 1 for each name') from None
    if len(dict(named)) < len(named) or not all(isinstance(name, str) for _, name in named):
        raise DataError(f"{path} gives a number to two labels, or to something that is no name")
    return dict(named)


def _text(path: Path) -> Labels | None:
    if not path.is_file():
        return None
    names = [line.strip() for line in _read(path).strip().splitlines()]
    if not all(names):
        raise DataError(f"{path} has an empty line among its names: each line names a class")
    if names[:1] == [] or names[0].lower() not in BACKGROUND:
        first = repr(names[0]) if names else "missing"
        raise DataError(f"{path}: the first line names what 0 means in a mask, but is {first}: put 'background' first")
    return Labels(path, tuple(names))


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as UTF-8 text: {error}") from None


def _check_drawn(pairs: Sequence[Pair], config: Config) -> None:
    """Refuse LabelMe's labels that the default classes lack, and say how to name them all."""
    drawn = {label for pair in pairs if pair.mask.suffix.lower() == ".json" for label in labels_in(pair.mask)}
    labels = sorted(drawn - ignored_labels(config.data.ignore))
    background, *_ = config.data.classes
    if set(labels) <= set(config.data.classes):
        return
    names = [background, *(label for label in labels if label != background)]
    wanted = yaml.safe_dump(names, default_flow_style=True, width=float("inf"), allow_unicode=True).strip()
    raise DataError(
        f"the shapes have the labels {', '.join(labels)}, but data.classes is {', '.join(config.data.classes)}: "
        f"pass --set {shlex.quote(f'data.classes={wanted}')}"
    )
