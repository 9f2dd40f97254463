"""Functions of the array API standard that are composed of operations; their gradients come with those."""

# Longer than other files: it is a catalogue of short entries.

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Sequence
from operator import index
from types import SimpleNamespace
from typing import TYPE_CHECKING, NamedTuple, SupportsIndex

import numpy as np

from . import _core
from ._core import DType, DTypeError, ShapeError, Tensor
from .hints import told

if TYPE_CHECKING:
    from ._core import _TensorLike as ArrayLike

__all__ = [
    "broadcast_arrays", "can_cast", "clip", "diagonal", "diff", "finfo", "gelu_sigmoid", "iinfo",
    "isdtype", "meshgrid", "moveaxis", "outer", "positive", "repeat", "rescale", "result_type", "roll",
    "rrelu", "split", "swapaxes", "tile", "topk", "trace", "tril", "triu", "unique_all",
    "unique_counts", "unique_inverse", "unique_values", "unstack", "vecdot",
]  # fmt: skip


def _axis(function: str, axis: int, ndim: int) -> int:
    if not -ndim <= axis < ndim:
        raise IndexError(f"{function}: axis {axis} is out of range for {ndim} dimensions")
    return axis % ndim


def _integers(values: SupportsIndex | Iterable[SupportsIndex]) -> list[int]:
    """One integer of any kind, or several: as many as a tensor has axes, at most."""
    if not isinstance(values, Iterable):
        return [index(values)]
    several = [index(i) for i in itertools.islice(values, 65)]
    if len(several) > 64:
        raise ValueError("a tensor has at most 64 axes, got more")
    return several


@told
def positive(x: ArrayLike, /) -> Tensor:
    """`x` itself.

    >>> import oxiflux as flux
    >>> flux.positive([1, -2])
    Tensor([ 1, -2])
    """
    return _core.asarray(x)


