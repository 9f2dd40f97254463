"""Functions of the array API standard that are composed of operations; their gradients come with those."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from . import _core
from ._core import DType, ShapeError, Tensor

if TYPE_CHECKING:
    from ._core import _TensorLike as ArrayLike

__all__ = [
    "broadcast_arrays", "can_cast", "clip", "diagonal", "diff", "einsum", "finfo", "iinfo", "isdtype", "meshgrid",
    "moveaxis", "outer", "positive", "result_type", "roll", "split", "swapaxes", "tensordot", "tile", "trace", "tril",
    "triu", "unique_all", "unique_counts", "unique_inverse", "unique_values", "unstack", "vecdot",
]  # fmt: skip


def _axis(function: str, axis: int, ndim: int) -> int:
    if not -ndim <= axis < ndim:
        raise IndexError(f"{function}: axis {axis} is out of range for {ndim} dimensions")
    return axis % ndim


def positive(x: ArrayLike, /) -> Tensor:
    """`x` itself."""
    return _core.asarray(x)


def moveaxis(x: ArrayLike, source: int | Sequence[int], destination: int | Sequence[int], /) -> Tensor:
    """The axes `source` moved to the places `destination`, the others in their order.

    >>> import oxiflux as flux
    >>> flux.moveaxis(flux.zeros((2, 3, 4)), 0, -1).shape
    (3, 4, 2)
    """
    x = _core.asarray(x)
    froms = [_axis("moveaxis", a, x.ndim) for a in ([source] if isinstance(source, int) else source)]
    tos = [
        _axis("moveaxis", a, x.ndim) for a in ([destination] if isinstance(destination, int) else destination)
    ]
    if len(froms) != len(tos):
        raise ValueError(f"moveaxis: {len(froms)} axes cannot go to {len(tos)} places")
    order = [a for a in range(x.ndim) if a not in froms]
    for to, a in sorted(zip(tos, froms, strict=True)):
        order.insert(to, a)
    return _core.permute_dims(x, tuple(order))


def swapaxes(x: ArrayLike, axis1: int, axis2: int, /) -> Tensor:
    """Two axes exchanged."""
    x = _core.asarray(x)
    order = list(range(x.ndim))
    i, j = _axis("swapaxes", axis1, x.ndim), _axis("swapaxes", axis2, x.ndim)
    order[i], order[j] = order[j], order[i]
    return _core.permute_dims(x, tuple(order))


def roll(x: ArrayLike, /, shift: int | Sequence[int], axis: int | Sequence[int] | None = None) -> Tensor:
    """The elements moved along axes by `shift`; those that leave at one end come in at the other.

    >>> import oxiflux as flux
    >>> flux.roll(flux.arange(5), 2)
    Tensor([3, 4, 0, 1, 2])
    """
    x = _core.asarray(x)
    if axis is None:
        total = shift if isinstance(shift, int) else sum(shift)
        return _core.reshape(
            roll(_core.reshape(x, (-1,)) if x.size else x, total, 0) if x.size else x, x.shape
        )
    axes = [axis] if isinstance(axis, int) else list(axis)
    shifts = [shift] * len(axes) if isinstance(shift, int) else list(shift)
    for a, s in zip(axes, shifts, strict=True):
        n = x.shape[_axis("roll", a, x.ndim)]
        if n and s % n:
            cut = n - s % n
            x = _core.concat([_narrow(x, a, cut, n), _narrow(x, a, 0, cut)], a)
    return x


def _narrow(x: Tensor, axis: int, start: int, stop: int) -> Tensor:
    return x[(slice(None),) * (axis % x.ndim) + (slice(start, stop),)]


def tile(x: ArrayLike, repetitions: int | Sequence[int], /) -> Tensor:
    """The whole tensor side by side so many times along each axis."""
    x = _core.asarray(x)
    times = (repetitions,) if isinstance(repetitions, int) else tuple(repetitions)
    shape = (1,) * (len(times) - x.ndim) + tuple(x.shape)
    times = (1,) * (len(shape) - len(times)) + times
    x = _core.reshape(x, shape)
    spread = _core.reshape(x, tuple(n for d in shape for n in (1, d)))
    spread = _core.broadcast_to(spread, tuple(n for r, d in zip(times, shape, strict=True) for n in (r, d)))
    return _core.reshape(spread, tuple(r * d for r, d in zip(times, shape, strict=True)))


def broadcast_arrays(*xs: ArrayLike) -> list[Tensor]:
    """The tensors repeated, without copying, to the shape that they have in common."""
    tensors = [_core.asarray(x) for x in xs]
    try:
        shape = np.broadcast_shapes(*(x.shape for x in tensors))
    except ValueError:
        shapes = ", ".join(str(x.shape) for x in tensors)
        raise ShapeError(f"broadcast_arrays: shapes {shapes} do not broadcast together") from None
    return [_core.broadcast_to(x, shape) for x in tensors]


def meshgrid(*xs: ArrayLike, indexing: str = "xy") -> list[Tensor]:
    """The coordinates of a grid from vectors of coordinates; with `indexing="xy"` the first two axes are exchanged."""
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


def unstack(x: ArrayLike, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """The tensors of which `stack` along this axis would make `x`."""
    x = _core.asarray(x)
    at = _axis("unstack", axis, x.ndim)
    return tuple(x[(slice(None),) * at + (i,)] for i in range(x.shape[at]))


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
        sections = range(n // sections, n, n // sections)
    places = [0, *sections, n]
    return tuple(_narrow(x, at, a, b) for a, b in itertools.pairwise(places))


def diff(x: ArrayLike, /, *, axis: int = -1, n: int = 1) -> Tensor:
    """The differences of neighbours along an axis, `n` times over."""
    x = _core.asarray(x)
    for _ in range(n):
        length = x.shape[_axis("diff", axis, x.ndim)]
        x = _core.subtract(_narrow(x, axis, 1, length), _narrow(x, axis, 0, max(length - 1, 0)))
    return x


def clip(x: ArrayLike, /, min: ArrayLike | None = None, max: ArrayLike | None = None) -> Tensor:
    """`x` held between two bounds, either of which may be left out."""
    x = _core.asarray(x)
    if min is not None:
        x = _core.maximum(x, min)
    return x if max is None else _core.minimum(x, max)


def _triangle(x: Tensor, k: int, function: str) -> Tensor:
    if x.ndim < 2:
        raise ShapeError(f"{function}: shape {x.shape} has fewer than two axes")
    rows, columns = x.shape[-2:]
    return _core.less_equal(_core.arange(columns) - k, _core.reshape(_core.arange(rows), (rows, 1)))


def tril(x: ArrayLike, /, *, k: int = 0) -> Tensor:
    """The matrix with zeros above its `k`-th diagonal."""
    x = _core.asarray(x)
    return _core.where(_triangle(x, k, "tril"), x, _core.zeros((), x.dtype))


def triu(x: ArrayLike, /, *, k: int = 0) -> Tensor:
    """The matrix with zeros below its `k`-th diagonal."""
    x = _core.asarray(x)
    return _core.where(_triangle(x, k - 1, "triu"), _core.zeros((), x.dtype), x)


def diagonal(x: ArrayLike, /, *, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Tensor:
    """The diagonal of two axes as a new last axis."""
    x = moveaxis(x, (axis1, axis2), (-2, -1))
    rows, columns = x.shape[-2:]
    n = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    i = np.arange(n)
    return x[..., i - min(offset, 0), i + max(offset, 0)]


def trace(x: ArrayLike, /, *, offset: int = 0) -> Tensor:
    """The sum of the diagonal of the last two axes."""
    return _core.sum(diagonal(x, offset=offset), axis=-1)


def outer(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """Every product of an element of `a` and one of `b`, as a matrix."""
    return _core.multiply(_core.reshape(_core.asarray(a), (-1, 1)), _core.reshape(_core.asarray(b), (1, -1)))


def vecdot(a: ArrayLike, b: ArrayLike, /, *, axis: int = -1) -> Tensor:
    """The sum of products along an axis of both."""
    a, b = _core.asarray(a), _core.asarray(b)
    if not a.ndim or not b.ndim or a.shape[axis] != b.shape[axis]:
        raise ShapeError(f"vecdot: shapes {a.shape} and {b.shape} differ along axis {axis}")
    return _core.sum(_core.multiply(a, b), axis=axis)


def tensordot(
    a: ArrayLike, b: ArrayLike, /, *, axes: int | tuple[Sequence[int], Sequence[int]] = 2
) -> Tensor:
    """The sum of products over axes of both: the last `axes` of `a` with the first of `b`, or those that are named."""
    a, b = _core.asarray(a), _core.asarray(b)
    if isinstance(axes, int):
        if axes < 0 or axes > min(a.ndim, b.ndim):
            raise ShapeError(f"tensordot: shapes {a.shape} and {b.shape} have no {axes} axes to sum over")
        over_a, over_b = list(range(a.ndim - axes, a.ndim)), list(range(axes))
    else:
        over_a = [_axis("tensordot", i, a.ndim) for i in axes[0]]
        over_b = [_axis("tensordot", i, b.ndim) for i in axes[1]]
    if [a.shape[i] for i in over_a] != [b.shape[i] for i in over_b]:
        raise ShapeError(
            f"tensordot: shapes {a.shape} and {b.shape} differ along the axes {over_a} and {over_b}"
        )
    left = [i for i in range(a.ndim) if i not in over_a]
    right = [i for i in range(b.ndim) if i not in over_b]
    k = math.prod(a.shape[i] for i in over_a)
    m, n = math.prod(a.shape[i] for i in left), math.prod(b.shape[i] for i in right)
    y = _core.matmul(
        _core.reshape(_core.permute_dims(a, (*left, *over_a)), (m, k)),
        _core.reshape(_core.permute_dims(b, (*over_b, *right)), (k, n)),
    )
    return _core.reshape(y, (*(a.shape[i] for i in left), *(b.shape[i] for i in right)))


def einsum(subscripts: str, /, *operands: ArrayLike) -> Tensor:
    """The sum of products that Einstein's notation describes, two operands at a time.

    Letters name axes; those that are missing after `->` are summed over, a repeated one takes the diagonal, and `...`
    stands for axes that broadcast.

    >>> import oxiflux as flux
    >>> x, y = flux.ones((2, 3)), flux.ones((3, 4))
    >>> flux.einsum("ij,jk->ik", x, y).shape
    (2, 4)
    """
    tensors = [_core.asarray(x) for x in operands]
    inputs, output = _parse(subscripts, tensors)
    terms = [_diagonals(s, x, subscripts) for s, x in zip(inputs, tensors, strict=True)]
    letters, total = terms[0]
    for i, (more, x) in enumerate(terms[1:], 1):
        later = set(output).union(*(s for s, _ in terms[i + 1 :]))
        letters, total = _contract(letters, total, more, x, later, subscripts)
    gone = tuple(i for i, c in enumerate(letters) if c not in output)
    if gone:
        total = _core.sum(total, axis=gone)
        letters = "".join(c for c in letters if c in output)
    return _core.permute_dims(total, tuple(letters.index(c) for c in output)) if len(output) > 1 else total


def _parse(subscripts: str, tensors: list[Tensor]) -> tuple[list[str], str]:
    """The letters of each operand and of the result, an ellipsis spelled out in capital Greek ones."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    parts = left.split(",")
    if len(parts) != len(tensors):
        raise ValueError(f"einsum: {subscripts!r} describes {len(parts)} operands, got {len(tensors)}")
    spare = "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ"
    inputs, widest = [], 0
    for s, x in zip(parts, tensors, strict=True):
        named = len(s.replace("...", ""))
        extra = x.ndim - named if "..." in s else 0
        if named + extra != x.ndim or extra < 0 or (not s.replace("...", "").isalpha() and named):
            raise ShapeError(
                f"einsum: {s!r} in {subscripts!r} does not describe an operand of shape {x.shape}"
            )
        widest = max(widest, extra)
        inputs.append(s.replace("...", spare[len(spare) - extra :]))
    dots = spare[len(spare) - widest :] if widest else ""
    if arrow:
        output = right.replace("...", dots)
    else:
        every = "".join(inputs)
        output = dots + "".join(sorted(c for c in set(every) if every.count(c) == 1 and c not in dots))
    unknown = [c for c in output if not any(c in s for s in inputs)]
    if unknown or len(set(output)) != len(output):
        raise ValueError(f"einsum: the result of {subscripts!r} has axes that are unknown or named twice")
    return inputs, output


