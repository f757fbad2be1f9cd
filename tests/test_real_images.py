"""The development images, where they are at hand: every set is read and found fit."""

from pathlib import Path

import pytest

from cryoseg_tf.config import Config
from cryoseg_tf.data.check import check
from cryoseg_tf.data.concerns import conclude
from cryoseg_tf.data.layouts import image_files
from cryoseg_tf.data.pairs import find_pairs
from cryoseg_tf.io.data_bar import find_data_bar
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
def test_every_set_is_fit_without_a_false_alarm(name):
    config = Config().replace({"data.classes": ("background", *CLASSES[name])})
    conclusion = conclude(list(check(find_pairs(SHARED / name), config.data)), config)
    assert conclusion.findings
    assert [c for c in conclusion.concerns if c.level != "note"] == []


def test_unlabelled_images_are_read_and_have_no_data_bar():
    images = [read_micrograph(p) for p in image_files(SHARED / "fibsem_grid_unlabelled" / "images")]
    assert len(images) == 18
    assert all(image.pixels.ndim == 2 for image in images)
    assert not any(find_data_bar(image.pixels) for image in images)
