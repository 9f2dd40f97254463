"""Metrics of numbers that are predicted."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from .._core import ShapeError
from ..hints import told
from .given import Array, fitted, weights_of

__all__ = ["mae", "mse", "r2", "rmse"]


@told
def mae(
    predicted: Any, target: Any, *, average: Literal["uniform"] | None = "uniform", weights: Any = None
) -> Any:
    """The mean of `abs(predicted - target)`.

    Several outputs, on the axes after the first, are averaged; with `average=None` the result is an array with a number
    for each. A column counts as a vector, and nothing else is broadcast: other shapes raise ShapeError, no items
    ValueError. NaN gives NaN. `weights` says what each item counts. Ref: scikit-learn, `mean_absolute_error`.

    >>> from oxiflux.metrics import mae
    >>> mae([[1.0], [3.0]], [2.0, 5.0])
    1.5
    """
    p, t, given = _columns("mae", predicted, target, weights)
    return _averaged("mae", np.average(np.abs(p - t), axis=0, weights=given), average)


@told
def mse(
    predicted: Any, target: Any, *, average: Literal["uniform"] | None = "uniform", weights: Any = None
) -> Any:
    """The mean of `(predicted - target) ** 2`, with the options of `mae`. Ref: scikit-learn, `mean_squared_error`.

    >>> from oxiflux.metrics import mse
    >>> mse([1.0, 3.0], [2.0, 5.0])
    2.5
    """
    p, t, given = _columns("mse", predicted, target, weights)
    return _averaged("mse", _squares(p, t, given), average)


@told
def rmse(
    predicted: Any, target: Any, *, average: Literal["uniform"] | None = "uniform", weights: Any = None
) -> Any:
    """The root of the mean of `(predicted - target) ** 2` of each output, with the options of `mae`: the mean over
    outputs is that of the roots. Ref: scikit-learn, `root_mean_squared_error`.

    >>> from oxiflux.metrics import rmse
    >>> rmse([1.0, 4.0], [2.0, 11.0])
    5.0
    """
    p, t, given = _columns("rmse", predicted, target, weights)
    return _averaged("rmse", np.sqrt(_squares(p, t, given)), average)


@told
def r2(
    predicted: Any,
    target: Any,
    *,
    average: Literal["uniform", "variance"] | None = "uniform",
    weights: Any = None,
) -> Any:
    """The share of the target's variance that the prediction explains: 1 is perfect, 0 is no better than the mean.

    Shapes and options are those of `mae`; "variance" averages outputs by their variances. An output that does not vary
    has 1 if it is predicted exactly and otherwise 0. A single item has no variance and gives NaN.
    Ref: scikit-learn, `r2_score`.

    >>> from oxiflux.metrics import r2
    >>> r2([1.0, 2.0, 2.0], [1.0, 2.0, 3.0])
    0.5
    """
    p, t, given = _columns("r2", predicted, target, weights)
    if len(p) < 2:
        return np.full(p.shape[1], math.nan) if average is None else math.nan
    each = 1.0 if given is None else given[:, None]
    with np.errstate(invalid="ignore", over="ignore"):
        rest = (each * (t - p) ** 2).sum(axis=0)
        varies = (each * (t - np.average(t, axis=0, weights=given)) ** 2).sum(axis=0)
    values = 1.0 - np.divide(rest, varies, out=(rest != 0).astype(np.float64), where=varies != 0)
    if average == "variance":
        # Where nothing varies all outputs count alike.
        return float(np.average(values, weights=varies if varies.any() else None))
    return _averaged("r2", values, average)


def _squares(p: Array, t: Array, given: Array | None) -> Array:
    with np.errstate(over="ignore"):
        return np.asarray(np.average((p - t) ** 2, axis=0, weights=given))


def _columns(caller: str, predicted: Any, target: Any, weights: Any) -> tuple[Array, Array, Array | None]:
    """Predictions and targets with a column for each output, and the weights of the rows."""
    p, t = fitted(caller, predicted, target)
    for what, x in (("prediction", p), ("target", t)):
        if x.dtype.kind in "US":
            raise TypeError(f"{caller}: the {what} must be numbers, got text")
    if p.shape != t.shape:
        raise ShapeError(f"{caller}: prediction {p.shape} and target {t.shape} have different shapes")
    given = weights_of(caller, weights, len(p))
    p, t = (x.reshape(len(x), -1).astype(np.float64) for x in (p, t))
    return p, t, given


def _averaged(caller: str, values: Array, average: Any) -> Any:
    if average not in ("uniform", None):
        also = ", 'variance'" if caller == "r2" else ""
        raise ValueError(f"{caller}: average must be 'uniform'{also} or None, got {average!r}")
    return values if average is None else float(values.mean())
