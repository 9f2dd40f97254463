"""Data made of other data: mapped, filtered, grouped, joined, and some of its items."""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from typing import Any, Literal

import numpy as np

from .. import _core
from .._core import Tensor
from ..hints import told
from .arrays import batch
from .guarded import guarded
from .items import Gather, Lazy, Places, View, count, cut, each, item, places, subset

__all__ = ["filterobs", "groupobs", "joinobs", "mapobs", "obsview"]


class Mapped(Lazy):
    """What `mapobs` gives."""

    def __init__(self, f: Callable[[Any], Any], data: Any, batched: bool | Literal["auto"]) -> None:
        self.f = f
        self.data = data
        self.batched = batched if isinstance(batched, str) else bool(batched)
        self._count = count("mapobs", data)

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"mapobs({getattr(self.f, '__name__', repr(self.f))}, {self.data!r})"

    def one(self, i: int) -> Any:
        if self.batched is True:
            return item(self._call(cut(self.data, slice(i, i + 1), batch)), 0)
        return self._call(item(self.data, i))

    def many(self, where: Places, gather: Gather) -> Any:
        if self.batched:
            return self._call(cut(self.data, where, batch))
        indices = range(len(self))[where] if isinstance(where, slice) else where.tolist()
        return gather(each(self.one, indices))

    def _call(self, x: Any) -> Any:
        return guarded("mapobs: the function", self.f, x)


class Joined(Lazy):
    """What `joinobs` gives for data that is not in memory."""

    ends: list[int]

    def __init__(self, parts: tuple[Any, ...]) -> None:
        self.parts = parts
        self.ends = list(accumulate(count("joinobs", part) for part in parts))

    def __len__(self) -> int:
        return self.ends[-1]

    def __repr__(self) -> str:
        return f"joinobs({', '.join(map(repr, self.parts))})"

    def one(self, i: int) -> Any:
        which = bisect_right(self.ends, i)
        return item(self.parts[which], i - (self.ends[which - 1] if which else 0))

    def many(self, where: Places, gather: Gather) -> Any:
        indices = range(len(self))[where] if isinstance(where, slice) else where.tolist()
        return gather(each(self.one, indices))


@told
def mapobs(f: Any, data: Any, batched: bool | Literal["auto"] = False) -> Any:
    """Data whose items are `f(item)`, computed when they are asked for.

    With `batched` several items at once are `f` of their batch, and a single one is taken from a batch of one;
    with "auto", `f` gets either. A tuple or dict of functions gives a tuple or dict of such data. Ref: MLUtils.jl,
    `mapobs`, where "auto" is the default.

    >>> squares = mapobs(lambda x: x * x, range(5))
    >>> len(squares), squares[2], squares[1:3], list(squares)
    (5, 4, [1, 4], [0, 1, 4, 9, 16])
    """
    if not (isinstance(batched, str) and batched == "auto") and not isinstance(batched, (bool, np.bool_)):
        raise TypeError(f'mapobs: batched must be True, False or "auto", got {batched!r}')
    if isinstance(f, tuple):
        return tuple(mapobs(g, data, batched) for g in f)
    if isinstance(f, dict):
        return {key: mapobs(g, data, batched) for key, g in f.items()}
    if not callable(f):
        raise TypeError(f"mapobs: {f!r} is no function")
    return Mapped(f, data, batched)


@told
def filterobs(f: Callable[[Any], Any], data: Any) -> Any:
    """The items of `data` for which `f(item)` is true. Ref: MLUtils.jl, `filterobs`.

    >>> import numpy as np
    >>> filterobs(lambda x: x > 5, np.arange(10))
    array([6, 7, 8, 9])
    """
    n = count("filterobs", data)
    return subset(
        data,
        np.array(
            [i for i in range(n) if guarded(f"filterobs: the function, at item {i},", f, item(data, i))],
            dtype=np.int64,
        ),
    )


@told
def groupobs(f: Callable[[Any], Any], data: Any) -> dict[Any, Any]:
    """The items of `data` apart for each value of `f(item)`, which must be hashable. Ref: MLUtils.jl, `groupobs`.

    >>> groupobs(len, ["a", "bb", "c"])
    {1: ['a', 'c'], 2: ['bb']}
    """
    groups: dict[Any, list[int]] = {}
    for i in range(count("groupobs", data)):
        groups.setdefault(guarded(f"groupobs: the function, at item {i},", f, item(data, i)), []).append(i)
    return {key: subset(data, np.array(indices)) for key, indices in groups.items()}


@told
def joinobs(*datas: Any) -> Any:
    """The items of several data sets one after the other.

    Arrays, tensors and lists are joined at once, tuples and dicts part by part, others when their items are asked for.
    Ref: MLUtils.jl, `joinobs`.

    >>> joinobs(range(10), range(10, 20))[14]
    14
    >>> import numpy as np
    >>> joinobs((np.arange(2), ["a", "b"]), (np.arange(3), ["c", "d", "e"]))[0]
    array([0, 1, 0, 1, 2])
    """
    if not datas:
        raise ValueError("joinobs: there is no data")
    for data in datas:
        count("joinobs", data)
    first = datas[0]
    if all(isinstance(data, np.ndarray) for data in datas):
        return np.concatenate(datas)
    if all(isinstance(data, Tensor) for data in datas):
        return _core.concat(datas)
    kind = type(first).__module__.partition(".")[0]
    if kind in ("pandas", "polars") and all(type(data) is type(first) for data in datas):
        return sys.modules[kind].concat(datas)
    if all(isinstance(data, list) for data in datas):
        return [x for data in datas for x in data]
    if all(isinstance(data, tuple) and len(data) == len(first) for data in datas):
        return tuple(joinobs(*parts) for parts in zip(*datas, strict=True))
    if all(isinstance(data, dict) and data.keys() == first.keys() for data in datas):
        return {key: joinobs(*(data[key] for data in datas)) for key in first}
    return Joined(datas)


@told
def obsview(data: Any, where: Any = None) -> Any:
    """Some items of `data`, as data, without a copy: they are taken when they are asked for.

    `where` is a slice, indices, which may be negative, or a mask; all items without it. `obsview(…)[i]` is an item and
    `getobs(obsview(…))` are all of them, in the form of the data; a view of a view refers to the data itself. A place
    that is not there raises IndexError. Ref: MLUtils.jl, `obsview` and `ObsView`.

    >>> import numpy as np
    >>> view = obsview((np.arange(6) * 10, "a b c d e f".split()), [4, 1])
    >>> len(view), view[0], view[:]
    (2, (np.int64(40), 'e'), (array([40, 10]), ['e', 'b']))
    >>> obsview(view, slice(1, 2))[0]
    (np.int64(10), 'b')
    """
    n = count("obsview", data)
    if isinstance(where, (int, np.integer)):
        raise TypeError(
            f"obsview: several places are a list, [{where}]; getobs(data, {where}) is the item there"
        )
    if where is None or isinstance(where, slice):
        indices = np.arange(n)[slice(None) if where is None else where]
    else:
        indices = places(where, n)
    return View(data.data, data.indices[indices]) if isinstance(data, View) else View(data, indices)
