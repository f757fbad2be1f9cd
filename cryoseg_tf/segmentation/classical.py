"""Classical methods as competitors: Otsu's threshold, an adaptive one, a watershed, and a random forest.

Each is written as ``otsu``, ``otsu(cells=dark)`` or ``adaptive(window_nm=800)``. What a method cannot know of the
images, as whether cells are bright, is stated there or chosen on annotated images; else it says what it assumed.
"""

import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..config import Config
from ..data.pairs import Pair
from ..errors import ConfigError
from ..expressions import Term, call, read_term
from .method import Loaded, Watch, unwatched
from .thresholds import CELLS, Rule, Threshold, Window, as_it_is, choose, divide_adaptive, divide_otsu, divide_watershed

log = logging.getLogger(__name__)

SETTING = "the method"
"""What messages call an expression."""


@dataclass(frozen=True)
class Given:
    """What a method may use.

    Attributes:
        config: ``data`` says how images are read, and ``seed``.
        train: Annotated images to learn from; there may be none.
        threads: To compute with; None for one per core.
        watch: Shows progress.
    """

    config: Config
    train: Sequence[Pair] = ()
    threads: int | None = None
    watch: Watch = unwatched


class Recipe(Protocol):
    """A method as it was written, with nothing learned yet."""

    @property
    def learns(self) -> bool:
        """Whether it takes anything from annotated images, where there are some."""
        ...

    def check(self, given: Given) -> None:
        """Refuse what cannot work, before any work.

        Raises:
            ConfigError: If something was neither stated nor can be learned, or there are too many classes.
        """
        ...

    def load(self, given: Given) -> Loaded:
        """Learn what there is to learn.

        Raises:
            ImageError: If an image or mask to learn from cannot be used.
            DataError: If nothing can be learned from them.
        """
        ...


@dataclass(frozen=True)
class ThresholdRecipe:
    """A threshold or a watershed as it was written.

    Attributes:
        name: As it is called.
        rule: With what was stated; what was not is the usual.
        open: The rule's attributes that were not stated.
    """

    name: str
    rule: Rule
    open: frozenset[str] = frozenset()

    @property
    def learns(self) -> bool:
        """See ``Recipe.learns``."""
        return bool(self.open)

    def check(self, given: Given) -> None:
        """See ``Recipe.check``."""
        classes = given.config.data.classes
        if len(classes) > 2:
            raise ConfigError(
                f"{self.name} tells two classes apart, but data.classes is {', '.join(classes)}: "
                "compare with forest, or with masks made elsewhere"
            )
        if "window" in self.open and not given.train:
            raise ConfigError(f"{self.name} needs window_nm or window_px, or --train to choose it by")

    def load(self, given: Given) -> Loaded:
        """See ``Recipe.load``."""
        self.check(given)
        data = given.config.data
        if given.train and self.open:
            with given.watch(len(given.train), f"{self.name} tries thresholds") as progress:
                rule = choose(self.rule, self.open, given.train, data, progress)
            about = f"{rule}; {', '.join(sorted(self.open))} chosen on {len(given.train)} annotated images"
        elif "cells" in self.open:
            log.warning("%s: bright is taken for cell, since nothing says so: state cells=, or pass --train", self.name)
            rule, about = self.rule, f"{self.rule}; bright is taken for cell: neither stated nor learned"
        else:
            rule, about = self.rule, str(self.rule)
        return Loaded(Threshold(rule, as_it_is(data)), about)


@dataclass(frozen=True)
class ForestRecipe:
    """A random forest as it was written; see ``train_forest``."""

    trees: int
    sigma_max: float
    learns: bool = True

    def check(self, given: Given) -> None:
        """See ``Recipe.check``."""
        if not given.train:
            raise ConfigError("forest learns from annotated images: pass --train DATA")

    def load(self, given: Given) -> Loaded:
        """See ``Recipe.load``."""
        from .forest import train_forest

        self.check(given)
        method = train_forest(
            given.train,
            given.config,
            trees=self.trees,
            sigma_max=self.sigma_max,
            threads=given.threads,
            watch=given.watch,
        )
        scales = f"scales of 1 to {self.sigma_max:g} px"
        return Loaded(method, f"{self.trees} trees on {scales}; trained on {len(given.train)} annotated images")


def otsu(cells: str | None = None, smooth_px: float | None = None, offset: float | None = None) -> Recipe:
    """One threshold for the whole image, after Otsu."""
    return _threshold("otsu", divide_otsu, {"cells": cells, "smooth_px": smooth_px, "offset": offset})


def adaptive(
    cells: str | None = None,
    smooth_px: float | None = None,
    offset: float | None = None,
    window_nm: float | None = None,
    window_px: float | None = None,
) -> Recipe:
    """A threshold for each pixel: the mean of a square around it."""
    if window_nm is not None and window_px is not None:
        raise ValueError("give window_nm or window_px, not both")
    side, unit = (window_px, "px") if window_nm is None else (window_nm, "nm")
    _within(f"window_{unit}", side, 1e-3, 1e9)
    window = None if side is None else Window(float(side), unit)
    options = {"cells": cells, "smooth_px": smooth_px, "offset": offset, "window": window}
    return _threshold("adaptive", divide_adaptive, options)


def watershed(cells: str | None = None, smooth_px: float | None = None) -> Recipe:
    """The gradient, flooded from what is surely cell and what is surely background."""
    return _threshold("watershed", divide_watershed, {"cells": cells, "smooth_px": smooth_px})


def forest(trees: int = 100, sigma_max: float = 16.0) -> Recipe:
    """A random forest; see ``train_forest``."""
    if not isinstance(trees, int):
        raise ValueError(f"trees is {trees!r}: it must be a whole number")
    _within("trees", trees, 1, 10_000)
    _within("sigma_max", sigma_max, 1, 64)
    return ForestRecipe(trees, float(sigma_max))


METHODS: dict[str, Callable[..., Recipe]] = {
    "adaptive": adaptive,
    "forest": forest,
    "otsu": otsu,
    "watershed": watershed,
}
"""Every classical method by its name."""


def read_method(text: str) -> Term | None:
    """Return the name and options of a method; None where the text names none.

    Raises:
        ConfigError: If a method's options cannot be read.
    """
    if text.partition("(")[0].strip() not in METHODS:
        return None
    try:
        # words that stand for themselves need no quotes
        return read_term(re.sub(rf"=\s*({'|'.join(CELLS)})\b", r"='\1'", text))
    except ValueError as error:
        raise ConfigError(f"{SETTING} is {text!r}: {error}") from None


def recipe(term: Term) -> Recipe:
    """Return the method that a name and options stand for.

    Raises:
        ConfigError: If it does not take these options or values.
    """
    made: Recipe = call(SETTING, term, METHODS)
    return made


def _threshold(name: str, divide: Callable[..., Any], options: Mapping[str, Any]) -> Recipe:
    if options["cells"] not in (None, *CELLS):
        raise ValueError(f"cells is {options['cells']!r}: it must be {' or '.join(CELLS)}")
    _within("smooth_px", options["smooth_px"], 0, 100)
    _within("offset", options.get("offset"), -1, 1)
    stated = {option: value for option, value in options.items() if value is not None}
    return ThresholdRecipe(name, Rule(divide, **stated), frozenset(options.keys() - stated.keys()))


def _within(option: str, value: Any, low: float, high: float) -> None:
    """Refuse a value that is not None and no number between the bounds."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if value is not None and not (number and low <= value <= high):
        raise ValueError(f"{option} is {value!r}: it must be a number from {low:g} to {high:g}")
