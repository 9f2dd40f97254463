"""Labels as one-hot rows, and back; the classes lie on the last axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core
from ._core import ShapeError, Tensor
from .hints import told

if TYPE_CHECKING:
    from .typing import ArrayLike

__all__ = ["onecold", "onehot", "onehotbatch"]

_RAISE = object()
MOST = 2**24
"""Labels that a range may stand for: they are put into a dictionary."""


@told
def onehot(label: Any, labels: Sequence[Any], default: Any = _RAISE) -> Tensor:
    """A boolean vector of the length of `labels`, true at the place of `label`.

    A label that is not among them counts as `default` if there is one, else raises ValueError.

    >>> import oxiflux as flux
    >>> flux.onehot("b", "abc").tolist()
    [False, True, False]
    """
    return _core.one_hot(_core.tensor(_lookup("onehot", labels, default)(label)), len(labels))


@told
def onehotbatch(data: Any, labels: Sequence[Any], default: Any = _RAISE) -> Tensor:
    """One one-hot row for each item of `data`: a boolean tensor of shape `data.shape + (len(labels),)`.

    An item that is not among `labels` counts as `default` if there is one, else raises ValueError.

    >>> import oxiflux as flux
    >>> flux.onehotbatch("cab", "abc").shape
    (3, 3)
    >>> flux.onehotbatch([[7, 3]], [3, 7]).tolist()
    [[[False, True], [True, False]]]
    """
    place = _lookup("onehotbatch", labels, default)
    if hasattr(data, "shape"):
        found = _among(data, labels, default)
        if found is not None:
            return found
    items = data if hasattr(data, "shape") else np.asarray(list(data))
    # Items of several types would all become strings in a plain array.
    mixed = (
        items if hasattr(data, "shape") or items.dtype.kind not in "US" else np.asarray(list(data), object)
    )
    places = [place(item) for item in np.asarray(mixed).ravel().tolist()]
    numbers = np.array(places, np.int64).reshape(items.shape)
    # What somebody else's array holds may be another thing the next time.
    return _core.one_hot((_core.tensor if hasattr(data, "shape") else _core.table)(numbers), len(labels))


def _among(data: Any, labels: Sequence[Any], default: Any) -> Tensor | None:
    """The rows of numbers among labels that are numbers; `None` for others, and where some are not among them."""
    known = _numbers(labels)
    if known is None or getattr(data.dtype, "kind", "") not in {"i": "iub", "f": "f"}.get(
        known.dtype.kind, ""
    ):
        return None
    x = _core.asarray(data)
    if x.dtype == _core.uint64:
        return None
    same = _core.equal(_core.expand_dims(x.astype(str(known.dtype)), -1), _core.table(known))
    found = _core.any(same, -1)
    if default is _RAISE:
        return same if _core.holds(_core.all(found)) else None
    of_default = _core.table(known == default)
    return _core.logical_or(same, _core.logical_and(_core.expand_dims(~found, -1), of_default))


def _numbers(labels: Sequence[Any]) -> np.ndarray | None:
    """Labels that are different numbers, in a type that holds each as it is."""
    if isinstance(labels, range):
        return np.arange(labels.start, labels.stop, labels.step)
    if not isinstance(labels, (list, tuple)) or not labels or len(set(labels)) < len(labels):
        return None
    kinds = set(map(type, labels))
    if kinds <= {int, bool} and all(-(2**63) <= label < 2**63 for label in labels):
        return np.array([int(label) for label in labels])
    return np.array(labels) if kinds == {float} else None


@told
def onecold(y: ArrayLike, labels: Sequence[Any] | None = None) -> Any:
    """The class of the largest number on the last axis: its index, or its name if `labels` are given.

    Indices come as a tensor and names as a NumPy array, which compares with an array of labels, in the shape of `y`
    without its last axis; for a vector it is one index or name. Raises ShapeError if the number of labels is not that
    of the classes.

    >>> import oxiflux as flux
    >>> flux.onecold([[0.1, 0.9], [0.8, 0.2]]).tolist()
    [1, 0]
    >>> flux.onecold([0.3, 0.2, 0.5], ("a", "b", "c"))
    'c'
    >>> flux.onecold([[0.1, 0.9], [0.8, 0.2]], ("cat", "dog")) == ["dog", "dog"]
    array([ True, False])
    """
    y = y if isinstance(y, Tensor) else _core.asarray(y)
    if y.ndim == 0 or y.shape[-1] == 0:
        raise ShapeError(f"onecold: needs classes on the last axis, got shape {y.shape}")
    if labels is not None and not hasattr(labels, "__len__"):
        raise TypeError(f"onecold: the labels are the names of the classes, got {labels!r}")
    if labels is not None and len(labels) != y.shape[-1]:
        raise ShapeError(f"onecold: {len(labels)} labels for {y.shape[-1]} classes")
    index = _core.argmax(y.astype(_core.uint8) if y.dtype == "bool" else y, axis=-1)
    if labels is None:
        return index if index.ndim else int(index)
    return _names(labels)[index.numpy()] if index.ndim else labels[int(index)]


def _names(labels: Sequence[Any]) -> np.ndarray:
    """The labels as an array, which must not turn labels of several types into text."""
    if isinstance(labels, np.ndarray):
        return labels
    kinds = {type(label) for label in labels}
    if len(kinds) == 1 and kinds <= {str, int, float, bool}:
        return np.array(list(labels))
    names = np.empty(len(labels), object)
    for i, label in enumerate(labels):
        names[i] = label
    return names


def _lookup(name: str, labels: Sequence[Any], default: Any) -> Any:
    """The function from a label to its place."""
    if not hasattr(labels, "__len__"):
        raise TypeError(
            f"{name}: the labels are the classes, such as range({_count(labels)}), got {labels!r}"
        )
    if isinstance(labels, range) and labels[MOST:]:
        raise MemoryError(f"{name}: {labels} has more than {MOST} labels")
    places = {label: i for i, label in enumerate(labels)}
    if default is not _RAISE and default not in places:
        raise ValueError(f"{name}: the default {default!r} is not one of the labels {_some(labels)}")

    def place(label: Any) -> int:
        found = places.get(label)
        if found is None:
            if default is _RAISE:
                raise ValueError(f"{name}: {label!r} is not one of the labels {_some(labels)}")
            found = places[default]
        return found

    return place


def _count(labels: Any) -> Any:
    return labels if isinstance(labels, int) else 10


def _some(labels: Sequence[Any]) -> str:
    shown = ", ".join(repr(label) for label in labels[:10])
    return f"{shown}, … ({len(labels)} in all)" if len(labels) > 10 else shown
