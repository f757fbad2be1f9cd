"""Training: from annotated images to a run."""

from .fit import FitResult, fit

__all__ = ["FitResult", "fit"]
