"""Metrics by name, and functions of a user's own beside them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ..hints import unknown
from .classes import accuracy, confusion, f1, precision, recall
from .numbers import mae, mse, r2, rmse
from .ranks import auc, topk

__all__ = ["NAMES", "Whole", "direction", "metric", "name_of", "whole"]

# By name: the metric, whether only labels matter of scores for each class, and whether more is better.
NAMES: dict[str, tuple[Callable[..., Any], bool, bool]] = {
    "accuracy": (accuracy, True, True),
    "auc": (auc, False, True),
    "confusion": (confusion, True, True),
    "f1": (f1, True, True),
    "mae": (mae, False, False),
    "mse": (mse, False, False),
    "precision": (precision, True, True),
    "r2": (r2, False, True),
    "recall": (recall, True, True),
    "rmse": (rmse, False, False),
    "topk": (topk, False, True),
}


class Whole:
    """A metric of all predictions and targets of an epoch; `of_labels` if it needs no scores of classes."""

    f: Callable[..., Any]
    of_labels: bool

    def __init__(self, f: Callable[..., Any], of_labels: bool = False) -> None:
        self.f, self.of_labels = f, of_labels

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self.f(*args, **options)

    @property
    def __name__(self) -> str:
        return name_of(self.f)


def whole(f: Callable[..., Any]) -> Whole:
    """A function `f(predicted, target)` as a metric of `fit` and `evaluate`: it is called once an epoch, with NumPy
    arrays of all predictions and targets, and with `weights=` too if the batches come with weights.

    A function that takes two arguments, where the loss takes the model and two more, is taken for one without this.

    >>> from oxiflux.metrics import whole
    >>> @whole
    ... def worst(predicted, target):
    ...     return abs(predicted - target).max()
    >>> worst.__name__
    'worst'
    """
    if not callable(f):
        raise TypeError(f"whole: expected a function of predictions and targets, got {f!r}")
    return f if isinstance(f, Whole) else Whole(f)


def metric(caller: str, given: Any) -> Any:
    """A metric by its name, or a function as one if it is of this package, or such a function with options."""
    if isinstance(given, str):
        if given not in NAMES:
            text = unknown("there is no metric ", given, NAMES)
            raise ValueError(f"{caller}: {text}; the metrics are {', '.join(NAMES)}, and functions")
        f, of_labels, _ = NAMES[given]
        return Whole(f, of_labels)
    inner = given
    while isinstance(inner, partial):
        inner = inner.func
    for f, of_labels, _ in NAMES.values():
        if inner is f:
            return Whole(given, of_labels)
    return given


def name_of(f: Any) -> str:
    """The name of a function, also of one with options."""
    while isinstance(f, partial):
        f = f.func
    return str(getattr(f, "__name__", type(f).__name__))


def direction(column: str) -> str | None:
    """Whether a column is to fall, "min", or to rise, "max"; None if its name does not say so.

    >>> direction("val_loss"), direction("val_auc"), direction("val_size")
    ('min', 'max', None)
    """
    name = column.removeprefix("val_")
    if name in NAMES and name != "confusion":
        return "max" if NAMES[name][2] else "min"
    if name.endswith(("loss", "error", "perplexity")):
        return "min"
    return "max" if name.endswith(("accuracy", "acc", "auc", "f1", "r2", "score")) else None
