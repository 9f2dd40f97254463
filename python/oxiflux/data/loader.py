"""Batches of data, one after the other."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from .._core import Generator
from .arrays import batch
from .items import count, cut, item, permutation

__all__ = ["DataLoader", "eachobs"]


class DataLoader:
    """An iterable over batches of `data`, along the first axis; each pass starts anew.

    `data` is an array, a tensor, a frame, a sequence of items, or a tuple or dict of these with equal lengths; a batch
    has the same form. Batches of arrays are cut out, without a copy unless shuffled; items of sequences are put
    together by `batch`, or by `collate(items)` if that is given, which then gets single items of arrays too. A
    `batchsize` of None gives single items. What can only be iterated, such as a generator, works too, but has no
    length and is not shuffled.

    `shuffle` draws a new order for each pass, from `rng` or the default generator. Without `partial` a last batch of
    fewer items is left out. `parallel` prepares the next batches in a thread. Ref: MLUtils.jl, `DataLoader`.

    >>> import numpy as np
    >>> loader = DataLoader((np.zeros((5, 2)), np.arange(5)), batchsize=2)
    >>> [y.tolist() for x, y in loader], len(loader)
    ([[0, 1], [2, 3], [4]], 3)
    """

    def __init__(
        self,
        data: Any,
        batchsize: int | None = 1,
        shuffle: bool = False,
        partial: bool = True,
        collate: Callable[[list[Any]], Any] | None = None,
        parallel: bool = False,
        rng: Generator | None = None,
    ) -> None:
        if batchsize is not None:
            if isinstance(batchsize, bool) or not isinstance(batchsize, (int, np.integer)):
                raise TypeError(f"DataLoader: batchsize must be a whole number, got {batchsize!r}")
            if batchsize < 1:
                raise ValueError(f"DataLoader: batchsize must be at least 1, got {batchsize}")
            batchsize = int(batchsize)
        if collate is not None and not callable(collate):
            raise TypeError(f"DataLoader: collate must be a function of a list of items, got {collate!r}")
        self.data = data
        self.batchsize = batchsize
        self.shuffle = shuffle
        self.partial = partial
        self.collate = collate
        self.parallel = parallel
        self.rng = rng
        is_stream = hasattr(data, "__iter__") and not hasattr(data, "__len__")
        if is_stream and shuffle:
            raise TypeError(f"DataLoader: a {type(data).__name__} has no length and cannot be shuffled")
        self._count = None if is_stream else count("DataLoader", data)

    def __len__(self) -> int:
        if self._count is None:
            raise TypeError(f"DataLoader: a {type(self.data).__name__} has no length")
        whole, rest = divmod(self._count, self.batchsize or 1)
        return whole + (self.partial and rest > 0)

    def __repr__(self) -> str:
        size = f"a {type(self.data).__name__}" if self._count is None else f"{self._count} items"
        return f"DataLoader({size}, batchsize={self.batchsize}, shuffle={self.shuffle})"

    def __iter__(self) -> Iterator[Any]:
        batches = self._stream() if self._count is None else self._batches(self._count)
        return _ahead(batches) if self.parallel else batches

    def _batches(self, n: int) -> Iterator[Any]:
        data, size, collate = self.data, self.batchsize, self.collate
        if (now := count("DataLoader", data)) != n:
            raise ValueError(f"DataLoader: the data had {n} items when it was given and has {now} now")
        order = permutation(self.rng, n) if self.shuffle else None
        if size is None:
            for i in range(n) if order is None else order.tolist():
                yield item(data, i)
            return
        for first in range(0, len(self) * size, size):
            last = min(first + size, n)
            if collate:
                indices = range(first, last) if order is None else order[first:last].tolist()
                yield collate([item(data, i) for i in indices])
            else:
                yield cut(data, slice(first, last) if order is None else order[first:last], batch)

    def _stream(self) -> Iterator[Any]:
        items, size = iter(self.data), self.batchsize
        if size is None:
            yield from items
            return
        while taken := list(islice(items, size)):
            if self.partial or len(taken) == size:
                yield (self.collate or batch)(taken)


def eachobs(data: Any, batchsize: int | None = None, **options: Any) -> DataLoader:
    """An iterable over the items of `data`, or over batches: `DataLoader` with single items as the default.

    Ref: MLUtils.jl, `eachobs`.

    >>> import numpy as np
    >>> [(x.tolist(), name) for x, name in eachobs((np.arange(4).reshape(2, 2), ["a", "b"]))]
    [([0, 1], 'a'), ([2, 3], 'b')]
    """
    return DataLoader(data, batchsize, **options)


def _ahead(batches: Iterable[Any], depth: int = 2) -> Iterator[Any]:
    """The same batches, made in a thread while the ones before are used; its errors arrive here."""
    ready: queue.Queue[tuple[Any, BaseException | None, bool]] = queue.Queue()
    room = threading.Semaphore(depth)
    stop = threading.Event()

    def work() -> None:
        try:
            for made in batches:
                ready.put((made, None, False))
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
            made, error, is_last = ready.get()
            if error is not None:
                raise error
            if is_last:
                return
            room.release()
            yield made
    finally:
        stop.set()
        room.release()
