"""Score several methods on the same images, and compare each with each.

::

    OUT/NAME/          what evaluate writes for an entry, and entry.json, by which it is not done twice
    OUT/comparison.*   the page, the numbers, and a table with a row an image; see ``comparison_page``
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from ..config import Config
from ..data.pairs import Pair
from ..errors import ConfigError, CryoSegError, DataError
from ..io import atomic
from ..segmentation.method import Watch, unwatched
from .comparison import Comparison, metric_names
from .entries import RECORD, Entry, Scoring

COMPARISON = "comparison"
"""The name of the files."""

STARTED = ".part-comparison"
"""Says that the folders beside it are ours, until ``comparison.json`` does."""

USABLE = re.compile(r"\w([\w.+ -]*\w)?")
"""What an entry may be called: it names a folder."""


def compare(
    entries: Sequence[Entry],
    pairs: Sequence[Pair],
    config: Config,
    out: Path | str,
    *,
    metric: str = "dice",
    groups: Sequence[str] | None = None,
    watch: Watch = unwatched,
) -> Comparison:
    """Score each entry into ``out/NAME``, and compare all of them on the images that none failed on.

    What ``out`` holds of the same entry, images and settings is not done again.

    Args:
        entries: Two or more.
        pairs: Images with their masks.
        config: ``data`` says how images and masks are read, ``evaluation`` and ``seed`` how they are scored.
        out: The folder for the comparison; new, empty, or of an earlier one.
        metric: The score that is tested; see ``metric_names``.
        groups: The group of each image, as from ``find_groups``; None: unknown, each is taken to be its own.
        watch: Shows the progress of each entry.

    Raises:
        ConfigError: If names, metric or classes do not fit.
        DataError: If there is no pair, ``out`` holds other things, or no image can be scored for all.
        OSError: If ``out`` cannot be written.
    """
    check_names([entry.name for entry in entries])
    check_metric(metric, config)
    if not pairs:
        raise DataError("there is no annotated image to score")
    out = Path(out)
    check_out(out)
    atomic.check_writable(out)
    new = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    (out / STARTED).touch()
    scoring = Scoring(pairs, config, groups, out, watch)
    try:
        scored = [scoring.scored(entry, f"{place} of {len(entries)}") for place, entry in enumerate(entries, 1)]
    except CryoSegError:
        if new and not any(out.glob(f"*/{RECORD}")):
            atomic.remove(out)
        raise
    known = None if groups is None else tuple(groups)
    comparison = Comparison(tuple(entries), tuple(scored), tuple(pairs), known, config, metric)
    _check_common(comparison)
    return comparison


def check_metric(metric: str, config: Config) -> None:
    """Refuse a score that images do not have.

    Raises:
        ConfigError: Naming those that they have.
    """
    known = metric_names(config)
    if metric not in known:
        raise ConfigError(f"the metric is {metric!r}: known are {', '.join(known)}")


def check_names(names: Sequence[str]) -> None:
    """Refuse names that are no folder's, or that two entries share.

    Raises:
        ConfigError: Naming one.
    """
    if len(names) < 2:
        raise ConfigError("there is nothing to compare with: name two or more")
    for place, name in enumerate(names):
        if not USABLE.fullmatch(name) or name.casefold().startswith(f"{COMPARISON}."):
            raise ConfigError(f"{name!r} cannot be a name here: use letters, digits, and . _ + - between them")
        # Windows and macOS do not tell A from a
        if name.casefold() in {other.casefold() for other in names[:place]}:
            raise ConfigError(f"two are named {name}: write NAME={name} to name one otherwise")


def check_out(out: Path) -> None:
    """Make sure that a comparison may be written to ``out``.

    Raises:
        DataError: If it holds anything else.
    """
    if not out.exists() or (out / STARTED).is_file() or _is_comparison(out / f"{COMPARISON}.json"):
        return
    if not out.is_dir() or any(out.iterdir()):
        raise DataError(f"{out} exists and holds no comparison from here: choose another --out")


def _check_common(comparison: Comparison) -> None:
    if comparison.images:
        return
    failed = [comparison.left_out(pair.name) for pair in comparison.pairs]
    reasons = [f"{name}: {error}" for errors in failed for name, error in errors.items()]
    raise DataError("\n".join(["no image could be scored for every entry", *reasons]))


def _is_comparison(path: Path) -> bool:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and {"entries", "pairs"} <= content.keys()
