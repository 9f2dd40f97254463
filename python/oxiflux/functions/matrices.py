"""Matrices: their diagonals and triangles, and products that make or take them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _core
from .._core import ShapeError, Tensor
from ..hints import told
from .axes import axis_of
from .dtypes import result_type
from .movement import moveaxis, roll

if TYPE_CHECKING:
    from ..typing import ArrayLike, DTypeLike

__all__ = [
    "cross",
    "diag",
    "diag_embed",
    "diagonal",
    "kron",
    "outer",
    "trace",
    "tril",
    "tril_indices",
    "triu",
    "triu_indices",
    "vecdot",
]  # fmt: skip


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
    i = _core.arange(n)
    return x[..., i - min(offset, 0), i + max(offset, 0)]


@told
def diag(x: ArrayLike, /, k: int = 0) -> Tensor:
    """The matrix that has a vector on its `k`-th diagonal and zeros elsewhere, or the `k`-th diagonal of a matrix.

    Anything else raises ShapeError; `diag_embed` and `diagonal` take several. Ref: `numpy.diag`.

    >>> import oxiflux as flux
    >>> flux.diag([1, 2]), flux.diag([[1, 2], [3, 4]])
    (Tensor([[1, 0],
            [0, 2]]), Tensor([1, 4]))
    """
    x = _core.asarray(x)
    if x.ndim not in (1, 2):
        raise ShapeError(f"diag: expected a vector or a matrix, got shape {x.shape}")
    return diag_embed(x, offset=k) if x.ndim == 1 else diagonal(x, offset=k)


@told
def diag_embed(x: ArrayLike, /, *, offset: int = 0, axis1: int = -2, axis2: int = -1) -> Tensor:
    """Matrices of zeros with the vectors along the last axis on a diagonal: the opposite of `diagonal`.

    The rows and columns of these are the axes `axis1` and `axis2` of the result. Ref: `torch.diag_embed`.

    >>> import oxiflux as flux
    >>> flux.diag_embed([[1, 2], [3, 4]]).tolist()
    [[[1, 0], [0, 2]], [[3, 0], [0, 4]]]
    """
    x = _core.asarray(x)
    if x.ndim == 0:
        raise ShapeError("diag_embed: expected vectors along the last axis, got a number")
    lead, n = x.shape[:-1], x.shape[-1] + abs(offset)
    # Counted through the whole matrix, each element of the diagonal has `n` zeros behind it.
    around = [0, 0] * len(lead)
    apart = _core.pad_constant(_core.expand_dims(x, -1), (*around, 0, 0, 0, n))
    flat = _core.reshape(apart, (*lead, x.shape[-1] * (n + 1)))
    if offset:
        first = max(offset, -offset * n)
        flat = _core.pad_constant(flat, (*around, first, max(0, n * n - first - flat.shape[-1])))
    made = _core.reshape(flat[..., : n * n], (*lead, n, n))
    return moveaxis(made, (-2, -1), (axis1, axis2))


@told
def tril_indices(n: int, /, k: int = 0, m: int | None = None) -> tuple[Tensor, Tensor]:
    """The rows and the columns of the elements of an `n` by `m` matrix on its `k`-th diagonal and below.

    `m` is `n` unless given. Ref: `numpy.tril_indices`.

    >>> import oxiflux as flux
    >>> flux.tril_indices(2)
    (Tensor([0, 1, 1]), Tensor([0, 0, 1]))
    """
    rows, columns = np.nonzero(np.tri(n, m, k, dtype=bool))
    return _core.tensor(_core.table(rows)), _core.tensor(_core.table(columns))


@told
def triu_indices(n: int, /, k: int = 0, m: int | None = None) -> tuple[Tensor, Tensor]:
    """The rows and the columns of the elements of an `n` by `m` matrix on its `k`-th diagonal and above.

    `m` is `n` unless given. Ref: `numpy.triu_indices`.

    >>> import oxiflux as flux
    >>> flux.triu_indices(2)
    (Tensor([0, 0, 1]), Tensor([0, 1, 1]))
    """
    rows, columns = np.nonzero(~np.tri(n, m, k - 1, dtype=bool))
    return _core.tensor(_core.table(rows)), _core.tensor(_core.table(columns))


@told
def trace(x: ArrayLike, /, *, offset: int = 0, dtype: DTypeLike | None = None) -> Tensor:
    """The sum of the diagonal of the last two axes; with `dtype`, of its elements as that type.

    >>> import oxiflux as flux
    >>> flux.trace([[1, 2], [3, 4]])
    Tensor(5)
    """
    along = diagonal(x, offset=offset)
    if dtype is None:
        return _core.sum(along, axis=-1)
    return _core.astype(_core.sum(_core.astype(along, dtype), axis=-1), dtype)


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
    at = [axis_of("vecdot", axis, x.ndim) for x in (a, b)]
    if a.shape[at[0]] != b.shape[at[1]]:
        raise ShapeError(f"vecdot: shapes {a.shape} and {b.shape} differ along axis {axis}")
    dtype = result_type(a, b)
    return _core.astype(_core.sum(_core.multiply(a, b), axis=axis), dtype)


@told
def cross(a: ArrayLike, b: ArrayLike, /, *, axis: int = -1) -> Tensor:
    """The vectors that stand upright on those of three elements along an axis of `a` and `b`, which broadcast.

    The axis is counted from the end where they differ in their number of axes. ShapeError is raised where its length is
    not 3 in both.

    >>> import oxiflux as flux
    >>> flux.cross([1, 0, 0], [0, 1, 0])
    Tensor([0, 0, 1])
    """
    a, b = _core._meet(a, b)
    if axis >= 0 and a.ndim != b.ndim:
        raise ValueError(f"cross: axis {axis} of shapes {a.shape} and {b.shape} must be counted from the end")
    lengths = [x.shape[axis_of("cross", axis, x.ndim)] for x in (a, b)]
    if lengths != [3, 3]:
        raise ShapeError(f"cross: axis {axis} of shapes {a.shape} and {b.shape} must have length 3")
    return roll(a, -1, axis) * roll(b, 1, axis) - roll(a, 1, axis) * roll(b, -1, axis)


@told
def kron(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """Kronecker's product: every element of `a` times all of `b`, in blocks.

    The result has the product of both lengths along each axis, counted from the end; missing axes have length 1.

    >>> import oxiflux as flux
    >>> flux.kron([[1, 2]], [[1, 1], [0, 1]])
    Tensor([[1, 1, 2, 2],
            [0, 1, 0, 2]])
    """
    a, b = _core._meet(a, b)
    n = max(a.ndim, b.ndim)
    shapes = [(1,) * (n - x.ndim) + tuple(x.shape) for x in (a, b)]
    blocks = _core.reshape(a, tuple(k for length in shapes[0] for k in (length, 1)))
    inner = _core.reshape(b, tuple(k for length in shapes[1] for k in (1, length)))
    return _core.reshape(blocks * inner, tuple(k * m for k, m in zip(*shapes, strict=True)))
