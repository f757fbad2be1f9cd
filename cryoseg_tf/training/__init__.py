"""Training: from annotated images to a run."""

from .fit import FitResult, fit
from .proposal import propose

__all__ = ["FitResult", "fit", "propose"]
