"""Tensors side by side, as NumPy names it: along rows, columns and depth, and along a diagonal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from .. import _core
from .._core import ShapeError, Tensor
from ..hints import told

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = ["block_diag", "cartesian_prod", "column_stack", "dstack", "hstack", "vstack"]


def _several(function: str, xs: Iterable[ArrayLike], shaped: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """The tensors of one list, each with as many axes as it needs at least."""
    if isinstance(xs, Tensor):
        xs = tuple(xs)
    tensors = [shaped(_core.asarray(x)) for x in xs]
    if not tensors:
        raise ValueError(f"{function}: there are no tensors")
    return tensors


def _flat(x: Tensor) -> Tensor:
    return _core.reshape(x, (1,)) if x.ndim == 0 else x


def _row(x: Tensor) -> Tensor:
    return _core.reshape(x, (1, x.size)) if x.ndim < 2 else x


def _column(x: Tensor) -> Tensor:
    return _core.reshape(x, (x.size, 1)) if x.ndim < 2 else x


def _deep(x: Tensor) -> Tensor:
    return _core.reshape(x, (1, x.size, 1)) if x.ndim < 2 else _core.expand_dims(x, 2) if x.ndim == 2 else x


@told
def hstack(xs: Iterable[ArrayLike], /) -> Tensor:
    """Tensors one beside the other: vectors end to end, others along their second axis.

    >>> import oxiflux as flux
    >>> flux.hstack([[1, 2], [3]])
    Tensor([1, 2, 3])
    """
    tensors = _several("hstack", xs, _flat)
    return _core.concat(tensors, 0 if tensors[0].ndim == 1 else 1)


@told
def vstack(xs: Iterable[ArrayLike], /) -> Tensor:
    """Tensors one below the other: along their first axis, where vectors are rows.

    >>> import oxiflux as flux
    >>> flux.vstack([[1, 2], [3, 4]])
    Tensor([[1, 2],
            [3, 4]])
    """
    return _core.concat(_several("vstack", xs, _row), 0)


@told
def dstack(xs: Iterable[ArrayLike], /) -> Tensor:
    """Tensors one behind the other: along their third axis, which matrices and vectors, as one row, get.

    >>> import oxiflux as flux
    >>> flux.dstack([[1, 2], [3, 4]]).tolist()
    [[[1, 3], [2, 4]]]
    """
    return _core.concat(_several("dstack", xs, _deep), 2)


@told
def column_stack(xs: Iterable[ArrayLike], /) -> Tensor:
    """Tensors one beside the other along their second axis, where vectors are columns.

    >>> import oxiflux as flux
    >>> flux.column_stack([[1, 2], [3, 4]])
    Tensor([[1, 3],
            [2, 4]])
    """
    return _core.concat(_several("column_stack", xs, _column), 1)


@told
def block_diag(*xs: ArrayLike) -> Tensor:
    """A matrix with these along its diagonal and zeros elsewhere; vectors are rows.

    Ref: `scipy.linalg.block_diag`.

    >>> import oxiflux as flux
    >>> flux.block_diag([[1, 2]], 3)
    Tensor([[1, 2, 0],
            [0, 0, 3]])
    """
    tensors = [_row(x) for x in _core._meet(*xs)]
    if (bad := next((x for x in tensors if x.ndim != 2), None)) is not None:
        raise ShapeError(f"block_diag: expected matrices, got shape {bad.shape}")
    width, before, rows = sum(x.shape[1] for x in tensors), 0, []
    for x in tensors:
        n, m = x.shape
        sides = [_core.zeros((n, k), dtype=x.dtype) for k in (before, width - before - m)]
        rows.append(_core.concat([sides[0], x, sides[1]], 1))
        before += m
    return _core.concat(rows, 0) if rows else _core.zeros((0, 0))


@told
def cartesian_prod(*xs: ArrayLike) -> Tensor:
    """Every choice of one element from each vector, as the rows of a matrix; of one vector the vector itself.

    Ref: `torch.cartesian_prod`, `itertools.product`.

    >>> import oxiflux as flux
    >>> flux.cartesian_prod([1, 2], [3, 4]).tolist()
    [[1, 3], [1, 4], [2, 3], [2, 4]]
    """
    tensors = list(_core._meet(*xs))
    if (bad := next((x for x in tensors if x.ndim != 1), None)) is not None:
        raise ShapeError(f"cartesian_prod: expected vectors, got shape {bad.shape}")
    if len(tensors) < 2:
        return tensors[0] if tensors else _core.zeros((0,))
    n, shape = len(tensors), tuple(x.size for x in tensors)
    grid = [
        _core.broadcast_to(_core.reshape(x, tuple(x.size if i == at else 1 for i in range(n))), shape)
        for at, x in enumerate(tensors)
    ]
    return _core.reshape(_core.stack(grid, -1), (-1 if all(shape) else 0, n))
