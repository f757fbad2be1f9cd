"""A competitor without a network: a random forest on the pixels' surroundings, as in ilastik and Labkit.

    python benchmarks/quality.py --methods forest balanced

Features: intensity, edges and texture at five scales, by scikit-image
(``multiscale_basic_features``). It trains on all images to train on, since it validates nothing, and takes
the time it takes. After Berg et al. 2019 (doi:10.1038/s41592-019-0582-9).
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
from datasets import annotated

PIXELS = 200_000
"""To train on, over all images."""

PERCENTILES = (1.0, 99.8)
"""The package's own."""


def run(folder: Path, work: Path, task: dict[str, Any]) -> tuple[dict[str, np.ndarray], float, str]:
    """Train on a set and segment its test images.

    Args:
        folder: The set; see ``datasets``.
        work: Where the model goes.
        task: ``seed`` and ``threads``; minutes, epochs and base mean nothing here.

    Returns:
        The mask of each test image by name, the minutes that training took, and a remark.
    """
    import joblib
    from sklearn.ensemble import RandomForestClassifier

    started = time.monotonic()
    rng = np.random.default_rng(task["seed"])
    images = list(annotated(folder, "train"))
    drawn = [_drawn(pixels, mask, PIXELS // len(images), rng) for _, pixels, mask in images]
    forest = RandomForestClassifier(
        n_estimators=100,
        max_depth=20,
        max_samples=0.5,
        n_jobs=task["threads"] or -1,
        random_state=task["seed"],
    )
    forest.fit(np.concatenate([x for x, _ in drawn]), np.concatenate([y for _, y in drawn]))
    joblib.dump(forest, work / "forest.joblib")
    minutes = (time.monotonic() - started) / 60
    masks = {}
    for name, pixels, _ in annotated(folder, "test"):
        found = forest.predict(features(pixels).reshape(pixels.size, -1))
        masks[name] = found.reshape(pixels.shape).astype(np.uint8)
    return masks, minutes, f"{sum(len(y) for _, y in drawn)} pixels"


def features(pixels: np.ndarray) -> np.ndarray:
    """Return ``(height, width, features)`` float32 of an image."""
    from skimage.feature import multiscale_basic_features

    low, high = np.percentile(pixels, PERCENTILES)
    image = ((pixels - low) / max(high - low, 1e-6)).astype(np.float32)
    return multiscale_basic_features(image, sigma_min=1, sigma_max=16)


def _drawn(pixels: np.ndarray, mask: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return the features and classes of at most ``count`` pixels.

    A class is drawn in proportion to the square root of its area: in proportion to the area a rare one would
    hardly be there, and with equal numbers it would be found everywhere.
    """
    truth = mask.ravel()
    areas = np.bincount(truth)
    wanted = np.sqrt(areas) / np.sqrt(areas).sum() * count
    chosen = np.concatenate(
        [
            rng.choice(np.flatnonzero(truth == index), min(int(wanted[index]), int(area)), replace=False)
            for index, area in enumerate(areas)
            if area
        ]
    )
    return features(pixels).reshape(pixels.size, -1)[chosen], truth[chosen]
