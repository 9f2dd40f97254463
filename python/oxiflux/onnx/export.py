"""Writes models as ONNX files."""

from __future__ import annotations

import inspect
import os
import secrets
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from .. import _core
from .._core import Tensor
from ..functors import Path as Place
from ..layers import Chain, testmode
from ..tree import modules
from .lowerings import TABLE
from .recorded import DiffersError, Free, Recorded, recorded
from .writer import DTYPES, ExportError, Op, Writer

if TYPE_CHECKING:
    import onnx

__all__ = ["export"]

# The names of axes by their place, `None` where one is not free.
Axes: TypeAlias = Sequence[str | None] | Mapping[int, str]

_LOWEST = 18
# Two at once would each take the other's test mode for the model's own.
_ONE = threading.RLock()
# What a file of protocol buffers may hold.
_MOST = 2**31 - 2**20
# How often the length of each free axis is in each record, by the order of the axes. The first has these lengths.
_FIRST = (2, 3, 5)
_TIMES = [(1, 2, 3), (2, 1, 3), (2, 3, 1), (3, 1, 2), (3, 2, 1), (1, 3, 2)]


def export(
    model: Any,
    example: Any,
    path: str | os.PathLike[str],
    *,
    free: Axes | Mapping[str, Axes] = ("batch",),
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
    opset: int = _LOWEST,
) -> None:
    """Writes the forward pass of a model as an ONNX file, which onnxruntime and others run.

    `example` is what the model is called with: an array, a tuple of several, or a dict of keyword arguments; each may
    also be a list, a tuple or a dict of arrays. What the file takes is named after the arguments, or by `inputs`, and
    what it gives `output`, or after the keys of the result, or by `outputs`. The parameters are named by their paths in
    the model.

    `free` names the axes whose lengths may differ from the example's, those of all inputs by their place or, in a dict,
    those of each by its name: `("batch", "time")`, `{"x": ("batch", "time"), "mask": {1: "time"}}`; `()` is none. The
    model is called three times with other lengths and other values, and nothing of the example remains in the file: a
    length, a branch or a number that depends on the inputs outside of oxiflux's operations raises ValueError, and an
    operation that ONNX lacks NotImplementedError, with the line of your code that asks for it.

    Layers are in test mode meanwhile; the model is left as it was. Floats of NumPy take the type of the parameters.
    `opset` is the version of the operators; newer ones make smaller graphs, which older runtimes cannot read. The file
    is written beside and renamed; parameters that are too large for it lie in `NAME.data`.

    >>> import os, tempfile
    >>> import numpy as np
    >>> import oxiflux as flux
    >>> import oxiflux.onnx
    >>> path = os.path.join(tempfile.mkdtemp(), "model.onnx")
    >>> model = flux.Chain(flux.Dense(4, 8, flux.relu), flux.Dense(8, 2))
    >>> flux.onnx.export(model, np.zeros((1, 4)), path)
    >>> import onnxruntime
    >>> session = onnxruntime.InferenceSession(path)
    >>> [(x.name, x.shape) for x in session.get_inputs()]
    [('x', ['batch', 4])]
    >>> x = np.random.rand(7, 4).astype("float32")
    >>> bool(np.allclose(session.run(None, {"x": x})[0], model(x), atol=1e-6))
    True
    """
    import onnx

    newest = onnx.defs.onnx_opset_version()
    if opset not in range(_LOWEST, newest + 1):
        raise ValueError(f"onnx.export: opset is from {_LOWEST} to {newest}, got {opset!r}")
    if isinstance(model, (list, tuple)):
        model = Chain(*model)
    if not callable(model):
        raise TypeError(f"onnx.export: a model is called, and {type(model).__name__} cannot be")
    with _ONE, _Still(model):
        proto = _Export(model, example, free, inputs, outputs, opset).proto()
    _write(proto, Path(path))


