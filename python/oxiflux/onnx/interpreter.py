"""Runs the nodes of a graph on the values of a trace."""

from __future__ import annotations

from collections import ChainMap, Counter
from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any

import onnx

from . import ops as ops  # fills the table
from .functions import Function, body_of_schema, local_functions
from .reading import Body, Node, UnsupportedError, body_of, opsets_of, used_by
from .table import find
from .trace import Trace, Value
from .weights import fold_fills

__all__ = ["Interpreter"]

_DEEPEST = 64
# What one call runs of nodes at most: functions may double what they call, and a loop may have no end.
_MOST_NODES = 2_000_000
Scope = MutableMapping[str, Any]


class Interpreter:
    """A graph with the versions of its operators and its own functions."""

    ir_version: int
    opsets: dict[str, int]
    functions: dict[tuple[str, str], Function]
    body: Body

    def __init__(self, model: onnx.ModelProto, folder: str | None) -> None:
        self.ir_version = model.ir_version
        self.opsets = opsets_of(model.opset_import)
        newest = onnx.defs.onnx_opset_version()
        if self.opsets.get("", 1) > newest:
            raise UnsupportedError(
                f"onnx: the model is of opset {self.opsets['']}, and the package onnx that is installed knows {newest}"
            )
        self.functions = local_functions(model)
        self.body = body_of(model.graph, folder)
        fold_fills(self.body)
        self._check(self.body)

    def _check(self, body: Body) -> None:
        """Raises UnsupportedError with all operators that nothing here computes."""
        missing = sorted({self._label(node) for node in _all_nodes(body) if not self._knows(node)})
        if missing:
            raise UnsupportedError(f"onnx: these operators are not supported: {', '.join(missing)}")
        for node in _all_nodes(body):
            if (node.domain, node.op) not in self.functions and (row := self._row(node)):
                row.check(node)

    def _label(self, node: Node) -> str:
        version = self.opsets.get(node.domain)
        return f"{node.domain + '.' if node.domain else ''}{node.op} (opset {version})"

    def _row(self, node: Node) -> Any:
        return find(node.op, node.domain, self.opsets.get(node.domain, 1))

    def _knows(self, node: Node) -> bool:
        if (node.domain, node.op) in self.functions or self._row(node) is not None:
            return True
        try:
            schema: Any = onnx.defs.get_schema(node.op, self.opsets.get(node.domain, 1), node.domain)
        except onnx.defs.SchemaError:
            return False
        return bool(schema.has_function or schema.has_context_dependent_function)

    def run(self, trace: Trace, values: dict[str, Value]) -> list[Value]:
        """The outputs of the graph, of the values of its inputs and weights."""
        constants = {name: Value(x) for name, x in self.body.constants.items() if name not in values}
        trace.opset = self.opsets.get("", 1)
        trace.interpreter = self
        return self.run_body(trace, self.body, {**constants, **values})

    def run_body(self, trace: Trace, body: Body, scope: Scope) -> list[Value]:
        """The outputs of a body whose inputs and outer names are in `scope`."""
        uses = Counter(name for node in body.nodes for name in used_by(node))
        uses.update(info.name for info in body.outputs)
        left = dict(uses)
        for node in body.nodes:
            if node.outputs[0] in scope and node.op in ("Constant", "ConstantOfShape"):
                continue
            self._run_node(trace, node, scope, uses)
            for name in used_by(node):
                left[name] -= 1
                if not left[name]:
                    scope.pop(name, None) if not isinstance(scope, ChainMap) else scope.maps[0].pop(
                        name, None
                    )
        return [scope[info.name] for info in body.outputs]

    def _run_node(self, trace: Trace, node: Node, scope: Scope, uses: Counter[str]) -> None:
        trace.nodes += 1
        if trace.nodes > _MOST_NODES:
            raise ValueError(
                f"onnx: {node}: more than {_MOST_NODES} nodes in one call, of a loop or of functions"
            )
        inputs = [scope[name] if name else None for name in node.inputs]
        while inputs and inputs[-1] is None:
            inputs.pop()
        for value in node.attributes.values():
            if isinstance(value, Body):
                for name in value.free_names:
                    if isinstance(found := scope[name], Value):
                        found.is_shared = True
        trace.scope = scope
        try:
            results = self.call(trace, node, inputs)
        except Exception as error:
            if not getattr(error, "_is_placed", False):
                error._is_placed = True  # type: ignore[attr-defined]
                error.add_note(f"in {node} of an ONNX graph")
            raise
        results = list(results) if isinstance(results, (tuple, list)) else [results]
        for name, value in zip(node.outputs, results, strict=False):
            if name and value is None:
                raise UnsupportedError(f"onnx: {node}: the output {name!r} is not supported")
            if name:
                value = value.with_order(value.order)
                value.is_shared |= uses[name] > 1
                scope[name] = value
        if any(node.outputs[len(results) :]):
            raise UnsupportedError(
                f"onnx: {node}: the output {node.outputs[len(results)]!r} is not supported"
            )

    def call(self, trace: Trace, node: Node, inputs: list[Any]) -> Any:
        """The outputs of one node."""
        if function := self.functions.get((node.domain, node.op)):
            return self._run_function(trace, function, node, inputs)
        row = find(
            node.op, node.domain, trace.opset if node.domain == "" else self.opsets.get(node.domain, 1)
        )
        if row is not None:
            row.check(node)
            return row.call(trace, node, inputs)
        return self._run_function(trace, body_of_schema(node, inputs, trace.opset), node, inputs)

    def _run_function(self, trace: Trace, function: Function, node: Node, inputs: list[Any]) -> Any:
        if trace.depth >= _DEEPEST:
            raise ValueError(f"onnx: {node}: functions call each other more than {_DEEPEST} deep")
        body = function.body(node)
        for value in inputs:
            if value is not None:
                value.is_shared = True
        padded = [*inputs, *[None] * (len(function.inputs) - len(inputs))]
        scope: Scope = dict(zip(function.inputs, padded, strict=True))
        before, outer = trace.opset, trace.scope
        trace.opset, trace.depth = function.opsets.get("", before), trace.depth + 1
        try:
            for inner in body:
                self._run_node(trace, inner, _Absent(scope), _MANY)
        finally:
            trace.opset, trace.depth, trace.scope = before, trace.depth - 1, outer
        return [scope.get(name) for name in function.outputs]

    def inside(self, trace: Trace, body: Body, given: Iterable[Value]) -> list[Value]:
        """The outputs of a graph that a node holds, which sees the names around it."""
        names = [info.name for info in body.inputs]
        given = list(given)
        if len(names) != len(given):
            raise ValueError(f"onnx: the graph {body.name!r} has {len(names)} inputs, got {len(given)}")
        outer = trace.scope
        own: dict[str, Any] = {name: Value(x) for name, x in body.constants.items()}
        for name, value in zip(names, given, strict=True):
            own[name] = value.with_order(value.order)
            own[name].is_shared = True
        try:
            return self.run_body(trace, body, ChainMap(own, outer))
        finally:
            trace.scope = outer


class _Absent(dict[str, Any]):
    """A scope in which an input that was left out has the value None."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    def __getitem__(self, name: str) -> Any:
        return self.scope[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.scope[name] = value

    def __contains__(self, name: object) -> bool:
        return name in self.scope


class _Many(Counter[str]):
    """Counts of uses where nobody has counted."""

    def __missing__(self, key: str) -> int:
        return 2


_MANY = _Many()


def _all_nodes(body: Body) -> Iterator[Node]:
    for node in body.nodes:
        yield node
        for value in node.attributes.values():
            if isinstance(value, Body):
                yield from _all_nodes(value)
