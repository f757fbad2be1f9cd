"""Write a study: ``study.html``, which links to the reports beside it, and ``study.csv``, a row an image."""

import math
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from .. import __version__
from ..config import Config
from ..io import atomic
from ..io.page import templates
from ..io.table import csv_text
from .claims import claim
from .comparison_page import differences
from .experiments import HONEST
from .figures import boxplots
from .fold_table import spread
from .paired import Drawing, Paired, compare_pairs
from .report import NAMES, score
from .statistics import mean_interval
from .study import FINAL, LEAKING, Study

PAGE = "study.html"

PRINTED = {"Tab. 5.5": 0.806}
"""Mean Dice as the thesis prints it, of what is known here: the final model on its test images."""


def write_study(study: Study, out: Path | str) -> Path:
    """Write the page and the table; return the path of the page."""
    out = Path(out)
    atomic.write_texts({out / "study.csv": study_csv(study), out / PAGE: render(study)})
    return out / PAGE


def study_csv(study: Study) -> str:
    """Return one row an image: its Dice in each experiment, by the network that did not learn from it."""
    names = [pair.name for pair in study.material.train]
    columns = [one.dice for one in study.reached]
    cells = ([column.get(name, math.nan) for column in columns] for name in names)
    rows = ([name, *("" if math.isnan(value) else value for value in values)]
            for name, values in zip(names, cells, strict=True))  # fmt: skip
    return csv_text(["image", *(one.experiment.name for one in study.reached)], rows)


def pairs_of(study: Study) -> list[Paired]:
    """Compare each experiment with each later one, on the images that all of them scored."""
    names = [name for name in study.reached[0].dice if all(name in one.dice for one in study.reached)]
    scores = {one.experiment.title: [one.dice[name] for name in names] for one in reversed(study.reached)}
    return compare_pairs(scores, _groups(study, names), _drawing(study))


def render(study: Study) -> str:
    """Return the page as HTML."""
    environment = templates("cryoseg_tf.evaluation")
    environment.filters |= {"score": score}
    pairs = pairs_of(study)
    names = list(study.reached[0].dice)
    groups = _groups(study, names)
    return environment.get_template("study.html").render(
        study=study,
        material=study.material,
        names=NAMES,
        printed=PRINTED,
        means={
            one.experiment.name: mean_interval(
                list(one.dice.values()), *_drawing(study), groups=_groups(study, list(one.dice))
            )
            for one in study.reached
        },
        configs={one.experiment.name: study.material.config(one.experiment) for one in study.reached},
        spreads={one.experiment.name: spread(one.folds) for one in study.reached},
        boxes=Markup(boxplots({one.experiment.title: list(one.dice.values()) for one in study.reached})),
        pairs=pairs,
        figure=Markup(differences(pairs, None if groups is None else dict(zip(names, groups, strict=True)))),
        claims=[claim(pair, "Dice", {}) for pair in pairs],
        honest=HONEST,
        leaking=LEAKING,
        final=FINAL,
        version=__version__,
    )


def _groups(study: Study, names: Sequence[str]) -> list[str] | None:
    groups = study.material.groups
    return [groups.of[name] for name in names] if groups.known else None


def _drawing(study: Study) -> Drawing:
    return Drawing(Config().replace(study.material.changes).evaluation.resamples, study.material.seed)
