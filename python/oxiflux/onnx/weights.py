"""Which tensors of a file are weights, and the file without them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from .. import _core
from .._core import Tensor
from ..tree import FLOATS
from .reading import Body, Node

__all__ = ["split_weights", "stripped"]

_EVERY = tuple(range(1, 64))
# The inputs of each operator that are weights of a model.
_SLOTS = {
    "Conv": (1, 2), "ConvTranspose": (1, 2), "DeformConv": (1, 2, 3), "Gemm": (0, 1, 2), "MatMul": (0, 1),
    "Einsum": (0, *_EVERY), "LSTM": (1, 2, 3, 5, 6, 7), "GRU": (1, 2, 3, 5), "RNN": (1, 2, 3, 5),
    "BatchNormalization": (1, 2), "InstanceNormalization": (1, 2), "GroupNormalization": (1, 2),
    "LayerNormalization": (1, 2), "RMSNormalization": (1,), "PRelu": (1,), "Gather": (0,), "Add": (0, 1),
    "Sub": (0, 1), "Mul": (0, 1), "Div": (0, 1), "CausalConvWithState": (1, 2),
}  # fmt: skip
# Moments that training would gather, and gradients do not reach.
_MOMENTS = {"BatchNormalization": (3, 4)}
# What hands a weight on.
_PASSING = {
    "Identity", "Cast", "CastLike", "Reshape", "Transpose", "Unsqueeze", "Squeeze", "Flatten", "Concat", "Split",
    "Slice", "Expand", "Dropout",
}  # fmt: skip


def split_weights(
    body: Body, choice: Callable[[str], bool] | None
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The parameters and the state of a graph, by name, which leave its constants."""
    bring_out(body)
    floats = {name: x for name, x in body.constants.items() if x.dtype in FLOATS}
    reached = _reached(body, _SLOTS)
    # A constant of one element is a number of the formula; an initialiser of one may be a bias.
    from_nodes = {
        name
        for part in _bodies(body)
        for node in part.nodes
        if node.op == "Constant"
        for name in node.outputs
    }
    loose = _loose_numbers(body)
    weights = {
        name
        for name, x in floats.items()
        if name in reached and x.ndim and (x.size > 1 or (name not in from_nodes and name not in loose))
    }
    chosen = weights if choice is None else {name for name in floats if choice(name)}
    moments = _reached(body, _MOMENTS)
    parameters = {name: x for name, x in floats.items() if name in chosen}
    state = {name: x for name, x in floats.items() if name in weights | moments and name not in chosen}
    for name in [*parameters, *state]:
        del body.constants[name]
    return parameters, state


def _loose_numbers(body: Body) -> set[str]:
    """What is only added to, or a factor of, what no product makes: a number of a formula if it is one number, where
    behind a product it may be a bias.
    """
    products = {"MatMul", "Gemm", "Conv", "ConvTranspose", "Einsum"}
    nodes = [node for part in _bodies(body) for node in part.nodes]
    made = {name for node in nodes if node.op in products for name in node.outputs}
    loose: set[str] = set()
    kept: set[str] = set()
    for node in nodes:
        is_formula = node.op in ("Add", "Sub", "Mul", "Div", "Pow") and made.isdisjoint(node.inputs)
        (loose if is_formula else kept).update(node.inputs)
    return loose - kept


def bring_out(body: Body) -> None:
    """Moves what graphs within nodes hold of constants to the graph around, where names do not repeat."""
    seen = Counter(_names(body))
    inner = [part for part in _bodies(body) if part is not body]
    for part in inner:
        fold_fills(part)
        for name in [name for name, x in part.constants.items() if seen[name] == 1 and x.dtype in FLOATS]:
            body.constants[name] = part.constants.pop(name)


def _bodies(body: Body) -> Iterator[Body]:
    yield body
    for node in body.nodes:
        for value in node.attributes.values():
            if isinstance(value, Body):
                yield from _bodies(value)


