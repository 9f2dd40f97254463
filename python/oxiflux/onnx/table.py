"""The table of operators: for each name the functions that compute it, by the version of ONNX from which they hold."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, TypeVar

from .. import _core
from .reading import Node, UnsupportedError
from .trace import Trace, Value, inverse

__all__ = ["Operator", "align", "elementwise", "find", "operators", "plain", "traced"]

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Operator:
    """One row: `call(trace, node, inputs)` gives the outputs."""

    name: str
    since: int
    call: Callable[[Trace, Node, list[Value | None]], Any]
    attributes: frozenset[str]
    needed: frozenset[str]
    fewest_inputs: int
    most_inputs: int

    def check(self, node: Node) -> None:
        """Raises UnsupportedError for an attribute, and ValueError for inputs, that the operator does not have."""
        if unknown := sorted(node.attributes.keys() - self.attributes - _IGNORED):
            raise UnsupportedError(f"onnx: {node}: the attribute {unknown[0]!r} is not supported")
        if lacking := sorted(self.needed - node.attributes.keys()):
            raise ValueError(f"onnx: {node} needs the attribute {lacking[0]!r}")
        if len(node.inputs) > self.most_inputs:
            raise ValueError(f"onnx: {node} takes at most {self.most_inputs} inputs, got {len(node.inputs)}")
        # Of operators with any number of inputs the first may be left out.
        is_open = self.most_inputs == _ANY
        given = [name for name in node.inputs[: self.fewest_inputs] if name or is_open]
        if len(given) < self.fewest_inputs:
            raise ValueError(f"onnx: {node} needs {self.fewest_inputs} inputs, got {len(given)}")
        if not node.outputs:
            raise ValueError(f"onnx: {node} has no output")


# Hints about memory that change no result, and attributes of versions long gone.
_IGNORED = {"consumed_inputs", "saturate", "round_mode"}
_ANY = 2**31
# What a function asks for beside attributes.
_ASKED = {"outputs", "trace", "node"}

operators: dict[str, list[Operator]] = {}


def _register(
    names: Collection[str], since: int, function: Callable[..., Any], call: Callable[..., Any]
) -> None:
    signature = inspect.signature(function).parameters.values()
    own = [p for p in signature if p.name not in _ASKED]
    keywords = [p for p in own if p.kind is p.KEYWORD_ONLY]
    attributes = frozenset(p.name for p in keywords)
    needed = frozenset(p.name for p in keywords if p.default is p.empty)
    positional = [p for p in own if p.kind is p.POSITIONAL_OR_KEYWORD]
    is_open = any(p.kind is p.VAR_POSITIONAL for p in own)
    fewest = max(sum(p.default is p.empty for p in positional), int(is_open))
    most = _ANY if is_open else len(positional)
    for name in names:
        rows = operators.setdefault(name, [])
        rows.append(Operator(name, since, call, attributes, needed, fewest, most))
        rows.sort(key=lambda row: row.since)


def find(name: str, domain: str, version: int) -> Operator | None:
    """The row of an operator of ONNX's own domain in a version, or None."""
    rows = operators.get(name if domain == "" else f"{domain}.{name}", [])
    return next((row for row in reversed(rows) if row.since <= version), None)


def _asked(function: Callable[..., Any]) -> frozenset[str]:
    return frozenset(inspect.signature(function).parameters.keys() & _ASKED)


def plain(*names: str, since: int = 1, host: Collection[int] = ()) -> Callable[[Function], Function]:
    """Registers a function of tensors, in the order of axes of the file, and of attributes by keyword; the inputs that
    `host` lists are arrays of NumPy. It is one step of the program.
    """

    def register(function: Function) -> Function:
        asked = _asked(function)

        def call(trace: Trace, node: Node, inputs: list[Value | None]) -> Any:
            given = [
                x if x is None else trace.host(x) if i in host else trace.plain(x)
                for i, x in enumerate(inputs)
            ]
            options = {k: v for k, v in node.attributes.items() if k not in _IGNORED}
            if "outputs" in asked:
                options["outputs"] = len(node.outputs)
            return trace.run(function, *given, **options)

        _register(names, since, function, call)
        return function

    return register


def elementwise(*names: str, since: int = 1) -> Callable[[Function], Function]:
    """Registers a function that computes each element alone, whatever the order of the axes."""

    def register(function: Function) -> Function:
        def call(trace: Trace, node: Node, inputs: list[Value | None]) -> Any:
            options = {k: v for k, v in node.attributes.items() if k not in _IGNORED}
            return spread(trace, function, inputs, options)

        _register(names, since, function, call)
        return function

    return register


def traced(*names: str, since: int = 1) -> Callable[[Function], Function]:
    """Registers a function of a trace and its values, which heeds their order of axes itself."""

    def register(function: Function) -> Function:
        asked = _asked(function)

        def call(trace: Trace, node: Node, inputs: list[Value | None]) -> Any:
            options = {k: v for k, v in node.attributes.items() if k not in _IGNORED}
            if "outputs" in asked:
                options["outputs"] = len(node.outputs)
            if "node" in asked:
                options["node"] = node
            return function(trace, *inputs, **options)

        _register(names, since, function, call)
        return function

    return register


def spread(
    trace: Trace, function: Callable[..., Any], inputs: list[Value | None], options: dict[str, Any]
) -> Value:
    """An element-wise function on values in a common order of axes."""
    values, order = align(trace, [x for x in inputs if x is not None])
    given = iter(values)
    result: Value = trace.run(function, *(x if x is None else next(given) for x in inputs), **options)
    return result.with_order(order) if order and result.ndim == len(order) else result


def align(trace: Trace, values: list[Value]) -> tuple[list[Value], tuple[int, ...] | None]:
    """The values with their axes in one order, so that they broadcast as they would in the file's."""
    rank = max((x.ndim for x in values), default=0)
    # Where two orders meet, that of the images wins, of which there are more to come.
    order = next((x.order for x in values if x.ndim == rank and x.order is not None and x.level), None)
    if order is None:
        return [trace.plain(x) for x in values], None
    return [_aligned(trace, x, order) for x in values], order


def _aligned(trace: Trace, x: Value, order: tuple[int, ...]) -> Value:
    if x.held.size == 1:
        return x
    if x.ndim < len(order):
        x = trace.plain(x)
        x = trace.run(_core.reshape, x, (1,) * (len(order) - x.ndim) + x.shape)
    if x.order is None and x.level and sum(n != 1 for n in x.shape) <= 1:
        # One axis alone has its elements in one order, whichever it is.
        held: Value = trace.run(_core.reshape, x, tuple(x.shape[axis] for axis in inverse(order)))
        return held.with_order(order)
    return trace.in_order(x, order)
