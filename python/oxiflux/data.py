"""Batches of data."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from . import _core
from ._core import Generator, ShapeError, Tensor

__all__ = ["DataLoader"]


class DataLoader:
    """An iterable over batches of `data`, along the first axis; each pass starts anew.

    `data` is an array, a tensor, a sequence of items, or a tuple or dict of these with equal lengths; a batch has the
    same form. `shuffle` draws a new order for each pass, from `rng` or the default generator. Without
    `partial` a last batch of fewer items is left out. `collate(items)` makes a batch of a list of items; without
    it arrays are cut along the first axis and sequences give lists. `parallel` prepares the next batches in a
    thread. Ref: MLUtils.jl, `DataLoader`.

    >>> import numpy as np
    >>> loader = DataLoader((np.zeros((5, 2)), np.arange(5)), batchsize=2)
    >>> [y.tolist() for x, y in loader], len(loader)
    ([[0, 1], [2, 3], [4]], 3)
    """

    def __init__(
        self,
        data: Any,
        batchsize: int = 1,
        shuffle: bool = False,
        partial: bool = True,
        collate: Callable[[list[Any]], Any] | None = None,
        parallel: bool = False,
        rng: Generator | None = None,
    ) -> None:
        if isinstance(batchsize, bool) or not isinstance(batchsize, (int, np.integer)):
            raise TypeError(f"DataLoader: batchsize must be a whole number, got {batchsize!r}")
        if batchsize < 1:
            raise ValueError(f"DataLoader: batchsize must be at least 1, got {batchsize}")
        self.data = data
        self.batchsize = int(batchsize)
        self.shuffle = shuffle
        self.partial = partial
        self.collate = collate
        self.parallel = parallel
        self.rng = rng
        self._count = _count(data)

    def __len__(self) -> int:
        whole, rest = divmod(self._count, self.batchsize)
        return whole + (self.partial and rest > 0)

    def __repr__(self) -> str:
        return f"DataLoader({self._count} items, batchsize={self.batchsize}, shuffle={self.shuffle})"

    def __iter__(self) -> Iterator[Any]:
        batches = self._batches()
        return _ahead(batches) if self.parallel else batches

    def _batches(self) -> Iterator[Any]:
        if _count(self.data) != self._count:
            raise ValueError(
                f"DataLoader: the data had {self._count} items when it was given and has {_count(self.data)} now"
            )
        cut = self._items if self.collate else _cut
        order = self._order() if self.shuffle else None
        size = self.batchsize
        for first in range(0, len(self) * size, size):
            last = min(first + size, self._count)
            yield cut(self.data, slice(first, last) if order is None else order[first:last])

    def _order(self) -> np.ndarray[Any, Any]:
        draw = self.rng.randperm if self.rng else _core.randperm
        return np.asarray(draw(self._count))

    def _items(self, data: Any, where: Any) -> Any:
        places = range(self._count)[where] if isinstance(where, slice) else where.tolist()
        return self.collate([_item(data, i) for i in places])  # type: ignore[misc]


def _count(data: Any) -> int:
    """The number of items, or an error that names the sizes that differ."""
    if isinstance(data, (tuple, dict)):
        parts = data if isinstance(data, dict) else dict(enumerate(data))
        counts = {key: _count(part) for key, part in parts.items()}
        if len(set(counts.values())) > 1:
            sizes = ", ".join(f"{n} in {key!r}" for key, n in counts.items())
            raise ShapeError(f"DataLoader: the parts of the data differ in their number of items: {sizes}")
        if not counts:
            raise ValueError(f"DataLoader: there is no data in {data!r}")
        return next(iter(counts.values()))
    shape = getattr(data, "shape", None)
    if shape is not None:
        if not shape:
            raise ShapeError("DataLoader: an array of shape () has no items")
        return int(shape[0])
    if hasattr(data, "__len__") and hasattr(data, "__getitem__") and not isinstance(data, (str, bytes)):
        return len(data)
    raise TypeError(f"DataLoader: data must be arrays or sequences, got a {type(data).__name__}")


def _cut(data: Any, where: Any) -> Any:
    """The items at a slice or at an array of indices."""
    kind = type(data)
    if kind is np.ndarray:
        return data[where] if type(where) is slice else data.take(where, axis=0)
    if isinstance(data, tuple):
        parts = [_cut(part, where) for part in data]
        return data._make(parts) if hasattr(data, "_make") else tuple(parts)
    if isinstance(data, dict):
        return {key: _cut(part, where) for key, part in data.items()}
    if kind is Tensor:
        return data[where] if type(where) is slice else _core.take(data, where, axis=0)
    if hasattr(data, "shape"):
        return data.iloc[where] if hasattr(data, "iloc") else data[where]
    return data[where] if type(where) is slice and isinstance(data, (list, range)) else _pick(data, where)


def _pick(data: Sequence[Any], where: Any) -> list[Any]:
    places = range(len(data))[where] if type(where) is slice else where.tolist()
    return [data[i] for i in places]


def _item(data: Any, i: int) -> Any:
    if isinstance(data, tuple):
        return tuple(_item(part, i) for part in data)
    if isinstance(data, dict):
        return {key: _item(part, i) for key, part in data.items()}
    return data.iloc[i] if hasattr(data, "iloc") else data[i]


def _ahead(batches: Iterator[Any], depth: int = 2) -> Iterator[Any]:
    """The same batches, made in a thread while the ones before are used; its errors arrive here."""
    ready: queue.Queue[tuple[Any, BaseException | None, bool]] = queue.Queue()
    room = threading.Semaphore(depth)
    stop = threading.Event()

    def work() -> None:
        try:
            for batch in batches:
                ready.put((batch, None, False))
                room.acquire()
                if stop.is_set():
                    return
        except BaseException as error:
            ready.put((None, error, True))
        else:
            ready.put((None, None, True))

    threading.Thread(target=work, daemon=True).start()
    try:
        while True:
            batch, error, is_last = ready.get()
            if error is not None:
                raise error
            if is_last:
                return
            room.release()
            yield batch
    finally:
        stop.set()
        room.release()
