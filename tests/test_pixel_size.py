"""A model trained at one pixel size, used at another."""

import numpy as np
import pytest

from cryoseg_tf import Config, Micrograph, PhantomOptions, Segmenter, find_pairs, fit, split, write_phantom
from cryoseg_tf.data.phantom import render

FIELD = 24_000  # nm


def dice(segmenter, scene, pixel_size, stated):
    window = render(scene, PhantomOptions(FIELD // pixel_size, pixel_size, ("cell",)))
    found, truth = segmenter.segment(Micrograph(window.image, stated)).mask, window.mask
    return 2 * np.sum(found & truth) / (found.sum() + truth.sum())


@pytest.mark.slow
def test_images_of_150_nm_are_segmented_by_a_model_of_100_nm(tmp_path):
    write_phantom(tmp_path / "data", images=20, test=0, options=PhantomOptions(256, 100, ("cell",)))
    config = Config().replace({"training.epochs": 30})
    fit(config, split(find_pairs(tmp_path / "data", "train"), config.data), tmp_path / "run")
    segmenter = Segmenter.from_run(tmp_path / "run")
    scenes = range(1000, 1024)
    own = np.mean([dice(segmenter, scene, 100, 100.0) for scene in scenes])
    other = np.mean([dice(segmenter, scene, 150, 150.0) for scene in scenes])
    unaware = np.mean([dice(segmenter, scene, 150, 100.0) for scene in scenes])
    print(f"Dice at 100 nm {own:.3f}, at 150 nm {other:.3f}, at 150 nm taken for 100 nm {unaware:.3f}")
    assert own > 0.8
    assert other > own - 0.1
    assert other > unaware + 0.03
