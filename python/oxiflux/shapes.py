"""What a model makes of an input of a given shape: the shapes, sizes and costs of its layers."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np

from . import _core
from ._core import DTypeError, Tensor
from .functions.axes import flag
from .functors import fmap, show_path
from .hints import told
from .layers import Chain, Layer, SkipConnection
from .layers.container import Container
from .layers.mode import ModeLayer
from .layers.recurrent import SequenceLayer
from .layers.unsized import Unsized, UnsizedAround
from .show import bytes_of, describe, parts
from .tree import modules, trainables

__all__ = ["autosize", "outputsize", "summary"]

Model = TypeVar("Model")
Shape = tuple[int, ...]
Path = tuple[Any, ...]


class SummaryRow(NamedTuple):
    """One call of a layer: where it is in the model, what it gave, what it holds and what it cost."""

    path: str
    layer: str
    output: Any
    parameters: int
    memory: int
    flops: int


class Summary:
    """A table of a model's layers: `rows` in the order of their calls, and the `total` of the columns."""

    rows: list[SummaryRow]

    def __init__(self, rows: list[SummaryRow], output: Any) -> None:
        self.rows, self._output = rows, output

    @property
    def total(self) -> SummaryRow:
        """The sums over all rows, with the output of the model."""
        sums = (sum(getattr(row, name) for row in self.rows) for name in ("parameters", "memory", "flops"))
        return SummaryRow("total", "", self._output, *sums)

    def _cells(self) -> list[list[str]]:
        def cells(row: SummaryRow) -> list[str]:
            numbers = [f"{n:_}" if n else "" for n in (row.parameters, row.flops)]
            output = "" if row.output is None else str(row.output)
            return [row.path, row.layer, output, numbers[0], bytes_of(row.memory), numbers[1]]

        head = ["path", "layer", "output", "parameters", "memory", "flops"]
        return [head, *map(cells, self.rows), cells(self.total)]

    def __repr__(self) -> str:
        columns = []
        for i, column in enumerate(zip(*self._cells(), strict=True)):
            width = max(map(len, column))
            columns.append([cell.ljust(width) if i < 3 else cell.rjust(width) for cell in column])
        return "\n".join("  ".join(line).rstrip() for line in zip(*columns, strict=True))

    def _repr_html_(self) -> str:
        from html import escape

        style = 'style="text-align:left;font-family:monospace"'
        rows = ("".join(f"<td {style}>{escape(cell)}</td>" for cell in row) for row in self._cells())
        return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


@told
def summary(model: Any, *shapes: Any, padbatch: bool = False) -> Summary:
    """A table of the calls that a model makes of its layers for an input of a given shape.

    The columns are the path of the layer, the shape of its output, the trainable numbers (of a layer called
    again, only once), the bytes of its tensors and its output, and the floating-point operations: two for
    each product of an input with a weight; what has no weights counts none. A layer of one's own may say how
    many products its call takes in a method `products(shapes of the inputs, shape of the output)`. Shapes are
    given, and errors raised, as by `outputsize`. Tensors that no layer with a row of its own holds follow at the end.

    >>> import oxiflux as flux
    >>> flux.summary(flux.Chain(flux.Dense(64, 128, flux.relu), flux.Dense(128, 10), flux.softmax), (32, 64))
    path       layer                   output     parameters    memory    flops
    layers[0]  Dense(64 => 128, relu)  (32, 128)       8_320  48.5 KiB  524_288
    layers[1]  Dense(128 => 10)        (32, 10)        1_290   6.3 KiB   81_920
    layers[2]  softmax                 (32, 10)                1.2 KiB
    total                              (32, 10)        9_610  56.0 KiB  606_208
    """
    calls, output = _shapes(model, shapes, padbatch)
    trained = {id(t) for t in trainables(model)}
    counted: set[int] = set()

    def row(path: Path, part: Any, output: Any, made: int = 0, flops: int = 0) -> SummaryRow:
        fresh = [t for _, t in _core.leaves(part) if id(t) not in counted]
        counted.update(map(id, fresh))
        parameters = sum(t.size for t in fresh if id(t) in trained)
        memory = sum(t.nbytes for t in fresh) + made
        return SummaryRow(show_path(path) if path else "", describe(part), output, parameters, memory, flops)

    rows = []
    for call in calls:
        made = sum(map(math.prod, _each(call.output))) * call.itemsize
        rows.append(row(call.path, call.layer, call.output, made, 2 * _products(call)))
    rows += [row(path, t, None) for path, t in _core.leaves(model) if id(t) not in counted]
    return Summary(rows, output)


