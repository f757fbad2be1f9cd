"""ONNX files: the network alone in three precisions, and the steps around it.

The network is traced at one size and its sizes are freed afterwards: traced with free sizes it
would be full of Shape, Slice and Pad nodes, which cost TensorRT a thousand layers instead of seventy.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from onnx import TensorProto, helper, numpy_helper

from cryoseg_tf.config import Contract
from cryoseg_tf.errors import ExportError

from .graph import (
    IMAGE,
    IMAGES,
    PIXEL_SIZE,
    SHAPE,
    TILE,
    Function,
    network_function,
    resample_function,
    segment_function,
    statistics_function,
)

OPSET = 18
"""The highest that tf2onnx writes; with IR 8, ONNX Runtime 1.19 loads it, the last for Python 3.8."""

IR = 8

DYNAMIC = {"Shape", "Slice", "Pad"}
"""Operations that a network traced at one size has no use for."""

LARGEST = 2**31 - 2**20
"""Bytes that fit one file; protobuf ends at 2 GiB. Beyond, the weights go to a file beside it."""


def write_network(model: keras.Model, path: Path, tiled: bool, trace: int) -> None:
    """Write the network: ``tile`` (N, H, W, 1) in, ``probability`` (N, H, W, C) out, float32.

    Args:
        model: The trained network.
        path: The file to write.
        tiled: Whether it sees only part of the image. One that does not has operations that depend
            on the size, and is traced with free sizes.
        trace: The side in pixels of the tile that it is traced with, a multiple of the stride.
    """
    if not tiled:
        save(_names(convert(network_function(model), TILE)), path)
        return
    proto = convert(network_function(model), tf.TensorSpec((1, trace, trace, 1), tf.float32, name=TILE.name))
    _free_sizes(proto.graph, model.output_shape[-1])
    left = sorted({node.op_type for node in proto.graph.node} & DYNAMIC)
    if left:
        raise ExportError(f"the network's ONNX holds {', '.join(left)}: its sizes cannot be freed")
    save(proto, path)


def write_steps(contract: Contract, folder: Path) -> None:
    """Write ``statistics.onnx`` and ``resample.onnx``, for hosts that tile."""
    save(_names(convert(statistics_function(contract), IMAGE, PIXEL_SIZE)), folder / "statistics.onnx")
    save(_names(convert(resample_function, IMAGES, SHAPE)), folder / "resample.onnx")


def write_segment(model: keras.Model, contract: Contract, stride: int, path: Path) -> None:
    """Write the whole way: raw float32 counts and pixel size in, mask, probability and status out."""
    save(_names(convert(segment_function(model, contract, stride), IMAGE, PIXEL_SIZE)), path)


def write_float16(source: Path, path: Path) -> None:
    """Convert the network to float16, but for its last step; input and output stay float32."""
    from onnxconverter_common import float16

    proto = onnx.load(source)
    kept = [node.name for node in proto.graph.node if node.op_type in ("Sigmoid", "Softmax")]
    save(float16.convert_float_to_float16(proto, keep_io_types=True, node_block_list=kept), path)


def write_int8(source: Path, path: Path, tiles: Sequence[np.ndarray[Any, Any]]) -> None:
    """Quantise the network to int8, but for its last step, with ranges seen on normalised tiles.

    Weights per channel, activations symmetric and biases in float, as TensorRT asks for: explicit
    quantisation (QDQ), after Jacob et al. 2018 (doi:10.1109/CVPR.2018.00286).
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(tiles)

        def get_next(self) -> dict[str, Any] | None:
            tile = next(self.left, None)
            return None if tile is None else {"tile": tile}

    kept = [node.name for node in onnx.load(source).graph.node if node.op_type in ("Sigmoid", "Softmax")]
    quantize_static(
        str(source),
        str(path),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=kept,
        extra_options={"ActivationSymmetric": True, "QuantizeBias": False},
    )
    proto = onnx.load(path)
    # what the quantiser says of itself holds the path of this machine
    del proto.metadata_props[:]
    save(proto, path)


def convert(function: Function, *signature: tf.TensorSpec) -> onnx.ModelProto:
    """Trace a function and convert it; its inputs and outputs keep their names."""
    traced = tf.function(function, input_signature=signature, autograph=False)
    # by default tf2onnx selects by x * 0 + y * 1, which turns NaN to NaN instead of y
    handlers: dict[str, Any] = {"SelectV2": (_where, [])}
    proto, _ = tf2onnx.convert.from_function(
        traced, input_signature=signature, opset=OPSET, custom_op_handlers=handlers
    )
    return proto


