"""How far a mean over a few images can be trusted."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import bootstrap


def mean_interval(
    values: Sequence[float], resamples: int, seed: int = 0, confidence: float = 0.95
) -> tuple[float, tuple[float, float]]:
    """Return the mean of one score over images, and its percentile bootstrap interval.

    Images are drawn with replacement (Efron 1979, doi:10.1214/aos/1176344552), as if each were
    independent of the others; images of one grid are not, so the interval is rather too narrow.

    Args:
        values: One score an image; NaN is left out.
        resamples: How often the images are drawn anew.
        seed: The same seed gives the same interval.
        confidence: The interval's level, between 0 and 1.

    Returns:
        ``(mean, (low, high))``; the interval is NaN with a single value, all is NaN with none.
    """
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    mean = float(known.mean()) if len(known) else math.nan
    if len(known) < 2:
        return mean, (math.nan, math.nan)
    result = bootstrap(
        (known,),
        np.mean,
        n_resamples=resamples,
        confidence_level=confidence,
        method="percentile",
        batch=max(1, 2**20 // len(known)),  # 8 MB at a time, however many images
        rng=np.random.default_rng(seed),
    )
    low, high = result.confidence_interval
    return mean, (float(low), float(high))
