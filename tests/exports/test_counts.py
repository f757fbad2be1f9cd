"""Counts that are hardly numbers: every runtime says the same of them, and none turns them into a mask."""

import numpy as np
import pytest

from cryoseg_tf import Micrograph, Segmenter
from cryoseg_tf.data.preprocess import EMPTY, Status
from cryoseg_tf.exports.runtimes import RUNTIMES

STRIPES = np.tile(np.float32([0.0, 1.0]).repeat(8), (64, 5))


def with_one(value):
    image = STRIPES * 200
    image[40, 3] = value
    return image


@pytest.fixture(scope="module")
def answers(bundle, trained):
    """By name: what segments ``(height, width)`` counts, giving mask, probability and status."""
    segmenter = Segmenter.from_run(trained)

    def keras(pixels, _size):
        result = segmenter.segment(Micrograph(pixels), probabilities=True)
        return result.mask, result.probabilities, result.status

    names = ("saved_model", "onnx", "tflite", "openvino")
    return {"keras": keras} | {name: RUNTIMES[name].whole(bundle, 1) for name in names}


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        pytest.param(with_one(np.nan), Status.NOT_FINITE, id="NaN"),
        pytest.param(with_one(np.inf), Status.NOT_FINITE, id="infinite"),
        pytest.param(with_one(-np.inf), Status.NOT_FINITE, id="minus-infinite"),
        pytest.param(with_one(1e31), Status.NOT_FINITE, id="one-of-1e31"),
        pytest.param(STRIPES * np.float32(1e31), Status.NOT_FINITE, id="all-of-1e31"),
        pytest.param(STRIPES * np.float32(1e29), Status.OK, id="all-of-1e29"),
        pytest.param(STRIPES * np.float32(1e-29), Status.OK, id="range-of-1e-29"),
        pytest.param(STRIPES * np.float32(1e-31), Status.LOW_CONTRAST, id="range-of-1e-31"),
        pytest.param(STRIPES * np.float32(1e-42), Status.LOW_CONTRAST, id="denormal"),
        pytest.param(np.full((64, 80), 7, np.float32), Status.LOW_CONTRAST, id="blank"),
    ],
)
def test_every_runtime_says_the_same(answers, image, expected):
    masks = {}
    for name, segment in answers.items():
        masks[name], probability, status = segment(image, 0.0)
        assert status == expected, name
        assert np.isfinite(probability).all(), name
        if expected in EMPTY:
            assert not masks[name].any(), name
            assert not probability.any(), name
    assert {name for name, mask in masks.items() if np.mean(mask != masks["keras"]) > 1e-3} == set()
