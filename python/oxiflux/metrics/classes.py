"""Metrics of labels: how often they are right, class by class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ..hints import told
from .decided import Decided, decided
from .given import Array, weights_of

__all__ = ["accuracy", "confusion", "f1", "precision", "recall"]

Average = Literal["auto", "binary", "macro", "micro", "weighted", "samples"] | None
_AVERAGES = ("auto", "binary", "macro", "micro", "weighted", "samples", None)


@told
def accuracy(
    predicted: Any,
    target: Any,
    *,
    weights: Any = None,
    threshold: float | None = None,
    multilabel: bool | None = None,
) -> float:
    """The share of items whose predicted label is the true one.

    The prediction is

    - a score for each class on the last axis, of which the largest is chosen, of several equal ones the first, beside
      labels `0, 1, …` or one-hot rows;
    - a score for each item beside 0 and 1 (or -1 and 1), which says 1 if it is above `threshold`: unless given, 0.5 if
      all scores lie between 0 and 1, as probabilities do, and otherwise 0, as for logits;
    - a score for each label beside rows of 0 and 1, where an item may have several labels; such an item is right if all
      of them are. If each row has a single 1 it is one-hot, unless `multilabel=True` says otherwise;
    - or labels: numbers, text or rows of 0 and 1.

    `weights` says what each item counts. Scores that are NaN give NaN; no items, and labels beyond the classes, raise
    ValueError, shapes that do not fit ShapeError. Ref: scikit-learn, `accuracy_score`.

    >>> from oxiflux.metrics import accuracy
    >>> accuracy([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]], [1, 0, 0])
    0.6666666666666666
    >>> accuracy([2.0, -1.0, 0.5], [1, 0, 0]), accuracy(["cat", "dog"], ["cat", "cat"])
    (0.6666666666666666, 0.5)
    """
    found = decided("accuracy", predicted, target, threshold, multilabel)
    given = weights_of("accuracy", weights, len(found.target))
    if not found.is_known:
        return math.nan
    hits = found.predicted == found.target
    return float(np.average(hits.all(axis=1) if hits.ndim == 2 else hits, weights=given))


@told
def precision(
    predicted: Any,
    target: Any,
    *,
    average: Average = "auto",
    weights: Any = None,
    classes: int | Sequence[Any] | None = None,
    zero_division: float = 0.0,
    threshold: float | None = None,
    multilabel: bool | None = None,
) -> Any:
    """The share of those predicted to be of a class that are of it. Predictions and targets as in `accuracy`.

    `average` is "binary", the class 1 of two; "macro", the mean over classes; "weighted", that by their true numbers;
    "micro", of all classes together; "samples", the mean over items that have several labels; or None for an array with
    a number for each class. "auto" is "binary" where there are two classes and otherwise "macro". Classes are those
    that occur among predictions and targets; with None, and with scores for each class, all of them. `classes` is
    their number, or which of them count. A class that is never predicted has `zero_division`; NaN leaves it out of the
    mean. Ref: scikit-learn, `precision_score`.

    >>> from oxiflux.metrics import precision
    >>> precision([1, 1, 0, 1], [1, 0, 0, 1]), precision([0, 2, 1, 2], [0, 1, 1, 2], average=None)
    (0.6666666666666666, array([1. , 1. , 0.5]))
    """
    found = decided("precision", predicted, target, threshold, multilabel)
    return _averaged("precision", found, average, weights, classes, zero_division, (1, 0))


@told
def recall(
    predicted: Any,
    target: Any,
    *,
    average: Average = "auto",
    weights: Any = None,
    classes: int | Sequence[Any] | None = None,
    zero_division: float = 0.0,
    threshold: float | None = None,
    multilabel: bool | None = None,
) -> Any:
    """The share of those of a class that are predicted to be of it. The options are those of `precision`; a class that
    does not occur has `zero_division`. Ref: scikit-learn, `recall_score`.

    >>> from oxiflux.metrics import recall
    >>> recall([1, 1, 0, 1], [1, 0, 1, 1]), recall([0, 2, 1, 2], [0, 1, 1, 2], average="macro")
    (0.6666666666666666, 0.8333333333333334)
    """
    found = decided("recall", predicted, target, threshold, multilabel)
    return _averaged("recall", found, average, weights, classes, zero_division, (0, 1))


@told
def f1(
    predicted: Any,
    target: Any,
    *,
    average: Average = "auto",
    weights: Any = None,
    classes: int | Sequence[Any] | None = None,
    zero_division: float = 0.0,
    threshold: float | None = None,
    multilabel: bool | None = None,
) -> Any:
    """`2 * hits / (predicted + true)`, the harmonic mean of `precision` and `recall`, whose options it has.

    A class that neither occurs nor is predicted has `zero_division`. Ref: scikit-learn, `f1_score`.

    >>> from oxiflux.metrics import f1
    >>> f1([1, 1, 0, 1], [1, 0, 1, 1])
    0.6666666666666666
    >>> f1([[0.8, 0.1, 0.1], [0.2, 0.5, 0.3]], [0, 2], average=None)
    array([1., 0., 0.])
    """
    found = decided("f1", predicted, target, threshold, multilabel)
    return _averaged("f1", found, average, weights, classes, zero_division, (0.5, 0.5))


@told
def confusion(
    predicted: Any,
    target: Any,
    *,
    classes: int | Sequence[Any] | None = None,
    normalize: Literal["true", "pred", "all"] | None = None,
    weights: Any = None,
    threshold: float | None = None,
    multilabel: bool | None = None,
) -> Array:
    """How many of each class, a row, are predicted to be of each, a column. Predictions and targets as in `accuracy`.

    The classes are all those that the scores have; of labels those that occur, in order, and both of 0 and 1.
    `classes` is their number, or their labels. `normalize` divides by the true numbers, by the predicted ones or by
    all. Items with several labels have a matrix of two classes for each label. Scores that are NaN raise ValueError.
    Ref: scikit-learn, `confusion_matrix`, and `multilabel_confusion_matrix`.

    >>> from oxiflux.metrics import confusion
    >>> confusion([0, 1, 1, 2], [0, 1, 2, 2])
    array([[1, 0, 0],
           [0, 1, 0],
           [0, 1, 1]])
    """
    if normalize not in ("true", "pred", "all", None):
        raise ValueError(f"confusion: normalize must be 'true', 'pred', 'all' or None, got {normalize!r}")
    found = decided("confusion", predicted, target, threshold, multilabel)
    given = weights_of("confusion", weights, len(found.target))
    if not found.is_known:
        raise ValueError("confusion: some scores of the prediction are NaN")
    if found.kind == "labels":
        p, t = found.predicted, found.target
        matrix: Array = np.stack([_sums(a & b, given) for a in (~t, t) for b in (~p, p)], axis=1).reshape(
            -1, 2, 2
        )
    else:
        labels = _labels(found, _listed("confusion", classes, found))
        p, t = (_codes(x, labels) for x in (found.predicted, found.target))
        size, kept = len(labels), (p >= 0) & (t >= 0)
        if not size or not np.isin(labels, found.target).any():
            raise ValueError("confusion: none of the classes occurs in the target")
        counts = np.bincount(
            t[kept] * size + p[kept], None if given is None else given[kept], minlength=size * size
        )
        matrix = counts.reshape(size, size)
    if normalize is None:
        return matrix
    axes: dict[str, Any] = {"true": -1, "pred": -2, "all": (-2, -1)}
    total = matrix.sum(axis=axes[normalize], keepdims=True)
    return np.asarray(np.divide(matrix, total, out=np.zeros(matrix.shape), where=total != 0))


def _averaged(
    caller: str,
    found: Decided,
    average: Average,
    weights: Any,
    classes: int | Sequence[Any] | None,
    zero_division: float,
    shares: tuple[float, float],
) -> Any:
    """`hits / (a * predicted + b * true)` of each class, averaged, `shares` being a and b."""
    if average not in _AVERAGES:
        names = ", ".join(map(repr, _AVERAGES))
        raise ValueError(f"{caller}: average must be one of {names}, got {average!r}")
    if not isinstance(zero_division, (int, float)):
        raise TypeError(f"{caller}: zero_division must be a number, got {zero_division!r}")
    given = weights_of(caller, weights, len(found.target))
    if average == "auto":
        average = "binary" if found.kind == "binary" and classes is None else "macro"
    if average == "binary" and found.kind != "binary":
        raise ValueError(f"{caller}: average='binary' is for two classes, 0 and 1; others have 'macro'")
    if average == "samples":
        if found.kind != "labels":
            raise ValueError(f"{caller}: average='samples' is for items that may have several labels")
        hits, predicted, true = _counted_by_item(found)
    else:
        is_all = average is None and found.count is not None and classes is None
        listed = found.count if is_all else [1] if average == "binary" else classes
        hits, predicted, true = _counted(found, _listed(caller, listed, found), given)
    if average == "micro":
        hits, predicted, true = (np.atleast_1d(x.sum()) for x in (hits, predicted, true))
    below = shares[0] * predicted + shares[1] * true
    values = np.divide(hits, below, out=np.full(len(below), float(zero_division)), where=below != 0)
    if not found.is_known:
        values[:] = math.nan
        return values if average is None else math.nan
    if average is None:
        return values
    by = true if average == "weighted" else given if average == "samples" else None
    return _mean(values, by)


def _mean(values: Array, weights: Array | None) -> float:
    """The mean of what is not NaN; weights that are all 0 have no say."""
    kept = ~np.isnan(values)
    if not kept.any():
        return math.nan
    if weights is None or not weights[kept].any():
        return float(values[kept].mean())
    return float(np.average(values[kept], weights=weights[kept]))


def _counted(found: Decided, listed: Any, given: Array | None) -> tuple[Array, Array, Array]:
    """Of each class: how many are right, predicted and true."""
    p, t = found.predicted, found.target
    if found.kind == "labels":
        if listed is not None:
            p, t = p[:, listed], t[:, listed]
        return _sums(p & t, given), _sums(p, given), _sums(t, given)
    labels = _labels(found, listed)
    p, t = _codes(p, labels), _codes(t, labels)
    hits = np.where(p == t, p, -1)
    return (
        _numbers(hits, len(labels), given),
        _numbers(p, len(labels), given),
        _numbers(t, len(labels), given),
    )


def _counted_by_item(found: Decided) -> tuple[Array, Array, Array]:
    p, t = found.predicted, found.target
    return (p & t).sum(axis=1), p.sum(axis=1), t.sum(axis=1)


def _sums(x: Array, weights: Array | None) -> Array:
    return np.asarray(x.sum(axis=0) if weights is None else weights @ x)


def _numbers(codes: Array, count: int, weights: Array | None) -> Array:
    """How often each code occurs; -1 is none of them."""
    return np.bincount(codes + 1, weights, minlength=count + 1)[1:]


def _labels(found: Decided, listed: Any) -> Array:
    """The labels that count, in the order of the result."""
    if listed is not None:
        return np.asarray(listed)
    return np.union1d(found.predicted, found.target)


def _listed(caller: str, classes: Any, found: Decided) -> Array | None:
    """The labels that `classes` names, or None for those that occur, checked."""
    if classes is None:
        if caller != "confusion" or (found.count is None and found.kind != "binary"):
            return None
        return np.arange(found.count or 2)
    if isinstance(classes, (int, np.integer)) and not isinstance(classes, bool):
        if classes < 1:
            raise ValueError(f"{caller}: classes must be at least 1, got {classes}")
        highest = (
            0 if found.predicted.dtype.kind in "US" else int(max(found.predicted.max(), found.target.max()))
        )
        if found.predicted.dtype.kind in "US" or (found.kind != "labels" and highest >= classes):
            raise ValueError(f"{caller}: there is the label {found.target.max()}, and classes={classes}")
        return np.arange(classes)
    listed = np.asarray(classes)
    if listed.ndim != 1 or not listed.size or len(np.unique(listed)) < len(listed):
        raise ValueError(f"{caller}: classes must be their number or their different labels, got {classes!r}")
    if (listed.dtype.kind in "US") != (found.target.dtype.kind in "US"):
        raise TypeError(f"{caller}: classes are {classes!r}, and the labels such as {found.target.flat[0]!r}")
    if found.kind == "labels" and not np.isin(listed, np.arange(found.target.shape[1])).all():
        raise ValueError(f"{caller}: classes {classes!r} are not among {found.target.shape[1]} labels")
    return listed


def _codes(x: Array, labels: Array) -> Array:
    """The place of each label among those that count, or -1."""
    order = np.argsort(labels, kind="stable")
    at = np.searchsorted(labels[order], x)
    codes = order[np.minimum(at, len(labels) - 1)]
    return np.where(labels[codes] == x, codes, -1)
