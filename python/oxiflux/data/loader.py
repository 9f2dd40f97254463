"""Batches of data, one after the other."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from .._core import Generator
from .arrays import batch
from .items import count, cut, generator, item, permutation

__all__ = ["DataLoader", "eachobs"]


@dataclass
class _Pass:
    """A pass: how many batches have been handed out, and where the generator was when its order was drawn."""

    batch: int = 0
    order: tuple[int, int] | None = None


class DataLoader:
    """An iterable over batches of `data`, along the first axis; each pass starts anew.

    `data` is an array, a tensor, a frame, a sequence of items, or a tuple or dict of these with equal lengths; a batch
    has the same form. Batches of arrays are cut out, without a copy unless shuffled; items of sequences are put
    together by `batch`, or by `collate(items)` if that is given, which then gets single items of arrays too. A
    `batchsize` of None gives single items. What can only be iterated, such as a generator, works too, but has no
    length and is not shuffled.

    `shuffle` draws a new order for each pass, from `rng` or the default generator. Without `partial` a last batch of
    fewer items is left out. `parallel` prepares the next batches in a thread. In the middle of a pass `state()` is the
    place of the next batch, from which the first pass after `load_state` goes on. Ref: MLUtils.jl, `DataLoader`.

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
        self._pass: _Pass | None = None
        self._next = _Pass()

    def __len__(self) -> int:
        if self._count is None:
            raise TypeError(f"DataLoader: a {type(self.data).__name__} has no length")
        whole, rest = divmod(self._count, self.batchsize or 1)
        return whole + (self.partial and rest > 0)

    def __repr__(self) -> str:
        size = f"a {type(self.data).__name__}" if self._count is None else f"{self._count} items"
        return f"DataLoader({size}, batchsize={self.batchsize}, shuffle={self.shuffle})"

    def __iter__(self) -> Iterator[Any]:
        self._pass, self._next = self._next, _Pass()
        here = self._pass
        batches = self._stream(here) if self._count is None else self._batches(self._count, here)
        try:
            # Counted here: a thread is ahead of what has been handed out.
            for made in _ahead(batches) if self.parallel else batches:
                here.batch += 1
                yield made
        finally:
            if self._pass is here:
                self._pass = None

    def state(self) -> dict[str, Any]:
        """Where the loader is: the number of batches handed out in this pass, the place of the generator from which
        its order was drawn, and the sizes by which `load_state` knows the data again.

        >>> loader = DataLoader(range(6), batchsize=2)
        >>> [batch.tolist() for batch in loader if loader.state()["batch"] == 2]
        [[2, 3]]
        """
        here = self._pass or self._next
        rng = None if self.rng is None else self.rng.get_state()
        return {"batch": here.batch, "order": here.order, "rng": rng, **self._form()}

    def load_state(self, state: Any) -> None:
        """Goes to a place that `state` gave, of a loader with data and options like these; else raises ValueError.

        >>> loader = DataLoader(range(6), batchsize=2)
        >>> loader.load_state(loader.state() | {"batch": 1})
        >>> [batch.tolist() for batch in loader]
        [[2, 3], [4, 5]]
        """
        if not isinstance(state, dict) or state.keys() != self.state().keys():
            raise ValueError(f"DataLoader: {state!r} is not what state() gives")
        for name, mine in self._form().items():
            if state[name] != mine:
                raise ValueError(
                    f"DataLoader: the state is of a loader with {name}={state[name]}, not {mine}"
                )
        if (state["rng"] is None) != (self.rng is None):
            raise ValueError("DataLoader: only one of the state and the loader has a generator of its own")
        if type(state["batch"]) is not int or state["batch"] < 0:
            raise ValueError(f"DataLoader: {state['batch']!r} is no number of batches")
        start = _Pass(state["batch"], state["order"])
        if start.order is not None:
            Generator().set_state(start.order)  # an error now, not when the pass starts
        if self.rng is not None:
            self.rng.set_state(state["rng"])
        self._pass, self._next = None, start

    def _form(self) -> dict[str, Any]:
        return {"items": self._count, "batchsize": self.batchsize, "shuffle": self.shuffle}

    def _order(self, n: int, here: _Pass) -> np.ndarray[Any, Any]:
        """The order of this pass: a new one, or again the one that was drawn at a place of the generator."""
        if here.order is None:
            here.order = generator(self.rng).get_state()
            return permutation(self.rng, n)
        drawn = Generator()
        drawn.set_state(here.order)
        return permutation(drawn, n)

    def _batches(self, n: int, here: _Pass) -> Iterator[Any]:
        data, size, collate, done = self.data, self.batchsize, self.collate, here.batch
        if (now := count("DataLoader", data)) != n:
            raise ValueError(f"DataLoader: the data had {n} items when it was given and has {now} now")
        order = self._order(n, here) if self.shuffle else None
        if size is None:
            for i in range(done, n) if order is None else order[done:].tolist():
                yield item(data, i)
            return
        for first in range(done * size, len(self) * size, size):
            last = min(first + size, n)
            if collate:
                indices = range(first, last) if order is None else order[first:last].tolist()
                yield collate([item(data, i) for i in indices])
            else:
                yield cut(data, slice(first, last) if order is None else order[first:last], batch)

    def _stream(self, here: _Pass) -> Iterator[Any]:
        size = self.batchsize
        items = islice(self.data, here.batch * (size or 1), None)
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
