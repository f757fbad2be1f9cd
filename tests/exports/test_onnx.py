"""The ONNX files: what they are made of, and the runtime's answers to what is in them."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

from cryoseg_tf import Run
from cryoseg_tf.exports import export
from cryoseg_tf.exports.examples import calibration_tiles, find_examples
from cryoseg_tf.exports.exporter import FORMATS
from cryoseg_tf.exports.onnx import save, write_float16, write_int8


@pytest.fixture(scope="module")
def network(bundle):
    return bundle.file("onnx", "float32")


@pytest.fixture(scope="module")
def tiles(trained):
    return calibration_tiles(Run(trained), find_examples(Run(trained)))


@pytest.fixture(scope="module")
def reduced(network, tiles, tmp_path_factory):
    """The network in less precision, by name, as loaded models."""
    folder = tmp_path_factory.mktemp("onnx")
    write_float16(network, folder / "float16.onnx")
    write_int8(network, folder / "int8.onnx", tiles)
    write_int8(network, folder / "tensorrt.onnx", tiles, symmetric=True)
    return {path.stem: onnx.load(path) for path in sorted(folder.iterdir())}


def run(model, **inputs):
    content = model.SerializeToString() if isinstance(model, onnx.ModelProto) else model
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, inputs)[0]


def described(values):
    return {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim] for value in values
    }


def constants(model):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def test_onnx_runtime_for_python_38_knows_every_file(bundle):
    files = sorted(path for path in bundle.path.rglob("*.onnx"))
    assert len(files) >= 8
    for path in files:
        onnx.checker.check_model(str(path), full_check=True)
        model = onnx.load(path)
        assert model.ir_version == 8
        assert {item.domain or "ai.onnx": item.version <= 18 for item in model.opset_import} == {"ai.onnx": True}


@pytest.mark.parametrize(
    ("name", "inputs", "outputs"),
    [
        ("float32", {"tile": ["N", "H", "W", 1]}, {"probability": ["N", "H", "W", 1]}),
        (
            "segment",
            {"image": ["N", "H", "W"], "pixel_size": []},
            {"mask": ["N", "H", "W"], "probability": ["N", "H", "W", 1], "status": ["N"]},
        ),
        (
            "statistics",
            {"image": ["N", "H", "W"], "pixel_size": []},
            {"offset": ["N"], "scale": ["N"], "shape": [2], "status": ["N"]},
        ),
        (
            "resample",
            {"images": ["N", "H", "W", "C"], "shape": [2]},
            {"resampled": ["N", "H_out", "W_out", "C"]},
        ),
    ],
)
def test_tensors_and_free_sizes_are_named(bundle, name, inputs, outputs):
    graph = onnx.load(bundle.file("onnx", name)).graph
    assert described(graph.input) == inputs
    assert described(graph.output) == outputs


@pytest.mark.parametrize("name", ["float16", "int8", "tensorrt"])
def test_ends_and_the_last_step_are_float32(reduced, name):
    graph = onnx.shape_inference.infer_shapes(reduced[name]).graph
    types = {v.name: v.type.tensor_type.elem_type for v in [*graph.input, *graph.output, *graph.value_info]}
    last = [node for node in graph.node if node.op_type == "Sigmoid"]
    assert len(last) == 1
    ends = {"tile", "probability", last[0].input[0], last[0].output[0]}
    assert {types[end] for end in ends} == {TensorProto.FLOAT}


@pytest.mark.parametrize("name", ["int8", "tensorrt"])
def test_int8_leaves_out_the_first_and_the_last_convolution(reduced, name):
    """And, on a CPU, transposed ones."""
    values = constants(reduced[name])
    nodes = [node for node in reduced[name].graph.node if node.op_type in ("Conv", "ConvTranspose")]
    plain = [index for index, node in enumerate(nodes) if node.input[1] in values]
    transposed = [index for index, node in enumerate(nodes) if node.op_type == "ConvTranspose"]
    assert len(transposed) == 2
    assert plain == sorted([0, len(nodes) - 1, *(transposed if name == "int8" else [])])


def test_two_products_of_int8_never_overflow_16_bits(reduced):
    """A CPU without VNNI adds two products of 8-bit activations and weights in 16 bits."""
    values = constants(reduced["int8"])
    weights = [
        values[node.input[0]]
        for node in reduced["int8"].graph.node
        if node.op_type == "DequantizeLinear" and values.get(node.input[0], np.zeros(())).ndim == 4
    ]
    assert len(weights) == 9
    assert all(2 * 255 * int(np.abs(value.astype(int)).max()) < 2**15 for value in weights)


def test_int8_is_near_and_does_not_depend_on_the_cpus_tricks(reduced, network, tiles):
    exact = run(network.read_bytes(), tile=tiles[0])
    found = run(reduced["int8"], tile=tiles[0])
    assert np.mean(np.abs(found - exact)) < 0.01
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # float32 between roundings
    plain = onnxruntime.InferenceSession(reduced["int8"].SerializeToString(), options)
    assert np.mean(np.abs(plain.run(None, {"tile": tiles[0]})[0] - found)) < 0.001


def test_for_tensorrt_zero_points_are_zero_and_biases_float(reduced):
    values = constants(reduced["tensorrt"])
    steps = [n for n in reduced["tensorrt"].graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert len(steps) > 20
    assert not any(values[node.input[2]].any() for node in steps)
    assert not any(value.dtype == np.int32 and value.ndim for value in values.values())


def test_large_weights_lie_beside(network, tiles, tmp_path):
    save(onnx.load(network), tmp_path / "large.onnx", largest=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["large.onnx", "large.onnx.data"]
    assert (tmp_path / "large.onnx").stat().st_size < network.stat().st_size / 2
    result = run(tmp_path / "large.onnx", tile=tiles[0])
    np.testing.assert_array_equal(result, run(network.read_bytes(), tile=tiles[0]))


@pytest.mark.slow
def test_two_exports_are_the_same_byte_for_byte(bundle, trained, tmp_path):
    other = export(trained, list(FORMATS), tmp_path / "other.cryoseg")
    one, two = (
        {path.relative_to(it.path).as_posix(): path.read_bytes() for path in it.path.rglob("*") if path.is_file()}
        for it in (bundle, other)
    )
    assert len(one) > 30
    assert sorted(one) == sorted(two)
    assert [name for name in one if one[name] != two[name]] == []
