"""Figures of a search, as SVG for its page."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..training.parameter import Parameter, label
from ..training.tuning_result import Record
from .figures import AMBER, BLUE, INK, STYLE, svg
from .importance import Importances


class Axis(NamedTuple):
    """Where values lie on an axis from 0 to 1, and what to write beside it."""

    place: Callable[[Any], float]
    ticks: dict[float, str]


def progress(records: Sequence[Record]) -> str:
    """Draw the score of each trial, and the best so far, as SVG; at least one must have a score.

    Scores far below the others are drawn at the lower edge, as arrows; failed trials below it, as crosses.
    """
    scored = [(place, record.score) for place, record in enumerate(records) if record.score is not None]
    places, scores = (np.array(column, np.float64) for column in zip(*scored, strict=True))
    low, high = _limits(scores)
    failed = [place for place, record in enumerate(records) if record.status == "failed"]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 2.8), layout="constrained")
        axes = figure.subplots()
        axes.step(places, np.maximum.accumulate(scores), where="post", color=AMBER, label="best so far")
        inside = scores >= low
        axes.plot(places[inside], scores[inside], "o", color=BLUE, markersize=4.5, label="trial")
        if not inside.all():
            bottom = np.full((~inside).sum(), low)
            axes.plot(places[~inside], bottom, "v", color=BLUE, markersize=6, label="far below", clip_on=False)
        if failed:
            axes.plot(failed, [low - 0.06 * (high - low)] * len(failed), "x", color=INK, label="failed", clip_on=False)
        axes.set(xlabel="trial", ylabel="validation Dice", ylim=(low - 0.1 * (high - low), high))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4)
        return svg(figure)


def importance_bars(found: Importances) -> str:
    """Draw how much each setting mattered, the most important on top, as SVG."""
    names = sorted(found.of, key=lambda name: found.of[name])
    short = short_names(names)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 0.8 + 0.32 * len(names)), layout="constrained")
        axes = figure.subplots()
        axes.barh(range(len(names)), [found.of[name] for name in names], height=0.6, color=BLUE, alpha=0.75)
        for place, name in enumerate(names):
            ends = found.of[name] - found.spread[name], found.of[name] + found.spread[name]
            axes.plot(ends, [place, place], color=INK, linewidth=1.2)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_yticks(range(len(names)), [short[name] for name in names], parse_math=False)
        axes.set(xlabel="share of the scores' variance that is lost without it")
        axes.grid(visible=False, axis="y")
        return svg(figure)


def parallel_coordinates(records: Sequence[Record], parameters: Sequence[Parameter], best: Record) -> str:
    """Draw each trial that has a score as a line through its values to its score, as SVG.

    The better a trial, the lighter its line; the best is drawn on top.
    """
    scored = sorted((r for r in records if r.score is not None), key=lambda r: r.score or 0.0)
    names, known = list(best.values), {p.name: p for p in parameters}
    drawn = [_axis(known.get(name), [r.values[name] for r in scored]) for name in names]
    scores = np.array([r.score for r in scored], np.float64)
    low, high = _limits(scores)
    ends = {place: f"{low + place * (high - low):.3f}" for place in (0.0, 0.5, 1.0)}
    drawn.append(Axis(lambda score: float(np.clip((score - low) / (high - low), 0, 1)), ends))
    short = short_names(names)
    colours = mpl.colormaps["viridis"](np.linspace(0, 1, len(scored)))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(max(7.6, 1.25 * len(drawn)), 3.6), layout="constrained")
        axes = figure.subplots()
        for record, colour in zip(scored, colours, strict=True):
            row = [*record.values.values(), record.score]
            places = [axis.place(value) for axis, value in zip(drawn, row, strict=True)]
            top = {"color": AMBER, "linewidth": 2.6, "zorder": 3}
            axes.plot(places, **(top if record is best else {"color": colour, "linewidth": 1, "alpha": 0.75}))
        for number, axis in enumerate(drawn):
            axes.axvline(number, color=INK, linewidth=0.8)
            for place, text in axis.ticks.items():
                axes.text(number + 0.03, place, _cut(text), fontsize=7.5, va="center", parse_math=False, zorder=4)
        axes.set_xticks(range(len(drawn)), [*(_broken(short[name]) for name in names), "Dice"], parse_math=False)
        axes.set(yticks=[], xlim=(-0.1, len(drawn) - 0.5), ylim=(-0.05, 1.05))
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        return svg(figure)


def short_names(names: Sequence[str]) -> dict[str, str]:
    """Return each dotted name without its branch."""
    return {name: name.split(".", 1)[-1] for name in names}


def _axis(parameter: Parameter | None, values: Sequence[Any]) -> Axis:
    """Return the axis of a setting; where it is not searched but set, as Hyperband does, from its values."""
    if parameter is None or parameter.values:
        choices = list(parameter.values) if parameter else sorted(set(values))
        places = {
            label(value): (0.5 if len(choices) == 1 else n / (len(choices) - 1)) for n, value in enumerate(choices)
        }
        return Axis(lambda value: places[label(value)], {place: text for text, place in places.items()})
    scale = math.log if parameter.log else float
    low, high = map(scale, parameter.ends)
    ticks = {place: f"{end:g}" for place, end in zip((0.0, 1.0), parameter.ends, strict=True)}
    return Axis(lambda value: (scale(value) - low) / (high - low), ticks)


def _spread(count: int) -> list[float]:
    return [0.5] if count == 1 else np.linspace(0, 1, count).tolist()


def _limits(scores: Any) -> tuple[float, float]:
    """Return the ends of an axis of scores, which leaves those far below the others out."""
    quarter, half = np.percentile(scores, [25, 50])
    low = max(float(scores.min()), float(quarter - 3 * (half - quarter)) - 0.01)
    margin = 0.05 * max(float(scores.max()) - low, 0.01)
    return low - margin, float(scores.max()) + margin


def _cut(text: str) -> str:
    return text if len(text) <= 22 else f"{text[:20]}…"


def _broken(name: str) -> str:
    return name.replace("_", "_\n").replace(".", ".\n") if len(name) > 10 else name
