"""The largest and the smallest elements along an axis: the first few, and the first up to each place."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, NamedTuple, SupportsIndex

from .. import _core
from .._core import Tensor
from ..hints import told
from .axes import axis_of, flag

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = ["cummax", "cummin", "topk"]


class TopK(NamedTuple):
    """What `topk` gives."""

    values: Tensor
    indices: Tensor


@told
def topk(x: ArrayLike, k: SupportsIndex, /, axis: int = -1, largest: bool = True) -> TopK:
    """The `k` largest elements along an axis, or with `largest=False` the `k` smallest, the first of them first: their
    `values`, and their int64 `indices` along the axis.

    Both have the shape of `x`, but `k` along the axis. Of equal elements those come first that are first in `x`, and
    NaN come last, as in `sort`; the others are not sorted. Only the values have a gradient. A `k` that is not between 1
    and the size of the axis raises ValueError. Ref: MLUtils.jl, `topk`, where `rev=true` is `largest=True`.

    >>> import oxiflux as flux
    >>> flux.topk([[1, 8, 3], [6, 2, 5]], 2)
    TopK(values=Tensor([[8, 3],
            [6, 5]]), indices=Tensor([[1, 2],
            [0, 2]]))
    """
    x = _core.asarray(x)
    at, k = axis_of("topk", index(axis), x.ndim), index(k)
    if not 1 <= k <= x.shape[at]:
        raise ValueError(
            f"topk: k must be between 1 and {x.shape[at]}, the size of axis {axis} of {x.shape}, got {k}"
        )
    indices = _core.argfirst(x, k, at, flag("topk", "largest", largest))
    return TopK(_core.take_along_axis(x, indices, at), indices)


class CumMax(NamedTuple):
    """What `cummax` gives."""

    values: Tensor
    indices: Tensor


class CumMin(NamedTuple):
    """What `cummin` gives."""

    values: Tensor
    indices: Tensor


@told
def cummax(x: ArrayLike, /, axis: int | None = None) -> CumMax:
    """The largest element up to each along an axis, which only a vector may leave out: `values`, and their `indices`.

    Of equal elements it is the last, which has the gradient; from the first NaN on all are NaN. Ref: `torch.cummax`;
    the values are those of `numpy.maximum.accumulate`.

    >>> import oxiflux as flux
    >>> flux.cummax([1, 3, 2, 3])
    CumMax(values=Tensor([1, 3, 3, 3]), indices=Tensor([0, 1, 1, 3]))
    """
    return CumMax(*_running("cummax", x, axis, smallest=False))


@told
def cummin(x: ArrayLike, /, axis: int | None = None) -> CumMin:
    """The smallest element up to each along an axis, as `cummax` gives the largest.

    >>> import oxiflux as flux
    >>> flux.cummin([3, 1, 2, 1])
    CumMin(values=Tensor([3, 1, 1, 1]), indices=Tensor([0, 1, 1, 3]))
    """
    return CumMin(*_running("cummin", x, axis, smallest=True))


def _running(function: str, x: ArrayLike, axis: int | None, smallest: bool) -> tuple[Tensor, Tensor]:
    x = _core.asarray(x)
    if axis is None and x.ndim > 1:
        raise ValueError(f"{function}: a tensor of {x.ndim} axes needs `axis`")
    at = axis_of(function, -1 if axis is None else index(axis), x.ndim)
    indices = _core.running_places(x, at, smallest)
    return _core.take_along_axis(x, indices, at), indices