@told
def outputsize(model: Any, *shapes: Any, padbatch: bool = False) -> Any:
    """The shape of what a model gives for an input of this shape; of several inputs, for these shapes.

    With `padbatch=True` the shapes lack their first axis, the batch, and one of 1 is put in front. A list of
    layers is a Chain. A model that is made of this package's layers only is run on a batch of 0, which costs
    nothing; any other is run on zeros, in test mode. What the model raises names the layer. Ref: Flux.jl,
    `outputsize`.

    >>> import oxiflux as flux
    >>> flux.outputsize(flux.Chain(flux.Dense(10, 4), flux.Dense(4, 2), flux.softmax), (64, 10))
    (64, 2)
    >>> flux.outputsize([flux.Embedding(1000, 8), flux.Dense(8, 3)], (20,), padbatch=True)
    (1, 20, 3)
    >>> flux.outputsize(flux.Parallel(flux.add, flux.Dense(5, 9), flux.Dense(7, 9)), (64, 5), (64, 7))
    (64, 9)
    """
    return _shapes(model, shapes, padbatch)[1]


@told
def autosize(model: Model, *shapes: Any, padbatch: bool = False) -> Model:
    """The model with the sizes filled in that are open in it: those of layers that were made with None, for an input
    of this shape; of several inputs, for these shapes.

    `Dense(None, 10)` takes its `size_in` from the last axis of its input, as do `Conv`, the recurrent layers and cells,
    the normalising layers, `Scale`, `Bilinear` and `MultiHeadAttention`, and a `WeightNorm` of these; the size that
    follows may be a function of it: `Dense(None, lambda n: n // 4)`. The parts without open sizes are those of
    `model`, which itself stays as it is. Shapes are given as to `outputsize`. Raises ValueError for a layer that is not
    called, and what the model raises. Ref: Flux.jl, `@autosize`.

    >>> import oxiflux as flux
    >>> model = [flux.Conv((3, 3), None, 4), flux.BatchNorm(None, flux.relu), flux.flatten, flux.Dense(None, 10)]
    >>> flux.autosize(flux.Chain(*model), (32, 8, 8, 1))
    Chain(
      Conv((3, 3), 1 => 4),                 # 40 parameters
      BatchNorm(4, relu),                   # 8 parameters, plus 8
      flatten,
      Dense(144 => 10),                     # 1_450 parameters
    )         # Total: 6 trainable arrays, 1_498 parameters,
              # plus 2 non-trainable, 8 parameters, 5.9 KiB.
    """

    def tried(*shapes: Shape, least: int = 0) -> Model:
        asked: dict[int, _Asked] = {}

        def stand_in(part: Any) -> Any:
            return _asked_of(part, least, asked) if isinstance(part, Unsized) else _still(part)

        _called_on(shapes, fmap(stand_in, chain, exclude=lambda x: _is_unsized(x) or _trains(x)))
        for one in asked.values():
            if one.layer is None:
                raise ValueError(f"autosize: {one.unsized!r} is not called for an input of this shape")
        sized: Model = fmap(lambda part: asked[id(part)].layer, model, exclude=_is_unsized)
        return sized

    chain = Chain(*model) if isinstance(model, (list, tuple)) else model
    given = tuple(_checked(shape, padbatch, "autosize") for shape in shapes)
    if not given:
        raise TypeError("autosize: needs the shape of an input")
    if len({shape[:1] for shape in given}) == 1 and _keeps_batches(model):
        try:
            # A size of 0 would be the batch's.
            return tried(*((0, *shape[1:]) for shape in given), least=1)
        except Exception:
            pass
    return tried(*given)


