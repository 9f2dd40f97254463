"""Operators that are written as nodes: a file's own functions, and those of ONNX whose meaning is such a body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx

from .reading import Node, UnsupportedError, node_of, opsets_of

__all__ = ["Function", "body_of_schema", "local_functions"]


class Function:
    """The nodes of an operator, with places for its attributes."""

    inputs: list[str]
    outputs: list[str]
    opsets: dict[str, int]
    defaults: dict[str, onnx.AttributeProto]

    def __init__(self, proto: onnx.FunctionProto, defaults: dict[str, onnx.AttributeProto]) -> None:
        self.proto = proto
        self.inputs, self.outputs = list(proto.input), list(proto.output)
        self.opsets = opsets_of(proto.opset_import)
        self.defaults = {**defaults, **{a.name: a for a in proto.attribute_proto}}

    def body(self, node: Node) -> list[Node]:
        """The nodes, with the attributes of this use."""
        given = {**self.defaults, **{a.name: a for a in node.proto.attribute}}
        names: set[str] = {*self.inputs, *(name for inner in self.proto.node for name in inner.output)}
        return [node_of(_filled(inner, given), names) for inner in self.proto.node]


def _filled(node: onnx.NodeProto, given: dict[str, onnx.AttributeProto]) -> onnx.NodeProto:
    """A node with the function's attributes in the places that name them; what is not given falls away."""
    if not any(a.ref_attr_name or a.HasField("g") for a in node.attribute):
        return node
    new = onnx.NodeProto()
    new.CopyFrom(node)
    del new.attribute[:]
    for attribute in node.attribute:
        if not attribute.ref_attr_name:
            added = new.attribute.add()
            added.CopyFrom(attribute)
            if attribute.HasField("g"):
                inner = [_filled(n, given) for n in attribute.g.node]
                del added.g.node[:]
                added.g.node.extend(inner)
        elif attribute.ref_attr_name in given:
            added = new.attribute.add()
            added.CopyFrom(given[attribute.ref_attr_name])
            added.name = attribute.name
    return new


def local_functions(model: onnx.ModelProto) -> dict[tuple[str, str], Function]:
    """The functions that a model brings, by domain and name."""
    return {(f.domain, f.name): Function(f, {}) for f in model.functions}


def body_of_schema(node: Node, inputs: Sequence[Any], opset: int) -> Function:
    """The function that ONNX gives for an operator, for inputs of these types."""
    try:
        schema: Any = onnx.defs.get_schema(node.op, opset, node.domain)
    except onnx.defs.SchemaError:
        raise UnsupportedError(f"onnx: {node}: the operator is not supported (opset {opset})") from None
    defaults = {name: a.default_value for name, a in schema.attributes.items() if a.default_value.type}
    if schema.has_function:
        version = max(v for v in schema.function_opset_versions if v <= max(opset, schema.since_version))
        proto = onnx.FunctionProto.FromString(schema.get_function_with_opset_version(version))
        return Function(proto, defaults)
    if not schema.has_context_dependent_function:
        raise UnsupportedError(f"onnx: {node}: the operator is not supported (opset {opset})")
    versions = schema.context_dependent_function_opset_versions
    version = max((v for v in versions if v <= max(opset, schema.since_version)), default=max(versions))
    types = [_type_of(x).SerializeToString() for x in inputs]
    made = schema.get_context_dependent_function_with_opset_version(
        version, node.proto.SerializeToString(), types
    )
    if not made:
        raise UnsupportedError(f"onnx: {node}: ONNX gives no body for these inputs")
    return Function(onnx.FunctionProto.FromString(made), defaults)


def _type_of(x: Any) -> onnx.TypeProto:
    if x is None:
        return onnx.TypeProto()
    name = {"float32": "FLOAT", "float64": "DOUBLE"}.get(x.dtype.name, x.dtype.name.removesuffix("_").upper())
    return onnx.helper.make_tensor_type_proto(onnx.TensorProto.DataType.Value(name), x.shape)
