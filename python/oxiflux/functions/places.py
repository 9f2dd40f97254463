"""Elements put in places: added up there, and in the place of others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import _core
from .._core import DTypeError, ShapeError, Tensor
from ..hints import told
from .axes import axis_of

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = ["index_add", "masked_scatter", "scatter_along"]


@told
def scatter_along(
    x: ArrayLike, indices: ArrayLike, values: ArrayLike, /, axis: int = -1, op: str = "set"
) -> Tensor:
    """`x` with `values` at the places along an axis that integers name, for each place along the other axes.

    The opposite of `take_along_axis`.
    `indices` have the shape of `x` but along `axis`, and may count from the back; `values` broadcast to theirs. With
    `op` "set" a value takes the place of the element, and of several the last; with "+", "*", "max" and "min" it is
    joined to it; "mean" is that of the element and its values. All have gradients. An index that is out of range
    raises IndexError. Ref: `torch.scatter`, `torch.scatter_reduce`, `numpy.put_along_axis`, which changes its argument.

    >>> import oxiflux as flux
    >>> x = flux.zeros((2, 3))
    >>> flux.scatter_along(x, [[0, 2], [1, 1]], [[1.0, 2.0], [3.0, 4.0]]).tolist()
    [[1.0, 0.0, 2.0], [0.0, 4.0, 0.0]]
    >>> flux.scatter_along(x, [[0, 2], [1, 1]], [[1.0, 2.0], [3.0, 4.0]], op="+").tolist()
    [[1.0, 0.0, 2.0], [0.0, 7.0, 0.0]]
    """
    x, values = _core._meet(x, values)
    indices = _core.asarray(indices)
    if op == "set":
        return _core.put_along_axis(x, indices, values, axis)
    if op == "+":
        return _core.add_along_axis(x, indices, values, axis)
    if op == "mean":
        total = _core.add_along_axis(x, indices, values, axis)
        count = _core.add_along_axis(_core.ones_like(x), indices, _core.ones((), dtype=x.dtype), axis)
        return _core.astype(total / count, x.dtype)
    if op not in _JOINED:
        raise ValueError(f'scatter_along: op is "set", "+", "*", "max", "min" or "mean", not {op!r}')
    # Places are numbered through the whole tensor, where the values are folded first.
    own = _core.reshape(_core.arange(x.size), x.shape)
    flat = _core.take_along_axis(own, indices, axis)
    values = _core.astype(_core.broadcast_to(values, indices.shape), x.dtype)
    folded = _core.scatter(
        _core.reshape(values, (values.size,)), _core.reshape(flat, (flat.size,)), x.size, op
    )
    # Where no value goes there is the least number of the wide type: it must not be cut to a narrow one.
    joined = _JOINED[op](_core.astype(x, folded.dtype), _core.reshape(folded, x.shape))
    return _core.astype(joined, x.dtype)


_JOINED = {"*": _core.multiply, "max": _core.maximum, "min": _core.minimum}


@told
def index_add(
    x: ArrayLike, indices: ArrayLike, values: ArrayLike, /, axis: int = 0, alpha: float = 1
) -> Tensor:
    """`x` with `alpha * values` added to the slices along an axis that a vector of integers names.

    A slice that is named twice gets both. `values` have the shape of `x` but along `axis`, where there is one slice for
    each index, or broadcast to it. Ref: `torch.index_add`.

    >>> import oxiflux as flux
    >>> flux.index_add(flux.zeros((3, 2)), [0, 2, 2], [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]).tolist()
    [[1.0, 2.0], [0.0, 0.0], [8.0, 10.0]]
    """
    x, values = _core._meet(x, values)
    indices = _core.asarray(indices)
    at = axis_of("index_add", axis, x.ndim)
    if indices.ndim != 1:
        raise ShapeError(f"index_add: indices are a vector, got shape {indices.shape}")
    if indices.dtype.kind not in "iu" and indices.size:
        raise DTypeError(f"index_add: indices are integers, not {indices.dtype}")
    indices = _core.astype(indices, _core.int64)
    shape = (*x.shape[:at], indices.size, *x.shape[at + 1 :])
    try:
        values = _core.broadcast_to(values, shape)
    except ShapeError:
        raise ShapeError(
            f"index_add: expected values of shape {shape} for {indices.size} indices along axis {axis} of shape"
            f" {x.shape}, got {values.shape}"
        ) from None
    try:
        return x.at[(slice(None),) * at + (indices,)].add(values if alpha == 1 else values * alpha)
    except IndexError as error:
        raise IndexError(f"index_add: {str(error).replace(':', '', 1)}") from None


@told
def masked_scatter(x: ArrayLike, mask: ArrayLike, values: ArrayLike, /) -> Tensor:
    """`x` with the elements of `values`, one after the other, in the places where `mask` is true.

    `mask` broadcasts to `x`. Fewer values than places raise ShapeError; further ones are left. Ref:
    `torch.masked_scatter`.

    >>> import oxiflux as flux
    >>> flux.masked_scatter([0.0, 1.0, 2.0], [True, False, True], [5.0, 6.0])
    Tensor([5., 1., 6.])
    """
    x, values = _core._meet(x, values)
    mask = _core.broadcast_to(_core.astype(_core.asarray(mask), _core.bool_), x.shape)
    rank = _core.cumulative_sum(_core.reshape(_core.astype(mask, _core.int64), (x.size,))) - 1
    needed = int(rank[-1]) + 1 if x.size else 0
    if values.size < needed:
        raise ShapeError(f"masked_scatter: {values.size} values for {needed} places")
    if not needed:
        return x
    row = _core.reshape(values, (values.size,))
    taken = _core.take(row, _core.maximum(rank, 0), 0)
    return _core.where(mask, _core.astype(_core.reshape(taken, x.shape), x.dtype), x)
