"""A class of half a percent of all pixels is learnt."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from cryoseg_tf import Config, Segmenter, find_pairs, fit, read_micrograph, split, with_labels
from cryoseg_tf.data.phantom import ICE, PhantomOptions, render
from cryoseg_tf.evaluation.scores import pixel_scores
from cryoseg_tf.io.mask import write_mask

SHARE = (0.003, 0.008)


def write_rare(root, count):
    """Write phantoms of 128 px in which ice is rare; return its share of all pixels."""
    shares, seed = [], 0
    while len(shares) < count:
        window = render((7, seed), PhantomOptions(128, 250.0, ("cell", "ice")))
        image, mask = window.image, window.mask
        share, seed = (mask == ICE).mean(), seed + 1
        if SHARE[0] <= share <= SHARE[1]:
            part = root / ("test" if len(shares) % 4 == 0 else "train")
            for kind in ("images", "masks"):
                (part / kind).mkdir(parents=True, exist_ok=True)
            name = f"p{len(shares):03d}"
            per_um = 1000 / 250.0
            tifffile.imwrite(
                part / "images" / f"{name}.tif",
                image,
                imagej=True,
                resolution=(per_um, per_um),
                metadata={"unit": "um"},
            )
            write_mask(part / "masks" / f"{name}.png", mask)
            shares.append(share)
    (root / "classes.txt").write_text("background\ncell\nice\n", "utf-8")
    return float(np.mean(shares))


@pytest.mark.slow
def test_a_class_of_half_a_percent_is_learnt(tmp_path):
    data = tmp_path / "data"
    assert write_rare(data, 32) < 0.006
    config = Config().replace({"model.base_filters": 8, "training.epochs": 40, "training.patience": None})
    config = with_labels(config, data, "train")
    fit(config, split(find_pairs(data, "train"), config.data), tmp_path / "run")
    segmenter, scores = Segmenter.from_run(tmp_path / "run"), []
    for pair in find_pairs(data, "test"):
        found = segmenter.segment(read_micrograph(pair.image)).mask
        truth = np.asarray(Image.open(pair.mask))
        scores.append(pixel_scores(truth, found, ICE).dice)
    assert np.nanmean(scores) > 0.5, scores
