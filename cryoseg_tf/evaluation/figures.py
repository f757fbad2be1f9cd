"""Figures for the report: curves and boxes as SVG, outlines on micrographs as JPEG.

The SVG takes its ink from the page's CSS variables, so that one figure suits light and dark; the
same numbers always give the same bytes.
"""

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image
from scipy.ndimage import maximum_filter, minimum_filter

from ..config import IGNORE
from ..data.preprocess import nearest

Array = npt.NDArray[Any]

YELLOW, RED, ORANGE = (255, 225, 25), (235, 40, 40), (255, 140, 0)
"""Outlines: the truth, the prediction, and where both run along the same pixels."""

SIDE = 1024
"""Longest side of an overlay in pixels."""

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
        usual = [max(row["loss"] for row in history), np.percentile([row["val_loss"] for row in history], 75)]
        losses.set_ylim(0, 1.15 * max(usual) or None)
        losses.legend()
        dice.plot(epochs, [row["val_dice"] for row in history], color=AMBER, marker=marker)
        dice.set(title="Validation Dice", xlabel="epoch", ylim=(0, 1.03))
        best = next((row["val_dice"] for row in history if row["epoch"] == best_epoch), None)
        if best is not None:
            losses.axvline(best_epoch, color=INK, linewidth=0.8, linestyle=":")
            dice.axvline(best_epoch, color=INK, linewidth=0.8, linestyle=":")
            dice.plot([best_epoch], [best], "o", color=INK, markersize=5)
            dice.set_title(f"Validation Dice: best {best:.3f}, at epoch {best_epoch}")
        for axes in (losses, dice):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        return _svg(figure)


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
        return _svg(figure)


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
        return _svg(figure)


def overlay(pixels: Array, truth: Array, prediction: Array) -> npt.NDArray[np.uint8]:
    """Draw the outlines of truth (yellow) and prediction (red; orange where both) on a micrograph.

    Outlines run just inside each object. Pixels marked ``IGNORE`` are darkened and hold no prediction.

    Args:
        pixels: ``(height, width)`` gray values of any range; percentiles 1 and 99.8 become black and white.
        truth: ``(height, width)`` class indices, with ``IGNORE``.
        prediction: ``(height, width)`` class indices.

    Returns:
        ``(h, w, 3)`` uint8 RGB, scaled down so that its longer side is at most ``SIDE``.
    """
    gray = _gray(pixels)
    truth, prediction = nearest(truth, gray.shape), nearest(prediction, gray.shape)
    ignored = truth == IGNORE
    gray = np.where(ignored, gray // 2, gray)
    width = 2 if max(gray.shape) > SIDE // 2 else 1
    there = _outline(np.where(ignored, 0, truth), width)
    found = _outline(np.where(ignored, 0, prediction), width)
    picture = np.repeat(gray[:, :, None], 3, axis=2)
    picture[there] = YELLOW
    picture[found] = RED
    picture[there & found] = ORANGE
    return picture


def save_overlay(picture: npt.NDArray[np.uint8], path: Path) -> None:
    """Write an overlay as JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # full colour resolution: halved, thin outlines turn gray
    Image.fromarray(picture).save(path, format="JPEG", quality=88, subsampling=0)


def _gray(pixels: Array) -> npt.NDArray[np.uint8]:
    step = max(1, max(pixels.shape) // (2 * SIDE))  # whole montages: never a float copy of all of it
    values = pixels[::step, ::step].astype(np.float64)
    low, high = np.percentile(values, (1, 99.8))
    gray: npt.NDArray[np.uint8] = np.clip((values - low) * (255 / max(high - low, 1e-12)), 0, 255).astype(np.uint8)
    factor = SIDE / max(pixels.shape)
    if factor >= 1:
        return gray
    height, width = (max(1, round(side * factor)) for side in pixels.shape)
    return np.asarray(Image.fromarray(gray).resize((width, height), Image.Resampling.BOX))


def _outline(mask: Array, width: int) -> npt.NDArray[np.bool_]:
    """Return the pixels of each object within ``width`` of another class; the image's edge is none."""
    size = 2 * width + 1
    edges = maximum_filter(mask, size, mode="nearest") != minimum_filter(mask, size, mode="nearest")
    return np.asarray((mask > 0) & edges, np.bool_)


def _svg(figure: Figure) -> str:
    """Return the ``<svg>`` element, for use inside a page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    # names of groups repeat between figures of one page; those that are referred to are hashes
    text = re.sub(r' id="[A-Za-z0-9]+_\d+"', "", text)
    return text.replace(INK, f"var(--ink, {INK})").replace(LINE, f"var(--line, {LINE})")
