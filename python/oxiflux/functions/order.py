"""The different elements of a tensor, and differences of neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .. import _core
from .._core import Tensor
from ..hints import told
from .axes import axis_of, flag, narrow

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = ["diff", "isin", "unique_all", "unique_counts", "unique_inverse", "unique_values"]


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


@told
def diff(
    x: ArrayLike,
    /,
    n: int = 1,
    axis: int = -1,
    *,
    prepend: ArrayLike | None = None,
    append: ArrayLike | None = None,
) -> Tensor:
    """The differences of neighbours along an axis, `n` times over, of `x` with `prepend` before and `append` after it.

    Both have as many axes as `x` and differ from it in the length of that axis at most; a number is one element for
    each row. No differences, `n=0`, are `x` itself. Ref: Python array API standard, `diff`.

    >>> import oxiflux as flux
    >>> flux.diff([1, 4, 9]), flux.diff([1, 4, 9], prepend=[0])
    (Tensor([3, 5]), Tensor([1, 3, 5]))
    """
    x = _core.asarray(x)
    if n < 0:
        raise ValueError(f"diff: {n} is not a number of times")
    at = axis_of("diff", axis, x.ndim)
    if n == 0:
        return x
    if prepend is not None or append is not None:
        column = (*x.shape[:at], 1, *x.shape[at + 1 :])
        _, *around = _core._meet(x, *(part for part in (prepend, append) if part is not None))
        ends = [part if part.ndim else _core.broadcast_to(part, column) for part in around]
        before, after = ends[: prepend is not None], ends[prepend is not None :]
        x = _core.concat([*before, x, *after], at)
    for _ in range(n):
        length = x.shape[at]
        x = _core.subtract(narrow(x, at, 1, length), narrow(x, at, 0, max(length - 1, 0)))
    return x


@told
def isin(x: ArrayLike, elements: ArrayLike, /, *, invert: bool = False) -> Tensor:
    """For each element of `x` whether it is one of `elements`, of any shape; with `invert`, whether it is none of them.

    NaN equals nothing. The elements are sorted first: `n` lookups among `m` take a time of `(n + m) log(m)`. No
    gradient passes.

    >>> import oxiflux as flux
    >>> flux.isin([1, 5, 2], [2, 1])
    Tensor([ True, False,  True])
    """
    if isinstance(elements, (bool, int, float)):
        found = _core.equal(x, elements)
    elif isinstance(x, (bool, int, float)):
        found = _core.any(_core.equal(elements, x))
    else:
        values, known = _core._meet(x, elements)
        known = _core.sort(_core.reshape(known, (known.size,)))
        if known.size:
            place = _core.minimum(_core.searchsorted(known, values), known.size - 1)
            found = _core.equal(_core.take(known, place, 0), values)
        else:
            found = _core.zeros(values.shape, bool)
    return _core.logical_not(found) if flag("isin", "invert", invert) else found