def _diagonals(letters: str, x: Tensor, subscripts: str) -> tuple[str, Tensor]:
    for c in sorted(set(letters)):
        while letters.count(c) > 1:
            i = letters.index(c)
            j = letters.index(c, i + 1)
            if x.shape[i] != x.shape[j]:
                raise ShapeError(
                    f"einsum: axis {c!r} of {subscripts!r} has sizes {x.shape[i]} and {x.shape[j]}"
                )
            x = diagonal(x, axis1=i, axis2=j)
            letters = letters[:i] + letters[i + 1 : j] + letters[j + 1 :] + c
    return letters, x


def _contract(a: str, x: Tensor, b: str, y: Tensor, later: set[str], subscripts: str) -> tuple[str, Tensor]:
    """Two operands as one: axes of both that nobody needs later are summed over by a batched matrix product."""
    for c in set(a) & set(b):
        i, j = x.shape[a.index(c)], y.shape[b.index(c)]
        if i != j and 1 not in (i, j):
            raise ShapeError(f"einsum: axis {c!r} of {subscripts!r} has sizes {i} and {j}")
    a, x = _sum_alone(a, x, later.union(b))
    b, y = _sum_alone(b, y, later.union(a))
    batch = [c for c in a if c in b and c in later]
    over = [c for c in a if c in b and c not in later]
    rows, columns = [c for c in a if c not in b], [c for c in b if c not in a]
    size = {c: max(x.shape[a.index(c)] if c in a else 1, y.shape[b.index(c)] if c in b else 1) for c in a + b}
    for c in batch + over:  # an axis of length 1 broadcasts
        if 0 in (x.shape[a.index(c)], y.shape[b.index(c)]):
            size[c] = 0
    x = _core.broadcast_to(x, tuple(size[c] for c in a))
    y = _core.broadcast_to(y, tuple(size[c] for c in b))
    lengths = [size[c] for c in batch]
    m, k, n = (math.prod(size[c] for c in group) for group in (rows, over, columns))
    x = _core.reshape(_core.permute_dims(x, tuple(a.index(c) for c in batch + rows + over)), (*lengths, m, k))
    y = _core.reshape(
        _core.permute_dims(y, tuple(b.index(c) for c in batch + over + columns)), (*lengths, k, n)
    )
    together = batch + rows + columns
    return "".join(together), _core.reshape(_core.matmul(x, y), tuple(size[c] for c in together))


