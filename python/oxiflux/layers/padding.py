"""Padding: an array made longer at the ends of its axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .._core import ShapeError, Tensor
from ..hints import told
from .window import MOST

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = [
    "pad_circular", "pad_constant", "pad_reflect", "pad_repeat", "pad_symmetric", "pad_zeros",
]  # fmt: skip

Pad = int | Sequence[int]
Axis = int | Sequence[int] | None


def _sides(owner: str, ndim: int, pad: Any, axis: Any, default: Sequence[int]) -> dict[int, tuple[int, int]]:
    """How much goes before and after each axis that `axis` names, or each of `default` if it is None."""
    axes: list[int] = list(default if axis is None else np.atleast_1d(axis))
    if any(not -ndim <= a < ndim for a in axes) or len({a % ndim for a in axes}) != len(axes):
        raise IndexError(f"{owner}: {tuple(axes)} are not different axes of {ndim} dimensions")
    n = len(axes)
    numbers = list(pad) if isinstance(pad, (tuple, list)) else [pad] * (2 * n)
    if len(numbers) == n:
        numbers = [p for p in numbers for _ in range(2)]
    if len(numbers) != 2 * n or any(not isinstance(p, (int, np.integer)) or p < 0 for p in numbers):
        raise ValueError(
            f"{owner}: pad is a number, {n} or {2 * n} of them for the axes {tuple(axes)}, none negative;"
            f" got {pad!r}"
        )
    if any(p > MOST for p in numbers):
        raise MemoryError(f"{owner}: pad is more than memory can hold, {pad!r}")
    return {a % ndim: (int(numbers[2 * i]), int(numbers[2 * i + 1])) for i, a in enumerate(axes)}


@told
def pad_constant(x: ArrayLike, pad: Pad, value: float = 0, *, axis: Axis = None) -> Tensor:
    """`x` with `value` before and after it.

    `pad` is one number for both sides of all axes, one for each axis, or two for each axis, before and after
    one axis after the other. `axis` says which axes they are for; all, if it is not given. Raises ValueError
    for another number of them and for negative ones.

    >>> import oxiflux as flux
    >>> flux.pad_constant([[1, 2], [3, 4]], (0, 1, 2, 0), 8)
    Tensor([[8, 8, 1, 2],
            [8, 8, 3, 4],
            [8, 8, 8, 8]])
    """
    return _constant("pad_constant", x, pad, value, axis)


def _constant(owner: str, x: ArrayLike, pad: Pad, value: float, axis: Axis) -> Tensor:
    x = _core.asarray(x)
    sides = _sides(owner, x.ndim, pad, axis, range(x.ndim))
    return _core.pad_constant(x, [n for a in range(x.ndim) for n in sides.get(a, (0, 0))], value)


@told
def pad_zeros(x: ArrayLike, pad: Pad, *, axis: Axis = None) -> Tensor:
    """`x` with zeros before and after it; see `pad_constant`.

    >>> import oxiflux as flux
    >>> flux.pad_zeros([1, 2], 1)
    Tensor([0, 1, 2, 0])
    """
    return _constant("pad_zeros", x, pad, 0, axis)


def _by_places(
    owner: str,
    x: ArrayLike,
    pad: Pad,
    axis: Axis,
    places: Callable[[np.ndarray, int], np.ndarray],
    most: Callable[[int], int],
) -> Tensor:
    """`x` with copies of its own elements around it: at place `i`, counted from its start, those of
    `places(i, n)`.
    """
    x = _core.asarray(x)
    # A single number is for the lengths of images, not for their batch and their channels.
    lengths = range(1, x.ndim - 1) if isinstance(pad, (int, np.integer)) else range(x.ndim)
    for a, (before, after) in _sides(owner, x.ndim, pad, axis, lengths).items():
        n = x.shape[a]
        if max(before, after) > most(n):
            raise ShapeError(f"{owner}: axis {a} of shape {x.shape} is too short for {(before, after)} more")
        if before or after:
            x = _core.take(x, _core.table(places(np.arange(-before, n + after), n)), axis=a)
    return x


@told
def pad_reflect(x: ArrayLike, pad: Pad, *, axis: Axis = None) -> Tensor:
    """`x` mirrored at its first and last elements, which are not repeated.

    `pad` and `axis` are those of `pad_constant`, except that a single number without `axis` is for all axes but
    the first and the last: the lengths of images `(batch, *lengths, channels)`. Raises ShapeError where an
    axis is too short.

    >>> import oxiflux as flux
    >>> flux.pad_reflect([1, 2, 3], (2, 1))
    Tensor([3, 2, 1, 2, 3, 2])
    """
    mirrored = lambda i, n: n - 1 - np.abs(n - 1 - np.abs(i))
    return _by_places("pad_reflect", x, pad, axis, mirrored, lambda n: n - 1)


@told
def pad_symmetric(x: ArrayLike, pad: Pad, *, axis: Axis = None) -> Tensor:
    """`x` mirrored at its ends, so that its first and last elements are there twice; see `pad_reflect`.

    >>> import oxiflux as flux
    >>> flux.pad_symmetric([1, 2, 3], (2, 1))
    Tensor([2, 1, 1, 2, 3, 3])
    """
    mirrored = lambda i, n: np.where(i < 0, -1 - i, np.where(i < n, i, 2 * n - 1 - i))
    return _by_places("pad_symmetric", x, pad, axis, mirrored, lambda n: n)


@told
def pad_repeat(x: ArrayLike, pad: Pad, *, axis: Axis = None) -> Tensor:
    """`x` with its first and last elements repeated; see `pad_reflect`.

    >>> import oxiflux as flux
    >>> flux.pad_repeat([1, 2, 3], (2, 1))
    Tensor([1, 1, 1, 2, 3, 3])
    """
    nearest = lambda i, n: np.clip(i, 0, n - 1)
    return _by_places("pad_repeat", x, pad, axis, nearest, lambda n: 2**62 if n else 0)


@told
def pad_circular(x: ArrayLike, pad: Pad, *, axis: Axis = None) -> Tensor:
    """`x` with its end before it and its start after it; see `pad_reflect`.

    >>> import oxiflux as flux
    >>> flux.pad_circular([1, 2, 3], (2, 1))
    Tensor([2, 3, 1, 2, 3, 1])
    """
    return _by_places("pad_circular", x, pad, axis, np.remainder, lambda n: n)
