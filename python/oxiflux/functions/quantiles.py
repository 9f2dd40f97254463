"""Medians and quantiles, by selection: only what is left out of NaN is sorted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .._core import Tensor
from ..hints import told
from .axes import axis_of, flag, integers
from .numbers import floating

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = ["median", "nanmedian", "nanquantile", "percentile", "quantile"]

Axes = int | Sequence[int] | None
Quantiles = float | Sequence[float] | np.ndarray | Tensor

# Of methods that interpolate: `alpha` and `beta` of Hyndman and Fan (1996), Sample quantiles in statistical packages.
_PLOTTED = {
    "linear": (1.0, 1.0),
    "interpolated_inverted_cdf": (0.0, 1.0),
    "hazen": (0.5, 0.5),
    "weibull": (0.0, 0.0),
    "median_unbiased": (1 / 3, 1 / 3),
    "normal_unbiased": (3 / 8, 3 / 8),
}
# Of methods that choose or halve: the place for one between two elements.
_CHOSEN: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "lower": np.floor,
    "higher": np.ceil,
    "nearest": np.rint,
    "midpoint": lambda at: (np.floor(at) + np.ceil(at)) / 2,
}


_HALF = np.array(0.5)


def _rows(function: str, x: ArrayLike, axis: Axes, keepdims: bool) -> tuple[Tensor, tuple[int, ...]]:
    """The elements over axes as rows `(…, n)` of floats, and the shape of what is found in each."""
    x, keepdims = floating(x), flag(function, "keepdims", keepdims)
    axes = range(x.ndim) if axis is None else [axis_of(function, a, x.ndim) for a in integers(axis)]
    if len(set(axes)) != len(axes):
        raise ValueError(f"{function}: axis {axis} names one twice")
    kept = [a for a in range(x.ndim) if a not in axes]
    found = tuple(n if a in kept else 1 for a, n in enumerate(x.shape) if a in kept or keepdims)
    n = math.prod(x.shape[a] for a in axes)
    rows = _core.permute_dims(x, (*kept, *axes))
    return _core.reshape(rows, (*(x.shape[a] for a in kept), n)), found


def _mixed(low: Tensor, high: Tensor, weight: Tensor) -> Tensor:
    """Between two elements; of two equal infinities the distance would be NaN."""
    same = _core.equal(low, high)
    return _core.where(same, low, _core.lerp(low, _core.where(same, low, high), weight))


def _numbers(q: Quantiles) -> np.ndarray:
    """Quantiles as they are; what an array or a tensor holds is looked at."""
    is_array = hasattr(q, "__array__") and not isinstance(q, np.generic)
    return np.asarray(_core.asarray(q).numpy() if is_array else q, np.float64)


def _places(function: str, q: np.ndarray, n: Any, method: str) -> Any:
    """Where, among `n` elements in order counted from 0, each quantile is: a fraction is between two."""
    q = np.asarray(q)
    if not ((q >= 0) & (q <= 1)).all():
        raise ValueError(
            f"{function}: quantiles are between 0 and 1, got {q[~((q >= 0) & (q <= 1))].flat[0]}"
        )
    q = q.reshape(q.shape + (1,) * n.ndim)
    at: Any = _core.table(q) if isinstance(n, Tensor) else q
    if method in _PLOTTED:
        alpha, beta = _PLOTTED[method]
        at = n * at + (alpha + at * (1 - alpha - beta)) - 1
    elif method in _CHOSEN:
        at = _CHOSEN[method]((n - 1) * at)
    else:
        raise ValueError(f"{function}: method is one of {', '.join([*_PLOTTED, *_CHOSEN])}, not {method!r}")
    return np.minimum(np.maximum(at, 0), np.maximum(n - 1, 0))


@told
def median(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The element in the middle of those over axes, or the mean of the two that are.

    NaN where one of them is, and of no elements. Integers become float32. The gradient goes to the one element, or a
    half to each of two. Ref: `numpy.median`, unlike PyTorch's, which takes the lower of two.

    >>> import oxiflux as flux
    >>> flux.median([[1.0, 7.0, 2.0], [3.0, 4.0, 9.0]], axis=1), flux.median([1, 2, 3, 8])
    (Tensor([2., 4.]), Tensor(2.5))
    """
    return _quantile("median", x, _HALF, axis, keepdims, "midpoint")