def save(proto: onnx.ModelProto, path: Path, largest: int = LARGEST) -> None:
    """Write a model in one spelling, whatever order a converter made it in; large weights beside it."""
    _canonical(proto.graph)
    proto.ir_version = IR
    proto.producer_name, proto.producer_version, proto.doc_string = "cryoseg-tf", "", ""
    beside = proto.ByteSize() > largest
    onnx.save(proto, path, save_as_external_data=beside, location=f"{path.name}.data", all_tensors_to_one_file=True)


def _where(_context: Any, node: Any, _name: str, _arguments: Any) -> None:
    node.type = "Where"


def _free_sizes(graph: onnx.GraphProto, channels: int) -> None:
    """Make a network that was traced at one size take any: turn what depends on it into what does not."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    ends = {graph.input[0].name: [0, 3, 1, 2], graph.output[0].name: [0, 2, 3, 1]}
    for node in graph.node:
        if node.op_type != "Reshape":
            continue
        # with one channel, moving the axis of channels is a mere Reshape, to sizes that were traced
        order = ends.get(node.input[0]) or ends.get(node.output[0])
        if order:
            _turn(node, order)
        else:
            # (1, C, 1, 1): only the number of images may change
            shape = numpy_helper.to_array(constants[node.input[1]]).copy()
            if len(shape) != 4 or shape[0] != 1 or np.sum(shape > 1) > 1:
                raise ExportError(f"the network's ONNX reshapes to {shape.tolist()}: its sizes cannot be freed")
            shape[0] = -1
            constants[node.input[1]].CopyFrom(numpy_helper.from_array(shape, node.input[1]))
    del graph.value_info[:]
    _describe(graph.input[0], ["N", "H", "W", 1])
    _describe(graph.output[0], ["N", "H", "W", channels])


def _turn(node: onnx.NodeProto, order: list[int]) -> None:
    node.op_type = "Transpose"
    del node.input[1:]
    del node.attribute[:]
    node.attribute.append(helper.make_attribute("perm", order))


def _names(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Name the free sizes, for they are what a host's programmer reads first."""
    known = {1: ["N"], 3: ["N", "H", "W"], 4: ["N", "H", "W", "C"]}
    for value in [*proto.graph.input, *proto.graph.output]:
        sizes = value.type.tensor_type.shape.dim
        names = known.get(len(sizes), [])
        # the result of resample has sizes of its own
        mark = "_out" if value.name == "resampled" else ""
        for size, name in zip(sizes, names, strict=False):
            if not size.dim_value:
                size.dim_param = name + mark if name in "HW" else name
    del proto.graph.value_info[:]
    return proto


def _describe(value: onnx.ValueInfoProto, sizes: list[str | int]) -> None:
    value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.FLOAT, sizes))


def _canonical(graph: onnx.GraphProto) -> None:
    """Order nodes by where the outputs need them, and number everything by that order.

    Converters walk sets: the same network comes out in another order, under other names, each time.
    """
    maker = {name: node for node in graph.node for name in node.output if name}
    graph.output.sort(key=lambda value: value.name)
    order = list(_depth_first([value.name for value in graph.output], maker))
    names = {value.name: value.name for value in [*graph.input, *graph.output]} | {"": ""}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    used: list[TensorProto] = []
    for number, node in enumerate(order):
        for name in node.input:
            if name in constants and name not in names:
                names[name] = f"constant_{len(used)}"
                used.append(constants[name])
        for place, name in enumerate(node.output):
            names.setdefault(name, f"{node.op_type.lower()}_{number}" + (f"_{place}" if place else ""))
    for number, node in enumerate(order):
        node.name = f"{node.op_type}_{number}"
        node.ClearField("doc_string")
        if not node.domain:
            node.ClearField("domain")  # there, but empty, is not the same as not there
        node.attribute.sort(key=lambda attribute: attribute.name)
        _rename(node.input, names)
        _rename(node.output, names)
    for tensor in used:
        tensor.name = names[tensor.name]
    _replace(graph.node, order)
    _replace(graph.initializer, used)
    del graph.value_info[:]
    graph.name, graph.doc_string = "cryoseg", ""


def _depth_first(outputs: Iterable[str], maker: dict[str, onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """Yield the nodes that make ``outputs``, each after those that it needs; without recursion."""
    done: set[int] = set()
    stack = [(name, False) for name in reversed(list(outputs))]
    while stack:
        name, ready = stack.pop()
        node = maker.get(name)
        if node is None or id(node) in done:
            continue
        if ready:
            done.add(id(node))
            yield node
        else:
            stack.append((name, True))
            stack += [(needed, False) for needed in reversed(node.input)]


def _rename(values: Any, names: dict[str, str]) -> None:
    values[:] = [names[name] for name in values]


def _replace(field: Any, items: list[Any]) -> None:
    copies = [type(item).FromString(item.SerializeToString()) for item in items]
    del field[:]
    field.extend(copies)