def _names(body: Body) -> Iterator[str]:
    """Each name as often as it is defined."""
    for part in _bodies(body):
        made = [name for node in part.nodes for name in node.outputs if name]
        yield from {*part.constants, *made, *(info.name for info in part.inputs)}


def fold_fills(body: Body) -> None:
    """Makes constants of `Constant` and of `ConstantOfShape` with a known shape: some networks hold such weights."""
    from .ops.shapes import constant, filled

    for node in body.nodes:
        if node.domain:
            continue
        if node.op == "Constant":
            body.constants[node.outputs[0]] = constant(**node.attributes)
        elif node.op == "ConstantOfShape" and node.inputs[0] in body.constants:
            shape = body.constants[node.inputs[0]].numpy()
            body.constants[node.outputs[0]] = filled(shape, **node.attributes)


def _reached(body: Body, slots: Mapping[str, tuple[int, ...]]) -> set[str]:
    """The names from which a slot is reached, backwards through what only changes the form."""
    found: set[str] = set()
    for node in reversed(body.nodes):
        found.update(_within(node, slots))
        if node.domain:
            continue
        places = slots.get(node.op, ())
        found.update(node.inputs[i] for i in places if i < len(node.inputs))
        if node.op in _PASSING and not found.isdisjoint(node.outputs):
            found.update(node.inputs if node.op == "Concat" else node.inputs[:1])
    return found


def _within(node: Node, slots: Mapping[str, tuple[int, ...]]) -> set[str]:
    return {
        name
        for value in node.attributes.values()
        if isinstance(value, Body)
        for name in _reached(value, slots)
    }


def stripped(
    model: onnx.ModelProto, names: Iterable[str], constants: dict[str, Tensor]
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The bytes of the model without the data of these weights, and with all other constants inside."""
    gone = set(names)
    copy = onnx.ModelProto()
    copy.ir_version, copy.graph.name = model.ir_version, model.graph.name
    copy.opset_import.extend(model.opset_import)
    copy.functions.extend(model.functions)
    copy.graph.input.extend(model.graph.input)
    copy.graph.output.extend(model.graph.output)
    given = {info.name for info in model.graph.input}
    for proto in model.graph.initializer:
        if proto.name in gone:
            # The name stays known: as an input if it is none already.
            if proto.name not in given:
                copy.graph.input.append(onnx.helper.make_tensor_value_info(proto.name, proto.data_type, None))
        elif proto.data_location == onnx.TensorProto.EXTERNAL:
            copy.graph.initializer.append(_inside(constants[proto.name], proto))
        else:
            copy.graph.initializer.append(proto)
    copy.graph.node.extend(model.graph.node)
    brought: list[str] = []
    _remove(copy.graph, gone, brought)
    for name in brought:
        copy.graph.input.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    return np.frombuffer(copy.SerializeToString(), np.uint8).copy()


def _remove(graph: onnx.GraphProto, gone: set[str], brought: list[str]) -> None:
    """Takes the nodes and inner initialisers of these names out of a graph."""
    kept = []
    for node in graph.node:
        if node.output and node.output[0] in gone:
            brought.append(node.output[0])
            continue
        kept.append(node)
        for attribute in node.attribute:
            if attribute.HasField("g"):
                inner = attribute.g
                initializers = [proto for proto in inner.initializer if proto.name not in gone]
                brought += [proto.name for proto in inner.initializer if proto.name in gone]
                if len(initializers) < len(inner.initializer):
                    del inner.initializer[:]
                    inner.initializer.extend(initializers)
                _remove(inner, gone, brought)
    if len(kept) < len(graph.node):
        nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
        del graph.node[:]
        graph.node.extend(nodes)


def _inside(x: Tensor, proto: onnx.TensorProto) -> onnx.TensorProto:
    numbers = x.astype(_core.float32).numpy() if x.dtype.name == "bfloat16" else x.numpy()
    if x.dtype.name == "bfloat16":
        numbers = numbers.astype(onnx.helper.tensor_dtype_to_np_dtype(proto.data_type))
    return numpy_helper.from_array(np.ascontiguousarray(numbers), proto.name)
