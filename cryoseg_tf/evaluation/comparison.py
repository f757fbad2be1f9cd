"""What was found about several methods on the same images."""

import functools
import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

from ..config import Config
from ..data.pairs import Pair
from ..data.preprocess import Status
from .claims import claim
from .entries import Entry, Scored
from .paired import Drawing, Paired, compare_pairs
from .report import NAMES
from .scores import or_null
from .statistics import Estimate, mean_interval


@dataclass(frozen=True)
class Comparison:
    """What was found about all entries on the images that every one of them could be scored on.

    Attributes:
        entries: What was compared.
        scored: What was found about each, in the same order.
        pairs: Every image that was asked for.
        groups: The group of each; None: unknown.
        config: The settings; ``evaluation.resamples`` and ``seed`` fix the intervals.
        metric: The score that is tested.
    """

    entries: tuple[Entry, ...]
    scored: tuple[Scored, ...]
    pairs: tuple[Pair, ...]
    groups: tuple[str, ...] | None
    config: Config
    metric: str

    @functools.cached_property
    def images(self) -> list[str]:
        """The images that are compared."""
        return [pair.name for pair in self.pairs if not self.left_out(pair.name)]

    @functools.cached_property
    def group_of(self) -> dict[str, str] | None:
        """The group of each image that is compared, where groups are known."""
        if self.groups is None:
            return None
        of = dict(zip((pair.name for pair in self.pairs), self.groups, strict=True))
        return {name: of[name] for name in self.images}

    @property
    def drawing(self) -> Drawing:
        """How intervals are drawn."""
        return Drawing(self.config.evaluation.resamples, self.config.seed)

    @property
    def seen(self) -> dict[str, int]:
        """How many of the images each entry was trained with."""
        names = set(self.images)
        return {
            entry.name: sum(image.seen for name, image in scored.images.items() if name in names)
            for entry, scored in zip(self.entries, self.scored, strict=True)
        }

    def left_out(self, image: str) -> dict[str, str]:
        """Return why an image is left out, by the entries that failed on it."""
        return {
            entry.name: scored.failed[image]
            for entry, scored in zip(self.entries, self.scored, strict=True)
            if image in scored.failed
        }

    def scores(self, metric: str) -> dict[str, list[float]]:
        """Return a score of each image, by entry; NaN where there is none."""
        found = {}
        for entry, scored in zip(self.entries, self.scored, strict=True):
            values = [scored.images[name].values[metric] for name in self.images]
            found[entry.name] = [math.nan if value is None else value for value in values]
        return found

    @functools.cached_property
    def paired(self) -> list[Paired]:
        """Each entry against each of those after it."""
        of = self.group_of
        return compare_pairs(self.scores(self.metric), list(of.values()) if of else None, self.drawing)

    def claim(self, pair: Paired) -> str:
        """Return what may be claimed of a pair, and what not."""
        return claim(pair, metric_names(self.config)[self.metric], self.seen)

    def summary(self) -> dict[str, Any]:
        """Return the content of ``comparison.json``; null stands where there is no value."""
        of = self.group_of
        counts = Counter(of.values() if of else ())
        left_out = {pair.name: errors for pair in self.pairs if (errors := self.left_out(pair.name))}
        return {
            "images": len(self.images),
            "groups": {"count": len(counts) or None, "largest": max(counts.values(), default=None)},
            "metric": self.metric,
            "entries": [self._entry(*both) for both in zip(self.entries, self.scored, strict=True)],
            "pairs": [self._pair(pair) for pair in self.paired],
            "left_out": [{"image": name, "errors": errors} for name, errors in left_out.items()],
            "resamples": self.drawing.resamples,
            "seed": self.drawing.seed,
        }

    def _entry(self, entry: Entry, scored: Scored) -> dict[str, Any]:
        names, of = self.images, self.group_of
        groups = list(of.values()) if of else None
        statuses = Counter(Status(scored.images[name].status) for name in names)
        means = {
            metric: mean_interval(self.scores(metric)[entry.name], *self.drawing, groups=groups)
            for metric in metric_names(self.config)
        }
        return {
            "name": entry.name,
            "kind": entry.kind,
            "source": entry.source,
            "about": scored.about,
            "metrics": {metric: _written(mean) for metric, mean in means.items()},
            "seen_in_training": self.seen[entry.name],
            "status": {status.name.lower(): n for status, n in statuses.items() if status != Status.OK},
        }

    def _pair(self, pair: Paired) -> dict[str, Any]:
        return {
            "first": pair.first,
            "second": pair.second,
            "difference": _written(pair.difference),
            "unit": pair.unit,
            "units": pair.units,
            "p": or_null(pair.p),
            "p_holm": or_null(pair.holm),
            "p_smallest": pair.smallest,
            "rank_biserial": or_null(pair.effect),
            "wins": pair.wins,
            "ties": pair.ties,
            "losses": pair.losses,
            "claim": self.claim(pair),
        }


def metric_names(config: Config) -> dict[str, str]:
    """Return what each score of an image is called in words: of the foreground, and of each of several classes."""
    classes = config.data.classes[1:]
    several = classes if len(classes) > 1 else ()
    return NAMES | {f"{metric}_{name}": f"{NAMES[metric]} of {name}" for name in several for metric in NAMES}


def _written(estimate: Estimate) -> dict[str, Any]:
    mean, bounds = estimate
    return {"mean": or_null(mean), "ci95": [or_null(bound) for bound in bounds]}
