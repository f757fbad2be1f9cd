"""Write what an evaluation found: ``summary.json``, ``scores.csv``, ``objects.csv``, and ``report.html``.

The report is one file that needs nothing else: figures are inline SVG, overlays base64 JPEG, and behind them
lie all views, which its script decodes when one is looked at.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from ..config import IGNORE
from ..data.preprocess import Status
from ..io import atomic
from ..io.page import templates
from ..run import Run
from .calibration import Calibration
from .evaluate import BEGUN, SUMMARY, Evaluation, check_out
from .figures import boxplots, learning_curves, precision_recall, recall_by_kind, recall_by_size, reliability_diagram
from .fold_table import Fold, spread
from .objects import TruthObject
from .provenance import facts, trained_on, versions
from .scores import Scores
from .scoring import Row
from .statistics import FEW
from .summary import BOUNDARY_F1
from .tables import objects_csv, scores_csv
from .views import CLASSES, DIFFERENCE, OVERLAYS, VIEWS, embed_overlay, embed_view

REPORT = "report.html"

ALL_TOGETHER, MOST = 16, 40
"""Up to the first number, overlays are one gallery; above the second, only some are embedded."""

BEST, MEDIAN, WORST = 6, 4, 6

NAMES = {"dice": "Dice", "recall": "Recall", "precision": "Precision", "iou": "IoU", BOUNDARY_F1: "Boundary F1"}
MEANINGS = {
    "recall": "the share of the annotated pixels that was found",
    "precision": "the share of the found pixels that is annotated",
    "dice": "overlap of both masks: twice the common area over the sum of both areas",
    "iou": "overlap of both masks: the common area over the area of either",
    BOUNDARY_F1: "how closely the outlines follow each other",
}
STATUS = {
    Status.PIXEL_SIZE_UNKNOWN: "pixel size unknown",
    Status.PIXEL_SIZE_OUT_OF_RANGE: "pixel size out of range",
    Status.TOO_SMALL: "too small",
    Status.LOW_CONTRAST: "low contrast",
    Status.NOT_FINITE: "values that are no numbers",
}


def write_report(evaluation: Evaluation, run: Run, out: Path | str, folds: Sequence[Fold] = ()) -> Path:
    """Write the summary, the tables and the report; return the path of ``report.html``.

    Args:
        evaluation: What was found.
        run: Whose model was scored.
        out: The folder to write to.
        folds: What each network of a cross-validation reached; its report shows them.

    Raises:
        DataError: If ``out`` holds something else.
        RunError: If the run cannot be read.
    """
    out = Path(out)
    check_out(out)
    summary = evaluation.summary()
    page = render(evaluation, summary, run, folds)
    atomic.write_texts(
        {
            out / SUMMARY: atomic.json_text(summary),
            out / "scores.csv": scores_csv(evaluation),
            out / "objects.csv": objects_csv(evaluation),
            out / REPORT: page,
        }
    )
    (out / BEGUN).unlink(missing_ok=True)
    return out / REPORT


def render(evaluation: Evaluation, summary: dict[str, Any], run: Run, folds: Sequence[Fold] = ()) -> str:
    """Return the report as HTML."""
    environment = templates("cryoseg_tf.evaluation")
    environment.filters |= {"score": score, "interval": interval}
    rows, info = evaluation.rows, run.info
    scores, shown = foreground(rows), galleries(rows)
    return environment.get_template(REPORT).render(
        run=run.path.resolve(),
        data=evaluation.data.resolve(),
        evaluation=evaluation,
        summary=summary,
        config=evaluation.config,
        names=NAMES,
        meanings=MEANINGS,
        counts={metric: sum(not math.isnan(value) for value in scores[metric]) for metric in NAMES},
        values=scores,
        few=FEW,
        figures={name: Markup(svg) for name, svg in _figures(evaluation, run).items()},
        of_class={name: _of_class(rows, name, summary) for name in evaluation.config.data.classes[1:]},
        calibrated=info.calibration is not None,
        galleries=shown,
        number={row.name: number for number, row in enumerate(rows)},
        embedded=lambda row: embed_overlay(row.overlay, OVERLAYS // sum(len(some) for _, some in shown)),
        views=(embed_view(row.view, VIEWS // len(rows)) for row in rows),
        viewer=_viewer(evaluation),
        statuses=STATUS,
        problems={s: n for s in STATUS if (n := sum(row.status == s for row in rows))},
        folds=folds,
        spread=spread(folds) if folds else {},
        facts=facts(run),
        trained_on=trained_on(run),
        versions=versions(run),
    )


def foreground(rows: Sequence[Row]) -> dict[str, list[float]]:
    """Return each score of all foreground classes as one, an entry an image."""
    values = [row.metrics() for row in rows]
    return {metric: [of_row[metric] for of_row in values] for metric in NAMES}


def galleries(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Choose whose overlays to show, under which headings; images without a Dice come last."""
    scored = [row for row in rows if not math.isnan(row.foreground.dice)]
    ranked = sorted(scored, key=lambda row: -row.foreground.dice)
    unscored = [row for row in rows if math.isnan(row.foreground.dice)]
    if len(rows) <= ALL_TOGETHER:
        return [("All images, worst first", ranked[::-1] + unscored)]
    best, rest = ranked[:BEST], ranked[BEST:]
    worst, middle = rest[-WORST:], rest[:-WORST]
    start = max(0, (len(middle) - MEDIAN) // 2)
    median = middle[start : start + MEDIAN]
    chosen = [("Best", best), ("Median", median), ("Worst", worst)]
    if len(rows) <= MOST:
        chosen.append(("The others", middle[:start] + middle[start + MEDIAN :] + unscored))
    return [(title, some) for title, some in chosen if some]


def _figures(evaluation: Evaluation, run: Run) -> dict[str, str]:
    """Return the figures of all images by name; empty where there is nothing to draw."""
    history, curve, scores = run.history(), evaluation.precision_recall, foreground(evaluation.rows)
    pooled = sum((row.foreground for row in evaluation.rows), Scores(0, 0, 0))
    return {
        "boxplots": boxplots({NAMES[metric]: scores[metric] for metric in NAMES}),
        "learning": learning_curves(history, run.info.best_epoch) if history else "",
        "precision_recall": "" if curve is None else precision_recall(curve, (pooled.recall, pooled.precision)),
        "reliability": _reliability(evaluation.calibration),
    }


def _reliability(calibration: Calibration) -> str:
    curves = {"before calibration": calibration.before, "as given": calibration.given}
    filled = {name: some.curve for name, some in curves.items() if some and some.counts.any()}
    return reliability_diagram(filled) if filled else ""


def _of_class(rows: Sequence[Row], name: str, summary: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers and figures of the objects of one class."""
    counts = summary["objects"]["classes"][name]
    truth = [(one, row.pixel_size) for row in rows for one in row.objects[name].truth]
    kinds, sizes = counts["kinds"], _sizes(truth)
    return {
        **counts,
        "by_kind": Markup(recall_by_kind(kinds)) if kinds else "",
        "by_size": Markup(sizes),
    }


def _sizes(truth: Sequence[tuple[TruthObject, float | None]]) -> str:
    """Draw recall against size, in µm where every object's pixel size is known."""
    if not truth:
        return ""
    known = all(size for _, size in truth)
    diameters = [one.measured.diameter * ((size or 0) / 1000 if known else 1) for one, size in truth]
    found = np.array([one.found for one, _ in truth])
    return recall_by_size(np.array(diameters), found, "µm" if known else "pixels")


def _viewer(evaluation: Evaluation) -> dict[str, Any]:
    """Return what the page's script needs to know beside the views."""
    names = evaluation.config.data.classes[1:]
    images = [
        {"name": row.name, "width": row.shape[1], "nm": row.pixel_size, "scores": _caption(row)}
        for row in evaluation.rows
    ]
    colours = [CLASSES[place % len(CLASSES)] for place in range(len(names))]
    return {"ignore": IGNORE, "classes": list(names), "colours": colours, "difference": DIFFERENCE, "images": images}


def _caption(row: Row) -> str:
    return " · ".join(f"{NAMES[metric]} {score(value)}" for metric, value in row.foreground.values().items())


def score(value: float | None) -> str:
    """Write a score, or a dash where there is none."""
    return "–" if value is None or math.isnan(value) else f"{value:.3f}"


def interval(bounds: Sequence[float | None]) -> str:
    """Write an interval, or a dash where there is none."""
    low, high = bounds
    return "–" if low is None or high is None else f"{low:.3f} to {high:.3f}"
