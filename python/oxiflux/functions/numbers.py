"""Functions of each element by itself."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, SupportsIndex

from .. import _core
from .._core import Tensor
from ..hints import told
from .axes import flag

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = [
    "allclose", "clip", "conj", "exp10", "heaviside", "imag", "isclose", "polygamma", "positive",
    "real", "rrelu",
]  # fmt: skip


def floating(x: ArrayLike) -> Tensor:
    """`x` itself if it is of a floating type, else as float32."""
    x = _core.asarray(x)
    return x if x.dtype.kind == "f" else _core.astype(x, _core.float32)


def wide(x: Tensor) -> Tensor:
    """`x` itself, or as float32 if it is of a half type: what sums of several steps are computed in."""
    return _core.astype(x, _core.float32) if x.dtype.itemsize == 2 else x


def root(x: Tensor) -> Tensor:
    """The square root, whose gradient at 0 is 0 and not infinite."""
    zero = _core.equal(x, 0.0)
    return _core.where(zero, 0.0, _core.sqrt(_core.where(zero, 1.0, x)))


@told
def positive(x: ArrayLike, /) -> Tensor:
    """`x` itself.

    >>> import oxiflux as flux
    >>> flux.positive([1, -2])
    Tensor([ 1, -2])
    """
    return _core.asarray(x)


@told
def clip(x: ArrayLike, /, min: ArrayLike | None = None, max: ArrayLike | None = None) -> Tensor:
    """`x` held between two bounds, either of which may be left out.

    >>> import oxiflux as flux
    >>> flux.clip([-1.0, 0.5, 2.0], 0, 1)
    Tensor([0. , 0.5, 1. ])
    """
    x = _core.asarray(x)
    if min is not None:
        x = _core.maximum(x, min)
    return x if max is None else _core.minimum(x, max)


@told
def conj(x: ArrayLike, /) -> Tensor:
    """The complex conjugate, which real numbers are themselves: `x`.

    >>> import oxiflux as flux
    >>> flux.conj([1.0, -2.0])
    Tensor([ 1., -2.])
    """
    return _core.asarray(x)


@told
def real(x: ArrayLike, /) -> Tensor:
    """The real part of real numbers: `x`.

    >>> import oxiflux as flux
    >>> flux.real([1.0, -2.0])
    Tensor([ 1., -2.])
    """
    return _core.asarray(x)


@told
def imag(x: ArrayLike, /) -> Tensor:
    """The imaginary part of real numbers: zeros.

    >>> import oxiflux as flux
    >>> flux.imag([1.0, -2.0])
    Tensor([0., 0.])
    """
    return _core.zeros_like(x)


@told
def rrelu(x: ArrayLike, /, lo: float = 1 / 8, hi: float = 1 / 3) -> Tensor:
    """`x` above 0, else `a * x` with a slope `a` drawn for each element, equally likely between `lo` and `hi`.

    Ref: Xu et al. 2015, Empirical evaluation of rectified activations.

    >>> import oxiflux as flux
    >>> y = flux.rrelu([1.0, -1.0]).tolist()
    >>> y[0], -0.34 < y[1] < -0.12
    (1.0, True)
    """
    if not lo <= hi:
        raise ValueError(f"rrelu: slopes from {lo} to {hi} are none")
    x = floating(x)
    slope = lo + (hi - lo) * _core.rand(*x.shape, dtype=x.dtype)
    return _core.where(_core.less(x, 0), slope * x, x)


@told
def exp10(x: ArrayLike, /) -> Tensor:
    """`10^x`.

    >>> import oxiflux as flux
    >>> flux.exp10([-1.0, 0.0, 3.0]).tolist()
    [0.1, 1.0, 1000.0]
    """
    x = floating(x)
    return _core.pow(_core.full((), 10.0, dtype=x.dtype), x)


@told
def heaviside(x: ArrayLike, value: ArrayLike, /) -> Tensor:
    """0 where `x` is below 0, 1 where it is above, and `value` where it is 0; NaN where `x` is.

    A step of `x`, for which no gradient passes; `value` has one. Both broadcast, in a floating type.

    >>> import oxiflux as flux
    >>> flux.heaviside([-2.0, 0.0, 3.0], 0.5)
    Tensor([0. , 0.5, 1. ])
    """
    x, value = _core._meet(x, value)
    x, value = floating(x), floating(value)
    step = _core.where(_core.less(x, 0.0), 0.0, _core.where(_core.isnan(x), _core.stop_gradient(x), 1.0))
    return _core.where(_core.equal(x, 0.0), value, step)


@told
def polygamma(n: SupportsIndex, x: ArrayLike, /) -> Tensor:
    """The derivative of order `n` of `digamma`, the derivative of `lgamma`; `n` from 0 on, else ValueError.

    `(-1)^(n + 1) n! zeta(n + 1, x)` by Hurwitz's zeta function, summed by Euler and Maclaurin's formula. Infinite at 0
    and at whole numbers below it. Its gradient is `polygamma(n + 1, x)`. Ref: `scipy.special.polygamma`.

    >>> import oxiflux as flux
    >>> flux.polygamma(1, [1.0, 2.0]).tolist()
    [1.6449, 0.6449]
    """
    order = index(n)
    if order < 0:
        raise ValueError(f"polygamma: an order is 0 or more, got {order}")
    match order:
        case 0:
            return _core.digamma(x)
        case 1:
            return _core.trigamma(x)
    return _core.polygamma(x, float(order))


def _widened(x: Tensor) -> Tensor:
    """`x` in a type whose differences do not wrap around and whose tolerances are not rounded to 0."""
    if x.dtype.kind != "f":
        return _core.astype(x, _core.float64)
    return wide(x)


@told
def isclose(
    a: ArrayLike, b: ArrayLike, /, *, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Whether `|a - b| <= atol + rtol * |b|`, element by element; infinities are close to themselves alone.

    NaN is close to nothing, or with `equal_nan=True` to NaN. Both broadcast. Ref: `numpy.isclose`.

    >>> import oxiflux as flux
    >>> flux.isclose([1.0, 1.0, float("inf")], [1.000001, 1.1, float("inf")])
    Tensor([ True, False,  True])
    """
    a, b = _core._meet(a, b)
    same = _core.equal(a, b)
    a, b = _widened(a), _widened(b)
    near = _core.less_equal(_core.abs(a - b), atol + rtol * _core.abs(b))
    close = _core.logical_or(same, _core.logical_and(near, _core.isfinite(b)))
    if flag("isclose", "equal_nan", equal_nan):
        close = _core.logical_or(close, _core.logical_and(_core.isnan(a), _core.isnan(b)))
    return close


@told
def allclose(
    a: ArrayLike, b: ArrayLike, /, *, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether all elements are close to each other, by `isclose`: True or False.

    >>> import oxiflux as flux
    >>> flux.allclose([1.0, 2.0], [1.0, 2.000001])
    True
    """
    return bool(_core.all(isclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan)))
