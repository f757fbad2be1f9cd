"""Every kind of block that a network can be made of, in the formats that are converted."""

import keras
import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
from ai_edge_litert.interpreter import Interpreter
from scipy.special import softmax

from cryoseg_tf.config import ModelConfig
from cryoseg_tf.exports.onnx import write_int8, write_network
from cryoseg_tf.exports.onnx_graph import DYNAMIC
from cryoseg_tf.exports.tflite import write_network as write_tflite
from cryoseg_tf.models.registry import architecture, build_model

BLOCKS = [
    {"upsampling": "bilinear", "dilation": 2},
    {"residual": True, "squeeze_excitation": True},
    {"normalisation": "group", "activation": "hard_swish"},
]
MORE = [
    {},
    {"dilation": 2},
    {"residual": True},
    {"squeeze_excitation": True},
    {"normalisation": "group"},
    {"normalisation": "none"},
    {"activation": "swish"},
    {"activation": "leaky_relu"},
    {"activation": "noisy_relu"},
    {"dropout": 0.2},
    {"skip_connections": False},
]

ELSEWHERE = [(2, 20, 36, 1), (2, 52, 12, 1)]
"""Sizes that no network is traced at."""


def _id(block):
    return "-".join(f"{name}-{value}" for name, value in block.items()) or "plain"


@pytest.fixture(
    scope="module", params=[*BLOCKS, *(pytest.param(more, marks=pytest.mark.slow) for more in MORE)], ids=_id
)
def case(request, tmp_path_factory):
    """An untrained network whose normalisation does something, its config, and a folder."""
    config = ModelConfig(base_filters=4, depth=2, **request.param)
    model, random = build_model(config, channels=3, seed=1), np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = (random.uniform(0.5, 1.5, weights.shape) for weights in layer.get_weights())
            layer.set_weights([gamma, beta - 1, mean - 1, variance])
    return model, config, tmp_path_factory.mktemp("blocks")


@pytest.fixture(scope="module")
def network(case):
    model, config, folder = case
    write_network(model, folder / "model.onnx", architecture(config).halo(config) is not None, 4 * config.stride)
    return folder / "model.onnx"


def tiles(shapes):
    random = np.random.default_rng(1)
    return [random.random(shape, np.float32) for shape in shapes]


def run_onnx(path, tile):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["probability"], {"tile": tile})[0]


def run_openvino(path, tile):
    model = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return model({"tile": tile})["probability"]


def run_tflite(path, tile):
    [(name, logits)] = Interpreter(str(path)).get_signature_runner()(tile=tile).items()
    assert (name, logits.dtype) == ("logits", np.float32)
    return softmax(logits, axis=-1)


def differences(run, path, model):
    return [np.abs(run(path, tile) - model(tile, training=False)).max() for tile in tiles(ELSEWHERE)]


@pytest.mark.parametrize("run", [run_onnx, run_openvino])
def test_onnx_takes_any_size(case, network, run):
    assert max(differences(run, network, case[0])) < 2e-5


def test_onnx_computes_no_sizes_where_tiles_are_used(case, network):
    _, config, _ = case
    used = {node.op_type for node in onnx.load(network).graph.node}
    onnx.checker.check_model(str(network), full_check=True)
    assert bool(used & DYNAMIC) == (architecture(config).halo(config) is None)
    if config.normalisation == "batch" and not used & DYNAMIC:
        assert "BatchNormalization" not in used  # all folded


def test_tflite_takes_any_size(case):
    model, _, folder = case
    write_tflite(model, folder / "model.tflite", "float32")
    assert max(differences(run_tflite, folder / "model.tflite", model)) < 2e-5


def test_int8_spoils_only_what_it_speeds_up(case, network):
    """So that a network of whatever blocks is near what it was, on average."""
    model, _, folder = case
    examples, tile = tiles([(1, 64, 64, 1)]), tiles([(2, 64, 48, 1)])[0]
    write_int8(network, folder / "int8.onnx", examples)
    write_tflite(model, folder / "int8.tflite", "int8", examples)
    expected = model(tile, training=False)
    for result in (run_onnx(folder / "int8.onnx", tile), run_tflite(folder / "int8.tflite", tile)):
        assert np.mean(np.abs(result - expected)) < 0.02
