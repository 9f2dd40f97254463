"""From a file in the ONNX format to plain nodes, checked: names are defined once and before use, sizes are those of the
data, and data beside the file lies in its folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import numpy_helper

from .. import _core
from .._core import DType, Tensor

__all__ = [
    "DTYPES",
    "Body",
    "Info",
    "Node",
    "UnsupportedError",
    "body_of",
    "decode",
    "opsets_of",
    "tensor_of",
]

_KINDS = onnx.AttributeProto
_DEFAULT_DOMAINS = ("", "ai.onnx")
DTYPES = {
    getattr(onnx.TensorProto, name.upper()): getattr(_core, "bool_" if name == "bool" else name)
    for name in (
        "bfloat16", "bool", "float16", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    )
} | {onnx.TensorProto.FLOAT: _core.float32, onnx.TensorProto.DOUBLE: _core.float64}  # fmt: skip


class UnsupportedError(NotImplementedError):
    """A file that is right and needs what this package does not do: an operator, an attribute or a type of elements.

    >>> import oxiflux.onnx
    >>> issubclass(oxiflux.onnx.UnsupportedError, NotImplementedError)
    True
    """


@dataclass
class Info:
    """An input or output: its name, dtype, and sizes, of which a text is a free axis and None says nothing."""

    name: str
    dtype: DType | None = None
    shape: tuple[int | str | None, ...] | None = None


@dataclass
class Node:
    """One operation; an input or output without a name is left out."""

    op: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    proto: onnx.NodeProto

    def __str__(self) -> str:
        """The operator and the name by which a message finds the node."""
        label = self.name or next(filter(None, self.outputs), "")
        return f"{self.op} {label!r}"


@dataclass
class Body:
    """A graph, or what a node holds of one: nodes in an order in which they can run."""

    name: str
    inputs: list[Info]
    outputs: list[Info]
    constants: dict[str, Tensor]
    nodes: list[Node] = field(default_factory=list)

    @property
    def free_names(self) -> set[str]:
        """What the nodes use of the graphs around."""
        made = {*self.constants, *(info.name for info in self.inputs)}
        made.update(name for node in self.nodes for name in node.outputs)
        used = {name for node in self.nodes for name in used_by(node)}
        return (used | {info.name for info in self.outputs}) - made


def used_by(node: Node) -> Iterator[str]:
    """The names that a node reads, also those within the graphs that it holds."""
    yield from filter(None, node.inputs)
    for value in node.attributes.values():
        if isinstance(value, Body):
            yield from value.free_names


def decode(data: bytes, name: str) -> onnx.ModelProto:
    """The model in the bytes of a file."""
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, RecursionError, ValueError) as error:
        raise ValueError(
            f"onnx.load: {name} is no ONNX file, or cut off, or nested too deep: {error}"
        ) from None
    if not model.HasField("graph") or not (model.graph.node or model.graph.output):
        raise ValueError(f"onnx.load: {name} holds no graph")
    return model


def opsets_of(items: Iterable[onnx.OperatorSetIdProto]) -> dict[str, int]:
    """The version of each domain; that of ONNX itself has no name."""
    return {"" if item.domain in _DEFAULT_DOMAINS else item.domain: item.version for item in items}


def tensor_of(proto: onnx.TensorProto, folder: str | None = None) -> Tensor:
    """The tensor of a message, whose data may lie in a file of `folder`."""
    label = f"onnx.load: the tensor {proto.name!r}"
    dtype = DTYPES.get(proto.data_type)
    if dtype is None:
        raise UnsupportedError(f"{label} holds elements of the type {_type_name(proto.data_type)}")
    if any(n < 0 for n in proto.dims):
        raise ValueError(f"{label} has the shape {tuple(proto.dims)}")
    shape, count = tuple(proto.dims), 1
    for n in shape:
        count *= n
    if proto.data_location == onnx.TensorProto.EXTERNAL:
        data = _external(proto, label, folder, count * dtype.itemsize)
        inside = onnx.TensorProto(data_type=proto.data_type, dims=proto.dims, raw_data=data)
    else:
        inside = proto
        held = len(proto.raw_data) // dtype.itemsize if proto.HasField("raw_data") else _listed(proto)
        if held != count:
            raise ValueError(f"{label} has {held} elements, and shape {shape} asks for {count}")
    try:
        return _core.tensor(np.ascontiguousarray(numpy_helper.to_array(inside)).reshape(shape))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{label} cannot be read: {error}") from None


def _listed(proto: onnx.TensorProto) -> int:
    """How many elements the fields of numbers hold."""
    fields = (
        proto.float_data,
        proto.double_data,
        proto.int32_data,
        proto.int64_data,
        proto.uint64_data,
    )
    return max(map(len, fields))


def _type_name(kind: int) -> str:
    try:
        return str(onnx.TensorProto.DataType.Name(kind)).lower()
    except ValueError:
        return f"number {kind}"


def _external(proto: onnx.TensorProto, label: str, folder: str | None, size: int) -> bytes:
    """The bytes of a tensor in a file of the model's folder, and of no other."""
    entries = {entry.key: entry.value for entry in proto.external_data}
    location = entries.get("location", "")
    if folder is None:
        raise ValueError(
            f"{label} lies in the file {location!r}, and a model in memory has no folder: use onnx.load"
        )
    root = os.path.realpath(folder)
    path = os.path.join(root, location)
    # A link may lead anywhere: the path must be its own real path.
    if not location or os.path.isabs(location) or os.path.realpath(path) != os.path.normpath(path):
        raise ValueError(f"{label} lies in {location!r}, which is no plain file of the model's folder")
    if os.path.commonpath([root, os.path.realpath(path)]) != root or not os.path.isfile(path):
        raise ValueError(f"{label} lies in {location!r}, which is no plain file of the model's folder")
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", size))
    except ValueError:
        raise ValueError(f"{label}: offset and length must be integers, got {entries}") from None
    if offset < 0 or length != size or offset + length > os.path.getsize(path):
        raise ValueError(
            f"{label}: {length} bytes from {offset} of {location!r}, which has {os.path.getsize(path)};"
            f" its shape asks for {size}"
        )
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read(length)


