"""How unsure a model is of each pixel, and the file that says so."""

import numpy as np
import pytest
import tifffile

from cryoseg_tf import Segmenter, read_micrograph, segment_files
from cryoseg_tf.errors import DataError
from cryoseg_tf.segmentation.uncertainty import uncertainty


def test_it_is_0_where_sure_and_1_where_classes_are_alike():
    one = np.array([0, 1, 0.5, 0.25], np.float32).reshape(2, 2, 1)
    np.testing.assert_allclose(uncertainty(one), [[0, 0], [1, 0.811278]], atol=1e-6)
    three = np.array([[1, 0, 0], [1 / 3, 1 / 3, 1 / 3], [0.5, 0.5, 0]], np.float32).reshape(1, 3, 3)
    np.testing.assert_allclose(uncertainty(three), [[0, 1, np.log(2) / np.log(3)]], atol=1e-6)


def run(trained, image, out, **options):
    (outcome,) = segment_files(Segmenter.from_run(trained), [image], out, model="m", **options)
    return outcome


def test_it_lies_beside_the_mask_and_is_made_once(trained, tmp_path):
    image, beside = trained.parent / "data" / "images" / "x00.png", tmp_path / "out" / "x00.uncertainty.tif"
    first = run(trained, image, tmp_path / "out")
    assert not first.skipped
    assert not beside.exists()
    assert not run(trained, image, tmp_path / "out", unsure=True).skipped
    found = Segmenter.from_run(trained).segment(read_micrograph(image), probabilities=True)
    np.testing.assert_array_equal(tifffile.imread(beside), uncertainty(found.probabilities))
    assert run(trained, image, tmp_path / "out", unsure=True).skipped
    beside.unlink()
    assert not run(trained, image, tmp_path / "out", unsure=True).skipped
    assert beside.exists()


def test_a_file_of_that_name_is_not_replaced(trained, tmp_path):
    image, out = trained.parent / "data" / "images" / "x00.png", tmp_path / "out"
    out.mkdir()
    (out / "x00.uncertainty.tif").write_bytes(b"mine")
    with pytest.raises(DataError, match="is not a mask from here"):
        run(trained, image, out, unsure=True)
    assert (out / "x00.uncertainty.tif").read_bytes() == b"mine"
    assert run(trained, image, out).mask.is_file()
