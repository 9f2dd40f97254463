"""Functions of each element by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import _core
from .._core import Tensor
from ..hints import told

if TYPE_CHECKING:
    from .._core import _TensorLike as ArrayLike

__all__ = ["clip", "gelu_sigmoid", "positive", "rrelu"]


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
    x = _core.asarray(x)
    x = x if x.dtype.kind == "f" else _core.astype(x, _core.float32)
    slope = lo + (hi - lo) * _core.rand(*x.shape, dtype=x.dtype)
    return _core.where(_core.less(x, 0), slope * x, x)


@told
def gelu_sigmoid(x: ArrayLike, /) -> Tensor:
    """`x * sigmoid(1.702 * x)`, an approximation of `gelu` within 0.021 by a single exponential.

    Ref: NNlib.jl, `gelu_sigmoid`; Hendrycks and Gimpel, Gaussian error linear units, 2016.

    >>> import oxiflux as flux
    >>> flux.gelu_sigmoid([-1.0, 0.0, 1.0]).tolist()
    [-0.1542, 0.0, 0.8458]
    """
    x = _core.asarray(x)
    x = x if x.dtype.kind == "f" else _core.astype(x, _core.float32)
    return x * _core.sigmoid(1.702 * x)
