"""How often things are there: whole numbers, and numbers between edges."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import TYPE_CHECKING, NamedTuple, SupportsIndex

import numpy as np

from .. import _core
from .._core import DTypeError, ShapeError, Tensor
from ..hints import told
from .axes import flag

if TYPE_CHECKING:
    from ..typing import ArrayLike

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
    is_long = least > 0 and _core.are_below(x, least)
    n = least if is_long or not x.size else max(int(_core.max(x)) + 1, least)
    if weights is None:
        try:
            return _core.counts(x, n)
        except ValueError:
            raise _negative(x) from None
    if not is_long and x.size and int(_core.min(x)) < 0:
        raise _negative(x)
    weights = _core.asarray(weights)
    if weights.shape != x.shape:
        raise ShapeError(f"bincount: weights of shape {weights.shape} for numbers of shape {x.shape}")
    return _core.scatter(weights, x, n)


def _negative(x: Tensor) -> ValueError:
    return ValueError(f"bincount: numbers from 0 on are counted, got {int(_core.min(x))}")


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
    # From 1 on; 0 and `n + 1` are outside.
    place = _core.bins(x, edges)
    if given is None:
        counts = _core.counts(place, n + 2)[1:-1]
    else:
        counts = _core.scatter(_core.reshape(given, x.shape), place, n + 2)[1:-1]
    if flag("histogram", "density", density):
        counts = counts if counts.dtype.kind == "f" else _core.astype(counts, x.dtype)
        counts = counts / (edges[1:] - edges[:-1]) / _core.sum(counts)
    return Histogram(counts, edges)


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
