"""A competitor without a network: the package's random forest on the pixels' surroundings (``train_forest``).

    python benchmarks/quality.py --methods forest balanced

It trains on all images to train on, since it validates nothing, and takes the time it takes. It sees images at
the scale and with the normalisation that a network would.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np

from cryoseg_tf import Config, find_pairs, read_micrograph, with_labels


def run(folder: Path, work: Path, task: dict[str, Any]) -> tuple[dict[str, np.ndarray], float, str]:
    """Train on a set and segment its test images.

    Args:
        folder: The set; see ``datasets``.
        work: Where other methods keep their model; nothing is written.
        task: ``seed`` and ``threads``; minutes, epochs and base mean nothing here.

    Returns:
        The mask of each test image by name, the minutes that training took, and a remark.
    """
    from cryoseg_tf.segmentation.forest import train_forest  # outside the time, as the others' libraries are

    started = time.monotonic()
    config = with_labels(Config(seed=task["seed"]), folder, "train")
    pairs = find_pairs(folder, "train")
    segmenter = train_forest(pairs, config, threads=task["threads"])
    minutes = (time.monotonic() - started) / 60
    tests = [(pair.name, read_micrograph(pair.image)) for pair in find_pairs(folder, "test")]
    masks = {name: segmenter.segment(micrograph).mask for name, micrograph in tests}
    return masks, minutes, f"{len(pairs)} images"
