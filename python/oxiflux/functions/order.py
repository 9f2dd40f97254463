"""What comes first: the largest elements, the different ones, and differences of neighbours."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, NamedTuple, SupportsIndex

import numpy as np

from .. import _core
from .._core import Tensor
from ..hints import told
from .axes import axis_of, narrow

if TYPE_CHECKING:
    from .._core import _TensorLike as ArrayLike

__all__ = ["diff", "topk", "unique_all", "unique_counts", "unique_inverse", "unique_values"]


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
    at, k = axis_of("topk", index(axis), x.ndim), index(k)
    if not 1 <= k <= x.shape[at]:
        raise ValueError(
            f"topk: k must be between 1 and {x.shape[at]}, the size of axis {axis} of {x.shape}, got {k}"
        )
    indices = narrow(_core.argsort(x, at, bool(largest)), at, 0, k)
    return TopK(_core.take_along_axis(x, indices, at), indices)


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
        length = x.shape[axis_of("diff", axis, x.ndim)]
        x = _core.subtract(narrow(x, axis, 1, length), narrow(x, axis, 0, max(length - 1, 0)))
    return x
