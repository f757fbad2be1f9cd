"""Write a comparison: ``comparison.json``, ``comparison.csv`` and ``comparison.html``, which needs nothing else."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure

from .. import __version__
from ..data.preprocess import Status
from ..io import atomic
from ..io.page import templates
from ..io.table import csv_text
from .compare import COMPARISON, STARTED, check_out
from .comparison import Comparison, metric_names
from .figures import AMBER, BLUE, INK, STYLE, svg
from .paired import Paired
from .report import NAMES, STATUS, interval, score
from .statistics import FEW
from .views import OVERLAYS, embed_overlay

SHOWN = 4
"""Images in the page: those that the entries differ most on."""


def write_comparison(comparison: Comparison, out: Path | str) -> Path:
    """Write the page, the numbers and the table; return the path of the page.

    Raises:
        DataError: If ``out`` holds something else.
    """
    out = Path(out)
    check_out(out)
    summary = comparison.summary()
    page = out / f"{COMPARISON}.html"
    atomic.write_texts(
        {
            out / f"{COMPARISON}.json": atomic.json_text(summary),
            out / f"{COMPARISON}.csv": comparison_csv(comparison),
            page: render(comparison, summary, out),
        }
    )
    (out / STARTED).unlink(missing_ok=True)
    return page


def comparison_csv(comparison: Comparison) -> str:
    """Return one row an image that was compared, with a column for each score and entry; empty where there is none."""
    names = [entry.name for entry in comparison.entries]
    metrics, group_of = list(metric_names(comparison.config)), comparison.group_of or {}
    columns = [comparison.scores(metric)[name] for metric in metrics for name in names]
    cells = [["" if math.isnan(value) else value for value in column] for column in columns]
    header = ["image", "group", *(f"{metric}_{name}" for metric in metrics for name in names)]
    rows = zip(comparison.images, *cells, strict=True)
    return csv_text(header, ([image, group_of.get(image, ""), *values] for image, *values in rows))


def render(comparison: Comparison, summary: Mapping[str, Any], out: Path) -> str:
    """Return the page as HTML; pictures are read from the entries' folders in ``out``."""
    environment = templates("cryoseg_tf.evaluation")
    environment.filters |= {"score": score, "interval": interval, "signed": _signed, "p": _probability}
    shown = most_different(comparison)
    first = comparison.pairs[0]
    return environment.get_template("compare.html").render(
        summary=summary,
        metric=metric_names(comparison.config)[comparison.metric],
        names=NAMES,
        classes=comparison.config.data.classes[1:],
        data=first.image.parents[len(Path(first.name).parts) - 1].resolve(),
        figure=Markup(differences(comparison.paired, comparison.group_of)),
        claims=[comparison.claim(pair) for pair in comparison.paired],
        unscored=[int(np.count_nonzero(np.isnan(pair.differences))) for pair in comparison.paired],
        shown=shown,
        scores=comparison.scores(comparison.metric),
        places={name: place for place, name in enumerate(comparison.images)},
        picture=_pictures(comparison, out, len(shown)),
        few=FEW,
        statuses={status.name.lower(): words for status, words in STATUS.items()},
        low_contrast=Status.LOW_CONTRAST.name.lower(),
        version=__version__,
    )


def most_different(comparison: Comparison) -> list[str]:
    """Return the images that the entries' scores differ most on, most first."""
    table = np.array(list(comparison.scores(comparison.metric).values()))
    spread = np.ma.ptp(np.ma.masked_invalid(table), axis=0).filled(0)
    order = np.argsort(-spread, kind="stable")
    return [comparison.images[place] for place in order[:SHOWN] if spread[place] > 0]


def differences(pairs: Sequence[Paired], group_of: Mapping[str, str] | None) -> str:
    """Draw each image's difference, and their mean with its interval, a line a pair, as SVG.

    Args:
        pairs: What was compared.
        group_of: The group of each image; the mean of each is drawn where groups are known.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 0.7 + 0.45 * len(pairs)), layout="constrained")
        axes = figure.subplots()
        for place, pair in enumerate(pairs):
            values = pair.differences
            # a fixed seed: the same comparison gives the same figure
            spread = np.random.default_rng(0).uniform(-0.17, 0.17, len(values))
            axes.plot(values, place + spread, "o", color=BLUE, markersize=4, alpha=0.65, markeredgewidth=0)
            if group_of is not None:
                means = _group_means(values, list(group_of.values()))
                axes.plot(means, np.full(len(means), place), "o", markersize=8, markerfacecolor="none", color=BLUE)
            mean, interval = pair.difference
            axes.plot(interval, [place, place], color=AMBER, linewidth=3, solid_capstyle="butt")
            axes.plot([mean], [place], "D", color=AMBER, markersize=6, markeredgecolor=INK, markeredgewidth=0.6)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_yticks(range(len(pairs)), [f"{pair.first} less {pair.second}" for pair in pairs])
        axes.set(ylim=(len(pairs) - 0.5, -0.5), xlabel="difference")
        axes.grid(visible=False, axis="y")
        return svg(figure)


def _group_means(values: Any, groups: Sequence[str]) -> list[float]:
    members: dict[str, list[float]] = {}
    for group, value in zip(groups, values, strict=True):
        if not math.isnan(value):
            members.setdefault(group, []).append(value)
    return [float(np.mean(some)) for some in members.values()]


def _pictures(comparison: Comparison, out: Path, images: int) -> Any:
    scored = {entry.name: found for entry, found in zip(comparison.entries, comparison.scored, strict=True)}
    budget = OVERLAYS // max(images * len(scored), 1)

    def picture(entry: str, image: str) -> str:
        return embed_overlay(out / entry / scored[entry].images[image].overlay, budget)

    return picture


def _signed(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:+.3f}"


def _probability(value: float | None) -> str:
    return "–" if value is None else f"{value:.2g}"
