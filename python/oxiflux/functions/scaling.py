"""Elements brought to a common scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import _core
from .._core import ShapeError, Tensor
from ..hints import told
from .axes import axis_of, integers
from .movement import moveaxis
from .numbers import floating

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = ["rescale", "rms_norm"]


@told
def rescale(x: ArrayLike, /, axis: int | tuple[int, ...] | None = 0, eps: float = 1e-5) -> Tensor:
    """`(x - min) / (max - min + eps)` over axes, by default the first: between 0 and 1.

    `x` keeps its shape; integers become float32, and what is constant along the axes becomes 0. With None, minimum and
    maximum are those of all elements. An axis that is not there raises IndexError. Ref: MLUtils.jl, `rescale`.

    >>> import oxiflux as flux
    >>> flux.rescale([[1.0, 10.0], [2.0, 20.0], [3.0, 50.0]], eps=0.0).tolist()
    [[0.0, 0.0], [0.5, 0.25], [1.0, 1.0]]
    """
    x = floating(x)
    for a in () if axis is None else integers(axis):
        axis_of("rescale", a, x.ndim)
    if x.size == 0:
        return x
    low, high = _core.min(x, axis, keepdims=True), _core.max(x, axis, keepdims=True)
    # The distance of two numbers may be beyond the type; that of their halves never is.
    is_wide = _core.isinf(_core.stop_gradient(high) - _core.stop_gradient(low))
    part = _core.where(is_wide, 0.5, _core.ones(is_wide.shape, dtype=x.dtype))
    low = low * part
    return (x * part - low) / (high * part - low + eps * part)


@told
def rms_norm(
    x: ArrayLike,
    weight: ArrayLike | None = None,
    /,
    axis: int | tuple[int, ...] | None = -1,
    eps: float = 1e-6,
) -> Tensor:
    """`x / sqrt(mean(x^2) + eps)` over axes, by default the last, None for all, times `weight` if there is one.

    The shape is that of `x`, to which `weight` broadcasts; integers become float32. Half types are computed in float32.
    Ref: Zhang and Sennrich, Root mean square layer normalization, 2019.

    >>> import oxiflux as flux
    >>> flux.rms_norm([[3.0, 4.0], [0.0, 1.0]], eps=0.0).numpy().round(4).tolist()
    [[0.8485, 1.1314], [0.0, 1.4142]]
    """
    x = floating(x)
    several = range(x.ndim) if axis is None else integers(axis)
    axes = sorted(axis_of("rms_norm", a, x.ndim) for a in several)
    if len(set(axes)) != len(axes):
        raise ValueError(f"rms_norm: axis {axis} names one twice")
    lead = x.ndim - len(axes)
    last = tuple(range(lead, x.ndim))
    weight = None if weight is None else _core._meet(x, weight)[1]
    fits = weight is None or (weight.shape == x.shape[lead:] and weight.dtype == x.dtype)
    if fits and axes == list(last):
        return _core.rms_norm(x, weight, lead, eps)
    y = moveaxis(_core.rms_norm(moveaxis(x, axes, last), None, lead, eps), last, axes)
    if weight is None:
        return y
    try:
        _core.broadcast_to(weight, x.shape)
    except ShapeError:
        raise ShapeError(
            f"rms_norm: weight of shape {weight.shape} does not broadcast to {x.shape}"
        ) from None
    return y * weight
