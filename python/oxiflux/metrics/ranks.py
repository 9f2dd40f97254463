"""Metrics of the order of scores."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any, Literal
from warnings import warn

import numpy as np

from .._core import ShapeError
from ..hints import told
from .decided import is_probability, of_scores
from .given import Array, fitted, is_zero_or_one, labels_of, weights_of

__all__ = ["auc", "topk"]


@told
def auc(
    predicted: Any,
    target: Any,
    *,
    average: Literal["macro", "micro", "weighted"] | None = "macro",
    multi_class: Literal["ovr", "ovo"] = "ovr",
    weights: Any = None,
    multilabel: bool | None = None,
) -> Any:
    """The area under the ROC curve: how likely an item of the class has a higher score than one that is not of it.

    Equal scores count half.

    The prediction is a score for each item beside 0 and 1, probabilities or logits; scores for each class beside labels
    or one-hot rows, which are turned into probabilities by softmax unless their rows are not negative and add up to 1;
    or a score for each label beside rows of 0 and 1, see `accuracy`. Two classes have one number. More classes, or
    labels, are each measured against the rest ("ovr"), or classes in pairs ("ovo", without weights); `average` is the
    mean of these, that "weighted" by how often a class occurs, "micro" of all scores together, or None for an array. A
    class of which there are no items, or nothing else, has NaN, and so has the macro average then; "weighted" leaves
    out those that do not occur. Scores that are NaN give NaN. Ref: scikit-learn, `roc_auc_score`, with the columns as
    its `labels`.

    >>> from oxiflux.metrics import auc
    >>> auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])
    0.75
    >>> auc([[2.0, 0.0, 1.0], [0.0, 3.0, 0.0], [0.0, 1.0, 1.0]], [0, 1, 2], average=None)
    array([1., 1., 1.])
    """
    if average not in ("macro", "micro", "weighted", None):
        raise ValueError(f"auc: average must be 'macro', 'micro', 'weighted' or None, got {average!r}")
    if multi_class not in ("ovr", "ovo"):
        raise ValueError(f"auc: multi_class must be 'ovr' or 'ovo', got {multi_class!r}")
    p, t = fitted("auc", predicted, target)
    if p.dtype.kind in "US":
        raise TypeError("auc: the prediction must be scores, got text")
    scores, truth, are_classes = _columns(p, t, multilabel)
    given = weights_of("auc", weights, len(scores))
    if truth.ndim == 1 and scores.ndim == 1:
        return math.nan if np.isnan(scores).any() else _area(scores, truth == 1, given)
    if are_classes and multi_class == "ovo":
        if given is not None or average not in ("macro", "weighted"):
            raise ValueError("auc: multi_class='ovo' has the averages 'macro' and 'weighted', and no weights")
        return math.nan if np.isnan(scores).any() else _in_pairs(scores, truth.argmax(axis=1), average)
    if np.isnan(scores).any():
        return np.full(scores.shape[1], math.nan) if average is None else math.nan
    if average == "micro":
        again = None if given is None else np.repeat(given, scores.shape[1])
        return _area(scores.ravel(), truth.ravel(), again)
    areas = np.array([_area(scores[:, i], truth[:, i], given) for i in range(scores.shape[1])])
    if average is None:
        return areas
    if average == "macro":
        return float(areas.mean())
    counts = truth.sum(axis=0) if given is None else given @ truth
    kept = counts > 0
    return float(np.average(areas[kept], weights=counts[kept])) if kept.any() else math.nan


def _columns(p: Array, t: Array, multilabel: bool | None) -> tuple[Array, Array, bool]:
    """A score and a boolean for each item, or for each item and class, and whether just one of these is true."""
    if of_scores(p, t):
        scores, labels, count = (
            p.reshape(-1, p.shape[-1]),
            labels_of("auc", "the target", t.ravel()),
            p.shape[-1],
        )
        if labels.dtype.kind in "US" or labels.min() < 0 or labels.max() >= count:
            raise ValueError(f"auc: the labels must be 0 to {count - 1}, a column of the scores for each")
        return _of_classes(scores, labels[:, None] == np.arange(count))
    if p.shape != t.shape:
        raise ShapeError(
            f"auc: prediction {p.shape} and target {t.shape} do not fit; classes are on the last axis"
        )
    if not is_zero_or_one(t):
        labels = labels_of("auc", "the target", t.ravel())
        if labels.dtype.kind in "US" or not np.isin(labels, (-1, 1)).all():
            raise ValueError(
                "auc: a score for each item is for targets of 0 and 1; more classes have a score for each, "
                f"(items, classes), got shapes {p.shape} and {t.shape}"
            )
        return p.ravel().astype(np.float64), (labels == 1).astype(np.int64), False
    if p.ndim < 2 or multilabel is False:
        return p.ravel().astype(np.float64), t.ravel(), False
    scores, truth = p.reshape(-1, p.shape[-1]), t.reshape(-1, t.shape[-1]) == 1
    if not multilabel and (truth.sum(axis=1) == 1).all():
        return _of_classes(scores, truth)
    return scores.astype(np.float64), truth, False


def _of_classes(scores: Array, truth: Array) -> tuple[Array, Array, bool]:
    rough = 1e-3 if scores.dtype != np.float64 else 1e-6
    wide = scores.astype(np.float64)
    with np.errstate(invalid="ignore"):
        are_probabilities = is_probability(wide) and bool((np.abs(wide.sum(axis=1) - 1) <= rough).all())
        if scores.shape[1] == 2:
            # A difference of logits has the order of the probabilities, and does not saturate.
            return (
                wide[:, 1] if are_probabilities else wide[:, 1] - wide[:, 0],
                truth[:, 1].astype(np.int64),
                True,
            )
        if not are_probabilities:
            wide = np.exp(wide - wide.max(axis=1, keepdims=True))
            wide /= wide.sum(axis=1, keepdims=True)
    return wide, truth, True


def _area(scores: Array, truth: Array, weights: Array | None) -> float:
    """The area under one curve."""
    order = np.argsort(scores, kind="stable")
    scores, truth = scores[order], truth[order]
    ones = np.ones(len(scores)) if weights is None else weights[order]
    starts = np.flatnonzero(np.append(True, scores[1:] != scores[:-1]))
    hits, misses = (
        np.add.reduceat(np.where(is_of, ones, 0.0), starts) for is_of in (truth, ~truth.astype(bool))
    )
    if not hits.any() or not misses.any():
        return math.nan
    below = np.cumsum(misses) - misses
    return float((hits * (below + 0.5 * misses)).sum() / (hits.sum() * misses.sum()))


def _in_pairs(scores: Array, labels: Array, average: str) -> float:
    """The mean over pairs of classes that occur, each seen from both sides."""
    areas, shares = [], []
    for a, b in combinations(np.unique(labels), 2):
        kept = (labels == a) | (labels == b)
        is_a = labels[kept] == a
        areas.append((_area(scores[kept, a], is_a, None) + _area(scores[kept, b], ~is_a, None)) / 2)
        shares.append(kept.mean())
    if not areas:
        return math.nan
    return float(np.average(areas, weights=shares if average == "weighted" else None))


@told
def topk(predicted: Any, target: Any, *, k: int = 5, weights: Any = None) -> float:
    """The share of items whose true class is among the `k` with the highest scores.

    The prediction has a score for each class on the last axis, the target labels `0, 1, …` or one-hot rows. Of equal
    scores the class with the highest number comes first. As many classes as `k`, which are always right, are a warning;
    scores that are NaN give NaN. Ref: scikit-learn, `top_k_accuracy_score`.

    >>> from oxiflux.metrics import topk
    >>> topk([[0.5, 0.2, 0.3], [0.1, 0.3, 0.6]], [2, 0], k=2)
    0.5
    """
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)):
        raise TypeError(f"topk: k must be a whole number, got {k!r}")
    if k < 1:
        raise ValueError(f"topk: k must be at least 1, got {k}")
    p, t = fitted("topk", predicted, target)
    if p.shape == t.shape and p.ndim > 1 and is_zero_or_one(t) and (t.sum(axis=-1) == 1).all():
        t = t.argmax(axis=-1)
    if not of_scores(p, t):
        raise ShapeError(
            f"topk: expected scores (items, classes) and labels (items,), got shapes {p.shape} and {t.shape}"
        )
    scores, labels = p.reshape(-1, p.shape[-1]), labels_of("topk", "the target", t.ravel())
    count = scores.shape[1]
    if labels.dtype.kind in "US" or labels.min() < 0 or labels.max() >= count:
        raise ValueError(f"topk: the labels must be 0 to {count - 1}, a column of the scores for each")
    given = weights_of("topk", weights, len(labels))
    if scores.dtype.kind == "f" and np.isnan(scores).any():
        return math.nan
    if k >= count:
        warn(f"topk: the true one of {count} classes is always among {k}", stacklevel=3)
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    before = (scores > own) | ((scores == own) & (np.arange(count) > labels[:, None]))
    return float(np.average(before.sum(axis=1) < k, weights=given))
