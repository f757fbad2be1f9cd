"""TensorFlow Lite files, for LiteRT: the whole way in float32, and the network alone in three precisions."""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import tensorflow as tf
from tensorflow.lite.python.schema_py_generated import BuiltinOperator, TensorType
from tensorflow.lite.tools import flatbuffer_utils

from cryoseg_tf.config import Contract
from cryoseg_tf.errors import ExportError

from .graph import IMAGE, PIXEL_SIZE, TILE, Function, logits_function, segment_function

Tiles = Sequence[Any]

QUANTISED = (
    BuiltinOperator.CONV_2D,
    BuiltinOperator.TRANSPOSE_CONV,
    BuiltinOperator.MAX_POOL_2D,
    BuiltinOperator.CONCATENATION,
)
"""What int8 speeds up."""

ON_MEANS = (BuiltinOperator.CONV_2D, BuiltinOperator.LOGISTIC, BuiltinOperator.RESHAPE)


def write_segment(model: keras.Model, contract: Contract, stride: int, path: Path) -> None:
    """Write the whole way: raw float32 counts and pixel size in, mask, probability and status out."""
    _convert(model, segment_function(model, contract, stride), (IMAGE, PIXEL_SIZE), path, _plain)


def write_network(model: keras.Model, path: Path, precision: str, tiles: Tiles = ()) -> None:
    """Write the network: normalised tiles in, ``logits`` out, both float32.

    The caller turns logits to probabilities, so that this stays float32 where the network does not.

    In int8 the first and the last convolution stay float32, as in the ONNX file, and so does what int8
    would not speed up.

    Args:
        model: The trained network.
        path: The file to write.
        precision: "float32"; "float16", which stores the weights so; or "int8".
        tiles: Normalised tiles ``(1, h, w, 1)``, from which int8 takes its ranges.
    """
    change = {"float32": _plain, "float16": _halved, "int8": lambda converter: _quantised(converter, tiles)}
    _convert(model, logits_function(model), (TILE,), path, change[precision])


def _convert(
    model: keras.Model,
    function: Function,
    signature: Sequence[tf.TensorSpec],
    path: Path,
    change: Callable[[Any], bytes],
) -> None:
    module = tf.Module()
    module.weights = [weight.value for weight in model.weights]
    traced = tf.function(function, input_signature=signature, autograph=False).get_concrete_function()
    # converted from functions, a model silently loses its weights
    with TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures={"serving_default": traced})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        try:
            path.write_bytes(change(converter))
        except Exception as error:  # of many kinds, the converter's own among them
            reason = " ".join(str(error).split())[:200]
            raise ExportError(f"TensorFlow Lite cannot hold this network; leave tflite out of --to: {reason}") from None


def _plain(converter: Any) -> bytes:
    result: bytes = converter.convert()
    return result


def _halved(converter: Any) -> bytes:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return _plain(converter)


def _quantised(converter: Any, tiles: Tiles) -> bytes:
    tools = tf.lite.experimental
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ({"tile": tile} for tile in tiles)
    # only the debugger can leave something in float
    debugger = tools.QuantizationDebugger(converter=converter)
    debugger.options = tools.QuantizationDebugOptions(denylisted_nodes=_kept(debugger.calibrated_model))
    result: bytes = debugger.get_nondebug_quantized_model()
    return result


def _kept(content: bytes) -> list[str]:
    """Return what stays float in int8, by the names of what it gives.

    That is the first and the last convolution, those of an image's means (LiteRT stops at them, and
    one pixel takes no time), and all that int8 would only spoil.
    """
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    [graph] = model.subgraphs
    kept, outer, means = [], {*graph.inputs, *graph.outputs}, set()
    for node in graph.operators:
        kind, source, result = model.operatorCodes[node.opcodeIndex].builtinCode, node.inputs[0], node.outputs[0]
        of_means = kind == BuiltinOperator.MEAN or (kind in ON_MEANS and source in means)
        if of_means:
            means.add(result)
        if kind not in QUANTISED or of_means or outer & {source, result}:
            kept.append(result)
    return [graph.tensors[number].name.decode() for number in kept if graph.tensors[number].type == TensorType.FLOAT32]
