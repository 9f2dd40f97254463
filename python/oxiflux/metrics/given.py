"""What metrics are given: predictions and targets of any form, made into arrays that fit together."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from .._core import ShapeError, Tensor

__all__ = ["Array", "Chosen", "array_of", "fitted", "is_zero_or_one", "labels_of", "weights_of"]

Array = np.ndarray[Any, Any]


class Chosen:
    """The classes that scores choose, which is all that metrics of labels need of them: `count` are the classes, and
    `is_known` is False if some scores were NaN.
    """

    labels: Array
    count: int
    is_known: bool

    def __init__(self, labels: Array, count: int, is_known: bool) -> None:
        self.labels, self.count, self.is_known = labels, count, is_known


def array_of(caller: str, what: str, x: Any) -> Array:
    """Anything as an array of numbers, booleans or text."""
    if isinstance(x, Tensor):
        x = _core.stop_gradient(x)
        wide = x.astype(_core.float32) if x.dtype in (_core.float16, _core.bfloat16) else x
        return np.asarray(wide.numpy())
    if callable(x) and not hasattr(x, "__array__"):
        raise TypeError(f"{caller}: {what} is {x!r}; call the model: {caller}(model(x), y)")
    if np.ma.is_masked(x):
        raise TypeError(f"{caller}: {what} is an array with a mask, which would be lost; leave the items out")
    try:
        array = np.asarray(x)
        if array.dtype.kind == "O":
            array = np.array(array.tolist())
    except ValueError:
        raise ShapeError(f"{caller}: {what} has rows of different lengths") from None
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    if array.dtype.kind not in "fiubUS":
        raise TypeError(
            f"{caller}: {what} must be numbers or labels, got {array.dtype} in a {type(x).__name__}"
        )
    return array


def fitted(caller: str, predicted: Any, target: Any) -> tuple[Array, Array]:
    """Prediction and target as arrays, where a column counts as a vector; of which there must be items."""
    p, t = array_of(caller, "the prediction", predicted), array_of(caller, "the target", target)
    if not p.ndim or not t.ndim:
        raise ShapeError(f"{caller}: a metric is of several items, got shapes {p.shape} and {t.shape}")
    if (
        t.ndim >= 2
        and t.shape[-1] == 1
        and p.shape[: t.ndim - 1] == t.shape[:-1]
        and p.ndim - t.ndim in (-1, 0)
    ):
        t = t[..., 0]
    if p.shape == (*t.shape, 1):
        p = p[..., 0]
    if not p.size or not t.size:
        raise ValueError(f"{caller}: there are no items to measure, the shapes are {p.shape} and {t.shape}")
    return p, t


def weights_of(caller: str, weights: Any, items: int) -> Array | None:
    """What each item counts, if not all the same."""
    if weights is None:
        return None
    given = array_of(caller, "the weights", weights)
    if given.size != items or given.dtype.kind not in "fiub":
        raise ShapeError(
            f"{caller}: weights must be a number for each of {items} items, got shape {given.shape}"
        )
    given = given.reshape(items).astype(np.float64)
    if not np.isfinite(given).all() or (given < 0).any():
        raise ValueError(f"{caller}: weights must be finite numbers that are not negative")
    if not given.any():
        raise ValueError(f"{caller}: the weights are all 0, so that there is nothing to measure")
    return given


def labels_of(caller: str, what: str, x: Array) -> Array:
    """Labels, of which floats must be whole numbers."""
    if x.dtype.kind == "f":
        if np.isnan(x).any():
            raise ValueError(f"{caller}: {what} has NaN among its labels")
        if not (x == np.rint(x)).all() or np.isinf(x).any():
            raise ValueError(f"{caller}: {what} must be labels, got numbers such as {_odd(x)}; for numbers "
                             "there are mae, rmse and r2")  # fmt: skip
        return x.astype(np.int64)
    if x.dtype.kind == "u" and x.dtype.itemsize == 8 and x.max(initial=0) > np.iinfo(np.int64).max:
        raise ValueError(f"{caller}: {what} has the label {x.max()}, which is beyond int64")
    return x if x.dtype.kind in "US" else x.astype(np.int64)


def _odd(x: Array) -> float:
    return float(x[(x != np.rint(x)) | np.isinf(x)].flat[0])


def is_zero_or_one(x: Array) -> bool:
    """Whether all are 0 or 1."""
    return x.dtype.kind in "fiub" and bool(((x == 0) | (x == 1)).all())
