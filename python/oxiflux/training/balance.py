"""Classes that are rare, and count more for it: the weights that `fit` gives to a loss."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from .. import _core
from .._core import Tensor
from ..data import DataLoader
from ..metrics.given import array_of, labels_of

__all__ = ["weighted_by_class"]


def weighted_by_class(loss: Callable[..., Any], given: Any, data: Any) -> Callable[..., Any]:
    """The loss with the weights of the classes as its keyword `weight`."""
    weight = _balanced(data) if isinstance(given, str) and given == "balanced" else _weights(given)
    if not _takes_weight(loss):
        raise TypeError(
            "fit: class_weight= is given to the loss as its keyword weight, which it does not take; write "
            "lambda m, x, y, weight=None: flux.logitcrossentropy(m(x), y, weight=weight)"
        )
    return partial(loss, weight=weight)


def _weights(given: Any) -> Tensor:
    if isinstance(given, Mapping):
        if sorted(given, key=repr) != sorted(range(len(given)), key=repr):
            raise ValueError(
                f"fit: class_weight must have a number for each class, 0 to {len(given) - 1}, got {list(given)}"
            )
        given = [given[label] for label in range(len(given))]
    if isinstance(given, str):
        raise ValueError(f"fit: class_weight must be 'balanced' or a number for each class, got {given!r}")
    weight = array_of("fit", "class_weight", given)
    if weight.ndim != 1 or not weight.size or weight.dtype.kind not in "fiu":
        raise ValueError(f"fit: class_weight must be a number for each class, got {given!r}")
    if not np.isfinite(weight).all() or (weight < 0).any():
        raise ValueError(f"fit: class_weight must be finite numbers that are not negative, got {given!r}")
    return _core.asarray(weight.astype(np.float32))


def _balanced(data: Any) -> Tensor:
    """All items over the number of classes times the items of each."""
    parts = data.data if isinstance(data, DataLoader) else None
    if not isinstance(parts, tuple) or not hasattr(parts[-1], "shape"):
        raise TypeError(
            "fit: class_weight='balanced' counts the labels of a DataLoader((x, y), …) of arrays; for other data give "
            "a number for each class"
        )
    y = array_of("fit", "the target", parts[-1])
    labels = y.argmax(axis=1) if y.ndim == 2 and y.shape[1] > 1 else labels_of("fit", "the target", y.ravel())
    if labels.dtype.kind in "US" or labels.size == 0 or labels.min() < 0:
        raise ValueError("fit: class_weight='balanced' is for labels 0, 1, … or one-hot rows")
    counts = np.bincount(labels, minlength=y.shape[1] if y.ndim == 2 else 0)
    if not counts.all():
        raise ValueError(
            f"fit: class_weight='balanced': class {int(counts.argmin())} does not occur; give a number for each class"
        )
    return _core.asarray((labels.size / (len(counts) * counts)).astype(np.float32))


def _takes_weight(loss: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(loss).parameters
    except (TypeError, ValueError):
        return True
    return "weight" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())