class _Asked:
    """A layer whose size is open: at its first call it becomes one of the size of its input."""

    def __init__(self, unsized: Unsized, least: int, asked: dict[int, _Asked]) -> None:
        self.unsized, self.least = unsized, least
        self.layer: Any = None
        # A layer that this one is made of may stand elsewhere, too.
        inner = unsized.inner
        self.inner = None if inner is None else _asked_of(inner, least, asked)

    def __call__(self, *inputs: Any, **options: Any) -> Any:
        still = fmap(_still, self._made(inputs), exclude=_trains)
        return still(*inputs, **options)

    def _made(self, inputs: tuple[Any, ...]) -> Any:
        if self.layer is None:
            if isinstance(self.unsized, UnsizedAround) and self.inner is not None:
                self.layer = self.unsized.around(self.inner._made(inputs))
            else:
                self.layer = self.unsized.sized(*inputs, least=self.least)
        return self.layer

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or "layer" not in self.__dict__:
            raise AttributeError(name)
        if self.layer is None:
            raise AttributeError(
                f"autosize: {self.unsized!r} has no {name} before it is called, which tells its size"
            )
        return getattr(self.layer, name)

    def initialstates(self) -> None:
        """A cell that is not made yet begins with its own."""


def _asked_of(part: Unsized, least: int, asked: dict[int, _Asked]) -> _Asked:
    """What stands for a layer whose size is open, the same one in all its places."""
    if id(part) not in asked:
        asked[id(part)] = _Asked(part, least, asked)
    return asked[id(part)]


def _still(part: Any) -> Any:
    """A layer in test mode, in which a call changes nothing."""
    still = copy.copy(part)
    still.active = False
    return still


def _called_on(shapes: tuple[Shape, ...], model: Any) -> None:
    """Calls a model with zeros, and with labels if it takes no floating numbers."""
    floats = [t.dtype for t in trainables(model)] or [_core.float32]
    for dtype in (floats[0], _core.int64):
        inputs = tuple(_core.zeros(shape, dtype=dtype) for shape in shapes)
        try:
            with _core.paused():
                model(inputs) if isinstance(model, Chain) and len(inputs) > 1 else model(*inputs)
            return
        except DTypeError:
            if dtype == _core.int64:
                raise


def _is_unsized(x: Any) -> bool:
    return isinstance(x, Unsized)


def _trains(x: Any) -> bool:
    return isinstance(x, ModeLayer) and x.active is True


class _Call(NamedTuple):
    """A layer's call, with the shapes that went in and came out."""

    path: Path
    layer: Any
    inputs: list[Shape]
    output: Any
    itemsize: int


def _shapes(model: Any, shapes: tuple[Any, ...], padbatch: bool) -> tuple[list[_Call], Any]:
    """The calls that the model makes, and the shape of its result."""
    try:
        return _called(model, shapes, padbatch)
    except RecursionError:
        _core.leaves(model)  # a tree that is too deep says where
        raise ValueError("outputsize: the model is nested too deep to be called, or calls itself") from None


def _called(model: Any, shapes: tuple[Any, ...], padbatch: bool) -> tuple[list[_Call], Any]:
    padbatch = flag("outputsize", "padbatch", padbatch)
    shapes = tuple(_checked(shape, padbatch) for shape in shapes)
    if not shapes:
        raise TypeError("outputsize: needs the shape of an input")
    if isinstance(model, (list, tuple)):
        model = Chain(*model)
    batches = {shape[:1] for shape in shapes}
    if len(batches) == 1 and (batch := batches.pop()) and _keeps_batches(model):
        try:
            calls, output = _run(model, tuple((0, *shape[1:]) for shape in shapes))
            put = functools.partial(_with_batch, batch=batch[0])
            calls = [c._replace(inputs=[*map(put, c.inputs)], output=put(c.output)) for c in calls]
            return calls, put(output)
        except Exception:
            pass
    return _run(model, shapes)


