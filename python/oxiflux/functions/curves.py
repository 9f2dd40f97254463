"""Curves through points: their integrals, and what lies between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import _core
from .._core import ShapeError, Tensor
from ..hints import told
from .axes import axis_of, narrow
from .numbers import clip, floating

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = ["interp", "trapezoid"]


@told
def trapezoid(y: ArrayLike, x: ArrayLike | None = None, /, dx: float = 1.0, axis: int = -1) -> Tensor:
    """The integral of `y` along an axis by the trapezoidal rule, at the points `x` or `dx` apart.

    Ref: `numpy.trapezoid`.

    >>> import oxiflux as flux
    >>> flux.trapezoid([0.0, 1.0, 4.0]), flux.trapezoid([0.0, 1.0, 4.0], [0.0, 2.0, 3.0])
    (Tensor(3.), Tensor(3.5))
    """
    y = floating(y)
    at = axis_of("trapezoid", axis, y.ndim)
    n = y.shape[at]
    middle = (narrow(y, at, 1, n) + narrow(y, at, 0, max(n - 1, 0))) * 0.5
    if x is None:
        return _core.sum(middle, at) * dx
    x = _core.asarray(x)
    if x.ndim == 1:
        x = _core.reshape(x, tuple(x.size if i == at else 1 for i in range(y.ndim)))
    m = x.shape[axis]
    return _core.sum(middle * (narrow(x, axis, 1, m) - narrow(x, axis, 0, max(m - 1, 0))), at)


@told
def interp(
    x: ArrayLike, xp: ArrayLike, fp: ArrayLike, /, left: float | None = None, right: float | None = None
) -> Tensor:
    """The piecewise linear function through the points `(xp, fp)`, at `x`.

    Beyond them it is `left` and `right`, by default the values at the ends. `xp` ascends and is not empty. All have
    gradients. Ref: `numpy.interp`.

    >>> import oxiflux as flux
    >>> flux.interp([0.5, 1.5, 9.0], [0.0, 1.0, 2.0], [0.0, 10.0, 40.0])
    Tensor([ 5., 25., 40.])
    """
    x, xp, fp = (floating(t) for t in _core._meet(x, xp, fp))
    if xp.ndim != 1 or xp.shape != fp.shape or not xp.size:
        raise ShapeError(
            f"interp: expected points in two vectors of one length, got {xp.shape} and {fp.shape}"
        )
    first, last = fp[0] if left is None else left, fp[-1] if right is None else right
    if xp.size == 1:
        inside = _core.broadcast_to(fp, x.shape) if x.ndim else fp[0]
    else:
        i = clip(_core.searchsorted(xp, _core.stop_gradient(x), side="right") - 1, 0, xp.size - 2)
        x0, x1, f0, f1 = xp[i], xp[i + 1], fp[i], fp[i + 1]
        width = x1 - x0
        flat = _core.equal(width, 0.0)
        inside = _core.where(flat, f1, f0 + (x - x0) * ((f1 - f0) / _core.where(flat, 1.0, width)))
    y = _core.where(_core.less(x, xp[0]), first, _core.where(_core.greater(x, xp[-1]), last, inside))
    return _core.where(_core.isnan(x), x, y)
