"""Reductions that leave NaN out, with NumPy's names: what is not known does not count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import _core
from .._core import Tensor
from ..hints import told
from .numbers import floating, root

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = ["nanmax", "nanmean", "nanmin", "nanprod", "nanstd", "nanvar"]

Axes = int | Sequence[int] | None
_INFINITY = float("inf")


def _without_nan(x: ArrayLike, neutral: float) -> Tensor:
    """`x` with a number in the place of NaN, whose gradient is 0."""
    return _core.nan_to_num(x, neutral, _INFINITY, -_INFINITY)


def _count(x: Tensor, axis: Axes, keepdims: bool) -> Tensor:
    """How many elements are not NaN, in the type of `x`."""
    known = _core.logical_not(_core.isnan(x))
    return _core.astype(_core.count_nonzero(known, axis, keepdims=keepdims), x.dtype)


@told
def nanprod(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The product over axes of the elements that are not NaN; 1 where there are none. NaN has the gradient 0.

    >>> import oxiflux as flux
    >>> flux.nanprod([3.0, float("nan"), 2.0])
    Tensor(6.)
    """
    return _core.prod(_without_nan(x, 1.0), axis, keepdims=keepdims)


@told
def nanmean(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The mean over axes of the elements that are not NaN; NaN where there are none. NaN has the gradient 0.

    >>> import oxiflux as flux
    >>> flux.nanmean([[1.0, float("nan")], [3.0, 5.0]], axis=0)
    Tensor([2., 5.])
    """
    x = floating(x)
    return _core.nansum(x, axis, keepdims=keepdims) / _count(x, axis, keepdims)


@told
def nanvar(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False, correction: float = 0.0) -> Tensor:
    """The variance over axes of the elements that are not NaN, `sum((x - mean)^2) / (n - correction)` for `n` of them.

    NaN where `n` is not above `correction`. NaN has the gradient 0.

    >>> import oxiflux as flux
    >>> flux.nanvar([1.0, float("nan"), 3.0])
    Tensor(1.)
    """
    x = floating(x)
    away = _core.where(_core.isnan(x), 0.0, x - nanmean(x, axis, keepdims=True))
    left = _count(x, axis, keepdims) - correction
    left = _core.where(_core.greater(left, 0.0), left, float("nan"))
    return _core.sum(_core.square(away), axis, keepdims=keepdims) / left


@told
def nanstd(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False, correction: float = 0.0) -> Tensor:
    """The standard deviation over axes of the elements that are not NaN: the square root of `nanvar`.

    Equal elements have the gradient 0, as for `std`.

    >>> import oxiflux as flux
    >>> flux.nanstd([1.0, float("nan"), 3.0])
    Tensor(1.)
    """
    return root(nanvar(x, axis, keepdims, correction))


@told
def nanmax(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The largest element over axes that is not NaN; NaN where all are. Elements that tie share the gradient.

    >>> import oxiflux as flux
    >>> flux.nanmax([1.0, float("nan"), 3.0])
    Tensor(3.)
    """
    x = _core.asarray(x)
    return _unless_all(x, _core.max(_without_nan(x, -_INFINITY), axis, keepdims=keepdims), axis, keepdims)


@told
def nanmin(x: ArrayLike, /, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The smallest element over axes that is not NaN; NaN where all are. Elements that tie share the gradient.

    >>> import oxiflux as flux
    >>> flux.nanmin([1.0, float("nan"), 3.0])
    Tensor(1.)
    """
    x = _core.asarray(x)
    return _unless_all(x, _core.min(_without_nan(x, _INFINITY), axis, keepdims=keepdims), axis, keepdims)


def _unless_all(x: Tensor, found: Tensor, axis: Axes, keepdims: bool) -> Tensor:
    """What was found, and NaN where there was nothing but NaN."""
    if x.dtype.kind != "f":
        return found
    return _core.where(_core.all(_core.isnan(x), axis, keepdims=keepdims), float("nan"), found)
