"""Write the page of a search, ``tuning.html``, which needs nothing else."""

from pathlib import Path
from typing import Any

from markupsafe import Markup

from .. import __version__
from ..io import atomic
from ..io.page import templates
from ..training.parameter import label
from ..training.tuning_result import TuningResult
from .importance import FEWEST, importances
from .tuning_figures import importance_bars, parallel_coordinates, progress, short_names

PAGE = "tuning.html"

LITTLE = 0.1
"""A forest that explains less of the scores' variance than this says nothing of what mattered."""

MEANINGS = {
    "bayesian": "each trial where a Gaussian process of those before expects the most improvement",
    "random": "values drawn at random",
    "grid": "all combinations, in an order drawn at random",
    "hyperband": "many short trials, and the best of them again with more epochs",
}


def write_page(result: TuningResult) -> Path:
    """Write the page of what is known so far; return its path."""
    path = result.out / PAGE
    atomic.write_text(path, render(result))
    return path


def render(result: TuningResult) -> str:
    """Return the page as HTML."""
    environment = templates("cryoseg_tf.evaluation")
    environment.filters |= {"value": _value, "clock": _clock}
    scored = [record for record in result.records if record.score is not None]
    best = result.best if scored else None
    found = importances(result.records)
    parameters = result.task.parameters
    figures = {
        "progress": progress(result.records) if scored else "",
        "importance": importance_bars(found) if found else "",
        "parallel": parallel_coordinates(result.records, parameters, best) if best and len(scored) > 1 else "",
    }
    names = list(result.records[0].values) if result.records else []
    return environment.get_template(PAGE).render(
        result=result,
        out=result.out.resolve(),
        task=result.task,
        meaning=MEANINGS[result.task.method],
        best=best,
        ranked=sorted(scored, key=lambda r: -(r.score or 0.0)) + [r for r in result.records if r.score is None],
        counts={status: sum(r.status == status for r in result.records) for status in ("done", "cut", "failed")},
        searched={parameter.name: parameter for parameter in parameters},
        short=short_names(names),
        found=found,
        little=LITTLE,
        fewest=FEWEST,
        figures={name: Markup(svg) for name, svg in figures.items()},
        version=__version__,
    )


def _value(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else label(value)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"
