"""The development images, where they are at hand: every set is read and found fit."""

from pathlib import Path

import pytest

from cryoseg_tf.config import DataConfig
from cryoseg_tf.data.check import check
from cryoseg_tf.data.pairs import find_pairs, image_files
from cryoseg_tf.io.micrograph import read_micrograph

SHARED = Path(__file__).parents[2] / "shared" / "data"
pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is absent: it is not part of the project")
CLASSES = {
    "dsb2018_nuclei_gray120": ("nucleus",),
    "platelet_em": ("cell", "mitochondrion", "alpha granule", "canalicular vessel", "dense body", "dense core"),
    "cryosem_okapi_charge": ("cell", "charging centre"),
    "fibsem_liftout": ("needle", "lamella"),
    "yeast_phase_ep": ("cell",),
    "yeast_bf_baby": ("cell",),
}


@pytest.mark.parametrize("name", CLASSES)
def test_every_pair_is_fit(name):
    config = DataConfig(classes=("background", *CLASSES[name]))
    findings = list(check(find_pairs(SHARED / name), config))
    assert findings
    assert [f.error for f in findings if f.error] == []


def test_unlabelled_images_are_read():
    images = [read_micrograph(p) for p in image_files(SHARED / "fibsem_grid_unlabelled" / "images")]
    assert len(images) == 18
    assert all(image.pixels.ndim == 2 for image in images)
