"""Changes to ONNX graphs: batch normalisation folded, sizes freed and named, one spelling."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from cryoseg_tf.errors import ExportError

DYNAMIC = {"Shape", "Slice", "Pad"}
"""Operations that a network traced at one size has no use for."""

CONVOLUTIONS = ("Conv", "ConvTranspose")


def fold_normalisation(graph: onnx.GraphProto) -> None:
    """Fold batch normalisation into the convolution before it, computed in float64.

    tf2onnx does so after a convolution, but not after a transposed one.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    uses = Counter(name for node in graph.node for name in node.input)
    for norm in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        before = makers.get(norm.input[0])
        if before is None or before.op_type not in CONVOLUTIONS or uses[norm.input[0]] > 1:
            continue
        if not {*before.input[1:], *norm.input[1:]} <= constants.keys():
            continue
        values = {name: _float64(constants[name]) for name in (*before.input[1:], *norm.input[1:])}
        folded = _folded(before, norm, values)
        del before.input[1:]
        for part, value in zip(("weights", "bias"), folded, strict=True):
            name = f"{before.output[0]}/{part}"
            graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), name))
            before.input.append(name)
        before.output[0] = norm.output[0]
        graph.node.remove(norm)


def free_sizes(proto: onnx.ModelProto, channels: int) -> None:
    """Make a network that was traced at one size take any: turn what depends on it into what does not.

    Raises:
        ExportError: If something depends on it that cannot be turned.
    """
    graph, shapes = proto.graph, _shapes(proto)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type != "Reshape":
            continue
        shape = numpy_helper.to_array(constants[node.input[1]]).copy()
        # with one channel, moving the axis of channels is a mere Reshape, to sizes that were traced
        if order := _order(shapes[node.input[0]], tuple(shape.tolist())):
            _turn(node, order)
        else:
            # (1, C, 1, 1): only the number of images may change
            if len(shape) != 4 or shape[0] != 1 or np.sum(shape > 1) > 1:
                raise ExportError(f"the network's ONNX reshapes to {shape.tolist()}: its sizes cannot be freed")
            shape[0] = -1
            constants[node.input[1]].CopyFrom(numpy_helper.from_array(shape, node.input[1]))
    del graph.value_info[:]
    _describe(graph.input[0], ["N", "H", "W", 1])
    _describe(graph.output[0], ["N", "H", "W", channels])
    left = sorted({node.op_type for node in graph.node} & DYNAMIC)
    if left:
        raise ExportError(f"the network's ONNX holds {', '.join(left)}: its sizes cannot be freed")


def name_sizes(proto: onnx.ModelProto) -> onnx.ModelProto:
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


def head(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Return the first convolutions, and all nodes before them."""
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    return _to_convolutions(graph.input, users, "output")


def tail(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Return the last convolutions, and all nodes after them."""
    makers = {name: [node] for node in graph.node for name in node.output}
    return _to_convolutions(graph.output, makers, "input")


def canonical(graph: onnx.GraphProto) -> None:
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


def _to_convolutions(values: Any, neighbours: dict[str, list[onnx.NodeProto]], onwards: str) -> list[onnx.NodeProto]:
    found: dict[str, onnx.NodeProto] = {}
    names = [value.name for value in values]
    while names:
        for node in neighbours.get(names.pop(), []):
            found[node.name] = node
            if node.op_type not in CONVOLUTIONS:
                names += getattr(node, onwards)
    return list(found.values())


def _folded(convolution: onnx.NodeProto, norm: onnx.NodeProto, values: dict[str, Any]) -> tuple[Any, Any]:
    gamma, beta, mean, variance = (values[name] for name in norm.input[1:])
    factor = gamma / np.sqrt(variance + _attribute(norm, "epsilon", 1e-5))
    # weights are (out, in, h, w), but (in, out, h, w) where transposed
    across = (-1, 1, 1, 1) if convolution.op_type == "Conv" else (1, -1, 1, 1)
    weights = values[convolution.input[1]] * factor.reshape(across)
    bias = values[convolution.input[2]] if len(convolution.input) > 2 else 0.0
    return weights, (bias - mean) * factor + beta


def _float64(tensor: TensorProto) -> Any:
    return numpy_helper.to_array(tensor).astype(np.float64)


def _attribute(node: onnx.NodeProto, name: str, default: float) -> float:
    return next((float(attribute.f) for attribute in node.attribute if attribute.name == name), default)


def _shapes(proto: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Return the sizes that each value was traced with."""
    known = onnx.shape_inference.infer_shapes(proto).graph
    return {
        value.name: tuple(size.dim_value for size in value.type.tensor_type.shape.dim)
        for value in [*known.value_info, *known.input, *known.output]
    }


def _order(before: tuple[int, ...], after: tuple[int, ...]) -> list[int] | None:
    """Return how a Reshape of an image moves its axes; None where it does something else."""
    if len(before) != 4 or before[0] != 1 or before.count(1) != 2:
        return None
    orders = ([0, 1, 2, 3], [0, 3, 1, 2], [0, 2, 3, 1])
    return next((order for order in orders if tuple(before[axis] for axis in order) == after), None)


def _turn(node: onnx.NodeProto, order: list[int]) -> None:
    node.op_type = "Transpose"
    del node.input[1:]
    del node.attribute[:]
    node.attribute.append(helper.make_attribute("perm", order))


def _describe(value: onnx.ValueInfoProto, sizes: list[str | int]) -> None:
    value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.FLOAT, sizes))


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