@told
def quantile(
    x: ArrayLike, q: Quantiles, /, axis: Axes = None, keepdims: bool = False, method: str = "linear"
) -> Tensor:
    """The numbers below which a part `q` of the elements over axes are; an axis of `q` comes first.

    `q` is one number between 0 and 1 or several; others raise ValueError. Between two elements it is interpolated:
    `method` is "linear", "hazen", "weibull", "median_unbiased", "normal_unbiased" or "interpolated_inverted_cdf"; or
    one is taken, "lower", "higher" or "nearest", or their mean, "midpoint". NaN where one element is. The gradient
    goes to the elements beside the place. Ref: `numpy.quantile`; Hyndman and Fan 1996.

    >>> import oxiflux as flux
    >>> flux.quantile([0.0, 1.0, 2.0, 10.0], [0.25, 0.5, 1.0])
    Tensor([ 0.75,  1.5 , 10.  ])
    """
    return _quantile("quantile", x, _numbers(q), axis, keepdims, method)


@told
def percentile(
    x: ArrayLike, q: Quantiles, /, axis: Axes = None, keepdims: bool = False, method: str = "linear"
) -> Tensor:
    """`quantile` of `q / 100`.

    >>> import oxiflux as flux
    >>> flux.percentile([0.0, 1.0, 2.0, 10.0], 25)
    Tensor(0.75)
    """
    return _quantile("percentile", x, _numbers(q) / 100, axis, keepdims, method)


def _quantile(function: str, x: ArrayLike, q: np.ndarray, axis: Axes, keepdims: bool, method: str) -> Tensor:
    rows, found = _rows(function, x, axis, keepdims)
    n = rows.shape[-1]
    at = _places(function, q, np.asarray(n), method)
    if n == 0:
        return _core.full((*at.shape, *found), float("nan"), dtype=rows.dtype)
    return _reshaped(_selected(rows, at.ravel(), n - 1), (*at.shape, *found))


def _selected(rows: Tensor, at: np.ndarray, last: int) -> Tensor:
    """What is at these places of each row in ascending order; NaN where the element of the rank `last` is."""
    low, high = np.floor(at).astype(np.int64), np.ceil(at).astype(np.int64)
    # NaN is last in order: where the last is none there is none.
    ranks = np.unique([*low, *high, last])
    values = _core.take_along_axis(rows, _core.argranked(rows, ranks.tolist()), -1)
    places = (_core.table(np.searchsorted(ranks, i)) for i in (np.array([last]), low, high))
    end, first, second = (_core.take(values, place, -1) for place in places)
    if (at != low).any():
        first = _mixed(first, second, _core.table(at - low).astype(rows.dtype))
    return _core.where(_core.isnan(end), end, first)


def _reshaped(values: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Values `(…, quantiles)` with the axes of the quantiles first."""
    return _core.reshape(_core.permute_dims(values, (values.ndim - 1, *range(values.ndim - 1))), shape)


@told
def nanquantile(
    x: ArrayLike, q: Quantiles, /, axis: Axes = None, keepdims: bool = False, method: str = "linear"
) -> Tensor:
    """`quantile` of the elements that are not NaN; NaN where all are.

    >>> import oxiflux as flux
    >>> flux.nanquantile([1.0, float("nan"), 3.0], 0.25)
    Tensor(1.5)
    """
    return _nanquantile("nanquantile", x, _numbers(q), axis, keepdims, method)


@told
def nanmedian(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """`median` of the elements that are not NaN; NaN where all are.

    >>> import oxiflux as flux
    >>> flux.nanmedian([1.0, float("nan"), 3.0])
    Tensor(2.)
    """
    return _nanquantile("nanmedian", x, _HALF, axis, keepdims, "midpoint")


def _nanquantile(
    function: str, x: ArrayLike, q: np.ndarray, axis: Axes, keepdims: bool, method: str
) -> Tensor:
    rows, found = _rows(function, x, axis, keepdims)
    n = rows.shape[-1]
    missing = _core.count_nonzero(_core.isnan(rows), -1)
    if n == 0 or _core.holds(_core.equal(_core.sum(missing), 0)):
        return _quantile(function, x, q, axis, keepdims, method)
    at = _core.reshape(_places(function, q, n - missing, method), (-1, *missing.shape))
    at = _core.permute_dims(at, (*range(1, at.ndim), 0))
    ordered, low = _core.sort(rows), _core.floor(at)
    first, second = (_core.take_along_axis(ordered, i.astype(_core.int64), -1) for i in (low, _core.ceil(at)))
    return _reshaped(_mixed(first, second, (at - low).astype(rows.dtype)), (*q.shape, *found))
