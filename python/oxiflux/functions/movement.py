"""Elements that change their places: moved, repeated, laid out as a grid."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

from .. import _core
from .._core import DTypeError, ShapeError, Tensor
from ..hints import told
from .axes import axis_of, integers, narrow

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = [
    "broadcast_arrays",
    "broadcast_shapes",
    "meshgrid",
    "moveaxis",
    "repeat",
    "roll",
    "swapaxes",
    "tile",
]


@told
def moveaxis(x: ArrayLike, source: int | Sequence[int], destination: int | Sequence[int], /) -> Tensor:
    """The axes `source` moved to the places `destination`, the others in their order.

    >>> import oxiflux as flux
    >>> flux.moveaxis(flux.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    x = _core.asarray(x)
    froms = [axis_of("moveaxis", a, x.ndim) for a in integers(source)]
    tos = [axis_of("moveaxis", a, x.ndim) for a in integers(destination)]
    if len(froms) != len(tos):
        raise ValueError(f"moveaxis: {len(froms)} axes cannot go to {len(tos)} places")
    if len(set(froms)) != len(froms) or len(set(tos)) != len(tos):
        raise ValueError(f"moveaxis: axes {froms} to {tos} name one twice")
    order = [a for a in range(x.ndim) if a not in froms]
    for to, a in sorted(zip(tos, froms, strict=True)):
        order.insert(to, a)
    return _core.permute_dims(x, tuple(order))


@told
def swapaxes(x: ArrayLike, axis1: int, axis2: int, /) -> Tensor:
    """Two axes exchanged.

    >>> import oxiflux as flux
    >>> flux.swapaxes(flux.zeros((2, 3, 4)), 0, 2).shape
    (4, 3, 2)
    """
    x = _core.asarray(x)
    order = list(range(x.ndim))
    i, j = axis_of("swapaxes", axis1, x.ndim), axis_of("swapaxes", axis2, x.ndim)
    order[i], order[j] = order[j], order[i]
    return _core.permute_dims(x, tuple(order))


@told
def roll(x: ArrayLike, /, shift: int | Sequence[int], axis: int | Sequence[int] | None = None) -> Tensor:
    """The elements moved along axes by `shift`; those that leave at one end come in at the other.

    >>> import oxiflux as flux
    >>> flux.roll(flux.arange(5), 2)
    Tensor([3, 4, 0, 1, 2])
    """
    x = _core.asarray(x)
    if axis is None:
        total = sum(integers(shift))
        return _core.reshape(
            roll(_core.reshape(x, (-1,)) if x.size else x, total, 0) if x.size else x, x.shape
        )
    axes, shifts = integers(axis), integers(shift)
    shifts = shifts if hasattr(shift, "__len__") else shifts * len(axes)
    if len(axes) != len(shifts):
        raise ValueError(f"roll: {len(shifts)} shifts for {len(axes)} axes")
    for a, s in zip(axes, shifts, strict=True):
        n = x.shape[axis_of("roll", a, x.ndim)]
        if n and s % n:
            cut = n - s % n
            x = _core.concat([narrow(x, a, cut, n), narrow(x, a, 0, cut)], a)
    return x


@told
def repeat(x: ArrayLike, repeats: int | ArrayLike, /, *, axis: int | None = None) -> Tensor:
    """The elements each so many times along an axis, neighbours together; flattened first, if no axis is given.

    >>> import oxiflux as flux
    >>> flux.repeat([1, 2], 2), flux.repeat([1, 2], [0, 3])
    (Tensor([1, 1, 2, 2]), Tensor([2, 2, 2]))
    """
    x = _core.asarray(x)
    if axis is None:
        x, axis = _core.reshape(x, (x.size,)), 0
    at = axis_of("repeat", axis, x.ndim)
    counts = _core.asarray(repeats).numpy()
    if counts.dtype.kind not in "iu":
        raise DTypeError(f"repeat: numbers of times are integers, not {counts.dtype}")
    if (counts < 0).any():
        raise ValueError(f"repeat: {counts.min()} is not a number of times")
    if counts.ndim == 0:
        return _core.repeat(x, int(counts), at)
    if counts.shape not in ((x.shape[at],), (1,)):
        raise ShapeError(f"repeat: {counts.shape} counts for axis {at} of shape {x.shape}")
    return _core.take(x, np.repeat(np.arange(x.shape[at]), counts), at)


@told
def tile(x: ArrayLike, repetitions: int | Sequence[int], /) -> Tensor:
    """The whole tensor side by side so many times along each axis.

    >>> import oxiflux as flux
    >>> flux.tile([1, 2], 2)
    Tensor([1, 2, 1, 2])
    """
    x = _core.asarray(x)
    times = tuple(integers(repetitions))
    shape = (1,) * (len(times) - x.ndim) + tuple(x.shape)
    times = (1,) * (len(shape) - len(times)) + times
    x = _core.reshape(x, shape)
    spread = _core.reshape(x, tuple(n for d in shape for n in (1, d)))
    spread = _core.broadcast_to(spread, tuple(n for r, d in zip(times, shape, strict=True) for n in (r, d)))
    return _core.reshape(spread, tuple(r * d for r, d in zip(times, shape, strict=True)))


@told
def broadcast_shapes(*shapes: int | Sequence[int]) -> tuple[int, ...]:
    """The shape that tensors of these shapes broadcast to; () of none.

    >>> import oxiflux as flux
    >>> flux.broadcast_shapes((2, 1), (3,))
    (2, 3)
    """
    given = [tuple(integers(shape)) for shape in shapes]
    met: list[int] = []
    for lengths in zip_longest(*(reversed(shape) for shape in given), fillvalue=1):
        others = {n for n in lengths if n != 1}
        if len(others) > 1 or min(lengths) < 0:
            told = ", ".join(map(str, given))
            raise ShapeError(f"broadcast_shapes: shapes {told} do not broadcast together")
        met.append(others.pop() if others else 1)
    return tuple(reversed(met))


@told
def broadcast_arrays(*xs: ArrayLike) -> tuple[Tensor, ...]:
    """The tensors repeated, without copying, to the shape that they have in common.

    >>> import oxiflux as flux
    >>> [x.shape for x in flux.broadcast_arrays(flux.zeros((2, 1)), flux.zeros(3))]
    [(2, 3), (2, 3)]
    """
    tensors = [_core.asarray(x) for x in xs]
    try:
        shape = broadcast_shapes(*(x.shape for x in tensors))
    except ShapeError:
        shapes = ", ".join(str(x.shape) for x in tensors)
        raise ShapeError(f"broadcast_arrays: shapes {shapes} do not broadcast together") from None
    return tuple(_core.broadcast_to(x, shape) for x in tensors)


@told
def meshgrid(*xs: ArrayLike, indexing: str = "xy") -> tuple[Tensor, ...]:
    """The coordinates of a grid from vectors of coordinates; with `indexing="xy"` the first two axes are exchanged.

    >>> import oxiflux as flux
    >>> [x.shape for x in flux.meshgrid([1, 2, 3], [4, 5])]
    [(2, 3), (2, 3)]
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f'meshgrid: indexing is "xy" or "ij", not {indexing!r}')
    tensors = [_core.asarray(x) for x in xs]
    n = len(tensors)
    places = [1, 0, *range(2, n)] if indexing == "xy" and n > 1 else list(range(n))
    columns = [
        _core.reshape(x, tuple(x.size if i == p else 1 for i in range(n)))
        for x, p in zip(tensors, places, strict=True)
    ]
    return broadcast_arrays(*columns)
