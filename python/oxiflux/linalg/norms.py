"""Norms of vectors and matrices."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from .. import _core
from .._core import ShapeError, Tensor
from ..functions import moveaxis
from ..functions.axes import flag
from ..functions.numbers import floating
from ..hints import told
from .factors import factored

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = ["matrix_norm", "norm", "vector_norm"]

MatrixOrder = float | Literal["fro", "nuc"] | None


@told
def vector_norm(
    x: ArrayLike, /, *, axis: int | tuple[int, ...] | None = None, keepdims: bool = False, ord: float = 2
) -> Tensor:
    """The `ord`-norm along axes, or of all elements: `(Σ |x|ᵒʳᵈ)^(1 / ord)`.

    `ord = ∞` and `-∞` are the largest and the smallest size of an element, and 0 counts those that are not 0. The norm
    of no elements is 0, and they have no smallest one. With
    `keepdims` the axes stay, of length 1. Integers become float32. Sums of squares beyond the type are taken of scaled
    elements, so that the norm of a number is its size. At 0 the gradient is 0, and so is the gradient of that.

    >>> import oxiflux as flux
    >>> flux.linalg.vector_norm([3.0, 4.0]), flux.linalg.vector_norm([3.0, 4.0], ord=1)
    (Tensor(5.), Tensor(7.))
    >>> flux.gradient(flux.linalg.vector_norm, flux.zeros(2))[0]
    Tensor([0., 0.])
    """
    if not hasattr(ord, "__float__"):
        raise ValueError(f"vector_norm: ord is a number, not {ord!r}")
    x, keepdims = floating(x), flag("vector_norm", "keepdims", keepdims)
    if ord == math.inf:
        return _largest(_core.abs(x), axis, keepdims)
    if ord == -math.inf:
        return _core.min(_core.abs(x), axis, keepdims=keepdims)
    if ord == 0:
        return _core.sum(_core.astype(_core.not_equal(x, 0), x.dtype), axis, keepdims=keepdims)
    if ord == 1:
        return _core.sum(_core.abs(x), axis, keepdims=keepdims)
    half = x.dtype.itemsize == 2
    wide = _core.astype(x, _core.float32) if half else x
    y = _summed(wide, ord, axis, keepdims)
    if not _is_plain(y, wide):
        largest = _core.max(_core.abs(_core.stop_gradient(wide)), axis, keepdims=True)
        scale = _core.where(_core.logical_and(_core.greater(largest, 0), _core.isfinite(largest)), largest, 1)
        y = _summed(wide / scale, ord, axis, keepdims) * (
            scale if keepdims else _core.reshape(scale, y.shape)
        )
    return _core.astype(y, x.dtype) if half else y


def _summed(x: Tensor, order: float, axis: int | tuple[int, ...] | None, keepdims: bool) -> Tensor:
    """The root of the sum of powers; where that is 0, so are its derivatives."""
    if order == 2 and axis is None:
        flat = _core.reshape(x, (x.size,))
        total = _core.matmul(flat, flat)
        total = _core.reshape(total, (1,) * x.ndim) if keepdims else total
    else:
        powers = _core.square(x) if order == 2 else _power(_core.abs(x), order)
        total = _core.sum(powers, axis, keepdims=keepdims)
    is_zero = _core.equal(total, 0)
    apart = _core.where(is_zero, 1, total)
    if order < 0:
        # One element of 0 makes the sum infinite, whose root is 0 and does not vary with the others.
        endless = _core.equal(total, math.inf)
        is_zero, apart = _core.logical_or(is_zero, endless), _core.where(endless, 1, apart)
    root = _core.sqrt(apart) if order == 2 else _core.pow(apart, 1 / order)
    return _core.where(is_zero, 0, root)


def _power(size: Tensor, order: float) -> Tensor:
    """`size**order`; below the order 1 its slope at 0 is infinite, and is taken for 0."""
    if order >= 1:
        return _core.pow(size, order)
    is_zero = _core.equal(size, 0)
    return _core.where(is_zero, 0 if order > 0 else math.inf, _core.pow(_core.where(is_zero, 1, size), order))


def _largest(x: Tensor, axis: int | tuple[int, ...] | None, keepdims: bool = False) -> Tensor:
    """The largest of numbers from 0 on, and 0 of none."""
    if x.size:
        return _core.max(x, axis, keepdims=keepdims)
    return _core.sum(x, axis, keepdims=keepdims)


def _is_plain(y: Tensor, x: Tensor) -> bool:
    """Whether no sum of powers was too large or too small for its type."""
    if x.size == 0:
        return True
    y = _core.stop_gradient(y)
    least = 1e-15 if y.dtype == _core.float32 else 1e-140
    return _core.holds(_core.min(y) > least) and _core.holds(_core.max(y) < 1 / least)


@told
def matrix_norm(x: ArrayLike, /, *, keepdims: bool = False, ord: MatrixOrder = "fro") -> Tensor:
    """The norm of matrices `(.., m, n)`: shape `(..)`, or with `keepdims` `(.., 1, 1)`.

    `"fro"` is the root of the sum of squares, `"nuc"` the sum of the singular values, 2 and -2 are the largest and
    the smallest of them, 1 and -1 the largest and the smallest sum of sizes in a column, and `∞` and `-∞` those in a
    row. At 0 the gradient of "fro" is 0, and so is the gradient of that.

    >>> import oxiflux as flux
    >>> flux.linalg.matrix_norm([[3.0, 0.0], [0.0, 4.0]]), flux.linalg.matrix_norm([[3.0, 0.0], [0.0, 4.0]], ord=2)
    (Tensor(5.), Tensor(4.))
    """
    x, keepdims = floating(x), flag("matrix_norm", "keepdims", keepdims)
    if x.ndim < 2:
        raise ShapeError(f"matrix_norm: expected a matrix or a stack of matrices, got shape {x.shape}")
    if ord is None or ord == "fro":
        return vector_norm(x, axis=(-2, -1), keepdims=keepdims)
    if ord == 2:
        y = _largest(factored("matrix_norm", _core.svdvals, x), -1)
    elif ord in ("nuc", -2):
        y = (_core.sum if ord == "nuc" else _core.min)(factored("matrix_norm", _core.svdvals, x), axis=-1)
    elif ord in (1, -1, math.inf, -math.inf):
        sums = _core.sum(_core.abs(x), axis=-2 if abs(ord) == 1 else -1)
        y = _largest(sums, -1) if ord > 0 else _core.min(sums, axis=-1)
    else:
        raise ValueError(f'matrix_norm: ord is "fro", "nuc", 1, -1, 2, -2, inf or -inf, not {ord!r}')
    return y[..., None, None] if keepdims else y


@told
def norm(
    x: ArrayLike,
    /,
    ord: MatrixOrder = None,
    axis: int | tuple[int, int] | None = None,
    keepdims: bool = False,
) -> Tensor:
    """The norm of a vector or a matrix, as NumPy's `linalg.norm` finds out which is meant.

    Without `ord` and `axis` it is the root of the sum of all squares. An axis means vectors (`vector_norm`), two mean
    matrices (`matrix_norm`); without `axis`, but with `ord`, `x` has one axis or two.

    >>> import oxiflux as flux
    >>> flux.linalg.norm([[3.0, 0.0], [0.0, 4.0]]), flux.linalg.norm([[3.0, 4.0], [6.0, 8.0]], axis=1)
    (Tensor(5.), Tensor([ 5., 10.]))
    """
    x, keepdims = _core.asarray(x), flag("norm", "keepdims", keepdims)
    if axis is None and ord is not None:
        if x.ndim not in (1, 2):
            raise ShapeError(
                f"norm: with ord={ord!r} and no axis x is a vector or a matrix, got shape {x.shape}"
            )
        axis = 0 if x.ndim == 1 else (0, 1)
    if isinstance(axis, (tuple, list)) and len(axis) == 2:
        y = matrix_norm(moveaxis(x, tuple(axis), (-2, -1)), ord=ord)
        return (
            _core.reshape(
                y, tuple(1 if i in {a % x.ndim for a in axis} else n for i, n in enumerate(x.shape))
            )
            if keepdims
            else y
        )
    if isinstance(ord, str):
        raise ValueError(f"norm: ord={ord!r} is one of matrices; name two axes")
    return vector_norm(x, axis=axis, keepdims=keepdims, ord=2 if ord is None else ord)
