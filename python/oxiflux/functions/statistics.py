"""How the elements of a tensor are spread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import _core
from .._core import Tensor
from ..hints import told
from .axes import axis_of, integers

if TYPE_CHECKING:
    from .._core import _TensorLike as ArrayLike

__all__ = ["rescale"]


@told
def rescale(x: ArrayLike, /, axis: int | tuple[int, ...] | None = 0, eps: float = 1e-5) -> Tensor:
    """`(x - min) / (max - min + eps)` over axes, by default the first: between 0 and 1.

    `x` keeps its shape; integers become float32, and what is constant along the axes becomes 0. With None, minimum and
    maximum are those of all elements. An axis that is not there raises IndexError. Ref: MLUtils.jl, `rescale`.

    >>> import oxiflux as flux
    >>> flux.rescale([[1.0, 10.0], [2.0, 20.0], [3.0, 50.0]], eps=0.0).tolist()
    [[0.0, 0.0], [0.5, 0.25], [1.0, 1.0]]
    """
    x = _core.asarray(x)
    x = x if x.dtype.kind == "f" else _core.astype(x, _core.float32)
    for a in () if axis is None else integers(axis):
        axis_of("rescale", a, x.ndim)
    if x.size == 0:
        return x
    low, high = _core.min(x, axis, keepdims=True), _core.max(x, axis, keepdims=True)
    return (x - low) / (high - low + eps)
