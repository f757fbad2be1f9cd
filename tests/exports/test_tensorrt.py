"""TensorRT's recipe, and engines that TensorRT RTX builds from it without a GPU; none can be run here."""

import contextlib
import json
import resource
import shutil

import onnx
import pytest
from onnx import numpy_helper

from cryoseg_tf.errors import ExportError
from cryoseg_tf.exports import Bundle, nvidia
from cryoseg_tf.exports.bundle import PRECISIONS
from cryoseg_tf.exports.gpu import Target
from cryoseg_tf.exports.nvidia import Order, Support
from cryoseg_tf.exports.runtimes import RUNTIMES
from cryoseg_tf.exports.tensorrt import Options, Recipe, cache_folder, prepare

pytest.importorskip("tensorrt_rtx", reason="TensorRT RTX is not installed: no engine can be built here")

ADA, BLACKWELL = "8.9", "12.0"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, and no GPU."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    return cache_folder()


@pytest.fixture
def rtx():
    return nvidia.toolkit("tensorrt_rtx")


@pytest.fixture
def order(bundle):
    recipe = Recipe.model_validate_json(bundle.file("tensorrt", "recipe").read_bytes())
    return Order(recipe.profile, Target(capability=ADA))


@pytest.fixture
def altered(bundle, tmp_path):
    """The network with the operation of one node, ``Relu_N``, changed."""
    proto = onnx.load(bundle.file("tensorrt", "float32"))
    node = next(node for node in proto.graph.node if node.op_type == "Relu")
    node.op_type = "Det"
    onnx.save(proto, tmp_path / "model.onnx")
    return tmp_path / "model.onnx", node.name


def build(bundle, *capabilities, **options):
    return prepare(bundle, Options(compute_capability=capabilities, **options))


def left(cache):
    return sorted(path.name for path in cache.iterdir()) if cache.exists() else []


def test_the_recipe_is_complete(bundle):
    recipe = json.loads(bundle.file("tensorrt", "recipe").read_text("utf-8"))
    folder, network = bundle.path / "tensorrt", bundle.manifest.network
    assert sorted(recipe["precisions"]) == sorted(PRECISIONS)
    for precision, name in recipe["precisions"].items():
        graph = onnx.load(folder / name).graph
        assert ([i.name for i in graph.input], [o.name for o in graph.output]) == (
            [recipe["input"]],
            [recipe["output"]],
        )
        assert f"--onnx={name} " in recipe["trtexec"][precision]
        assert f"--maxShapes=tile:1x{network.tile}x{network.tile}x1" in recipe["trtexec"][precision]
    assert recipe["profile"]["minimum"] == [1, network.stride, network.stride, 1]


def test_small_tiles_go_through_in_batches(trained, tmp_path):
    from cryoseg_tf.exports.tensorrt import write_recipe

    profile = Recipe.model_validate_json(write_recipe(tmp_path, {}, 16, 512).read_bytes()).profile
    assert profile.maximum == (9, 512, 512, 1)


def test_int8_is_as_tensorrt_asks(bundle):
    """Zero points of 0, and biases that are not quantised."""
    graph = onnx.load(bundle.file("tensorrt", "int8")).graph
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    steps = [node for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert len(steps) > 20
    assert all(not values[node.input[2]].any() for node in steps)
    assert {values[node.input[0]].dtype.name for node in steps if node.input[0] in values} <= {"int8", "float32"}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_node_is_supported(bundle, rtx, precision):
    source = bundle.file("tensorrt", precision)
    assert rtx.support(source) == Support(len(onnx.load(source).graph.node), ())
    [engine] = build(bundle, ADA, precision=precision)
    assert engine.path.stat().st_size > 10_000
    # a dynamic trace has more than a thousand; int8 counts each scale
    assert engine.facts.layers < (600 if precision == "int8" else 80)


def test_an_engine_is_built_once_for_each_target_and_profile(bundle):
    first = build(bundle, ADA, BLACKWELL)
    assert [str(engine.facts.target) for engine in first] == ["compute capability 8.9", "compute capability 12.0"]
    again = build(bundle, BLACKWELL, ADA)
    assert [engine.path for engine in again] == [engine.path for engine in reversed(first)]
    assert [engine.cached for engine in (*first, *again)] == [False, False, True, True]
    [other] = build(bundle, ADA, batch=2)
    assert not other.cached
    assert other.facts.profile.maximum[0] == 2
    assert not build(bundle, ADA, force=True)[0].cached


def test_an_engine_that_was_damaged_is_built_anew(bundle):
    [engine] = build(bundle, ADA)
    engine.path.write_bytes(engine.path.read_bytes()[:-1])
    assert [build(bundle, ADA)[0].cached for _ in range(2)] == [False, True]


def test_what_is_not_supported_is_named_in_the_parsers_words(altered, rtx, order):
    source, name = altered
    support = rtx.support(source)
    assert support.supported > 10
    assert len(support.problems) == 1
    with pytest.raises(ExportError, match=rf"model.onnx .* node \d+, {name} \(Det\): UNSUPPORTED_NODE: .*checkDet"):
        rtx.build(source, order)


@pytest.mark.parametrize(("share", "words"), [(0.5, "MODEL_DESERIALIZE_FAILED"), (0, "holds no network")])
def test_half_a_file_is_refused(bundle, rtx, order, tmp_path, share, words):
    content = bundle.file("tensorrt", "float32").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(content[: int(share * len(content))])
    with pytest.raises(ExportError, match=f"cut.onnx .*{words}"):
        rtx.build(tmp_path / "cut.onnx", order)


def test_one_weight_that_changed_is_noticed(bundle, cache, tmp_path):
    """The parser would take it."""
    copy = Bundle.open(shutil.copytree(bundle.path, tmp_path / "copy.cryoseg"))
    path = copy.file("tensorrt", "float16")
    flipped = bytearray(path.read_bytes())
    flipped[len(flipped) // 2] ^= 255
    path.write_bytes(flipped)
    with pytest.raises(ExportError, match=r"damaged, copy it again: .*model-float16\.onnx"):
        build(copy, ADA)
    assert left(cache) == [".lock"]


@contextlib.contextmanager
def full_disk(size):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_half_a_build_leaves_nothing(bundle, cache):
    with full_disk(10_000), pytest.raises(OSError, match="too large"):
        build(bundle, ADA)
    assert left(cache) == [".lock"]
    assert not build(bundle, ADA)[0].cached


def test_a_capability_that_cannot_be(bundle, cache):
    with pytest.raises(ExportError, match=r"no engine for compute capability '9\.9', only for 7\.5, .*8\.9"):
        build(bundle, ADA, "9.9")
    assert left(cache) == []


def test_without_a_gpu_the_onnx_files_stay_usable(bundle):
    with pytest.raises(ExportError, match=r"no NVIDIA GPU was found \(.+\); .*--runtime onnx"):
        prepare(bundle)
    with pytest.raises(ExportError, match="no NVIDIA GPU was found"):
        RUNTIMES["tensorrt"].predictor(bundle, "float16")
    with pytest.raises(ExportError, match="the network alone"):
        RUNTIMES["tensorrt"].whole(bundle)
