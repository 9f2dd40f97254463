"""What losses are given: a prediction and its target, made to meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core
from ._core import ShapeError, Tensor
from .hints import meant, refuse
from .tree import FLOATS

if TYPE_CHECKING:
    from .typing import ArrayLike

__all__ = ["check_options", "classes", "floating", "labelled", "one_hot_like", "pair"]


def check_options(loss: str, agg: Any, unknown: dict[str, Any], *known: str) -> None:
    """Raises for options that a loss does not have; the losses that are called most look for them in their own way."""
    if unknown:
        refuse(loss, unknown, ("yhat", "y", *known))
    if not callable(agg):
        raise TypeError(f"{loss}: agg must be a function, such as flux.sum, got {agg!r}{meant(agg)}")


def target(name: str, y: ArrayLike) -> Tensor:
    """`y` as a tensor; what is in a list keeps its precision until the dtype of the prediction is known."""
    if type(y) is Tensor:
        return y
    if isinstance(y, (list, tuple)) and any(isinstance(item, Tensor) for item in y):
        return _tensor(name, "the target", y)
    return _tensor(name, "the target", _array(y))


def floating(name: str, what: str, x: ArrayLike) -> Tensor:
    """`x` as a floating tensor; integers and booleans become float32."""
    t = (
        x
        if type(x) is Tensor
        else _tensor(name, what, x if isinstance(x, (list, tuple, float)) else _array(x))
    )
    return t if t.dtype in FLOATS else t.astype(_core.float32)


def _array(x: Any) -> Any:
    """`x` as an array of NumPy, or itself if it would be one of a single object."""
    if callable(x):
        return x
    array = np.asanyarray(x)  # one that hides elements is refused as such
    return array if array.ndim or array.dtype.kind != "O" else x


def _tensor(name: str, what: str, x: Any) -> Tensor:
    """`x` as a tensor, or an error that says which argument it was."""
    try:
        return _core.asarray(x)
    except TypeError as error:
        call = f"; call the model: {name}(model(x), y)" if callable(x) else ""
        raise type(error)(f"{name}: {what}: {error}{call}") from None


def pair(name: str, yhat: ArrayLike, y: ArrayLike) -> tuple[Tensor, Tensor]:
    """Prediction and target as tensors of one shape and of the prediction's dtype."""
    yhat, y = floating(name, "the prediction", yhat), target(name, y)
    if not y.ndim and yhat.ndim:
        y = _core.broadcast_to(y, yhat.shape)  # One number is the target of all; nothing is ambiguous.
    if yhat.shape != y.shape:
        mend = _mend(yhat.shape, y.shape)
        raise ShapeError(f"{name}: prediction {yhat.shape} and target {y.shape} have different shapes{mend}")
    if not yhat.size:
        raise ValueError(f"{name}: there is nothing to take the loss of, the shapes are {yhat.shape}")
    if y.dtype == yhat.dtype:
        return yhat, y
    try:
        return yhat, _core.asarray(y, yhat.dtype)
    except OverflowError as error:
        raise OverflowError(f"{name}: a target does not fit the prediction: {error}") from None


def _mend(yhat: tuple[int, ...], y: tuple[int, ...]) -> str:
    """How to make the shape of a target that of the prediction, where it is a matter of axes of length 1."""
    if [n for n in yhat if n != 1] != [n for n in y if n != 1]:
        return ""
    if yhat == (*y, 1):
        return "; use y[:, None]" if len(y) == 1 else "; use y[..., None]"
    if y == (*yhat, 1):
        return "; use y[:, 0]" if len(y) == 2 else "; use y[..., 0]"
    return f"; use y.reshape{yhat}"


def classes(name: str, yhat: ArrayLike, y: ArrayLike, axis: int) -> tuple[Tensor, Tensor, bool]:
    """Prediction, target, and whether the target is integer labels rather than one-hot or probabilities."""
    return labelled(name, yhat, y, axis)[:3]


def labelled(
    name: str, yhat: ArrayLike, y: ArrayLike, axis: int, ignore_index: Any = None
) -> tuple[Tensor, Tensor, bool, Tensor | None]:
    """`classes`, and which of the labels are not `ignore_index`, if there are some that are: those become 0."""
    if ignore_index is not None and (
        not isinstance(ignore_index, (int, np.integer)) or isinstance(ignore_index, bool)
    ):
        raise TypeError(f"{name}: ignore_index must be an integer, got {ignore_index!r}")
    yhat, y = floating(name, "the prediction", yhat), target(name, y)
    if not -yhat.ndim <= axis < yhat.ndim:
        raise IndexError(f"{name}: axis {axis} is out of range for a prediction of shape {yhat.shape}")
    rows = list(yhat.shape)
    n = rows.pop(axis)
    if y.shape == tuple(rows):
        if not yhat.size:
            raise ValueError(
                f"{name}: there is nothing to take the loss of, the prediction has shape {yhat.shape}"
            )
        kept = None
        if ignore_index is not None:
            ignored = y.numpy() == ignore_index
            if ignored.any():
                kept = _core.asarray(~ignored)
                y = _core.where(kept, y, 0)
        return yhat, _labels(name, y, n), True, kept
    if y.shape == (*rows, 1) != yhat.shape:
        raise ShapeError(f"{name}: prediction {yhat.shape} and labels {y.shape} do not fit; use y[..., 0]")
    if not y.ndim:
        raise ShapeError(
            f"{name}: prediction {yhat.shape} and one label do not fit; give a label for each row"
        )
    if ignore_index is not None:
        raise ValueError(
            f"{name}: ignore_index is one of integer labels, which a target of shape {y.shape} for predictions"
            f" {yhat.shape} is not"
        )
    return *pair(name, yhat, y), False, None


def _labels(name: str, y: Tensor, n: int) -> Tensor:
    """Labels as int64, checked to lie in `0..n`; booleans are 0 and 1."""
    if y.dtype.kind in "iu" and _core.are_below(y, n):
        return y if y.dtype == "int64" else y.astype(_core.int64)
    labels = y.numpy()
    if labels.dtype.kind == "f":
        bad = np.isnan(labels) | (labels != np.floor(labels))
        if bad.any():
            raise ValueError(f"{name}: label {_first(labels, bad)} is not an integer")
    bad = (labels < 0) | (labels >= n)
    if bad.any():
        raise IndexError(f"{name}: label {_first(labels, bad)} is not one of the classes 0 to {n - 1}")
    return y if y.dtype == "int64" else y.astype(_core.int64)


def _first(labels: np.ndarray, bad: np.ndarray) -> str:
    """The first bad label and where it is."""
    place = np.unravel_index(int(bad.argmax()), bad.shape)
    where_ = ", ".join(str(int(i)) for i in place)
    return f"{labels[place]} at position {where_}" if where_ else str(labels[place])


def one_hot_like(labels: Tensor, yhat: Tensor, axis: int) -> Tensor:
    """Integer labels as zeros and ones in the shape and dtype of the prediction."""
    y = _core.one_hot(labels, yhat.shape[axis], dtype=yhat.dtype)
    order = list(range(y.ndim - 1))
    order.insert(axis % y.ndim, y.ndim - 1)
    return _core.permute_dims(y, order)