def _sum_alone(letters: str, x: Tensor, needed: set[str]) -> tuple[str, Tensor]:
    gone = tuple(i for i, c in enumerate(letters) if c not in needed)
    return ("".join(c for c in letters if c in needed), _core.sum(x, axis=gone)) if gone else (letters, x)


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


def unique_all(x: ArrayLike, /) -> UniqueAll:
    """The different elements in ascending order, where each is first, which each is, and how often each is there."""
    x = _core.asarray(x)
    found = np.unique(x.numpy(), return_index=True, return_inverse=True, return_counts=True, equal_nan=False)
    values, indices, inverse, counts = (_core.tensor(a) for a in found)
    return UniqueAll(values, indices, _core.reshape(inverse, x.shape), counts)


def unique_counts(x: ArrayLike, /) -> UniqueCounts:
    """The different elements in ascending order, and how often each is there."""
    found = unique_all(x)
    return UniqueCounts(found.values, found.counts)


def unique_inverse(x: ArrayLike, /) -> UniqueInverse:
    """The different elements in ascending order, and which of them each element is."""
    found = unique_all(x)
    return UniqueInverse(found.values, found.inverse_indices)


def unique_values(x: ArrayLike, /) -> Tensor:
    """The different elements in ascending order.

    >>> import oxiflux as flux
    >>> flux.unique_values([3, 1, 3])
    Tensor([1, 3])
    """
    return unique_all(x).values