class _Still:
    """A model in test mode, which afterwards is as it was."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __enter__(self) -> None:
        self.snapshot, self.open = _core.Snapshot(self.model), _core.paused()
        self.open.__enter__()
        testmode(self.model)

    def __exit__(self, *raised: Any) -> None:
        self.open.__exit__(*raised)
        self.snapshot.put_back()


class _Export:
    """One call of `export`."""

    def __init__(
        self,
        model: Callable[..., Any],
        example: Any,
        free: Axes | Mapping[str, Axes],
        inputs: Sequence[str] | None,
        outputs: Sequence[str] | None,
        opset: int,
    ) -> None:
        self.model, self.example, self.outputs, self.opset = model, example, outputs, opset
        self.parameters: list[tuple[Place, Tensor]] = _core.leaves(model)
        floats = [str(t.dtype) for _, t in self.parameters if str(t.dtype).startswith(("float", "bfloat"))]
        self.float = floats[0] if floats else "float32"
        found = [(name, self._tensor(x)) for name, x in _leaves(_named_arguments(model, example))]
        if inputs is not None and len(inputs) != len(found):
            raise ValueError(f"onnx.export: {len(found)} inputs, and {len(inputs)} names for them")
        self.given = [x for _, x in found]
        self.names = list(inputs) if inputs is not None else [name for name, _ in found]
        if len(set(self.names)) < len(self.names) or "" in self.names:
            raise ValueError(f"onnx.export: each input needs a name of its own, got {self.names}")
        if not self.given:
            raise ValueError(
                "onnx.export: the example has no array; a number is no input, np.array(2.0) is one"
            )
        self.axes = [_axes(name, free, x.ndim) for name, x in zip(self.names, self.given, strict=True)]
        odd = sorted(str(name) for name in set(free) - set(self.names)) if _is_by_name(free) else []
        if odd:
            raise ValueError(f"onnx.export: free names {odd}, and the inputs are {self.names}")

    def _tensor(self, x: Any) -> Tensor:
        if isinstance(x, Tensor):
            return x
        t = _core.tensor(x)
        return t.astype(self.float) if str(t.dtype).startswith("float") else t

    def proto(self) -> onnx.ModelProto:
        """The model of the file."""
        records = [self._record(i) for i in range(len(_FIRST))]
        calls = [(self._call(record), [*record, *(t for _, t in self.parameters)]) for record in records]
        for call, _ in calls:
            call()  # what is computed once and remembered is remembered by now
        try:
            program = recorded(calls, len(self.given))
        except DiffersError as e:
            raise ValueError(
                f"onnx.export: the model does other things for inputs of other lengths or values: {e}"
                f"{self._where(calls, e.step)}; a file can only do the same for all"
            ) from None
        writer = self._writer(program)
        for step in program.steps:
            try:
                self._lower(writer, step)
            except ExportError as e:
                at = step.number if e.step is None else e.step
                raise ValueError(f"onnx.export: {step.name}: {e}{self._where(calls, at)}") from None
            except NotImplementedError as e:
                raise NotImplementedError(f"onnx.export: {e}{self._where(calls, step.number)}") from None
        try:
            return self._finished(program, writer)
        except ExportError as e:
            raise ValueError(
                f"onnx.export: {e}{'' if e.step is None else self._where(calls, e.step)}"
            ) from None

    def _record(self, i: int) -> list[Tensor]:
        """The inputs of a record: other lengths and other values each time."""
        names = dict.fromkeys(name for axes in self.axes for name in axes.values())
        if len(names) > 1 + len(_TIMES):
            raise ValueError(f"onnx.export: at most {1 + len(_TIMES)} free axes, got {list(names)}")
        lengths: dict[str, int] = {}
        for x, axes in zip(self.given, self.axes, strict=True):
            for axis, name in axes.items():
                at = list(names).index(name)
                n = max(2, x.shape[axis])
                lengths.setdefault(name, _FIRST[i] if at == 0 and axis == 0 else n * _TIMES[at - 1][i])
        return [
            _resized(x, {a: lengths[n] for a, n in axes.items()}, i)
            for x, axes in zip(self.given, self.axes, strict=True)
        ]

    def _call(self, record: list[Tensor]) -> Callable[[], list[Tensor]]:
        def call() -> list[Tensor]:
            rest = iter(record)
            args, kwargs = _called_with(self.model, _refilled(self.example, rest))
            self.result = self.model(*args, **kwargs)
            found = list(_leaves(self.result, "output"))
            if not found or not all(isinstance(x, Tensor) for _, x in found):
                raise TypeError(f"onnx.export: the model gives {type(self.result).__name__}, not tensors")
            return [x for _, x in found]

        return call

    def _where(self, calls: list[tuple[Callable[[], list[Tensor]], list[Tensor]]], step: int) -> str:
        """The line from which a step was asked for."""
        try:
            _core.record(*calls[0], step)
        except Exception as e:
            ours = str(Path(__file__).parent.parent)
            places = {id(layer): at for layer, at in _layers(self.model)}
            line = layer = ""
            for frame, number in traceback.walk_tb(e.__traceback__):
                if not frame.f_code.co_filename.startswith(ours):
                    line = f", at line {number} of {frame.f_code.co_filename}"
                elif (owner := places.get(id(frame.f_locals.get("self")))) is not None:
                    layer = f", in {owner}"
            return line + layer
        return ""

    def _writer(self, program: Recorded) -> Writer:
        paths: dict[int, str] = {}
        for i, (path, _) in enumerate(self.parameters, len(self.given)):
            paths[i] = ".".join(map(str, path)) or "parameter"
        return Writer(program, paths, dict(enumerate(self.names)), self.opset)

    def _lower(self, writer: Writer, step: Any) -> None:
        if writer.is_constant(step):
            return
        lowering = TABLE.get(step.name)
        if lowering is None:
            raise NotImplementedError(f"{step.name} has no counterpart in ONNX")
        results = lowering(writer, Op(writer, step))
        for number, name in zip(
            step.outputs, (results,) if isinstance(results, str) else results, strict=False
        ):
            if name:
                writer.computed(number, name)

    def _finished(self, program: Recorded, writer: Writer) -> onnx.ModelProto:
        import onnx

        names = (
            list(self.outputs)
            if self.outputs is not None
            else [name for name, _ in _leaves(self.result, "output")]
        )
        if len(names) != len(program.results) or len(set(names)) < len(names) or "" in names:
            raise ExportError(
                None, f"{len(program.results)} results need as many different names, got {names}"
            )
        # A result has a name of its own, though it be an input, a constant or twice the same.
        results = []
        for name, number in zip(names, program.results, strict=True):
            source = writer.name(number)
            if name in writer._taken:
                raise ExportError(None, f"the name {name} of a result is that of something else")
            writer.nodes.append(onnx.helper.make_node("Identity", [source], [name], name=name))
            results.append(name)
        nodes, initialisers = writer.pruned(results)
        nodes = _renamed(nodes, results, set(self.names) | {t.name for t in initialisers})
        free = {
            Free(int(x.shape[a]) for x in self._each(k)): n
            for k, axes in enumerate(self.axes)
            for a, n in axes.items()
        }

        def info(name: str, number: int) -> onnx.ValueInfoProto:
            value = program.values[number]
            shape = [free.get(n) if isinstance(n, Free) else n for n in value.shape]
            return onnx.helper.make_tensor_value_info(name, DTYPES[value.dtype], shape)

        graph = onnx.helper.make_graph(
            nodes,
            type(self.model).__name__,
            [info(name, i) for i, name in enumerate(self.names)],
            [info(name, number) for name, number in zip(results, program.results, strict=True)],
            initialisers,
        )
        opsets = [onnx.helper.make_opsetid("", self.opset)]
        version = onnx.helper.find_min_ir_version_for(opsets)
        return onnx.helper.make_model(
            graph, opset_imports=opsets, ir_version=version, producer_name="oxiflux"
        )

    def _each(self, k: int) -> list[Tensor]:
        return [self._record(i)[k] for i in range(len(_FIRST))]


def _layers(model: Any) -> Iterator[tuple[Any, str]]:
    for layer in modules(model):
        yield layer, type(layer).__name__


def _named_arguments(model: Any, example: Any) -> Any:
    """The arguments by their names."""
    args, kwargs = _called_with(model, example)
    call = model if inspect.isroutine(model) else type(model).__call__
    try:
        parameters = list(inspect.signature(call).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    if not inspect.isroutine(model):
        parameters = parameters[1:]
    plain = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if isinstance(model, Chain) and len(args) == 1 and isinstance(args[0], tuple):
        args, plain = args[0], []
    rest = [f"input_{i}" for i in range(len(args))] if len(args) > 1 else ["input"]
    return dict(zip(plain[: len(args)] + rest[len(plain) :], args, strict=False)) | kwargs


def _called_with(model: Any, example: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(example, dict):
        return (), dict(example)
    if not isinstance(example, tuple):
        return (example,), {}
    return ((example,), {}) if isinstance(model, Chain) and len(example) > 1 else (example, {})


def _leaves(tree: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The arrays and tensors in containers, with names."""
    join = (lambda key: f"{name}_{key}") if name and name != "output" else str
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from _leaves(value, join(key))
    elif isinstance(tree, (tuple, list)) and not _is_numbers(tree):
        for i, value in enumerate(tree):
            yield from _leaves(value, f"{name}_{i}" if name else f"input_{i}")
    elif isinstance(tree, (Tensor, np.ndarray, list, tuple)):
        yield name, tree


