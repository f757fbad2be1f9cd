"""ONNX files: the network alone in three precisions, and the steps around it.

The network is traced at one size and its sizes are freed afterwards: traced with free sizes it
would be full of Shape, Slice and Pad nodes, which cost TensorRT a thousand layers instead of seventy.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import onnx
import tensorflow as tf
import tf2onnx

from cryoseg_tf.config import Contract
from cryoseg_tf.segmentation.predictor import Array

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
from .onnx_graph import CONVOLUTIONS, canonical, fold_normalisation, free_sizes, head, name_sizes, tail

OPSET = 18
"""The highest that tf2onnx writes; with IR 8, ONNX Runtime 1.19 loads it, the last for Python 3.8."""

IR = 8

QUANTISED = ["Conv", "ConvTranspose", "MaxPool", "Concat", "Relu"]
"""What int8 speeds up. Sums, products and means it would only spoil: of group normalisation, most of all."""

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

    Raises:
        ExportError: If its sizes cannot be freed.
    """
    if not tiled:
        save(name_sizes(convert(network_function(model), TILE)), path)
        return
    proto = convert(network_function(model), tf.TensorSpec((1, trace, trace, 1), tf.float32, name=TILE.name))
    free_sizes(proto, model.output_shape[-1])
    save(proto, path)


def write_steps(contract: Contract, folder: Path) -> None:
    """Write ``statistics.onnx`` and ``resample.onnx``, for hosts that tile."""
    save(name_sizes(convert(statistics_function(contract), IMAGE, PIXEL_SIZE)), folder / "statistics.onnx")
    save(name_sizes(convert(resample_function, IMAGES, SHAPE)), folder / "resample.onnx")


def write_segment(model: keras.Model, contract: Contract, stride: int, path: Path) -> None:
    """Write the whole way: raw float32 counts and pixel size in, mask, probability and status out."""
    save(name_sizes(convert(segment_function(model, contract, stride), IMAGE, PIXEL_SIZE)), path)


def write_float16(source: Path, path: Path) -> None:
    """Convert the network to float16, but for its last step; input and output stay float32."""
    from onnxconverter_common import float16

    proto = onnx.load(source)
    kept = [node.name for node in tail(proto.graph) if node.op_type not in CONVOLUTIONS]
    converted = float16.convert_float_to_float16(proto, keep_io_types=True, node_block_list=kept)
    # the converter casts to float16 what is float32 already and should stay so
    (output,) = converted.graph.output
    (last,) = (node for node in converted.graph.node if output.name in node.output)
    if last.op_type == "Cast":
        last.attribute[0].i = output.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    save(converted, path)


def write_int8(source: Path, path: Path, tiles: Sequence[Array], symmetric: bool = False) -> None:
    """Quantise the network to int8, but for its first and last convolution and what is beyond them.

    Explicitly (QDQ), after Jacob et al. 2018 (doi:10.1109/CVPR.2018.00286): weights per channel,
    activations by the range that they have on the tiles.

    A CPU without VNNI adds pairs of products of bytes in 16 bits. With 7 bits of weight none is too
    large for that, so that each CPU and runtime gives the same. Activations use all 8 bits from the
    least to the largest. TensorRT takes them only symmetric, whereby after ReLU a bit is wasted, and
    biases only as float; it adds in 32 bits, and its weights keep 8.

    Args:
        source: The network in float32.
        path: The file to write.
        tiles: Normalised tiles ``(1, h, w, 1)``.
        symmetric: As TensorRT asks for; otherwise for CPUs.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    graph = onnx.load(source, load_external_data=False).graph
    # ONNX Runtime computes transposed convolutions in float anyway
    slow = [] if symmetric else [node.name for node in graph.node if node.op_type == "ConvTranspose"]
    quantize_static(
        str(source),
        str(path),
        _reader(tiles),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=not symmetric,
        activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=QUANTISED,
        nodes_to_exclude=[*(node.name for node in [*head(graph), *tail(graph)]), *slow],
        extra_options={"ActivationSymmetric": symmetric, "QuantizeBias": not symmetric},
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
    fold_normalisation(proto.graph)
    return proto


def save(proto: onnx.ModelProto, path: Path, largest: int = LARGEST) -> None:
    """Write a model in one spelling, whatever order a converter made it in; large weights beside it."""
    canonical(proto.graph)
    proto.ir_version = IR
    proto.producer_name, proto.producer_version, proto.doc_string = "cryoseg-tf", "", ""
    domains = {node.domain for node in proto.graph.node}
    for unused in [item for item in proto.opset_import if item.domain not in domains]:
        proto.opset_import.remove(unused)
    beside = proto.ByteSize() > largest
    onnx.save(proto, path, save_as_external_data=beside, location=f"{path.name}.data", all_tensors_to_one_file=True)


def _where(_context: Any, node: Any, _name: str, _arguments: Any) -> None:
    node.type = "Where"


def _reader(tiles: Sequence[Array]) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = iter(tiles)

        def get_next(self) -> dict[str, Any] | None:
            tile = next(self.left, None)
            return None if tile is None else {"tile": tile}

    return Reader()
