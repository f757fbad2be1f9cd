"""Write what an evaluation found: ``summary.json``, ``scores.csv``, and ``report.html``.

The report is one file that needs nothing else: figures are inline SVG, overlays base64 JPEG.
"""

import base64
import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup
from PIL import Image

from .. import __version__
from ..data.preprocess import Status
from ..io import atomic
from ..io.page import templates
from ..run import Run
from .calibration import Calibration
from .evaluate import SUMMARY, Evaluation, Row, check_out
from .figures import boxplots, learning_curves, reliability_diagram
from .scores import METRICS

REPORT = "report.html"
FEW = 10
"""Below this many images the report says that the interval is not to be relied on."""

ALL_TOGETHER, MOST = 16, 40
"""Up to the first number, overlays are one gallery; above the second, only some are embedded."""

BEST, MEDIAN, WORST = 6, 4, 6
EMBEDDED_SIDE = 640

NAMES = {"recall": "Recall", "precision": "Precision", "dice": "Dice", "iou": "IoU"}
MEANINGS = {
    "recall": "the share of the annotated pixels that was found",
    "precision": "the share of the found pixels that is annotated",
    "dice": "overlap of both masks: twice the common area over the sum of both areas",
    "iou": "overlap of both masks: the common area over the area of either",
}
STATUS = {
    Status.PIXEL_SIZE_UNKNOWN: "pixel size unknown",
    Status.PIXEL_SIZE_OUT_OF_RANGE: "pixel size out of range",
    Status.TOO_SMALL: "too small",
    Status.LOW_CONTRAST: "low contrast",
    Status.NOT_FINITE: "values that are no numbers",
}


def write_report(evaluation: Evaluation, run: Run, out: Path | str) -> Path:
    """Write the summary, the table and the report; return the path of ``report.html``.

    Raises:
        DataError: If ``out`` holds something else.
        RunError: If the run cannot be read.
    """
    out = Path(out)
    check_out(out)
    summary = evaluation.summary()
    page = render(evaluation, summary, run)
    atomic.write_json(out / SUMMARY, summary)
    atomic.write_text(out / "scores.csv", scores_csv(evaluation))
    atomic.write_text(out / REPORT, page)
    return out / REPORT


def scores_csv(evaluation: Evaluation) -> str:
    """Return one row an image; an empty cell means that the score is not defined."""
    names = evaluation.config.data.classes[1:]
    several = names if len(names) > 1 else ()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [f"{metric}_{name}" for name in several for metric in METRICS]
    writer.writerow(["image", *METRICS, "status", "seen_in_training", *columns])
    for row in evaluation.rows:
        scores = _cells(row.foreground.values().values())
        classes = _cells(value for name in several for value in row.classes[name].values().values())
        writer.writerow([row.name, *scores, row.status.name.lower(), str(row.seen).lower(), *classes])
    return text.getvalue()


def render(evaluation: Evaluation, summary: dict[str, Any], run: Run) -> str:
    """Return the report as HTML."""
    environment = templates("cryoseg_tf.evaluation")
    environment.filters |= {"score": _score, "interval": _interval}
    rows, info, history = evaluation.rows, run.info, run.history()
    foreground = {NAMES[m]: [getattr(row.foreground, m) for row in rows] for m in METRICS}
    curves = learning_curves(history, info.best_epoch) if history else ""
    return environment.get_template(REPORT).render(
        run=run.path.resolve(),
        data=evaluation.data.resolve(),
        evaluation=evaluation,
        summary=summary,
        config=evaluation.config,
        names=NAMES,
        meanings=MEANINGS,
        counts={m: sum(not math.isnan(v) for v in foreground[NAMES[m]]) for m in METRICS},
        few=FEW,
        boxplots=Markup(boxplots(foreground)),  # our own SVG, which holds no name of anyone
        curves=Markup(curves),
        reliability=Markup(_reliability(evaluation.calibration)),
        calibrated=info.calibration is not None,
        galleries=galleries(rows),
        embedded=_embedded,
        statuses=STATUS,
        problems={s: n for s in STATUS if (n := sum(row.status == s for row in rows))},
        facts=facts(run),
        versions=versions(run),
    )


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


def facts(run: Run) -> dict[str, str]:
    """Return what the model is and what it was trained on, by name."""
    config, contract, info, history = run.config, run.contract, run.info, run.history()
    scale = {
        "none": "images as they are",
        "pixel_size": f"images are brought to {contract.pixel_size or 0:g} nm per pixel",
        "factor": f"images are made {contract.factor or 1:.3g} times their size",
        "shape": f"images are brought to {' x '.join(map(str, contract.shape or ()))} pixels",
    }
    reached = "" if info.validation_dice is None else f", with validation Dice {info.validation_dice:.3f}"
    return {
        "Training images": _split_size(run, "train"),
        "Validation images": f"{_split_size(run, 'validation')}, which chose the best epoch",
        "Classes": ", ".join(config.data.classes),
        "Network": f"{config.model.architecture}, depth {config.model.depth}, {config.model.base_filters} base filters",
        "Patch": f"{config.data.patch} pixels" if config.data.patch else "unknown",
        "Epochs": f"{len(history)} of {config.training.epochs}",
        "Best epoch": f"{info.best_epoch or 'none'}{reached}",
        "Scale": scale[contract.scale],
        "Threshold": f"{contract.threshold:g}" if contract.channels == 1 else "most probable class",
        "Temperature": f"{contract.temperature:g}{_gain(info.calibration)}",
        "Seed": str(config.seed),
        "State of the run": info.status,
    }


def versions(run: Run) -> dict[str, str]:
    """Return what the model was made with, and what wrote the report."""
    made = run.environment()
    packages = [f"{name} {version}" for name, version in dict(made.get("packages", {})).items()]
    return {
        "Report written by": f"cryoseg-tf {__version__}",
        "Model trained with": ", ".join([*packages, f"Python {made.get('python', 'unknown')}"]),
        "On": f"{made.get('platform', 'unknown')}, {made.get('device', 'unknown')}",
        "SHA-256 of the model": atomic.sha256(run.model_file) if run.model_file.is_file() else "no model.keras",
    }


def _reliability(calibration: Calibration) -> str:
    """Return the figure, or nothing where no probability was looked at."""
    curves = {"before calibration": calibration.before, "as given": calibration.given}
    filled = {name: some.curve for name, some in curves.items() if some and some.counts.any()}
    return reliability_diagram(filled) if filled else ""


def _gain(calibration: dict[str, float] | None) -> str:
    if calibration is None:
        return ", not calibrated"
    if not {"ece_before", "ece"} <= calibration.keys():
        return ""
    return f": calibration error {calibration['ece_before']:.3f} before, {calibration['ece']:.3f} after, in validation"


def _split_size(run: Run, part: str) -> str:
    try:
        return str(len(json.loads((run.path / "split.json").read_text("utf-8"))[part]))
    except (OSError, ValueError, KeyError, TypeError):
        return "unknown"


def _embedded(row: Row) -> str:
    """Return an image's overlay as a ``data:`` address."""
    buffer = io.BytesIO()
    with Image.open(row.overlay) as picture:
        picture.thumbnail((EMBEDDED_SIDE, EMBEDDED_SIDE))
        picture.save(buffer, format="JPEG", quality=82, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _cells(values: Any) -> list[float | str]:
    return ["" if math.isnan(value) else value for value in values]


def _score(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.3f}"


def _interval(bounds: Sequence[float | None]) -> str:
    low, high = bounds
    return "–" if low is None or high is None else f"{low:.3f} to {high:.3f}"
