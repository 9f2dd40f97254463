"""Data of which each rank has its part."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from .._core import Tensor
from ..data import DataLoader, numobs, obsview
from ..data.items import permutation
from ..init import generator
from .world import World, world

__all__ = ["DistributedDataContainer", "rows_of", "shared"]


class DistributedDataContainer:
    """This rank's part of data: neighbouring items, one more or less than the other ranks have.

    It is for data that differs from rank to rank, such as what each reads for itself. Batches of the whole, of which
    each rank takes its rows, come from `shared`, and `fit(…, distributed=True)` makes them by itself; these give the
    same result for any number of ranks. Ref: Flux.jl, `DistributedUtils.DistributedDataContainer`, whose parts are of
    `ceil(n / ranks)` items, so that the last may have none.

    >>> import oxiflux as flux
    >>> _ = flux.distributed.initialize()
    >>> part = flux.distributed.DistributedDataContainer([1, 2, 3])
    >>> len(part), part[0]
    (3, 1)
    """

    data: Any
    places: range

    def __init__(self, data: Any) -> None:
        w = world("DistributedDataContainer")
        n = numobs(data)
        first, last = bounds(n, w)
        if first == last:
            raise ValueError(f"DistributedDataContainer: {n} items are too few for {w.size} ranks")
        self.data, self.places = data, range(first, last)
        self._view = obsview(data, np.arange(first, last))

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, where: Any) -> Any:
        return self._view[where]

    def __repr__(self) -> str:
        return f"DistributedDataContainer({len(self)} items, from {self.places.start} on)"


def shared(data: Any) -> Any:
    """Batches of which this rank has its rows: of a DataLoader, or of what gives the same batches on all ranks.

    A batch is that of one process, whatever the number of ranks, shuffled by rank 0's generator, and its rows are
    divided as equally as they can be; the mean of gradients is weighted by them. A rank for which none are left, as may
    be so in a last batch, gets rows that count nothing. Of a DataLoader over a `DistributedDataContainer` all rows
    are this rank's.

    >>> import oxiflux as flux
    >>> _ = flux.distributed.initialize()
    >>> [x.tolist() for x in flux.distributed.shared(flux.DataLoader(range(3), 2))]
    [[0, 1], [2]]
    """
    w = world("shared")
    if isinstance(data, (SharedLoader, _Shared)):
        return data
    if isinstance(data, DataLoader):
        if data.batchsize is None:
            raise ValueError("shared: a DataLoader of single items has no rows to divide; give a batchsize")
        if isinstance(data.data, DistributedDataContainer):
            return _Shared(data, w, is_whole=False)
        if data._count is not None:
            new = copy.copy(data)
            new.__class__ = SharedLoader
            new._next = copy.copy(data._next)
            new._world = w  # type: ignore[attr-defined]
            return new
    return _Shared(data, w)


class SharedLoader(DataLoader[Any]):
    """A DataLoader that makes this rank's rows of each batch."""

    _world: World

    def __iter__(self) -> Iterator[Any]:
        w, n, size = self._world, self._count or 0, self.batchsize or 1
        w.agree("data", f"{n} items in batches of {size}")
        if w.comm is not None and self.shuffle and self._next.order is None:
            order = w.plain("the order of a pass", generator(self.rng).get_state())
            permutation(self.rng, n)  # draws what a pass of one process draws
            self._next.order = (int(order[0]), int(order[1]))
        try:
            for batch in super().__iter__():
                at = 0 if self._pass is None else self._pass.batch - 1
                total = min(size, n - at * size)
                first, last = bounds(total, w)
                w.share = last - first, total
                yield batch
        finally:
            w.share = None
        w.meet("the end of the batches")

    def _placed(self, places: Iterable[Any]) -> Iterable[Any]:
        return (self._rows(where) for where in places)

    def _rows(self, where: Any) -> Any:
        if isinstance(where, slice):
            first, last = _some(where.stop - where.start, self._world)
            return slice(where.start + first, where.start + last)
        first, last = _some(len(where), self._world)
        return where[first:last]


class _Shared:
    """This rank's rows of batches that come from anywhere, or batches that are this rank's own."""

    def __init__(self, data: Any, world: World, is_whole: bool = True) -> None:
        self.data, self.world, self.is_whole = data, world, is_whole
        if hasattr(data, "load_state"):
            self.state, self.load_state = data.state, data.load_state
        if hasattr(data, "__len__"):
            self.length = len(data)

    def __len__(self) -> int:
        if not hasattr(self, "length"):
            raise TypeError("the batches have no length")
        return self.length

    def __iter__(self) -> Iterator[Any]:
        w = self.world
        data = self.data
        if not hasattr(type(data), "__iter__"):
            data = (data[i] for i in range(len(data)))
        try:
            for batch in data:
                n = rows_of(batch)
                if self.is_whole:
                    total = w.meet("a batch", n)[:, 0]
                    if (total != n).any():
                        raise ValueError(
                            f"shared: the ranks have batches of {', '.join(f'{x:.0f}' for x in total)} rows; each "
                            "takes its part of batches that are the same for all"
                        )
                    first, last = bounds(n, w)
                    w.share = last - first, n
                    yield cut(batch, *_some(n, w), n)
                else:
                    w.share = n, int(w.meet("a batch", n)[:, 0].sum())
                    yield batch
        finally:
            w.share = None
        w.meet("the end of the batches")


def bounds(n: int, w: World) -> tuple[int, int]:
    """Where this rank's part of `n` begins and ends: the first ranks have one more, as by `numpy.array_split`."""
    each, more = divmod(n, w.size)
    first = w.rank * each + min(w.rank, more)
    return first, first + each + (w.rank < more)


def _some(n: int, w: World) -> tuple[int, int]:
    """This rank's part, or a few rows of all, which then count nothing, where that is empty."""
    first, last = bounds(n, w)
    return (first, last) if first < last else (0, min(2, n))


def rows_of(batch: Any) -> int:
    """The number of rows of a batch."""
    while isinstance(batch, (tuple, list, Mapping)) and len(batch) and not isinstance(batch, str):
        inner = next(iter(batch.values())) if isinstance(batch, Mapping) else batch[0]
        if isinstance(batch, list) and not hasattr(inner, "shape"):
            return len(batch)
        batch = inner
    try:
        return len(batch)
    except TypeError:
        raise TypeError(
            f"shared: a batch must have rows to be divided, got a {type(batch).__name__}"
        ) from None


def cut(batch: Any, first: int, last: int, n: int) -> Any:
    """Some rows of a batch, or of each of its parts."""
    if isinstance(batch, Mapping):
        return {key: cut(part, first, last, n) for key, part in batch.items()}
    if isinstance(batch, tuple) or (isinstance(batch, list) and batch and hasattr(batch[0], "shape")):
        return type(batch)([cut(part, first, last, n) for part in batch])
    if not isinstance(batch, (Tensor, np.ndarray)) and not hasattr(batch, "__getitem__"):
        raise TypeError(f"shared: a batch must have rows to be divided, got a {type(batch).__name__}")
    if len(batch) != n:
        raise ValueError(f"shared: the parts of a batch must have {n} rows each, got {len(batch)}")
    return batch[first:last]
