"""Items put together: what a batch of data at some places is, data as a sequence of batches, and reused memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np

from .._core import ShapeError
from ..functions.axes import flag
from ..hints import Told
from .arrays import batch
from .guarded import guarded
from .items import Gather, Lazy, Places, View, count, cut, each, in_memory, item, whole

__all__ = ["BatchView"]

Collate: TypeAlias = Callable[[list[Any]], Any]


class BatchView(Told, Lazy):
    """Data as a sequence of its batches: `view[i]` are the items from `i * batchsize` on, cut when asked for.

    The last batch may be smaller; without `partial` it is left out then. A batch has the form of the data, and
    `collate` changes it as in `DataLoader`. It is data itself, of which the items are the batches: a
    `DataLoader(view, batchsize=None, shuffle=True)` shuffles them. A `batchsize` below 1 raises ValueError. Ref:
    MLUtils.jl, `BatchView`.

    >>> import numpy as np
    >>> batches = BatchView((np.arange(5), "a b c d e".split()), batchsize=2)
    >>> len(batches), batches[1], batches[-1]
    (3, (array([2, 3]), ['c', 'd']), (array([4]), ['e']))
    """

    data: Any
    batchsize: int
    partial: bool
    collate: Collate | None

    def __init__(
        self, data: Any, batchsize: int = 1, partial: bool = True, collate: bool | Collate | None = None
    ) -> None:
        self.batchsize = whole("BatchView", "batchsize", batchsize, 1)
        self.collate = collate_of("BatchView", collate)
        self.data, self.partial = data, flag("BatchView", "partial", partial)
        n = count("BatchView", data)
        self._items = n if partial else n - n % self.batchsize

    def __len__(self) -> int:
        return -(-self._items // self.batchsize)

    def __repr__(self) -> str:
        return f"BatchView({self._items} items, batchsize={self.batchsize})"

    def one(self, i: int) -> Any:
        first = i * self.batchsize
        return made(
            "BatchView", self.data, self.collate, slice(first, min(first + self.batchsize, self._items))
        )

    def many(self, where: Places, gather: Gather) -> Any:
        indices = range(len(self))[where] if isinstance(where, slice) else where.tolist()
        return gather(each(self.one, indices))

    def at_hand(self) -> bool:
        return self.collate is None and in_memory(self.data)


def collate_of(caller: str, collate: Any) -> Collate | None:
    """The function of a list of items that makes a batch; None where a batch is cut from the data."""
    if collate is None or isinstance(collate, bool):
        return None if collate is None else batch if collate else list
    if not callable(collate):
        raise TypeError(
            f"{caller}: collate must be a function of a list of items, or True to stack them, or False to leave them "
            f"in the list, got {collate!r}"
        )
    function: Collate = collate
    return function


def made(caller: str, data: Any, collate: Collate | None, where: Places) -> Any:
    """The batch of the items at some places."""
    if collate is None:
        return cut(data, where, batch)
    indices = range(where.start, where.stop) if isinstance(where, slice) else where.tolist()
    return guarded(f"{caller}: collate", collate, each(partial(item, data), indices))


def buffer_for(data: Any, rows: int) -> Any:
    """Memory for batches of so many items: an array for each array of the data, None for what has other items."""
    if isinstance(data, (tuple, dict)):
        parts = [buffer_for(part, rows) for part in (data.values() if isinstance(data, dict) else data)]
        return dict(zip(data, parts, strict=True)) if isinstance(data, dict) else tuple(parts)
    if isinstance(data, View):
        return buffer_for(data.data, rows)
    if type(data) is not np.ndarray:
        return None
    return np.empty((rows, *data.shape[1:]), data.dtype)


def check_buffer(buffer: Any, data: Any, rows: int) -> None:
    """Raises where batches of so many items cannot be written into a buffer."""
    if isinstance(data, (tuple, dict)):
        parts = data if isinstance(data, dict) else dict(enumerate(data))
        given = (
            buffer
            if isinstance(data, dict)
            else dict(enumerate(buffer))
            if isinstance(buffer, tuple)
            else None
        )
        if not isinstance(given, dict) or given.keys() != parts.keys():
            raise TypeError(
                f"DataLoader: the buffer must have the form of the data, got a {type(buffer).__name__}"
            )
        for key, part in parts.items():
            check_buffer(given[key], part, rows)
        return
    if isinstance(data, View):
        check_buffer(buffer, data.data, rows)
        return
    if buffer is None:
        return
    if type(data) is not np.ndarray or type(buffer) is not np.ndarray:
        raise TypeError(
            f"DataLoader: a {type(buffer).__name__} is no buffer for a {type(data).__name__}; only for a NumPy array "
            "another one is; give None for the rest"
        )
    if buffer.shape != (rows, *data.shape[1:]):
        raise ShapeError(
            f"DataLoader: a buffer of shape {buffer.shape} for batches of shape {(rows, *data.shape[1:])}"
        )
    if buffer.dtype != data.dtype or not buffer.flags.writeable:
        what = (
            f"of {buffer.dtype} for batches of {data.dtype}"
            if buffer.flags.writeable
            else "that is read-only"
        )
        raise TypeError(f"DataLoader: a buffer {what}")
    if np.may_share_memory(buffer, data):
        raise ValueError("DataLoader: the buffer is part of the data, which it would overwrite")


def has_arrays(buffer: Any) -> bool:
    """Whether there is any array in a buffer.

    >>> has_arrays((None, {"x": None}))
    False
    """
    if isinstance(buffer, (tuple, dict)):
        return any(map(has_arrays, buffer.values() if isinstance(buffer, dict) else buffer))
    return buffer is not None


def check_apart(buffer: Any) -> None:
    """Raises where parts of a buffer are the same memory, so that one would overwrite the other."""
    parts = list(_arrays(buffer))
    if any(np.shares_memory(a, b) for a, b in combinations(parts, 2)):
        raise ValueError("DataLoader: two parts of the buffer are the same memory")


def _arrays(buffer: Any) -> Iterator[Any]:
    if isinstance(buffer, (tuple, dict)):
        for part in buffer.values() if isinstance(buffer, dict) else buffer:
            yield from _arrays(part)
    elif buffer is not None:
        yield buffer


def filled(buffer: Any, data: Any, where: Places) -> Any:
    """The batch at some places, its arrays written into the buffer."""
    if isinstance(data, View):
        return filled(buffer, data.data, data.indices[where])
    if isinstance(data, tuple):
        parts = [filled(own, part, where) for own, part in zip(buffer, data, strict=True)]
        return data._make(parts) if hasattr(data, "_make") else tuple(parts)
    if isinstance(data, dict):
        return {key: filled(buffer[key], part, where) for key, part in data.items()}
    if buffer is None:
        return cut(data, where, batch)
    if isinstance(where, slice):
        out = buffer[: where.stop - where.start]
        out[...] = data[where]
        return out
    out = buffer[: len(where)]
    if data.flags.c_contiguous:
        # Its places are there; only so is it written without a copy between.
        data.take(where, axis=0, out=out, mode="clip")
    else:
        out[...] = data[where]
    return out