def _info(proto: onnx.ValueInfoProto) -> Info:
    kind = proto.type.WhichOneof("value")
    if kind is None:
        return Info(proto.name)
    if kind != "tensor_type":
        raise UnsupportedError(f"onnx.load: {proto.name!r} is a {kind.removesuffix('_type')}, not a tensor")
    tensor = proto.type.tensor_type
    if tensor.elem_type and tensor.elem_type not in DTYPES:
        raise UnsupportedError(
            f"onnx.load: {proto.name!r} holds elements of the type {_type_name(tensor.elem_type)}"
        )
    shape = None
    if tensor.HasField("shape"):
        shape = tuple(
            dim.dim_value if dim.dim_value > 0 or (dim.WhichOneof("value") == "dim_value" and dim.dim_value == 0)
            else dim.dim_param or None
            for dim in tensor.shape.dim
        )  # fmt: skip
    return Info(proto.name, DTYPES.get(tensor.elem_type), shape)


def _attribute(proto: onnx.AttributeProto, where: str, outer: set[str]) -> Any:
    match proto.type:
        case _KINDS.FLOAT:
            return proto.f
        case _KINDS.INT:
            return proto.i
        case _KINDS.STRING:
            return proto.s.decode("utf-8", "replace")
        case _KINDS.TENSOR:
            return tensor_of(proto.t)
        case _KINDS.FLOATS:
            return tuple(proto.floats)
        case _KINDS.INTS:
            return tuple(proto.ints)
        case _KINDS.STRINGS:
            return tuple(s.decode("utf-8", "replace") for s in proto.strings)
        case _KINDS.GRAPH:
            return body_of(proto.g, None, outer)
    raise UnsupportedError(
        f"onnx.load: {where} has an attribute {proto.name!r} of the kind {_KINDS.AttributeType.Name(proto.type)}"
    )


def node_of(proto: onnx.NodeProto, outer: set[str]) -> Node:
    """One node; `outer` are the names that the graphs in it may use."""
    domain = "" if proto.domain in _DEFAULT_DOMAINS else proto.domain
    where = f"{proto.op_type} {proto.name or next(iter(proto.output), '')!r}"
    attributes = {a.name: _attribute(a, where, outer) for a in proto.attribute if not a.ref_attr_name}
    return Node(proto.op_type, domain, proto.name, tuple(proto.input), tuple(proto.output), attributes, proto)


def body_of(graph: onnx.GraphProto, folder: str | None = None, outer: set[str] | None = None) -> Body:
    """The nodes of a graph in an order in which they can run, whatever their order in the file."""
    if graph.sparse_initializer:
        raise UnsupportedError("onnx.load: sparse initialisers are not supported")
    constants: dict[str, Tensor] = {}
    for proto in graph.initializer:
        if proto.name in constants:
            raise ValueError(f"onnx.load: two initialisers have the name {proto.name!r}")
        constants[proto.name] = tensor_of(proto, folder)
    inputs, outputs = [_info(v) for v in graph.input], [_info(v) for v in graph.output]
    known = {*constants, *(outer or ())}
    seen: set[str] = set()
    for info in inputs:
        if info.name in seen:
            raise ValueError(f"onnx.load: two inputs have the name {info.name!r}")
        seen.add(info.name)
    known |= seen
    made = _made_names(graph, {*constants, *seen})
    nodes = [node_of(proto, known | made) for proto in graph.node]
    body = Body(graph.name, inputs, outputs, constants)
    body.nodes = _in_order(nodes, known, made)
    for info in outputs:
        if info.name not in known | made:
            raise ValueError(f"onnx.load: the output {info.name!r} is made by no node")
    return body


def _made_names(graph: onnx.GraphProto, given: set[str]) -> set[str]:
    made: set[str] = set()
    for node in graph.node:
        for name in filter(None, node.output):
            if name in made or name in given:
                raise ValueError(
                    f"onnx.load: {name!r} is defined twice, again by {node.op_type} {node.name!r}"
                )
            made.add(name)
    return made


def _in_order(nodes: list[Node], known: set[str], made: set[str]) -> list[Node]:
    """Each node behind those whose outputs it uses."""
    ready: list[int] = []
    waiting: dict[int, int] = {}
    users: dict[str, list[int]] = {}
    for place, node in enumerate(nodes):
        needs = set(used_by(node)) - known
        for name in needs:
            if name not in made:
                raise ValueError(
                    f"onnx.load: {node} uses {name!r}, which no input, initialiser or node defines"
                )
            users.setdefault(name, []).append(place)
        waiting[place] = len(needs)
        if not needs:
            ready.append(place)
    ordered, ready = [], ready[::-1]
    while ready:
        node = nodes[ready.pop()]
        ordered.append(node)
        for name in node.outputs:
            for place in reversed(users.get(name, [])):
                waiting[place] -= 1
                if not waiting[place]:
                    ready.append(place)
    if len(ordered) < len(nodes):
        stuck = next(node for place, node in enumerate(nodes) if waiting[place])
        raise ValueError(f"onnx.load: the graph has a cycle: {stuck} needs what is made of its own output")
    return ordered
