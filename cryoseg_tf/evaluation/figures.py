"""Figures for the report: curves, boxes and bars as SVG.

The SVG takes its ink from the page's CSS variables, so that one figure suits light and dark; the
same numbers always give the same bytes.
"""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.stats import binomtest

Array = npt.NDArray[Any]

PER_BIN, BINS = 8, 8
"""Of sizes: objects in a bin, and bins, more or less."""

INK, LINE = "#1f2933", "#d3dae2"
BLUE, AMBER = "#2f7fd1", "#d97706"  # readable on white and on near-black, and to colour-blind eyes
STYLE = {
    "svg.hashsalt": "cryoseg-tf",  # else ids are drawn at random
    "svg.fonttype": "none",
    "font.size": 9,
    "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.edgecolor": LINE, "grid.color": LINE, "xtick.major.size": 0, "ytick.major.size": 0,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True,
    "axes.titlesize": 10, "axes.titlelocation": "left", "legend.frameon": False, "lines.linewidth": 1.6,
}  # fmt: skip


def learning_curves(history: Sequence[Mapping[str, float]], best_epoch: int | None) -> str:
    """Draw losses and validation Dice over epochs as SVG.

    Args:
        history: Rows with ``epoch``, ``loss``, ``val_loss`` and ``val_dice``, as from ``Run.history``.
        best_epoch: The epoch whose weights were kept, to be marked.
    """
    epochs = [row["epoch"] for row in history]
    marker = "o" if len(epochs) < 3 else None  # a line through one point is invisible
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 2.7), layout="constrained")
        losses, dice = figure.subplots(1, 2)
        for name, label, colour in (("loss", "training", BLUE), ("val_loss", "validation", AMBER)):
            losses.plot(epochs, [row[name] for row in history], color=colour, label=label, marker=marker)
        losses.axhline(0, color=LINE, linewidth=0.8)  # so that the scale begins at 0, with room above
        losses.set(title="Loss", xlabel="epoch")
        # validating on statistics of the first steps may cost a hundred times as much: that would hide the rest
        usual = [max(row["loss"] for row in history), np.percentile([row["val_loss"] for row in history], 60)]
        losses.set_ylim(0, 1.15 * max(usual) or None)
        losses.legend()
        dice.plot(epochs, [row["val_dice"] for row in history], color=AMBER, marker=marker)
        dice.set(title="Validation Dice", xlabel="epoch", ylim=(0, 1.03))
        best = next((row["val_dice"] for row in history if row["epoch"] == best_epoch), None)
        if best is not None:
            losses.axvline(best_epoch, color=INK, linewidth=0.8, linestyle=":")
            dice.axvline(best_epoch, color=INK, linewidth=0.8, linestyle=":")
            dice.plot([best_epoch], [best], "o", color=INK, markersize=5)
            dice.set_title(f"Validation Dice: {best:.3f} at epoch {best_epoch}, which was kept")
        for axes in (losses, dice):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        return svg(figure)


def boxplots(scores: Mapping[str, Sequence[float]]) -> str:
    """Draw one box a score over all images, with a point for each image, as SVG; NaN is left out.

    Boxes span the quartiles with the median inside; whiskers reach the farthest image within 1.5
    times that span.
    """
    columns = [np.asarray(values, np.float64) for values in scores.values()]
    columns = [values[~np.isnan(values)] for values in columns]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 2.6), layout="constrained")
        axes = figure.subplots()
        line = {"color": INK, "linewidth": 1}
        axes.boxplot(
            columns, widths=0.5, showfliers=False, boxprops=line, whiskerprops=line, capprops=line,
            medianprops={"color": AMBER, "linewidth": 2},
        )  # fmt: skip
        for place, values in enumerate(columns, 1):
            # a fixed seed: the same report gives the same figure
            spread = np.random.default_rng(0).uniform(-0.16, 0.16, len(values))
            axes.plot(place + spread, values, "o", color=BLUE, markersize=4, alpha=0.65, markeredgewidth=0)
        labels = [f"{name}\nn = {len(values)}" for name, values in zip(scores, columns, strict=True)]
        axes.set_xticks(range(1, len(columns) + 1), labels)
        axes.set(ylim=(-0.03, 1.03))
        axes.grid(visible=False, axis="x")
        return svg(figure)


def reliability_diagram(curves: Mapping[str, Array]) -> str:
    """Draw how often pixels are right against how sure the model was, and how many there are, as SVG.

    Args:
        curves: By name, last the one that counts; rows of confidence, share that is right and share of
            all pixels, as from ``Reliability.curve``.
    """
    # before calibration, if that is there, and as given
    drawn = list(zip(curves.items(), (AMBER, BLUE)[-len(curves) :], strict=True))
    lowest = max(0.0, min(float(rows[:, :2].min()) for rows in curves.values()) - 0.03)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 2.9), layout="constrained")
        right, share = figure.subplots(1, 2)
        right.plot([lowest, 1], [lowest, 1], color=INK, linewidth=0.8, linestyle=":")
        for (name, rows), colour in drawn:
            right.plot(rows[:, 0], rows[:, 1], "o-", color=colour, label=name, markersize=4)
            share.plot(rows[:, 0], rows[:, 2], "o-", color=colour, markersize=4)
        right.set(title="Share that is right", xlabel="confidence", xlim=(lowest, 1.01), ylim=(lowest, 1.03))
        share.set(title="Share of all pixels", xlabel="confidence", xlim=(lowest, 1.01), ylim=(-0.02, 1.03))
        if len(drawn) > 1:
            right.legend(loc="upper left")
        return svg(figure)