def result_type(*arrays_and_dtypes: ArrayLike | DType) -> DType:
    """The element type that an operation on these would have."""
    types = [x if isinstance(x, DType) else _core.asarray(x).dtype for x in arrays_and_dtypes]
    total = _core.zeros((), types[0])
    for d in types[1:]:
        total = _core.where(True, total, _core.zeros((), d))
    return total.dtype


def can_cast(source: ArrayLike | DType, to: DType, /) -> bool:
    """Whether every value of one element type is a value of another, by NumPy's rules."""
    name = source if isinstance(source, DType) else _core.asarray(source).dtype
    return np.can_cast(str(name), str(to))


def isdtype(dtype: DType, kind: DType | str | tuple[DType | str, ...], /) -> bool:
    """Whether an element type is of a kind: "bool", "signed integer", "unsigned integer", "integral", "real floating",
    "numeric", or one of several.
    """
    kinds = {
        "bool": "b", "signed integer": "i", "unsigned integer": "u", "integral": "iu", "real floating": "f",
        "complex floating": "", "numeric": "iuf",
    }  # fmt: skip
    if isinstance(kind, tuple):
        return any(isdtype(dtype, k) for k in kind)
    if isinstance(kind, str):
        if kind not in kinds:
            raise ValueError(f"isdtype: {kind!r} is not a kind of element type")
        return dtype.kind in kinds[kind]
    return bool(dtype == kind)


def finfo(dtype: DType | ArrayLike, /) -> np.finfo:  # type: ignore[type-arg]
    """The limits of a floating type, as NumPy describes them."""
    return np.finfo(str(dtype if isinstance(dtype, DType) else _core.asarray(dtype).dtype))


def iinfo(dtype: DType | ArrayLike, /) -> np.iinfo:  # type: ignore[type-arg]
    """The limits of an integer type, as NumPy describes them."""
    return np.iinfo(str(dtype if isinstance(dtype, DType) else _core.asarray(dtype).dtype))
