"""From scores to classes: what predictions choose, and which kind of question it was."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from .._core import ShapeError
from .given import Array, Chosen, array_of, fitted, is_zero_or_one, labels_of

__all__ = ["Decided", "choose", "decided", "is_probability", "of_scores"]

Kind = Literal["binary", "classes", "labels"]


class Decided:
    """Predicted and true labels: vectors for "binary" (0 and 1) and "classes", a column of booleans for each label for
    "labels", of which an item may have several. `count` is the number of classes, where the scores say it.
    """

    predicted: Array
    target: Array
    count: int | None
    is_known: bool

    def __init__(
        self, kind: Kind, predicted: Array, target: Array, count: int | None = None, is_known: bool = True
    ) -> None:
        self.kind, self.predicted, self.target = kind, predicted, target
        self.count, self.is_known = count, is_known


def choose(caller: str, predicted: Any, target: Any) -> tuple[Any, Any]:
    """Scores of classes and their labels as metrics of labels need them: a number for each item instead of one for
    each class. Anything else as it is.
    """
    if isinstance(predicted, Chosen):
        return predicted, target
    p, t = fitted(caller, predicted, target)
    if of_scores(p, t):
        return Chosen(p.reshape(-1, p.shape[-1]).argmax(axis=1), p.shape[-1], not _has_nan(p)), t.ravel()
    return p, t


def of_scores(p: Array, t: Array) -> bool:
    """Whether these are scores for each class, on the last axis, and labels."""
    return p.ndim == t.ndim + 1 and p.shape[:-1] == t.shape and p.dtype.kind in "fiub"


def decided(
    caller: str, predicted: Any, target: Any, threshold: float | None, multilabel: bool | None
) -> Decided:
    """The labels of a prediction and a target, whatever their form."""
    limit: Any = threshold
    if limit is not None and (not isinstance(limit, (int, float)) or math.isnan(limit)):
        raise TypeError(f"{caller}: threshold must be a number or None, got {threshold!r}")
    if isinstance(predicted, Chosen):
        return _of_classes(caller, predicted, array_of(caller, "the target", target))
    p, t = fitted(caller, predicted, target)
    if of_scores(p, t):
        chosen, labels = choose(caller, p, t)
        return _of_classes(caller, chosen, labels)
    if t.ndim == p.ndim + 1 and t.shape[:-1] == p.shape:
        if p.dtype.kind in "US":
            raise TypeError(
                f"{caller}: the prediction has names and the target is one-hot; onecold(y, names) gives names"
            )
        return _of_classes(caller, Chosen(p.ravel(), t.shape[-1], True), _one_hot_labels(caller, t))
    if p.shape != t.shape:
        raise ShapeError(
            f"{caller}: prediction {p.shape} and target {t.shape} do not fit; classes are on the last axis"
        )
    columns = p.ndim >= 2 and is_zero_or_one(t) and (p.dtype.kind == "f" or is_zero_or_one(p))
    if columns and multilabel is not False:
        p, t = p.reshape(-1, p.shape[-1]), t.reshape(-1, t.shape[-1])
        are_one_hot = _is_one_hot(t) and (p.dtype.kind == "f" or _is_one_hot(p))
        if multilabel or not are_one_hot:
            chosen = _over(p, threshold) if p.dtype.kind == "f" else p == 1
            return Decided("labels", chosen, t == 1, p.shape[1], not _has_nan(p))
        return _of_classes(caller, Chosen(p.argmax(axis=1), p.shape[1], not _has_nan(p)), t.argmax(axis=1))
    if multilabel:
        raise ValueError(
            f"{caller}: multilabel=True is for a column of 0 and 1 for each label, got shape {t.shape}"
        )
    return _of_vectors(caller, p.ravel(), t.ravel(), threshold)


def _of_vectors(caller: str, p: Array, t: Array, threshold: float | None) -> Decided:
    """Scores of one class, or labels."""
    if (p.dtype.kind in "US") != (t.dtype.kind in "US"):
        named, other = ("prediction", "target") if p.dtype.kind in "US" else ("target", "prediction")
        raise TypeError(
            f"{caller}: the {named} has names and the {other} numbers; onecold(scores, names) gives names"
        )
    if p.dtype.kind == "f" and (is_zero_or_one(t) or _is_sign(t)):
        if not is_zero_or_one(t) and threshold is None:
            threshold = 0.0
        over, truth = _over(p, threshold).astype(np.int64), (t == 1).astype(np.int64)
        return Decided("binary", over, truth, None, not _has_nan(p))
    p, t = labels_of(caller, "the prediction", p), labels_of(caller, "the target", t)
    if p.dtype.kind not in "US" and all(is_zero_or_one(x) for x in (p, t)):
        return Decided("binary", p, t)
    if p.dtype.kind not in "US" and all(_is_sign(x) for x in (p, t)):
        return Decided("binary", (p == 1).astype(np.int64), (t == 1).astype(np.int64))
    return Decided("classes", p, t)


def _of_classes(caller: str, chosen: Chosen, target: Array) -> Decided:
    """The classes that were chosen, and labels among as many."""
    t, count = labels_of(caller, "the target", target.ravel()), chosen.count
    if t.dtype.kind in "US":
        raise TypeError(
            f"{caller}: the target has names and the prediction scores; onecold(scores, names) gives names"
        )
    p = labels_of(caller, "the prediction", chosen.labels)
    for what, labels in (("target", t), ("prediction", p)):
        if labels.size and (labels.min() < 0 or labels.max() >= count):
            label = labels.min() if labels.min() < 0 else labels.max()
            raise ValueError(f"{caller}: the {what} has the label {label}, and there are {count} classes")
    return Decided("binary" if count == 2 else "classes", p, t, count, chosen.is_known)


def _one_hot_labels(caller: str, t: Array) -> Array:
    if not is_zero_or_one(t) or not _is_one_hot(t):
        raise ShapeError(
            f"{caller}: a target of shape {t.shape} for labels of shape {t.shape[:-1]} must be one-hot"
        )
    return np.asarray(t.reshape(-1, t.shape[-1]).argmax(axis=1))


def is_probability(scores: Array) -> bool:
    """Whether all lie between 0 and 1; NaN does not count."""
    with np.errstate(invalid="ignore"):
        return not ((scores < 0) | (scores > 1)).any()


def _over(scores: Array, threshold: float | None) -> Array:
    if threshold is None:
        threshold = 0.5 if is_probability(scores) else 0.0
    return np.asarray(scores > threshold)


def _is_one_hot(x: Array) -> bool:
    return bool((x.reshape(-1, x.shape[-1]).sum(axis=1) == 1).all())


def _is_sign(x: Array) -> bool:
    return x.dtype.kind in "fi" and bool(((x == 1) | (x == -1)).all())


def _has_nan(x: Array) -> bool:
    return x.dtype.kind == "f" and bool(np.isnan(x).any())
