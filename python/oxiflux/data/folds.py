"""Cross-validation: the parts of a data set that are trained on and those that are held back, in several ways.

What is in memory is cut at once; parts of other data are views that make items when asked for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from .._core import Generator, ShapeError
from ..functions.axes import flag
from ..hints import told
from .groups import places_of
from .items import Places, numbered, permutation, subset, whole

__all__ = ["kfolds", "leavepout", "timeseries_kfolds"]

Indices = np.ndarray[Any, Any]


@told
def kfolds(
    data: Any, k: int = 5, shuffle: bool = False, stratified: Any = None, rng: Generator | None = None
) -> Any:
    """Pairs of `(train, validation)`: each of `k` equal parts of `data` in its turn is for validation.

    If the number of items is not a multiple of `k`, the first parts have one more. The parts are consecutive, unless
    `shuffle` assigns the items at random, by `rng` or the default generator. With `stratified`, the label of each item,
    every part has each label as often as any other part, give or take one. A number instead of data gives the lists of
    all training and of all validation indices.

    A `k` that is not between 2 and the number of items raises ValueError, and so does a label that fewer than `k` items
    have; labels of another number ShapeError. Ref: MLUtils.jl, `kfolds`.

    >>> [(train, val) for train, val in kfolds([10, 20, 30], 3)]
    [([20, 30], [10]), ([10, 30], [20]), ([10, 20], [30])]
    >>> kfolds(5, 2)[1]
    [range(0, 3), range(3, 5)]
    >>> [v.tolist() for v in kfolds(6, 3, stratified="ababba")[1]]
    [[0, 1], [2, 3], [4, 5]]
    """
    data, n = numbered("kfolds", data)
    k = whole("kfolds", "the number of folds", k, -(2**63))
    if not 2 <= k <= n:
        raise ValueError(
            f"kfolds: the number of folds must be between 2 and the number of items, {n}, got {k}"
        )
    if stratified is None and not shuffle:
        ranges = [range(a, b) for a, b in _bounds(n, k)]
        return _folds(data, [np.r_[: r.start, r.stop : n] for r in ranges], ranges)
    order = permutation(rng, n) if flag("kfolds", "shuffle", shuffle) else np.arange(n)
    parts = (
        [np.arange(a, b) for a, b in _bounds(n, k)] if stratified is None else _strata(stratified, order, k)
    )
    train = [order[np.delete(np.arange(n), part)] for part in parts]
    return _folds(data, train, [order[part] for part in parts])


@told
def leavepout(data: Any, p: int = 1) -> Any:
    """`kfolds` with parts of `p` items, or one more where the number of items is not a multiple of `p`.

    Ref: MLUtils.jl, `leavepout`.

    >>> [val for _, val in leavepout(["a", "b", "c", "d"], 2)]
    [['a', 'b'], ['c', 'd']]
    """
    data, n = numbered("leavepout", data)
    p = whole("leavepout", "p", p, -(2**63))
    if not 1 <= p <= n // 2:
        raise ValueError(f"leavepout: p must be between 1 and half the number of items, {n}, got {p}")
    return kfolds(data, n // p)


@told
def timeseries_kfolds(data: Any, k: int = 5, gap: int = 0, max_train_size: int | None = None) -> Any:
    """Pairs of `(train, validation)` in which the items for validation come after those for training.

    `data` are in the order of time. With `size = n // (k + 1)` the last `k * size` of the `n` items are the `k`
    consecutive parts for validation; all items before such a part are for training, but for the `gap` right before it,
    and at most the last `max_train_size` of them. A number instead of data gives the lists of all training and of all
    validation indices, as ranges.

    A `k` that is not between 2 and `n - 1`, a negative `gap`, or one that leaves nothing to train on, raises
    ValueError. Ref: MLUtils.jl, `timeseries_kfolds`; scikit-learn, `TimeSeriesSplit`.

    >>> timeseries_kfolds(10, k=3)
    ([range(0, 4), range(0, 6), range(0, 8)], [range(4, 6), range(6, 8), range(8, 10)])
    >>> [(train, val) for train, val in timeseries_kfolds([1, 2, 3, 4, 5], k=2, gap=1, max_train_size=1)]
    [([2], [4]), ([3], [5])]
    """
    data, n = numbered("timeseries_kfolds", data)
    k = whole("timeseries_kfolds", "the number of folds", k, -(2**63))
    if not 2 <= k <= n - 1:
        raise ValueError(
            f"timeseries_kfolds: the number of folds must be between 2 and {max(2, n - 1)} for {n} items, got {k}"
        )
    gap = whole("timeseries_kfolds", "gap", gap, 0)
    longest = n if max_train_size is None else whole("timeseries_kfolds", "max_train_size", max_train_size, 1)
    size = n // (k + 1)
    val = [range(start, start + size) for start in range(n - k * size, n, size)]
    if val[0].start <= gap:
        raise ValueError(
            f"timeseries_kfolds: a gap of {gap} leaves nothing to train on before item {val[0].start}, where the first "
            "validation begins"
        )
    train = [range(max(0, v.start - gap - longest), v.start - gap) for v in val]
    return _folds(data, train, val)


def _bounds(n: int, k: int, first: int = 0) -> list[tuple[int, int]]:
    """Where each of `k` consecutive parts of `n` items begins and ends; those from `first` on have one more, round."""
    ends = np.cumsum([n // k + ((i - first) % k < n % k) for i in range(k)]).tolist()
    return list(zip([0, *ends], ends, strict=False))


def _strata(labels: Any, order: Indices, k: int) -> list[Indices]:
    """The places in an order of the items at which each part's items are."""
    if not hasattr(labels, "__len__"):
        raise TypeError(f"kfolds: stratified must be the labels of the items, got {labels!r}")
    if len(labels) != len(order):
        raise ShapeError(f"kfolds: {len(labels)} labels for {len(order)} items")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    parts: list[list[Indices]] = [[] for _ in range(k)]
    first = 0
    for label, items in places_of("kfolds: ", labels).items():
        if len(items) < k:
            raise ValueError(
                f"kfolds: the label {label!r} has {len(items)} items, which is fewer than the {k} folds"
            )
        places = np.sort(rank[items])
        for part, (a, b) in zip(parts, _bounds(len(items), k, first), strict=True):
            part.append(places[a:b])
        # So that the parts have the same size, give or take one.
        first = (first + len(items)) % k
    return [np.sort(np.concatenate(part)) for part in parts]


def _folds(data: Any, train: list[Any], val: list[Any]) -> Any:
    """The parts by index for a number, else a pair of data for each fold, made as they are asked for."""
    if isinstance(data, int):
        return train, val

    def folds() -> Iterator[tuple[Any, Any]]:
        for t, v in zip(train, val, strict=True):
            yield subset(data, _places(t)), subset(data, _places(v))

    return folds()


def _places(indices: range | Indices) -> Places:
    return slice(indices.start, indices.stop) if isinstance(indices, range) else indices
