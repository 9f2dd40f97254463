"""How often things are there: whole numbers, and numbers between edges."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import TYPE_CHECKING, NamedTuple, SupportsIndex

import numpy as np

from .. import _core
from .._core import DTypeError, ShapeError, Tensor
from ..hints import told

if TYPE_CHECKING:
    from .._core import _TensorLike as ArrayLike

__all__ = ["bincount", "histogram"]


@told
def bincount(x: ArrayLike, /, weights: ArrayLike | None = None, minlength: SupportsIndex = 0) -> Tensor:
    """How often each number from 0 on is among the integers `x`, as int64; or the sums of their weights.

    The result is as long as the largest of them needs, `minlength` at least. Weights have a gradient, and their type.
    `x` is a vector of integers from 0 on, else DTypeError, ShapeError or ValueError. Ref: `numpy.bincount`.

    >>> import oxiflux as flux
    >>> flux.bincount([0, 1, 1, 3]), flux.bincount([0, 1, 1], weights=[0.5, 1.0, 2.0])
    (Tensor([1, 2, 0, 1]), Tensor([0.5, 3. ]))
    """
    x, least = _core.asarray(x), index(minlength)
    if x.dtype.kind not in "iu" and x.size:
        raise DTypeError(f"bincount: what is counted are integers, not {x.dtype}")
    if x.ndim != 1:
        raise ShapeError(f"bincount: expected a vector, got shape {x.shape}")
    if least < 0:
        raise ValueError(f"bincount: minlength is 0 or more, got {least}")
    x = _core.astype(x, _core.int64)
    n = max(int(_core.max(x)) + 1 if x.size else 0, least)
    if weights is None:
        try:
            return _counts(x, n)
        except ValueError:  # Negative numbers, which NumPy looks for as well.
            low = int(_core.min(x))
            raise ValueError(f"bincount: numbers from 0 on are counted, got {low}") from None
    if x.size and (low := int(_core.min(x))) < 0:
        raise ValueError(f"bincount: numbers from 0 on are counted, got {low}")
    weights = _core.asarray(weights)
    if weights.shape != x.shape:
        raise ShapeError(f"bincount: weights of shape {weights.shape} for numbers of shape {x.shape}")
    return _core.scatter(weights, x, n)


def _counts(x: Tensor, n: int) -> Tensor:
    """How often each of `n` numbers is there."""
    # A size that no memory has is refused here, in the words of this package.
    _core.empty(n, dtype=_core.int64)
    return _core.from_numpy(np.bincount(x.numpy(), minlength=n).astype(np.int64, copy=False))


class Histogram(NamedTuple):
    """What `histogram` gives."""

    counts: Tensor
    edges: Tensor


@told
def histogram(
    x: ArrayLike,
    /,
    bins: int | Sequence[float] | Tensor | np.ndarray = 10,
    range: tuple[float, float] | None = None,
    weights: ArrayLike | None = None,
    density: bool = False,
) -> Histogram:
    """How many elements are in each of several bins: `counts`, and the `edges` of the bins, of which there is one more.

    `bins` is a number of bins of equal width over `range`, by default from the smallest element to the largest; or
    edges, which may not decrease. A bin has its lower edge, the last both. What is beyond the edges, or NaN, is left
    out. With `weights` their sums, which have a gradient, take the place of int64 counts; with `density` what is found
    is divided by the width of its bin and by all that is found. Ref: `numpy.histogram`.

    >>> import oxiflux as flux
    >>> flux.histogram([1.0, 2.0, 2.5, 4.0], bins=3).counts
    Tensor([1, 2, 1])
    """
    x = _core.asarray(x)
    given = None if weights is None else _core.asarray(weights)
    if given is not None and given.shape != x.shape:
        raise ShapeError(f"histogram: weights of shape {given.shape} for elements of shape {x.shape}")
    x = _core.reshape(_core.stop_gradient(x), (-1 if x.size else 0,))
    x = x if x.dtype.kind == "f" else _core.astype(x, _core.float64)
    edges = _edges(x, bins, range)
    n = edges.size - 1
    # How many edges are not above an element is the number of its bin, from 1 on; 0 and `n + 1` are outside.
    place = _places(x.numpy(), edges.numpy())
    if place is None:
        # The last bin has its upper edge.
        last = _core.astype(_core.equal(x, edges[-1]), _core.int64)
        place = _core.searchsorted(edges, x, side="right") - last
    if given is None:
        counts = _counts(place, n + 2)[1:-1]
    else:
        counts = _core.scatter(_core.reshape(given, x.shape), place, n + 2)[1:-1]
    if density:
        counts = counts if counts.dtype.kind == "f" else _core.astype(counts, x.dtype)
        counts = counts / (edges[1:] - edges[:-1]) / _core.sum(counts)
    return Histogram(counts, edges)


_BLOCK = 1 << 14


def _places(x: np.ndarray, edges: np.ndarray) -> Tensor | None:
    """The numbers of bins by arithmetic, put right at the edges as they are; None where the edges are not even enough.

    Rounding keeps the order of numbers. So if each edge comes out within a quarter of its own number, what lies between
    two edges comes out within one of its bin.
    """
    n = edges.size - 1
    with np.errstate(all="ignore"):
        low, per = edges[0], n / (edges[-1] - edges[0])
        if edges.dtype.itemsize < 4 or not (abs((edges - low) * per - np.arange(n + 1)) < 0.25).all():
            return None
        # The last bin has its upper edge.
        upper = edges[1:].copy()
        upper[-1] = np.nextafter(upper[-1], np.inf)
        places = np.empty(x.size, np.int64)
        # By blocks that stay in the cache.
        for start in range(0, x.size, _BLOCK):
            part = x[start : start + _BLOCK]
            # A NaN becomes 0 or the least integer: it counts as below the first edge, which it is not above.
            at = part - low
            at *= per
            near = np.clip(at, 0, n - 1, out=at).astype(np.intp)
            np.maximum(near, 0, out=near)
            into = places[start : start + _BLOCK]
            np.add(near, part >= edges.take(near), out=into)
            into += part >= upper.take(near)
    return _core.from_numpy(places)


def _edges(
    x: Tensor, bins: int | Sequence[float] | Tensor | np.ndarray, range: tuple[float, float] | None
) -> Tensor:
    if not isinstance(bins, SupportsIndex) or np.ndim(bins):
        edges = _core.asarray(bins, dtype=x.dtype)
        if edges.ndim != 1 or edges.size < 2:
            raise ShapeError(f"histogram: edges are a vector of two or more, got shape {edges.shape}")
        if not bool(_core.all(_core.less_equal(edges[:-1], edges[1:]))):
            raise ValueError("histogram: edges must not decrease")
        return edges
    n = index(bins)
    if n < 1:
        raise ValueError(f"histogram: a number of bins is 1 or more, got {n}")
    if range is not None:
        low, high = (float(edge) for edge in range)
    elif x.size:
        low, high = float(_core.min(x)), float(_core.max(x))
    else:
        low, high = 0.0, 1.0
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(f"histogram: there are no bins from {low} to {high}; give a finite range=")
    if low > high:
        raise ValueError(f"histogram: the range from {low} to {high} decreases")
    if low == high:
        low, high = low - 0.5, high + 0.5
    return _core.linspace(low, high, n + 1, dtype=x.dtype)