@told
def moveaxis(x: ArrayLike, source: int | Sequence[int], destination: int | Sequence[int], /) -> Tensor:
    """The axes `source` moved to the places `destination`, the others in their order.

    >>> import oxiflux as flux
    >>> flux.moveaxis(flux.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    x = _core.asarray(x)
    froms = [_axis("moveaxis", a, x.ndim) for a in _integers(source)]
    tos = [_axis("moveaxis", a, x.ndim) for a in _integers(destination)]
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
    i, j = _axis("swapaxes", axis1, x.ndim), _axis("swapaxes", axis2, x.ndim)
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
        total = sum(_integers(shift))
        return _core.reshape(
            roll(_core.reshape(x, (-1,)) if x.size else x, total, 0) if x.size else x, x.shape
        )
    axes, shifts = _integers(axis), _integers(shift)
    shifts = shifts if hasattr(shift, "__len__") else shifts * len(axes)
    if len(axes) != len(shifts):
        raise ValueError(f"roll: {len(shifts)} shifts for {len(axes)} axes")
    for a, s in zip(axes, shifts, strict=True):
        n = x.shape[_axis("roll", a, x.ndim)]
        if n and s % n:
            cut = n - s % n
            x = _core.concat([_narrow(x, a, cut, n), _narrow(x, a, 0, cut)], a)
    return x


def _narrow(x: Tensor, axis: int, start: int, stop: int) -> Tensor:
    return x[(slice(None),) * (axis % x.ndim) + (slice(start, stop),)]


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
    at = _axis("repeat", axis, x.ndim)
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
def rrelu(x: ArrayLike, /, lo: float = 1 / 8, hi: float = 1 / 3) -> Tensor:
    """`x` above 0, else `a * x` with a slope `a` drawn for each element, equally likely between `lo` and `hi`.

    Ref: Xu et al. 2015, Empirical evaluation of rectified activations.

    >>> import oxiflux as flux
    >>> y = flux.rrelu([1.0, -1.0]).tolist()
    >>> y[0], -0.34 < y[1] < -0.12
    (1.0, True)
    """
    if not lo <= hi:
        raise ValueError(f"rrelu: slopes from {lo} to {hi} are none")
    x = _core.asarray(x)
    x = x if x.dtype.kind == "f" else _core.astype(x, _core.float32)
    slope = lo + (hi - lo) * _core.rand(*x.shape, dtype=x.dtype)
    return _core.where(_core.less(x, 0), slope * x, x)


@told
def gelu_sigmoid(x: ArrayLike, /) -> Tensor:
    """`x * sigmoid(1.702 * x)`, an approximation of `gelu` within 0.021 by a single exponential.

    Ref: NNlib.jl, `gelu_sigmoid`; Hendrycks and Gimpel, Gaussian error linear units, 2016.

    >>> import oxiflux as flux
    >>> flux.gelu_sigmoid([-1.0, 0.0, 1.0]).tolist()
    [-0.1542, 0.0, 0.8458]
    """
    x = _core.asarray(x)
    x = x if x.dtype.kind == "f" else _core.astype(x, _core.float32)
    return x * _core.sigmoid(1.702 * x)


@told
def tile(x: ArrayLike, repetitions: int | Sequence[int], /) -> Tensor:
    """The whole tensor side by side so many times along each axis.

    >>> import oxiflux as flux
    >>> flux.tile([1, 2], 2)
    Tensor([1, 2, 1, 2])
    """
    x = _core.asarray(x)
    times = tuple(_integers(repetitions))
    shape = (1,) * (len(times) - x.ndim) + tuple(x.shape)
    times = (1,) * (len(shape) - len(times)) + times
    x = _core.reshape(x, shape)
    spread = _core.reshape(x, tuple(n for d in shape for n in (1, d)))
    spread = _core.broadcast_to(spread, tuple(n for r, d in zip(times, shape, strict=True) for n in (r, d)))
    return _core.reshape(spread, tuple(r * d for r, d in zip(times, shape, strict=True)))


@told
def broadcast_arrays(*xs: ArrayLike) -> list[Tensor]:
    """The tensors repeated, without copying, to the shape that they have in common.

    >>> import oxiflux as flux
    >>> [x.shape for x in flux.broadcast_arrays(flux.zeros((2, 1)), flux.zeros(3))]
    [(2, 3), (2, 3)]
    """
    tensors = [_core.asarray(x) for x in xs]
    try:
        shape = np.broadcast_shapes(*(x.shape for x in tensors))
    except ValueError:
        shapes = ", ".join(str(x.shape) for x in tensors)
        raise ShapeError(f"broadcast_arrays: shapes {shapes} do not broadcast together") from None
    return [_core.broadcast_to(x, shape) for x in tensors]


@told
def meshgrid(*xs: ArrayLike, indexing: str = "xy") -> list[Tensor]:
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


# More tensors than fit into the memory of any machine by now.
_MOST_PARTS = 2**34


@told
def unstack(x: ArrayLike, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """The tensors of which `stack` along this axis would make `x`.

    >>> import oxiflux as flux
    >>> flux.unstack([[1, 2], [3, 4]])
    (Tensor([1, 2]), Tensor([3, 4]))
    """
    x = _core.asarray(x)
    at = _axis("unstack", axis, x.ndim)
    if x.shape[at] > _MOST_PARTS:
        raise MemoryError(f"unstack: {x.shape[at]} tensors are more than memory can hold")
    return tuple(x[(slice(None),) * at + (i,)] for i in range(x.shape[at]))


@told
def split(x: ArrayLike, sections: int | Sequence[int], /, axis: int = 0) -> tuple[Tensor, ...]:
    """The tensor cut along an axis: into equal sections, or at the given places.

    >>> import oxiflux as flux
    >>> [part.shape for part in flux.split(flux.zeros((2, 6)), 3, axis=1)]
    [(2, 2), (2, 2), (2, 2)]
    """
    x = _core.asarray(x)
    at = _axis("split", axis, x.ndim)
    n = x.shape[at]
    if isinstance(sections, int):
        if sections < 1 or n % sections:
            raise ShapeError(
                f"split: axis {at} of shape {x.shape} does not split into {sections} equal parts"
            )
        sections = [n // sections * i for i in range(1, sections)]
    places = [0, *sections, n]
    return tuple(_narrow(x, at, a, b) for a, b in itertools.pairwise(places))


@told
def diff(x: ArrayLike, /, *, axis: int = -1, n: int = 1) -> Tensor:
    """The differences of neighbours along an axis, `n` times over.

    >>> import oxiflux as flux
    >>> flux.diff([1, 4, 9])
    Tensor([3, 5])
    """
    x = _core.asarray(x)
    if n < 0:
        raise ValueError(f"diff: {n} is not a number of times")
    for _ in range(n):
        length = x.shape[_axis("diff", axis, x.ndim)]
        x = _core.subtract(_narrow(x, axis, 1, length), _narrow(x, axis, 0, max(length - 1, 0)))
    return x


@told
def clip(x: ArrayLike, /, min: ArrayLike | None = None, max: ArrayLike | None = None) -> Tensor:
    """`x` held between two bounds, either of which may be left out.

    >>> import oxiflux as flux
    >>> flux.clip([-1.0, 0.5, 2.0], 0, 1)
    Tensor([0. , 0.5, 1. ])
    """
    x = _core.asarray(x)
    if min is not None:
        x = _core.maximum(x, min)
    return x if max is None else _core.minimum(x, max)


def _triangle(x: Tensor, k: int, function: str) -> Tensor:
    if x.ndim < 2:
        raise ShapeError(f"{function}: shape {x.shape} has fewer than two axes")
    rows, columns = x.shape[-2:]
    return _core.less_equal(_core.arange(columns) - k, _core.reshape(_core.arange(rows), (rows, 1)))


@told
def tril(x: ArrayLike, /, *, k: int = 0) -> Tensor:
    """The matrix with zeros above its `k`-th diagonal.

    >>> import oxiflux as flux
    >>> flux.tril([[1, 2], [3, 4]])
    Tensor([[1, 0],
            [3, 4]])
    """
    x = _core.asarray(x)
    return _core.where(_triangle(x, k, "tril"), x, _core.zeros((), x.dtype))


@told
def triu(x: ArrayLike, /, *, k: int = 0) -> Tensor:
    """The matrix with zeros below its `k`-th diagonal.

    >>> import oxiflux as flux
    >>> flux.triu([[1, 2], [3, 4]])
    Tensor([[1, 2],
            [0, 4]])
    """
    x = _core.asarray(x)
    return _core.where(_triangle(x, k - 1, "triu"), _core.zeros((), x.dtype), x)


@told
def diagonal(x: ArrayLike, /, *, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Tensor:
    """The diagonal of two axes as a new last axis.

    >>> import oxiflux as flux
    >>> flux.diagonal([[1, 2], [3, 4]])
    Tensor([1, 4])
    """
    x = moveaxis(x, (axis1, axis2), (-2, -1))
    rows, columns = x.shape[-2:]
    n = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    i = np.arange(n)
    return x[..., i - min(offset, 0), i + max(offset, 0)]


@told
def trace(x: ArrayLike, /, *, offset: int = 0) -> Tensor:
    """The sum of the diagonal of the last two axes.

    >>> import oxiflux as flux
    >>> flux.trace([[1, 2], [3, 4]])
    Tensor(5)
    """
    return _core.sum(diagonal(x, offset=offset), axis=-1)


@told
def outer(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """Every product of an element of `a` and one of `b`, as a matrix.

    >>> import oxiflux as flux
    >>> flux.outer([1, 2], [3, 4])
    Tensor([[3, 4],
            [6, 8]])
    """
    a, b = _core._meet(a, b)
    return _core.multiply(_core.reshape(a, (-1, 1)), _core.reshape(b, (1, -1)))


@told
def vecdot(a: ArrayLike, b: ArrayLike, /, *, axis: int = -1) -> Tensor:
    """The sum of products along an axis of both, counted from the end where they differ in their number of axes.

    >>> import oxiflux as flux
    >>> flux.vecdot([1, 2], [3, 4])
    Tensor(11)
    """
    a, b = _core._meet(a, b)
    if axis >= 0 and a.ndim != b.ndim:
        raise ValueError(
            f"vecdot: axis {axis} of shapes {a.shape} and {b.shape} must be counted from the end"
        )
    at = [_axis("vecdot", axis, x.ndim) for x in (a, b)]
    if a.shape[at[0]] != b.shape[at[1]]:
        raise ShapeError(f"vecdot: shapes {a.shape} and {b.shape} differ along axis {axis}")
    dtype = result_type(a, b)
    return _core.astype(_core.sum(_core.multiply(a, b), axis=axis), dtype)


class UniqueAll(NamedTuple):
    """What `unique_all` finds."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """What `unique_counts` finds."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """What `unique_inverse` finds."""

    values: Tensor
    inverse_indices: Tensor


@told
def unique_all(x: ArrayLike, /) -> UniqueAll:
    """The different elements in ascending order, where each is first, which each is, and how often each is there.

    >>> import oxiflux as flux
    >>> flux.unique_all([3, 1, 3]).indices
    Tensor([1, 0])
    """
    x = _core.asarray(x)
    found = np.unique(x.numpy(), return_index=True, return_inverse=True, return_counts=True, equal_nan=False)
    values, indices, inverse, counts = (_core.tensor(a) for a in found)
    return UniqueAll(values, indices, _core.reshape(inverse, x.shape), counts)


@told
def unique_counts(x: ArrayLike, /) -> UniqueCounts:
    """The different elements in ascending order, and how often each is there.

    >>> import oxiflux as flux
    >>> flux.unique_counts([3, 1, 3]).counts
    Tensor([1, 2])
    """
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


@told
def unique_inverse(x: ArrayLike, /) -> UniqueInverse:
    """The different elements in ascending order, and which of them each element is.

    >>> import oxiflux as flux
    >>> flux.unique_inverse([3, 1, 3]).inverse_indices
    Tensor([1, 0, 1])
    """
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


@told
def unique_values(x: ArrayLike, /) -> Tensor:
    """The different elements in ascending order.

    >>> import oxiflux as flux
    >>> flux.unique_values([3, 1, 3])
    Tensor([1, 3])
    """
    return unique_all(x).values


class TopK(NamedTuple):
    """What `topk` gives."""

    values: Tensor
    indices: Tensor


@told
def topk(x: ArrayLike, k: SupportsIndex, /, axis: int = -1, largest: bool = True) -> TopK:
    """The `k` largest elements along an axis, or with `largest=False` the `k` smallest, the first of them first: their
    `values`, and their int64 `indices` along the axis.

    Both have the shape of `x`, but `k` along the axis. Of equal elements those come first that are first in `x`, and
    NaN come last, as in `sort`. Only the values have a gradient. A `k` that is not between 1 and the size of the axis
    raises ValueError. Ref: MLUtils.jl, `topk`, where `rev=true` is `largest=True`.

    >>> import oxiflux as flux
    >>> flux.topk([[1, 8, 3], [6, 2, 5]], 2)
    TopK(values=Tensor([[8, 3],
            [6, 5]]), indices=Tensor([[1, 2],
            [0, 2]]))
    """
    x = _core.asarray(x)
    at, k = _axis("topk", index(axis), x.ndim), index(k)
    if not 1 <= k <= x.shape[at]:
        raise ValueError(
            f"topk: k must be between 1 and {x.shape[at]}, the size of axis {axis} of {x.shape}, got {k}"
        )
    indices = _narrow(_core.argsort(x, at, bool(largest)), at, 0, k)
    return TopK(_core.take_along_axis(x, indices, at), indices)


@told
def rescale(x: ArrayLike, /, axis: int | tuple[int, ...] | None = 0, eps: float = 1e-5) -> Tensor:
    """`(x - min) / (max - min + eps)` over axes, by default the first: between 0 and 1.

    `x` keeps its shape; integers become float32, and what is constant along the axes becomes 0. With None, minimum and
    maximum are those of all elements. An axis that is not there raises IndexError. Ref: MLUtils.jl, `rescale`.

    >>> import oxiflux as flux
    >>> flux.rescale([[1.0, 10.0], [2.0, 20.0], [3.0, 50.0]], eps=0.0).tolist()
    [[0.0, 0.0], [0.5, 0.25], [1.0, 1.0]]
    """
    x = _core.asarray(x)
    x = x if x.dtype.kind == "f" else _core.astype(x, _core.float32)
    for a in () if axis is None else _integers(axis):
        _axis("rescale", a, x.ndim)
    if x.size == 0:
        return x
    low, high = _core.min(x, axis, keepdims=True), _core.max(x, axis, keepdims=True)
    return (x - low) / (high - low + eps)


@told
def result_type(*arrays_and_dtypes: ArrayLike | DType) -> DType:
    """The element type that an operation on these would have.

    >>> import oxiflux as flux
    >>> flux.result_type(flux.int8, flux.float32)
    oxiflux.float32
    """
    values = (_core.zeros((), x) if isinstance(x, DType) else x for x in arrays_and_dtypes)
    kinds = (_core.zeros((), x.dtype) for x in _core._meet(*values))
    return functools.reduce(lambda a, b: _core.where(True, a, b), kinds).dtype


@told
def can_cast(source: ArrayLike | DType | str, to: DType | str, /) -> bool:
    """Whether every value of one element type is a value of another, by NumPy's rules.

    >>> import oxiflux as flux
    >>> flux.can_cast(flux.int8, flux.int16), flux.can_cast(flux.float32, flux.int64)
    (True, False)
    """
    dtype, to = _core.dtype(_name(source)), _core.dtype(to)
    if to == _core.bfloat16:
        return dtype in (_core.bfloat16, _core.uint8, _core.int8, _core.bool_)
    # What holds all of bfloat16 holds all of float32: NumPy has no name for the former.
    return np.can_cast("float32" if dtype == _core.bfloat16 else str(dtype), str(to))


@told
def isdtype(dtype: DType, kind: DType | str | tuple[DType | str, ...], /) -> bool:
    """Whether an element type is of a kind: "bool", "signed integer", "unsigned integer", "integral", "real floating",
    "numeric", or one of several.

    >>> import oxiflux as flux
    >>> flux.isdtype(flux.int8, "signed integer")
    True
    """
    kinds = {
        "bool": "b", "signed integer": "i", "unsigned integer": "u", "integral": "iu", "real floating": "f",
        "complex floating": "", "numeric": "iuf",
    }  # fmt: skip
    dtype = _core.dtype(dtype)
    if isinstance(kind, tuple):
        return any(isdtype(dtype, k) for k in kind)
    if isinstance(kind, str):
        if kind not in kinds:
            raise ValueError(f"isdtype: {kind!r} is not a kind of element type")
        return dtype.kind in kinds[kind]
    return bool(dtype == kind)


def _name(dtype: DType | ArrayLike | str) -> str:
    return str(
        _core.dtype(dtype) if isinstance(dtype, (DType, str, type, np.dtype)) else _core.asarray(dtype).dtype
    )


@told
def finfo(dtype: DType | ArrayLike | str, /) -> np.finfo | SimpleNamespace:
    """The limits of a floating type, as NumPy describes them.

    >>> import oxiflux as flux
    >>> float(flux.finfo(flux.float32).eps)
    1.1920928955078125e-07
    """
    name = _name(dtype)
    if name == "bfloat16":
        eps, top, low = 2.0**-7, (2 - 2.0**-7) * 2.0**127, 2.0**-126
        return SimpleNamespace(bits=16, dtype=name, eps=eps, max=top, min=-top, smallest_normal=low, tiny=low)
    return np.finfo(name)


@told
def iinfo(dtype: DType | ArrayLike | str, /) -> np.iinfo:
    """The limits of an integer type, as NumPy describes them.

    >>> import oxiflux as flux
    >>> flux.iinfo(flux.int8).max
    127
    """
    return np.iinfo(_name(dtype))