def _checked(shape: Any, padbatch: bool, caller: str = "outputsize") -> Shape:
    numbers = tuple(shape) if isinstance(shape, (tuple, list)) else (None,)
    if not all(isinstance(n, (int, np.integer)) and n >= 0 for n in numbers):
        raise ValueError(f"{caller}: a shape is a tuple of non-negative integers, got {shape!r}")
    return (1, *numbers) if padbatch else numbers


def _keeps_batches(model: Any) -> bool:
    """Whether all code in a model is this package's, for which the first axis is the batch."""

    def ours(x: Any) -> bool:
        module = getattr(x, "__module__", None) or ""
        return module.partition(".")[0] == __package__

    return all(map(ours, modules(model))) and all(ours(layer) for _, layer in _layers(model))


def _with_batch(output: Any, batch: int) -> Any:
    """A shape, or a tuple of shapes, with the batch in place of the 0 in front."""
    if output and isinstance(output[0], tuple):
        return tuple(_with_batch(shape, batch) for shape in output)
    if 0 in output[1:]:
        raise ValueError("the batch is not in front")
    return (batch, *output[1:]) if output[:1] == (0,) else output


def _run(model: Any, shapes: tuple[Shape, ...]) -> tuple[list[_Call], Any]:
    floats = [t.dtype for t in trainables(model)] or [_core.float32]
    try:
        return _call(model, [_core.zeros(shape, dtype=floats[0]) for shape in shapes])
    except DTypeError:
        return _call(model, [_core.zeros(shape, dtype=_core.int64) for shape in shapes])


def _call(model: Any, inputs: list[Tensor]) -> tuple[list[_Call], Any]:
    calls: list[_Call] = []
    paths = {id(layer): path for path, layer in reversed(_layers(model))}
    watch = functools.partial(_watched, paths=paths, calls=calls)
    watched = fmap(watch, model, exclude=lambda x: id(x) in paths)
    with _core.paused():
        result = watched(tuple(inputs)) if isinstance(model, Chain) and len(inputs) > 1 else watched(*inputs)
    return calls, _shape(result)


def _layers(model: Any, path: Path = ()) -> list[tuple[Path, Any]]:
    """The layers and functions within the containers of a model."""
    is_container = isinstance(model, (type, Container, SkipConnection)) or parts(model) is not None
    # The steps of a recurrent layer are not listed one by one.
    if callable(model) and (isinstance(model, SequenceLayer) or not is_container):
        return [(path, model)]
    kids = _core.children(model) or []
    return [found for key, kid in kids for found in _layers(kid, (*path, key))]


def _watched(layer: Any, paths: dict[int, Path], calls: list[_Call]) -> Any:
    """A copy of a layer in test mode that notes its calls."""
    path = paths[id(layer)]

    def noting(call: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any, **options: Any) -> Any:
            y = call(*args, **options)
            shapes = [tuple(x.shape) for x in args if hasattr(x, "shape")]
            itemsize = y.dtype.itemsize if isinstance(y, Tensor) else 4
            calls.append(_Call(path, layer, shapes, _shape(y), itemsize))
            return y

        return noted

    if not isinstance(layer, Layer):
        return noting(layer)
    new = copy.copy(layer)
    if getattr(new, "active", False) is not False:
        new.active = False
    kind = type(layer)
    new.__class__ = type(kind.__name__, (kind,), {"__call__": noting(kind.__call__)})
    return new


def _shape(y: Any) -> Any:
    """The shape of a result, or of each of several."""
    return tuple(map(_shape, y)) if isinstance(y, (tuple, list)) else tuple(np.shape(y))


def _each(output: Any) -> list[Shape]:
    """The shapes in the shape of a result."""
    several = output and isinstance(output[0], tuple)
    return [shape for part in output for shape in _each(part)] if several else [output]


def _products(call: _Call) -> int:
    """How many products of an input and a weight a call takes."""
    output = _each(call.output)[0]
    own: Callable[..., int] | None = getattr(call.layer, "products", None)
    if own is not None:
        return own(call.inputs, output)
    # A weight is used once for each place of the output, whose last axis is its own.
    return sum(t.size for t in trainables(call.layer) if t.ndim > 1) * math.prod(output[:-1])
