"""Losses of how far apart things lie: each wants a distance, or an order, by a margin."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from . import _core
from ._core import ShapeError, Tensor, mean, relu
from .edges import rounded_once
from .functions.axes import flag
from .targets import floating, pair

if TYPE_CHECKING:
    from .typing import ArrayLike

__all__ = ["cosine_embedding_loss", "margin_ranking_loss", "triplet_margin_loss"]

Agg = Callable[[Tensor], Tensor]


@rounded_once
def triplet_margin_loss(
    anchor: ArrayLike,
    positive: ArrayLike,
    negative: ArrayLike,
    *,
    agg: Agg = mean,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
) -> Tensor:
    """Triplet loss of vectors, `agg(max(0, d(anchor, positive) - d(anchor, negative) + margin))`, with the distance
    `d(x, y) = sum(abs(x - y + eps)**p)**(1 / p)` along the last axis.

    All three have the shape `(…, features)`; others raise ShapeError, an empty batch, a margin that is not positive
    and a `p` that is not positive ValueError. With `swap` the negative is as far as the nearer one of anchor and
    positive finds it. Ref: Balntas et al., "Learning local feature descriptors with triplets and shallow
    convolutional neural networks", 2016; PyTorch's `triplet_margin_loss`.

    >>> import oxiflux as flux
    >>> anchor, positive, negative = [[0.0, 0.0]], [[3.0, 4.0]], [[0.0, 5.5]]
    >>> round(flux.triplet_margin_loss(anchor, positive, negative).item(), 4)
    0.5
    """
    if not margin > 0 or not p > 0:
        raise ValueError(f"triplet_margin_loss: margin and p must be positive, got {margin} and {p}")
    anchor, positive = _alike("triplet_margin_loss", "anchor", anchor, "positive", positive)
    _, negative = _alike("triplet_margin_loss", "anchor", anchor, "negative", negative)
    near, far = _distance(anchor, positive, p, eps), _distance(anchor, negative, p, eps)
    if flag("triplet_margin_loss", "swap", swap):
        far = _core.minimum(far, _distance(positive, negative, p, eps))
    return agg(relu(near - far + margin))


@rounded_once
def cosine_embedding_loss(
    x1: ArrayLike, x2: ArrayLike, y: ArrayLike, *, agg: Agg = mean, margin: float = 0.0
) -> Tensor:
    """Loss of the angles between vectors `(…, features)`: `agg` of `1 - cos(x1, x2)` where the label `y` is 1, and of
    `max(0, cos(x1, x2) - margin)` where it is -1.

    The labels have the shape of the vectors without the last axis. Other shapes raise ShapeError, other labels and
    an empty batch ValueError. The squares of lengths are 1e-12 larger than they are, so that a vector of zeros has an
    angle, of which the cosine is 0. Ref: PyTorch's `cosine_embedding_loss`.

    >>> import oxiflux as flux
    >>> x = [[1.0, 0.0], [1.0, 0.0]]
    >>> flux.cosine_embedding_loss(x, [[0.0, 2.0], [3.0, 0.0]], [1, -1]).item()
    1.0
    """
    x1, x2 = _alike("cosine_embedding_loss", "x1", x1, "x2", x2)
    y = _signs("cosine_embedding_loss", y, x1.shape[:-1], x1)
    length1, length2 = (_core.sqrt(_core.square(x).sum(axis=-1) + 1e-12) for x in (x1, x2))
    cosine = (x1 * x2).sum(axis=-1) / (length1 * length2)
    return agg(_core.where(y == 1, 1 - cosine, relu(cosine - margin)))


@rounded_once
def margin_ranking_loss(
    x1: ArrayLike, x2: ArrayLike, y: ArrayLike, *, agg: Agg = mean, margin: float = 0.0
) -> Tensor:
    """Loss of the order of scores, `agg(max(0, -y * (x1 - x2) + margin))`: the label `y` is 1 where `x1` should be
    the larger, and -1 where `x2` should.

    All have one shape; others raise ShapeError, other labels and an empty batch ValueError. Ref: PyTorch's
    `margin_ranking_loss`.

    >>> import oxiflux as flux
    >>> flux.margin_ranking_loss([1.0, 2.0], [0.5, 3.0], [1, 1]).item()
    0.5
    """
    x1, x2 = pair("margin_ranking_loss", x1, x2)
    y = _signs("margin_ranking_loss", y, x1.shape, x1)
    return agg(relu(margin - y * (x1 - x2)))


def _alike(loss: str, a: str, x: ArrayLike, b: str, y: ArrayLike) -> tuple[Tensor, Tensor]:
    """Vectors of one shape."""
    x, y = floating(loss, a, x), floating(loss, b, y)
    if x.shape != y.shape or not x.ndim:
        raise ShapeError(f"{loss}: {a} {x.shape} and {b} {y.shape} must be (…, features), both the same")
    if not x.size:
        raise ValueError(f"{loss}: there is nothing to take the loss of, the shapes are {x.shape}")
    return x, y.astype(x.dtype)


def _signs(loss: str, y: ArrayLike, shape: tuple[int, ...], like: Tensor) -> Tensor:
    """Labels of 1 and -1; a single one is that of all."""
    y = floating(loss, "the labels", y).astype(like.dtype)
    if y.shape != shape and y.ndim:
        raise ShapeError(f"{loss}: labels {y.shape} do not fit, there must be one for each of {shape}")
    values = _core.stop_gradient(y).numpy()
    if not (abs(values) == 1).all():
        wrong = values[abs(values) != 1].flat[0]
        raise ValueError(f"{loss}: labels are 1 or -1, got {wrong}")
    return y


def _distance(x: Tensor, y: Tensor, p: float, eps: float) -> Tensor:
    """The p-norm of `x - y + eps` along the last axis, without gradient where it is 0."""
    away = x - y + eps
    if p == math.inf:
        return _core.max(_core.abs(away), axis=-1)
    if p == 1:
        return _core.abs(away).sum(axis=-1)
    powers = (_core.square(away) if p == 2 else _core.power(_core.abs(away), p)).sum(axis=-1)
    nothing = powers == 0
    root = _core.power(_core.where(nothing, 1.0, powers), 1 / p)
    return _core.where(nothing, 0.0, root)
