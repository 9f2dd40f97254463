"""One run of a graph on tensors, written down as steps.

Each value carries the order of its axes in memory, so that images stay with their channels last from one convolution to
the next, and a Transpose costs nothing until something needs the axes in their places.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import _core
from .._core import Tensor

__all__ = ["CONSTANT", "INPUT", "PARAMETER", "Ref", "Step", "Trace", "Value", "inverse"]

CONSTANT, PARAMETER, INPUT = 0, 1, 2
"""What a value depends on; a step that depends on parameters alone runs once for all calls."""

Order = tuple[int, ...]


class Ref(str):
    """The name of a value in a program."""

    __slots__ = ()


class Value:
    """A tensor of a trace: axis `i` of it is axis `order[i]` of `held`, which is the tensor in memory."""

    held: Tensor
    level: int
    ref: Ref | None
    is_shared: bool
    order: Order | None

    __slots__ = ("held", "is_shared", "level", "order", "plain", "ref", "step")

    def __init__(
        self, held: Tensor, ref: Ref | None = None, level: int = CONSTANT, order: Order | None = None
    ) -> None:
        self.held, self.ref, self.level = held, ref, level
        self.order = order if order != tuple(range(held.ndim)) else None
        self.step: Step | None = None
        self.is_shared = False
        self.plain: Value | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes as the file has them."""
        held = self.held.shape
        return held if self.order is None else tuple(held[axis] for axis in self.order)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.held.ndim

    @property
    def dtype(self) -> _core.DType:
        """The type of the elements."""
        return self.held.dtype

    def with_order(self, order: Order | None) -> Value:
        """The same memory, read in another order of axes."""
        new = Value(self.held, self.ref, self.level, order)
        new.step, new.is_shared = self.step, self.is_shared
        return new


class Step:
    """A call of a function, with a Ref in the place of each value."""

    run: Callable[..., Any]
    args: list[Any]
    options: dict[str, Any]
    level: int
    many: bool

    __slots__ = ("args", "level", "many", "options", "outputs", "run")

    def __init__(self, run: Callable[..., Any], args: list[Any], options: dict[str, Any], level: int) -> None:
        self.run, self.args, self.options, self.level = run, args, options, level
        self.outputs: list[Ref] = []
        self.many = False


class Trace:
    """Runs functions on values; unless `is_eager`, writes down what depends on more than constants."""

    guards: int

    def __init__(self, is_eager: bool = False) -> None:
        self.is_eager = is_eager
        self.steps: list[Step] = []
        self.guards = 0
        self.is_random = False
        self.given: dict[str, Ref] = {}
        # What steps are made of, for a later node that changes a step.
        self.made: dict[Any, Value] = {}
        self.shapes: dict[Ref, tuple[int, ...]] = {}
        # Where the run is: the version of operators, the names in sight, how deep functions call each other.
        self.opset = 1
        self.depth = 0
        self.nodes = 0
        self.scope: Any = {}
        self.interpreter: Any = None
        self._count = 0

    def name(self) -> Ref:
        """A new name."""
        self._count += 1
        return Ref(f"t{self._count}")

    def run(self, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Calls a function with what the values hold in memory, and gives values: one, or a tuple of them."""
        level = max([CONSTANT, *map(_level, args)])
        result = function(*map(_held, args), **options)
        many = isinstance(result, (tuple, list))
        results = list(result) if many else [result]
        values = [r if r is None else Value(r if type(r) is Tensor else _core.asarray(r)) for r in results]
        if level != CONSTANT:
            step = Step(function, [_refs(a) for a in args], options, level)
            step.many = many
            for value in values:
                ref = self.name()
                step.outputs.append(ref)
                if value is not None:
                    value.ref, value.level, value.step = ref, level, step
                    self.shapes[ref] = value.held.shape
                    if level == PARAMETER:
                        self.made[ref] = value
            if not self.is_eager:
                self.steps.append(step)
        return tuple(values) if many else values[0]

    def argument(self, x: Any) -> Value | None:
        """What stands in an argument of a step, if it does not depend on the inputs."""
        return Value(x) if type(x) is Tensor else self.made.get(x) if isinstance(x, Ref) else None

    def plain(self, x: Value) -> Value:
        """The value with its axes in memory as the file has them."""
        if x.order is None:
            return x
        if x.plain is None:
            x.plain = self.run(_core.permute_dims, x, x.order)
        found: Value = x.plain
        return found

    def in_order(self, x: Value, order: Order | None) -> Value:
        """The value with its axes in memory in this order."""
        order = None if order == tuple(range(x.ndim)) else order
        if x.order == order:
            return x
        if order is None:
            return self.plain(x)
        # Axis `order[i]` of the new memory is axis `i` of the value.
        moves = inverse(order) if x.order is None else tuple(x.order[axis] for axis in inverse(order))
        held: Value = self.run(_core.permute_dims, x, moves)
        return held.with_order(order)

    def host(self, x: Value) -> np.ndarray[Any, Any]:
        """The numbers of a value in NumPy, on which the rest of the trace depends: where they come from the input,
        or from parameters, a step compares them in later runs.
        """
        x.is_shared = True
        held = x.held if x.order is None else _core.permute_dims(x.held, x.order)
        numbers = _core.stop_gradient(held).numpy()
        if x.level != CONSTANT and not self.is_eager:
            self.guards += x.held.size
            inside = _core.stop_gradient(x.held).numpy()
            check, known = (is_number, inside.item()) if not x.ndim else (are_numbers, inside.copy())
            if x.dtype.name == "bfloat16":
                check = are_numbers
            self.steps.append(Step(check, [x.ref, known], {}, INPUT))
        return numbers


class StaleError(Exception):
    """Numbers that a program depends on have changed."""


def is_number(x: Tensor, known: Any) -> None:
    """Raises StaleError unless the tensor is this number."""
    if _core.stop_gradient(x).item() != known:
        raise StaleError


def are_numbers(x: Tensor, known: Any) -> None:
    """Raises StaleError unless the tensor has these numbers."""
    if not np.array_equal(_core.stop_gradient(x).numpy(), known):
        raise StaleError


def inverse(order: Sequence[int]) -> Order:
    """The order that undoes this one.

    >>> inverse((0, 3, 1, 2))
    (0, 2, 3, 1)
    """
    found = [0] * len(order)
    for place, axis in enumerate(order):
        found[axis] = place
    return tuple(found)


def _level(arg: Any) -> int:
    if isinstance(arg, Value):
        return arg.level
    return max(map(_level, arg), default=CONSTANT) if isinstance(arg, (list, tuple)) else CONSTANT


def _held(arg: Any) -> Any:
    if isinstance(arg, Value):
        return arg.held
    return [_held(a) for a in arg] if isinstance(arg, list) else arg


def _refs(arg: Any) -> Any:
    if isinstance(arg, Value):
        return arg.held if arg.ref is None else arg.ref
    return [_refs(a) for a in arg] if isinstance(arg, list) else arg
