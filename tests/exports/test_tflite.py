"""The TensorFlow Lite files: what int8 leaves in float, and the errors."""

from collections import Counter

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from scipy.special import expit
from tensorflow.lite.python.schema_py_generated import BuiltinOperator, TensorType
from tensorflow.lite.tools import flatbuffer_utils

from cryoseg_tf import Run
from cryoseg_tf.errors import ExportError
from cryoseg_tf.exports.examples import calibration_tiles, find_examples
from cryoseg_tf.exports.tflite import write_network


def operations(path):
    """Count the kinds of operation, each with whether it gives int8."""
    model = flatbuffer_utils.read_model(str(path))
    [graph] = model.subgraphs
    kinds = [code.builtinCode for code in model.operatorCodes]
    results = [(kinds[node.opcodeIndex], graph.tensors[node.outputs[0]].type) for node in graph.operators]
    return Counter((kind, type_ == TensorType.INT8) for kind, type_ in results)


@pytest.fixture(scope="module")
def model(trained):
    return Run(trained).load_model()


@pytest.fixture(scope="module")
def tiles(trained):
    return calibration_tiles(Run(trained), find_examples(Run(trained)))


@pytest.mark.parametrize(("precision", "near"), [("float32", 1e-6), ("float16", 1e-3), ("int8", 0.02)])
def test_networks_take_any_size_and_give_logits(model, tiles, tmp_path, precision, near):
    write_network(model, tmp_path / "model.tflite", precision, tiles)
    run = Interpreter(str(tmp_path / "model.tflite")).get_signature_runner()
    for shape in ((1, 64, 64, 1), (2, 20, 52, 1), (1, 8, 8, 1)):
        tile = np.resize(tiles[0], shape)
        [(name, logits)] = run(tile=tile).items()
        assert (name, logits.dtype) == ("logits", np.float32)
        assert np.mean(np.abs(expit(logits) - model(tile, training=False))) < near


def test_int8_is_all_but_the_first_and_the_last_convolution(model, tiles, tmp_path):
    write_network(model, tmp_path / "model.tflite", "int8", tiles)
    found = operations(tmp_path / "model.tflite")
    assert (found[BuiltinOperator.CONV_2D, True], found[BuiltinOperator.CONV_2D, False]) == (9, 2)
    assert (found[BuiltinOperator.TRANSPOSE_CONV, True], found[BuiltinOperator.TRANSPOSE_CONV, False]) == (2, 0)
    # into int8 and back once: nothing between computes in float
    assert found[BuiltinOperator.QUANTIZE, True] == found[BuiltinOperator.DEQUANTIZE, False] == 1


def test_what_it_cannot_hold_names_the_remedy(model, tmp_path):
    wrong = [np.zeros((1, 16, 16, 2), np.float32)]  # two channels
    with pytest.raises(ExportError, match="leave tflite out of --to"):
        write_network(model, tmp_path / "model.tflite", "int8", wrong)
    assert not (tmp_path / "model.tflite").exists()