def precision_recall(curve: Array, operating: tuple[float, float]) -> str:
    """Draw precision against recall over all thresholds, and where the masks lie, as SVG.

    Args:
        curve: ``(n, 3)`` rows of threshold, recall and precision, as from ``Evaluation.precision_recall``.
        operating: Recall and precision of the masks; not drawn where either is NaN.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.4, 2.5), layout="constrained")
        axes = figure.subplots()
        axes.plot(curve[:, 1], curve[:, 2], color=BLUE)
        if not np.isnan(operating).any():
            axes.plot(*operating, "o", color=INK, markersize=6)
            # towards the middle: beside it the curve, beyond it the edge
            axes.annotate(
                f"recall {operating[0]:.3f}, precision {operating[1]:.3f}", operating, xytext=(-9, -4),
                textcoords="offset points", ha="right" if operating[0] > 0.5 else "left", va="top",
            )  # fmt: skip
        axes.set(xlabel="recall", ylabel="precision", xlim=(-0.02, 1.03), ylim=(-0.02, 1.03))
        return svg(figure)


def recall_by_kind(kinds: Mapping[str, Mapping[str, Any]]) -> str:
    """Draw the share of the objects of each kind that was found, with its interval, as SVG.

    Args:
        kinds: By name ``objects``, ``found``, ``recall`` and ``ci95``, as in ``summary.json``.
    """
    places = range(len(kinds))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 0.75 + 0.36 * len(kinds)), layout="constrained")
        axes = figure.subplots()
        axes.barh(places, [kind["recall"] for kind in kinds.values()], height=0.6, color=BLUE, alpha=0.75)
        for place, kind in enumerate(kinds.values()):
            low, high = kind["ci95"]
            if low is not None:
                axes.plot([low, high], [place, place], color=INK, linewidth=1.2, marker="|", markersize=6)
            axes.text(1.03, place, f"{kind['found']} of {kind['objects']}", va="center")
        # names are of anyone's making: a $ in them is no formula
        axes.set_yticks(places, kinds, parse_math=False)
        axes.invert_yaxis()
        axes.set(xlabel="share found", xlim=(0, 1.18), xticks=np.linspace(0, 1, 6))
        axes.grid(visible=False, axis="y")
        return svg(figure)


def recall_by_size(diameters: Array, found: npt.NDArray[np.bool_], unit: str) -> str:
    """Draw the share of objects that was found against their size, as SVG.

    Bins hold about as many objects each, ``PER_BIN`` at least where there are so many, and stand side by
    side, as most objects are small. Lines are Wilson's 95 % intervals (Wilson 1927,
    doi:10.1080/01621459.1927.10502953), which take each object as independent of the others.

    Args:
        diameters: ``(n,)`` equivalent diameters, at least one.
        found: ``(n,)`` whether each was found.
        unit: Of the diameters.
    """
    bins = np.array_split(np.argsort(diameters, kind="stable"), int(np.clip(len(diameters) // PER_BIN, 1, BINS)))
    labels = []
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.6, 2.7), layout="constrained")
        axes = figure.subplots()
        for place, members in enumerate(bins):
            count, hits = len(members), int(found[members].sum())
            axes.bar(place, hits / count, width=0.6, color=BLUE, alpha=0.75)
            interval = binomtest(hits, count).proportion_ci(method="wilson")
            axes.plot([place, place], interval, color=INK, linewidth=1.2, marker="_", markersize=6)
            ends = diameters[members[[0, -1]]]
            low, high = (np.format_float_positional(end, 3, fractional=False, trim="-") for end in ends)
            labels.append(f"{low} to {high}\n{hits} of {count}")
        axes.set_xticks(range(len(bins)), labels)
        axes.set(xlabel=f"equivalent diameter in {unit}, and how many were found", ylabel="share found", ylim=(0, 1.03))
        axes.grid(visible=False, axis="x")
        return svg(figure)


def svg(figure: Figure) -> str:
    """Return the ``<svg>`` element, for use inside a page."""
    buffer = io.StringIO()
    figure.savefig(
        buffer, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
    )
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    # names of groups repeat between figures of one page; those that are referred to are hashes
    text = re.sub(r' id="[A-Za-z0-9]+_\d+"', "", text)
    return text.replace(INK, f"var(--ink, {INK})").replace(LINE, f"var(--line, {LINE})")
