"""How good the masks are: scores of annotated images, their uncertainty, and a report."""

from .boundary import boundary_f1
from .evaluate import Evaluation, check_out, evaluate
from .kinds import read_kinds
from .objects import ObjectScores, object_scores
from .report import write_report
from .scores import Scores, pixel_scores
from .scoring import Row
from .statistics import mean_interval

__all__ = [
    "Evaluation",
    "ObjectScores",
    "Row",
    "Scores",
    "boundary_f1",
    "check_out",
    "evaluate",
    "mean_interval",
    "object_scores",
    "pixel_scores",
    "read_kinds",
    "write_report",
]