def _is_numbers(x: Any) -> bool:
    """Whether nested lists are an array."""
    return isinstance(x, list) and bool(x) and all(isinstance(v, (int, float)) or _is_numbers(v) for v in x)


def _refilled(tree: Any, tensors: Iterator[Tensor]) -> Any:
    """The same containers with tensors in the place of the arrays."""
    if isinstance(tree, Mapping):
        return {key: _refilled(value, tensors) for key, value in tree.items()}
    if isinstance(tree, (tuple, list)) and not _is_numbers(tree):
        items = [_refilled(value, tensors) for value in tree]
        return type(tree)(*items) if hasattr(tree, "_fields") else type(tree)(items)
    return next(tensors) if isinstance(tree, (Tensor, np.ndarray, list)) else tree


def _is_by_name(free: Any) -> bool:
    """Whether free axes are given for each input by its name."""
    return isinstance(free, Mapping) and all(isinstance(key, str) for key in free)


def _axes(name: str, free: Any, ndim: int) -> dict[int, str]:
    """The free axes of an input by their place."""
    own = _is_by_name(free)
    axes = free.get(name, ()) if own else free
    if isinstance(axes, str):
        raise TypeError(f"onnx.export: free is a tuple of names or a dict, got {axes!r}; write ({axes!r},)")
    pairs = axes.items() if isinstance(axes, Mapping) else enumerate(axes)
    found = {}
    for axis, label in pairs:
        if label is None:
            continue
        if not isinstance(label, str) or not label or not isinstance(axis, int):
            raise TypeError(f"onnx.export: free has names of axes by their place, got {axis!r}: {label!r}")
        if -ndim <= axis < ndim:
            found[axis % ndim] = label
        elif own:
            raise ValueError(f"onnx.export: {name} has {ndim} axes, and free names axis {axis}")
    return found


