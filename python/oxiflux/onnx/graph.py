"""A model of the ONNX format as a layer: its weights are parameters, and each new shape of inputs makes a program."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from .. import _core
from .._core import DTypeError, ShapeError, Tensor
from ..files.names import registered
from ..layers.base import Layer
from ..show import bytes_of
from .extra import onnx
from .interpreter import Interpreter
from .plan import Program
from .reading import Info, decode
from .trace import INPUT, PARAMETER, StaleError, Trace, Value
from .weights import split_weights, stripped

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Graph", "from_model", "load"]

_MOST_PROGRAMS = 32
_MOST_VARIANTS = 8
_MOST_GUARDED = 4096
_MOST_STEPS = 100_000
# Of so many programs the rearranged weights are kept.
_MOST_PREPARED = 4

Choice = Iterable[str] | Callable[[str], bool] | None


def load(path: str | os.PathLike[str], *, trainable: Choice = None) -> Graph:
    """The model in a file of the ONNX format, as a layer that is called, trained and saved like any other.

    It is called with tensors or arrays, by position or by the names of the inputs, in the shapes that the file states
    (images `(batch, channels, height, width)`), and gives the output, or a tuple of the outputs. Its weights are
    parameters under their names in `parameters`: floating initialisers and constants of the file that reach a
    convolution, a product, a normalisation or another place of weights. `trainable`, names or a function of a name,
    says otherwise which of the floating tensors are. Opsets 7 to the newest are read. Operators, attributes and types
    that this package does not have raise `UnsupportedError`, all missing operators at once. A file that is cut off,
    changed or made to do harm raises ValueError.

    >>> import os, tempfile
    >>> import onnx.parser, oxiflux as flux, oxiflux.onnx
    >>> text = '<ir_version: 8, opset_import: ["": 18]> f (float[N, 2] x) => (float[N, 3] y) {y = MatMul(x, w)}'
    >>> proto = onnx.parser.parse_model(text.replace("{", "<float[2, 3] w = {1, 2, 3, 4, 5, 6}> {", 1))
    >>> path = os.path.join(tempfile.mkdtemp(), "model.onnx")
    >>> onnx.save(proto, path)
    >>> model = oxiflux.onnx.load(path)
    >>> model([[1.0, 1.0]]).tolist()
    [[5.0, 7.0, 9.0]]
    >>> flux.gradient(lambda m: m([[1.0, 1.0]]).sum(), model)[0].parameters["w"].shape
    (2, 3)
    """
    path = os.fspath(path)
    with open(path, "rb") as file:
        data = file.read()
    return _made(decode(data, path), os.path.dirname(os.path.abspath(path)), trainable)


def from_model(model: onnx.ModelProto, *, trainable: Choice = None) -> Graph:
    """The layer of a model in memory, as `load` makes it of a file.

    >>> import onnx.parser, oxiflux.onnx
    >>> text = '<ir_version: 8, opset_import: ["": 18]> f (float[N] x) => (float[N] y) {y = Relu(x)}'
    >>> oxiflux.onnx.from_model(onnx.parser.parse_model(text))([-1, 2]).tolist()
    [0.0, 2.0]
    """
    if not isinstance(model, onnx.ModelProto):
        raise TypeError(f"onnx.from_model: expected an onnx.ModelProto, got {type(model).__name__}")
    return _made(model, None, trainable)


def _made(model: onnx.ModelProto, folder: str | None, trainable: Choice) -> Graph:
    choice = trainable if trainable is None or callable(trainable) else set(trainable).__contains__
    interpreter = Interpreter(model, folder)
    parameters, state = split_weights(interpreter.body, choice)
    return Graph(stripped(model, [*parameters, *state], interpreter.body.constants), parameters, state)


class Graph(Layer):
    """A model of the ONNX format; `load` makes it.

    `parameters` are the trained weights by name, `state` the means and variances of normalisations and what else of
    floating tensors is not trained; `source` is the rest of the file. `inputs` and `outputs` are the names. It prints
    as a table of its nodes.

    >>> import onnx.parser, oxiflux.onnx
    >>> text = '<ir_version: 8, opset_import: ["": 18]> f (float[N] x) => (float[N] y) {y = Relu(x)}'
    >>> graph = oxiflux.onnx.from_model(onnx.parser.parse_model(text))
    >>> graph.inputs, graph.outputs
    (('x',), ('y',))
    """

    parameters: dict[str, Tensor]
    state: dict[str, Tensor]
    source: NDArray[np.uint8]

    def __init__(
        self, source: NDArray[np.uint8], parameters: dict[str, Tensor], state: dict[str, Tensor]
    ) -> None:
        self.source, self.parameters, self.state = source, parameters, state

    def trainable(self) -> tuple[str, ...]:
        """The attributes with parameters."""
        return ("parameters",)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs, in the order of a call by position."""
        return tuple(info.name for info in _runtime(self).inputs)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs, in the order of the result."""
        return tuple(info.name for info in _runtime(self).interpreter.body.outputs)

    def __call__(self, *args: Any, **named: Any) -> Any:
        runtime = _runtime(self)
        results = runtime(self, runtime.bound(args, named))
        return results[0] if len(results) == 1 else results

    def describe(self) -> str:
        """The graph on one line: its name, inputs, outputs and number of nodes."""
        body = _runtime(self).interpreter.body
        ins, outs = ", ".join(map(_shown, _runtime(self).inputs)), ", ".join(map(_shown, body.outputs))
        return f"Graph({body.name or 'graph'}: {ins} => {outs}; {len(body.nodes)} nodes)"

    def __repr__(self) -> str:
        body = _runtime(self).interpreter.body
        lines = [self.describe()]
        known = {**self.parameters, **self.state}
        for node in body.nodes:
            shapes = [f"{name} {known[name].shape}" if name in known else name or "_" for name in node.inputs]
            lines.append(f"  {node.op:<20} {', '.join(shapes)} -> {', '.join(filter(None, node.outputs))}")
        count, size = sum(p.size for p in self.parameters.values()), sum(p.nbytes for p in known.values())
        lines.append(
            f"  # Total: {len(self.parameters)} arrays, {count:_} parameters, {len(self.state)} not trained,"
            f" {bytes_of(size)}."
        )
        return "\n".join(lines)


def _shown(info: Info) -> str:
    if info.shape is None:
        return info.name
    sizes = ", ".join("?" if n is None else str(n) for n in info.shape)
    return f"{info.name} ({sizes}{',' * (len(info.shape) == 1)})"


class _Runtime:
    """What a graph makes of its source, kept beside it: the nodes, and programs by the shapes of inputs."""

    def __init__(self, graph: Graph) -> None:
        self.interpreter = Interpreter(decode(graph.source.tobytes(), "the source of a Graph"), None)
        body = self.interpreter.body
        weights = {*graph.parameters, *graph.state}
        self.weights = weights
        self.is_default_allowed = self.interpreter.ir_version >= 4
        self.inputs = [i for i in body.inputs if i.name not in body.constants and i.name not in weights]
        self.defaults = [i for i in body.inputs if i.name in body.constants or i.name in weights]
        self.programs: dict[Any, list[_Ready]] = {}
        self.changing: set[Any] = set()
        self.recent: list[_Ready] = []

    def bound(self, args: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Tensor]:
        """The inputs of a call as tensors by name."""
        infos = [*self.inputs, *self.defaults]
        if len(args) > len(infos):
            raise TypeError(f"Graph: takes {len(self.inputs)} inputs, got {len(args)}")
        given = dict(zip((info.name for info in infos), args, strict=False))
        for name, value in named.items():
            if name in given:
                raise TypeError(f"Graph: the input {name!r} is given twice")
            given[name] = value
        known = {info.name: info for info in infos}
        for name in given:
            if name not in known:
                raise TypeError(f"Graph: has no input {name!r}; its inputs are {', '.join(known)}")
        if missing := [info.name for info in self.inputs if info.name not in given]:
            raise TypeError(f"Graph: the input {missing[0]!r} is missing; its inputs are {', '.join(known)}")
        return {name: _fitting(known[name], value) for name, value in given.items()}

    def __call__(self, graph: Graph, inputs: dict[str, Tensor]) -> tuple[Tensor, ...]:
        key = tuple([(name, x.shape, x.dtype.name) for name, x in inputs.items()])
        if key in self.changing:
            return self.eager(graph, inputs)
        ready = self.programs.setdefault(key, [])
        for candidate in ready:
            try:
                return candidate(graph, inputs, self.recent)
            except StaleError:
                continue
        trace, results = self.traced(graph, inputs, is_eager=False)
        if (
            trace.guards > _MOST_GUARDED
            or len(ready) >= _MOST_VARIANTS
            or len(trace.steps) > _MOST_STEPS
            or trace.is_random
        ):
            self.changing.add(key)
            ready.clear()
            return self.eager(graph, inputs)
        if len(self.programs) > _MOST_PROGRAMS:
            self.programs.pop(next(iter(self.programs)), None)
        candidate = _Ready(trace, list(self.names(graph, inputs)), inputs, results)
        self.programs.setdefault(key, []).append(candidate)
        return candidate(graph, inputs, self.recent)

    def eager(self, graph: Graph, inputs: dict[str, Tensor]) -> tuple[Tensor, ...]:
        """The outputs of one run that leaves no program behind."""
        return tuple(_core.identity(value.held) for value in self.traced(graph, inputs, is_eager=True)[1])

    def names(self, graph: Graph, inputs: dict[str, Tensor]) -> Iterable[str]:
        """The names of the weights that no input replaces."""
        return (name for name in [*graph.parameters, *graph.state] if name not in inputs)

    def traced(self, graph: Graph, inputs: dict[str, Tensor], is_eager: bool) -> tuple[Trace, list[Value]]:
        """One run of the graph: its steps and the values of the outputs."""
        trace = Trace(is_eager)
        values = {}
        for level, tensors in ((PARAMETER, graph.parameters), (PARAMETER, graph.state), (INPUT, inputs)):
            for name, x in tensors.items():
                held = x if is_eager else _core.stop_gradient(x)
                ref = trace.name()
                values[name] = Value(held, ref, level)
                values[name].is_shared = True
                trace.shapes[ref] = held.shape
                if level == PARAMETER:
                    trace.made[ref] = values[name]
        trace.given = {name: value.ref for name, value in values.items() if value.ref is not None}
        results = [trace.plain(value) for value in self.interpreter.run(trace, values)]
        return trace, results


class _Ready:
    """A program and what its parameters make that does not depend on the inputs."""

    def __init__(
        self, trace: Trace, weights: list[str], inputs: dict[str, Tensor], results: list[Value]
    ) -> None:
        refs = [trace.given[name] for name in weights]
        given = [trace.given[name] for name in inputs]
        self.program = Program(trace.steps, refs, given, results, trace.shapes)
        self.weights = [weights[place] for place in self.program.parameters]
        # The weights as they were, and what was made of them.
        self.kept: tuple[list[Tensor], tuple[Tensor, ...]] | None = None

    def __call__(self, graph: Graph, inputs: dict[str, Tensor], recent: list[_Ready]) -> tuple[Tensor, ...]:
        own, state = graph.parameters, graph.state
        weights = [own[name] if name in own else state[name] for name in self.weights]
        prepared = self.program.prepare(weights, ()) if _core.is_recording() else self.fresh(weights, recent)
        return self.program.run(list(inputs.values()), prepared)

    def fresh(self, weights: list[Tensor], recent: list[_Ready]) -> tuple[Tensor, ...]:
        """What the parameters make, made anew once one of them has been replaced or written to."""
        kept = self.kept
        if kept is not None and _core.are_where(weights, kept[0]):
            return kept[1]
        # A tensor of the same memory lets the next write of a parameter go to other memory.
        seen = [_core.stop_gradient(x) for x in weights]
        prepared = self.program.prepare_once(seen)
        self.kept = seen, prepared
        if self not in recent:
            recent.append(self)
            for old in recent[:-_MOST_PREPARED]:
                old.kept = None
            del recent[:-_MOST_PREPARED]
        return prepared


registered["Graph"] = Graph
_runtimes: WeakKeyDictionary[Graph, _Runtime] = WeakKeyDictionary()


def _runtime(graph: Graph) -> _Runtime:
    found = _runtimes.get(graph)
    if found is None:
        found = _runtimes[graph] = _Runtime(graph)
    return found


def _fitting(info: Info, value: Any) -> Tensor:
    """What was given for an input as a tensor of its dtype and shape."""
    if type(value) is Tensor:
        x = value
    else:
        x = _core.asarray(value)
        if info.dtype is not None and x.dtype != info.dtype:
            if x.dtype.kind == "f" and info.dtype.kind != "f":
                raise DTypeError(f"Graph: the input {info.name!r} is {info.dtype.name}, got {x.dtype.name}")
            x = x.astype(info.dtype)
    if info.dtype is not None and x.dtype != info.dtype and x.dtype.kind != info.dtype.kind:
        raise DTypeError(f"Graph: the input {info.name!r} is {info.dtype.name}, got {x.dtype.name}")
    if info.shape is not None and (
        len(info.shape) != x.ndim
        or any(type(n) is int and n != m for n, m in zip(info.shape, x.shape, strict=True))
    ):
        raise ShapeError(f"Graph: expected {_shown(info)}, got shape {x.shape}")
    return x
