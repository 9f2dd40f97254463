"""Parts of a data set: splits, random and balanced selections.

What is in memory is cut at once, so that parts of arrays are arrays, and consecutive items of them are not copied;
parts of other data are views that make items when asked for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._core import Generator, ShapeError
from ..functions.axes import flag
from ..hints import told
from ..init import generator
from .groups import groups_of
from .items import count, getobs, numbered, permutation, subset

__all__ = ["oversample", "randobs", "shuffleobs", "splitobs", "undersample"]


@told
def splitobs(
    data: Any,
    at: float | Sequence[float],
    shuffle: bool = False,
    stratified: Any = None,
    rng: Generator | None = None,
) -> tuple[Any, ...]:
    """Consecutive parts of `data`: fractions, or numbers of items, and what is left over.

    `shuffle` brings the items into a random order first. With `stratified`, the label of each item, every label is
    split in these proportions. A number instead of data gives ranges of indices. Ref: MLUtils.jl, `splitobs`.

    >>> splitobs(100, at=(0.1, 0.4))
    (range(0, 10), range(10, 50), range(50, 100))
    >>> import numpy as np
    >>> (x, y), (x_test, y_test) = splitobs((np.zeros((5, 2)), np.arange(5)), at=0.8)
    >>> x.shape, y_test.tolist()
    ((4, 2), [4])
    """
    data, n = numbered("splitobs", data)
    shuffle = flag("splitobs", "shuffle", shuffle)
    if stratified is not None:
        if not hasattr(stratified, "__len__"):
            raise TypeError(f"splitobs: stratified must be the labels of the items, got {stratified!r}")
        if len(stratified) != n:
            raise ShapeError(f"splitobs: {len(stratified)} labels for {n} items")
        groups = [g[permutation(rng, len(g))] if shuffle else g for g in groups_of("splitobs: ", stratified)]
        parts = zip(*([g[r.start : r.stop] for r in _ranges(len(g), at)] for g in groups), strict=True)
        wanted = [np.concatenate(part) for part in parts]
        wanted = [w[permutation(rng, len(w))] if shuffle else np.sort(w) for w in wanted]
        return tuple(w if isinstance(data, int) else subset(data, w) for w in wanted)
    ranges = _ranges(n, at)
    if shuffle:
        order = permutation(rng, n)
        chosen = [order[r.start : r.stop] for r in ranges]
        return tuple(w if isinstance(data, int) else subset(data, w) for w in chosen)
    return tuple(r if isinstance(data, int) else subset(data, slice(r.start, r.stop)) for r in ranges)


@told
def shuffleobs(data: Any, rng: Generator | None = None) -> Any:
    """The items of `data` in a random order. Ref: MLUtils.jl, `shuffleobs`.

    >>> import numpy as np
    >>> x, y = shuffleobs((np.arange(5), np.arange(5) * 10))
    >>> sorted(x.tolist()), (y == 10 * x).all()
    ([0, 1, 2, 3, 4], np.True_)
    """
    return subset(data, permutation(rng, count("shuffleobs", data)))


@told
def randobs(data: Any, n: int | None = None, rng: Generator | None = None) -> Any:
    """One item of `data` at random, or `n` of them, in which an item may occur again. Ref: MLUtils.jl, `randobs`.

    >>> randobs(["a"]), randobs(["a"], 3)
    ('a', ['a', 'a', 'a'])
    """
    total = count("randobs", data)
    if total == 0:
        raise ValueError("randobs: the data has no items")
    where = np.asarray(generator(rng).randint(0, total, (1 if n is None else n,)))
    return getobs(data, int(where[0]) if n is None else where)


@told
def oversample(
    data: Any, classes: Any = None, fraction: float = 1, shuffle: bool = True, rng: Generator | None = None
) -> Any:
    """`data` with items repeated so that every class has at least `fraction` of the items that the largest has.

    `classes` has the label of each item; for a tuple, its last part by default. Without `shuffle` the repeated items
    follow at the end. Ref: MLUtils.jl, `oversample`.

    >>> x, y = oversample(([1, 2, 3, 4], ["a", "b", "b", "b"]))
    >>> sorted(y)
    ['a', 'a', 'a', 'b', 'b', 'b']
    """
    groups, shuffle = _labelled("oversample", data, classes), flag("oversample", "shuffle", shuffle)
    wanted = round(fraction * max(map(len, groups)))
    chosen = [np.arange(count("oversample", data))]
    for group in groups:
        missing = max(0, wanted - len(group))
        chosen += [group] * (missing // len(group))
        chosen.append(group[permutation(rng, len(group))[: missing % len(group)]])
    where = np.concatenate(chosen)
    return subset(data, where[permutation(rng, len(where))] if shuffle else where)


@told
def undersample(data: Any, classes: Any = None, shuffle: bool = True, rng: Generator | None = None) -> Any:
    """`data` with items left out at random so that every class has as many as the smallest.

    `classes` has the label of each item; for a tuple, its last part by default. Without `shuffle` the items keep
    their order. Ref: MLUtils.jl, `undersample`.

    >>> x, y = undersample(([1, 2, 3, 4], ["a", "b", "b", "b"]))
    >>> sorted(y)
    ['a', 'b']
    """
    groups, shuffle = _labelled("undersample", data, classes), flag("undersample", "shuffle", shuffle)
    smallest = min(map(len, groups))
    where = np.concatenate([group[permutation(rng, len(group))[:smallest]] for group in groups])
    return subset(data, where[permutation(rng, len(where))] if shuffle else np.sort(where))


def _ranges(n: int, at: float | Sequence[float]) -> list[range]:
    """The parts of `n` items: of each size or fraction in `at`, and the rest."""
    several: Any = [at] if np.ndim(at) == 0 else at
    parts = [_part(p) for p in several]
    whole = all(isinstance(p, int) for p in parts)
    if not all(p >= 0 for p in parts) or sum(parts) > (n if whole else 1 + 1e-9):
        of = f"{n} items" if whole else "1"
        raise ValueError(f"splitobs: the parts must be positive and add up to at most {of}, got {at!r}")
    ends = [0]
    for p in parts:
        ends.append(min(n, ends[-1] + (int(p) if whole else round(p * n))))
    return [range(a, b) for a, b in zip(ends, [*ends[1:], n], strict=True)]


def _part(p: Any) -> int | float:
    """The size of a part, or its fraction, as a number of Python."""
    if isinstance(p, bool) or not isinstance(p, (int, float, np.integer, np.floating)):
        raise TypeError(f"splitobs: the parts are numbers of items or fractions, got {p!r}")
    return p if isinstance(p, (int, float)) else p.item()


def _labelled(caller: str, data: Any, classes: Any) -> list[np.ndarray[Any, Any]]:
    """The indices of the items of each class."""
    if classes is None:
        if not isinstance(data, tuple):
            raise TypeError(f"{caller}: the classes are missing; only in a tuple the last part has them")
        classes = data[-1]
    n = count(caller, data)
    if len(classes) != n:
        raise ShapeError(f"{caller}: {len(classes)} classes for {n} items")
    if n == 0:
        raise ValueError(f"{caller}: the data has no items")
    return groups_of(f"{caller}: ", classes)