def _resized(x: Tensor, lengths: dict[int, int], i: int) -> Tensor:
    """The example with other lengths, and values that are others in each record but of the same kind."""
    if 0 in x.shape:
        raise ValueError(f"onnx.export: an example of shape {tuple(x.shape)} has no values")
    is_half = str(x.dtype) in ("bfloat16", "float16")
    values = np.asarray((x.astype("float32") if is_half else x).numpy())
    for axis, n in lengths.items():
        values = np.take(values, np.arange(n) % values.shape[axis], axis)
    if values.size:
        values = np.roll(values.reshape(-1), i).reshape(values.shape)
    if i and values.dtype.kind == "f":
        values = values * (1 - i / 16) + i / 256
    return _core.tensor(np.array(values, order="C")).astype(x.dtype)


def _renamed(nodes: list[onnx.NodeProto], results: list[str], fixed: set[str]) -> list[onnx.NodeProto]:
    """Without the identities that name results, where what is named so is computed for that alone."""
    made = {name: node for node in nodes for name in node.output}
    others: dict[str, str] = {}
    kept = []
    for node in nodes:
        (name,) = node.output[:1]
        if node.op_type == "Identity" and name in results:
            source = node.input[0]
            if source in made and source not in others and source not in fixed and source not in results:
                others[source] = name
                continue
        kept.append(node)
    for node in kept:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                if name in others:
                    names[i] = others[name]
    return kept


def _write(proto: onnx.ModelProto, path: Path) -> None:
    """Checks the model, writes it beside, and renames it."""
    import onnx

    mark = secrets.token_hex(4)
    beside, heavy = (path.with_name(f".{path.name}.{mark}.{end}") for end in ("tmp", "data.tmp"))
    data = path.with_name(f"{path.name}.data")
    try:
        if proto.ByteSize() < _MOST:
            onnx.checker.check_model(proto, full_check=True)
        else:
            onnx.save_model(
                proto, str(beside), save_as_external_data=True, location=heavy.name, size_threshold=1
            )
            onnx.checker.check_model(str(beside), full_check=True)
            for tensor in proto.graph.initializer:
                for entry in tensor.external_data:
                    if entry.key == "location":
                        entry.value = data.name
            os.replace(heavy, data)
        _keep(beside, proto.SerializeToString())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
        heavy.unlink(missing_ok=True)


def _keep(path: Path, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
