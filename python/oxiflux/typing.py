"""Types for the annotations of layers, losses and functions of one's own; nothing here is needed to run them.

`ArrayLike` is what goes where a tensor does: a tensor, a number, an array or a frame of numbers, or a sequence of
these. Text, bytes and complex numbers are none of them, so a type checker says where one is given.

>>> import oxiflux as flux
>>> from oxiflux.typing import ArrayLike
>>> class Shift(flux.Layer):
...     by: flux.Tensor
...
...     def __init__(self, size: int) -> None:
...         self.by = flux.ones(size)
...
...     def __call__(self, x: ArrayLike) -> flux.Tensor:
...         return x + self.by
>>> Shift(2)([[1, 2]]).tolist()
[[2.0, 3.0]]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any, Never, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ._core import DType, Leaf, Tensor

__all__ = [
    "Activation",
    "ArrayLike",
    "Arrays",
    "Axes",
    "DTypeLike",
    "HasArray",
    "Initialiser",
    "Nested",
    "RuleLike",
    "Shape",
    "State",
]

Numeric: TypeAlias = np.bool_ | np.integer[Any] | np.floating[Any]


class HasArray(Protocol):
    """What gives its numbers as an array of NumPy's: frames, series, tensors of other libraries."""

    def __array__(self) -> np.ndarray[Any, np.dtype[Numeric]]: ...


class Nested(Protocol):
    """A sequence of numbers, arrays and such sequences. Text is none, as only text can be looked for in it."""

    def __contains__(self, x: object, /) -> bool: ...
    def __len__(self) -> int: ...
    def count(self, x: Any, /) -> int: ...
    def __getitem__(self, index: int, /) -> ArrayLike: ...
    def __iter__(self) -> Iterator[ArrayLike]: ...


ArrayLike: TypeAlias = "Tensor | float | HasArray | Nested"
"""What goes where a tensor does."""

Arrays: TypeAlias = Tensor | NDArray[Any]
"""A tensor or an array of NumPy's."""

DTypeLike: TypeAlias = DType | np.dtype[Any] | type | str
"""What names the type of elements: `flux.float32`, `"float32"`, `np.float32`, `float`."""

Axes: TypeAlias = int | Sequence[int] | None
"""One axis, several, or with None all."""

Shape: TypeAlias = int | Sequence[int]
"""The lengths of axes; one number is a single axis."""

Activation: TypeAlias = Callable[[Tensor], Tensor]
"""A function of a tensor, such as `flux.relu`, or a layer."""

Initialiser: TypeAlias = Callable[[tuple[int, ...]], ArrayLike]
"""Makes a parameter of a shape."""

RuleLike: TypeAlias = "HasApply | Callable[[Any, Any], object]"
"""A rule of an optimiser, or a function of a parameter's path and the parameter that says which it has."""

# Functions that may be called with fewer arguments than they have, such as lambdas in loops, which bind what changes by
# defaults. mypy takes such a lambda for no `Callable`. It infers one by itself where two types are possible, and so
# there are two here, of which the second is nothing's.
First = TypeVar("First")
Second = TypeVar("Second")
Result = TypeVar("Result")
OfOne: TypeAlias = "_OfOne[First, Result] | _OfOne[First, Never]"
OfTwo: TypeAlias = "_OfTwo[First, Second, Result] | _OfTwo[First, Second, Never]"

State: TypeAlias = Leaf | SimpleNamespace | dict[Any, Any] | list[Any] | tuple[Any, ...]
"""What `setup` gives, and parts of it: of the model's form, with a `Leaf` for each parameter."""


class HasApply(Protocol):
    """What steps: `apply(state, x, dx)` gives the new state and the step, `init(x)` the first state."""

    @property
    def apply(self) -> Callable[..., Any]: ...
    @property
    def init(self) -> Callable[..., Any]: ...


_First = TypeVar("_First", contravariant=True)
_Second = TypeVar("_Second", contravariant=True)
_Result = TypeVar("_Result", covariant=True)


class _OfOne(Protocol[_First, _Result]):
    def __call__(self, x: _First, default: Any = ..., /) -> _Result: ...


class _OfTwo(Protocol[_First, _Second, _Result]):
    def __call__(self, x: _First, y: _Second, default: Any = ..., /) -> _Result: ...
