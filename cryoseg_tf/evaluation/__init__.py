"""How good the masks are: scores of annotated images, their uncertainty, and a report."""

from .evaluate import Evaluation, Row, evaluate
from .report import write_report
from .scores import Scores, pixel_scores
from .statistics import mean_interval

__all__ = ["Evaluation", "Row", "Scores", "evaluate", "mean_interval", "pixel_scores", "write_report"]
