"""How variables vary together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import _core
from .._core import ShapeError, Tensor
from ..hints import told
from .axes import flag
from .matrices import diagonal
from .numbers import clip, floating

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = ["corrcoef", "cov"]


@told
def cov(x: ArrayLike, /, *, rowvar: bool = True, correction: float = 1) -> Tensor:
    """The covariances of variables, each a row of observations: `(x - mean) @ (x - mean).T / (n - correction)`.

    With `rowvar=False` variables are columns. Of one variable it is a number, its variance. NaN where `n` is not above
    `correction`. Ref: `numpy.cov`, where `ddof` is `correction`.

    >>> import oxiflux as flux
    >>> flux.cov([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    x = _core.asarray(x)
    found = _covariances("cov", x, rowvar, correction)
    return found[0, 0] if found.size == 1 else found


def _covariances(function: str, x: ArrayLike, rowvar: bool, correction: float) -> Tensor:
    x = floating(x)
    columns = not flag(function, "rowvar", rowvar) and x.ndim == 2
    if x.ndim > 2:
        raise ShapeError(f"{function}: expected variables in rows, a matrix, got shape {x.shape}")
    if x.ndim < 2:
        x = _core.reshape(x, (1, x.size))
    axis = 0 if columns else 1
    left = x.shape[axis] - correction
    away = x - _core.mean(x, axis, keepdims=True)
    turned = _core.matrix_transpose(away)
    products = _core.matmul(turned, away) if columns else _core.matmul(away, turned)
    return products / (left if left > 0 else float("nan"))


@told
def corrcoef(x: ArrayLike, /, *, rowvar: bool = True) -> Tensor:
    """The correlations of variables, each a row of observations: their covariances over their standard deviations.

    With `rowvar=False` variables are columns. Between -1 and 1; NaN for what does not vary. Ref: `numpy.corrcoef`.

    >>> import oxiflux as flux
    >>> flux.corrcoef([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]).numpy().round(4).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    x = _core.asarray(x)
    c = _covariances("corrcoef", x, rowvar, 1)
    size = _core.sqrt(diagonal(c))
    one = _core.ones((), dtype=c.dtype)
    found = clip(c / _core.expand_dims(size, 1) / size, -one, one)
    return found[0, 0] if found.size == 1 else found
