"""Distances and likeness of vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .. import _core
from .._core import ShapeError, Tensor
from ..hints import told
from .numbers import floating, root, wide

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = ["cdist", "cosine_similarity", "pairwise_distance"]


def _length(function: str, x: Tensor, p: float, axis: int, keepdims: bool = False) -> Tensor:
    """The `p`-norm along an axis, whose gradient at 0 is 0."""
    if not p >= 0:
        raise ValueError(f"{function}: p is 0 or more, got {p}")
    if p == 2:
        return root(_core.sum(_core.square(x), axis, keepdims=keepdims))
    if p == 0:
        return _core.astype(_core.count_nonzero(x, axis, keepdims=keepdims), x.dtype)
    size = _core.abs(x)
    if p == float("inf"):
        return (_core.max if size.shape[axis] else _core.sum)(size, axis, keepdims=keepdims)
    if p == 1:
        return _core.sum(size, axis, keepdims=keepdims)
    # A power below 1 has no gradient at 0, nor has the root of a sum that is 0.
    zero = _core.equal(size, 0.0)
    powers = _core.where(zero, 0.0, _core.pow(_core.where(zero, 1.0, size), p))
    total = _core.sum(powers, axis, keepdims=keepdims)
    none = _core.equal(total, 0.0)
    return _core.where(none, 0.0, _core.pow(_core.where(none, 1.0, total), 1 / p))


@told
def cdist(a: ArrayLike, b: ArrayLike, /, p: float = 2.0) -> Tensor:
    """The distances of all points `a`, `(..., n, width)`, from all points `b`, `(..., m, width)`: `(..., n, m)`.

    By the `p`-norm of their differences, `(sum |a - b|^p)^(1/p)`; `p` is 0 or more, also infinite. Euclidean ones of
    many points of 16 numbers or more are computed by products of matrices, but for those that are near: products lose
    their digits, so that they are computed from the differences, as are all others. Equal points are 0 apart and have
    the gradient 0. Points of other widths raise ShapeError. Ref: `torch.cdist`, `scipy.spatial.distance.cdist`.

    >>> import oxiflux as flux
    >>> flux.cdist([[0.0, 0.0], [3.0, 0.0]], [[0.0, 4.0]]).tolist()
    [[4.0], [5.0]]
    """
    a, b = _core._meet(a, b)
    if p == 2:
        found = None
        if min(a.ndim, b.ndim) >= 2 and a.shape[-1] == b.shape[-1] >= _WIDE and a.dtype == b.dtype:
            found = _by_products(a, b)
        return _core.distances(a, b) if found is None else found
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-1]:
        raise ShapeError(f"cdist: expected points (..., n, width), got shapes {a.shape} and {b.shape}")
    away = _core.expand_dims(floating(a), -2) - _core.expand_dims(floating(b), -3)
    return _core.astype(_length("cdist", wide(away), p, -1), away.dtype)


# Where products are faster than differences: by how many numbers a point has, and by how many points there are.
_WIDE, _MANY = 16, 25
# What of the largest squares two points must be apart, so that four bits are lost at most.
_APART = 1 / 16


def _by_products(a: Tensor, b: Tensor) -> Tensor | None:
    """Euclidean distances by `|a|^2 - 2 a b + |b|^2`; None where too many are near, or some are not finite."""
    if a.dtype not in ("float32", "float64") or min(a.shape[-2], b.shape[-2]) <= _MANY:
        return None
    if a.ndim > 2 or b.ndim > 2:
        try:
            lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        except ValueError:
            return None  # The core says what is wrong.
        a, b = (_core.broadcast_to(x, (*lead, *x.shape[-2:])) for x in (a, b))
    if not a.size:
        return None
    y = _far(_core.stop_gradient(a), _core.stop_gradient(b))
    if y is None or not _core.is_recording():
        return y
    are_apart = _core.holds(_core.min(y) > 0)

    def back(g: Tensor) -> tuple[Tensor, Tensor]:
        # The direction from one point to another, which is none where they are the same.
        away = _core.distances(a, b) if _core.is_recording() else y
        if not are_apart:
            same = _core.equal(away, 0.0)
            g, away = _core.where(same, 0.0, g), _core.where(same, 1.0, away)
        weights = g / away
        of_a = a * _core.sum(weights, -1, keepdims=True) - _core.matmul(weights, b)
        sums = _core.matrix_transpose(_core.sum(weights, -2, keepdims=True))
        return of_a, b * sums - _core.matmul(_core.matrix_transpose(weights), a)

    return _core.custom(y, (a, b), back)


def _far(a: Tensor, b: Tensor) -> Tensor | None:
    # Far from 0 the squares would hide the differences.
    centre = _core.mean(b, -2, keepdims=True)
    a, b = a - centre, b - centre
    sizes = [_core.sum(_core.square(x), -1, keepdims=True) for x in (a, b)]
    bound = _APART * sum(float(_core.max(size)) for size in sizes)
    if not 1e-30 < bound < 1e37:
        return None
    ones = [_core.ones_like(size) for size in sizes]
    left = _core.concat([a * -2.0, sizes[0], ones[0]], -1)
    squares = _core.matmul(left, _core.matrix_transpose(_core.concat([b, ones[1], sizes[1]], -1)))
    if float(_core.min(squares)) > bound:
        return _core.sqrt(squares)
    places = np.nonzero(squares.numpy() <= bound)
    if len(places[0]) * _WIDE > squares.size:
        return None
    rows, columns = (*places[:-2], places[-2]), (*places[:-2], places[-1])
    near = _core.sum(_core.square(a[rows] - b[columns]), -1).numpy()
    mended = np.array(squares.numpy())
    mended[places] = near
    return _core.sqrt(_core.from_numpy(mended))


@told
def pairwise_distance(
    a: ArrayLike, b: ArrayLike, /, p: float = 2.0, eps: float = 1e-6, axis: int = -1, keepdims: bool = False
) -> Tensor:
    """The distance of each vector in `a` from that in `b`, along an axis: the `p`-norm of `a - b + eps`.

    `eps` keeps what is equal from having no gradient; with `eps=0` that is 0. The other axes broadcast. Ref:
    `torch.nn.functional.pairwise_distance`.

    >>> import oxiflux as flux
    >>> flux.pairwise_distance([[0.0, 0.0], [1.0, 1.0]], [[3.0, 4.0], [1.0, 3.0]], eps=0)
    Tensor([5., 2.])
    """
    a, b = _core._meet(a, b)
    away = floating(a) - floating(b)
    # In a half type `eps` is lost beside other numbers, and so are the squares of large ones.
    found = _length("pairwise_distance", wide(away) + eps if eps else wide(away), p, axis, keepdims)
    return _core.astype(found, away.dtype)


@told
def cosine_similarity(a: ArrayLike, b: ArrayLike, /, axis: int = -1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between vectors along an axis, `sum(a * b) / (max(|a|, eps) * max(|b|, eps))`.

    0 where one of them is. The other axes broadcast. Ref: `torch.nn.functional.cosine_similarity`.

    >>> import oxiflux as flux
    >>> flux.cosine_similarity([[1.0, 0.0], [1.0, 1.0]], [2.0, 0.0]).tolist()
    [1.0, 0.7071]
    """
    a, b = _core._meet(a, b)
    a, b = floating(a), floating(b)
    dtype = a.dtype
    if dtype.itemsize == 2:
        # The square of `eps` is 0 in a half type.
        a, b = _core.astype(a, _core.float32), _core.astype(b, _core.float32)
    shortest = eps * eps
    lengths = [
        _core.rsqrt(_core.maximum(_core.sum(_core.square(x), axis, keepdims=True), shortest)) for x in (a, b)
    ]
    return _core.astype(_core.sum((a * lengths[0]) * (b * lengths[1]), axis), dtype)
