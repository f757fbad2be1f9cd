"""Ensembles are exported as one model."""

import numpy as np
import onnxruntime
import pytest

from cryoseg_tf import Run
from cryoseg_tf.config import ModelConfig
from cryoseg_tf.errors import ExportError
from cryoseg_tf.exports import export
from cryoseg_tf.exports.onnx import write_float16, write_int8, write_network
from cryoseg_tf.exports.verify import verify
from cryoseg_tf.models.ensemble import combined
from cryoseg_tf.models.registry import build_model
from cryoseg_tf.training.ensemble import make_ensemble


@pytest.mark.parametrize("channels", [1, 3])
def test_onnx_takes_any_size_in_every_precision(channels, tmp_path):
    members = [build_model(ModelConfig(base_filters=4, depth=2), channels, seed) for seed in (1, 2, 3)]
    model, random = combined(members, "mean", [0.5] * 3), np.random.default_rng(0)
    write_network(model, tmp_path / "float32.onnx", True, 16)
    write_float16(tmp_path / "float32.onnx", tmp_path / "float16.onnx")
    write_int8(tmp_path / "float32.onnx", tmp_path / "int8.onnx", [random.random((1, 64, 64, 1), np.float32)])
    tile = random.random((2, 20, 36, 1), np.float32)
    for precision, near in (("float32", 1e-6), ("float16", 2e-3), ("int8", 0.05)):
        session = onnxruntime.InferenceSession(tmp_path / f"{precision}.onnx", providers=["CPUExecutionProvider"])
        (found,) = session.run(["probability"], {"tile": tile})
        assert np.abs(found - model(tile)).max() < near, precision


@pytest.mark.slow
def test_a_bundle_of_an_ensemble_answers_as_the_ensemble_in_every_format(trained, tmp_path):
    run = make_ensemble([Run(trained)], tmp_path / "run", augmented=True)
    bundle = export(run, ["saved_model", "onnx", "tflite", "openvino"], tmp_path / "b.cryoseg")
    checks = verify(bundle)
    assert {check.runtime for check in checks} >= {"saved_model", "onnx", "tflite", "openvino"}
    assert all(check.passed for check in checks)


def test_a_vote_is_not_exported(trained, tmp_path):
    run = make_ensemble([Run(trained)], tmp_path / "run", combine="vote", augmented=True)
    with pytest.raises(ExportError, match="a vote turns with the last bit"):
        export(run, ["onnx"], tmp_path / "b.cryoseg")
    assert not (tmp_path / "b.cryoseg").exists()
