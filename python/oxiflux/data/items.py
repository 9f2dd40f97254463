"""The items of a data set: how many there are, and those at given places, for every kind of data.

Data are arrays, tensors and frames, along their first axis; sequences; tuples and dicts of such parts, whose items
are tuples and dicts; and whatever has `__len__` and `__getitem__`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from .. import _core
from .._core import Generator, ShapeError, Tensor
from ..hints import told
from ..init import generator
from .guarded import guarded

__all__ = ["getobs", "numobs"]

Places: TypeAlias = slice | np.ndarray[Any, Any]
Gather: TypeAlias = Callable[[list[Any]], Any]


@told
def numobs(data: Any) -> int:
    """The number of items of `data`: the length of its first axis, or of the sequence.

    Parts of a tuple or dict with different numbers of items raise ShapeError. Ref: MLUtils.jl, `numobs`.

    >>> import numpy as np
    >>> numobs((np.zeros((3, 2)), ["a", "b", "c"]))
    3
    """
    return count("numobs", data)


@told
def getobs(data: Any, where: Any = None) -> Any:
    """The items of `data` at a place, at a slice or at several places; all of them if `where` is left out.

    Arrays are cut along the first axis, without a copy where `where` is a slice; sequences give lists; what computes
    its items when asked for them does so. Ref: MLUtils.jl, `getobs`.

    >>> import numpy as np
    >>> data = {"x": np.arange(6).reshape(3, 2), "name": ["a", "b", "c"]}
    >>> getobs(data, 2)
    {'x': array([4, 5]), 'name': 'c'}
    >>> getobs(data, [0, 2])["name"]
    ['a', 'c']
    """
    n = count("getobs", data)
    if where is None:
        return cut(data, slice(None))
    if isinstance(where, slice):
        return cut(data, where)
    if isinstance(where, (int, np.integer)):
        return item(data, range(n)[where])
    return cut(data, places(where, n))


class Lazy(Sequence[Any]):
    """Data whose items are made when they are asked for."""

    @abstractmethod
    def one(self, i: int) -> Any:
        """The item at a place that is not negative."""

    @abstractmethod
    def many(self, where: Places, gather: Gather) -> Any:
        """The items at several places; those of sequences are put together by `gather`."""

    def at_hand(self) -> bool:
        """Whether the items need not be made, but are only taken from memory."""
        return False

    def __getitem__(self, where: Any) -> Any:
        return getobs(self, where)

    def __iter__(self) -> Iterator[Any]:
        return (self.one(i) for i in range(len(self)))


class View(Lazy):
    """Some items of data that are not in memory, in any order."""

    def __init__(self, data: Any, indices: np.ndarray[Any, Any]) -> None:
        self.data = data
        self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __repr__(self) -> str:
        return f"{len(self)} items of {self.data!r}"

    def one(self, i: int) -> Any:
        return item(self.data, int(self.indices[i]))

    def many(self, where: Places, gather: Gather) -> Any:
        return cut(self.data, self.indices[where], gather)

    def at_hand(self) -> bool:
        return in_memory(self.data)


def count(caller: str, data: Any) -> int:
    """The number of items, or an error that names the caller and the sizes that differ."""
    if isinstance(data, (tuple, dict)):
        parts = data if isinstance(data, dict) else dict(enumerate(data))
        counts = {key: count(caller, part) for key, part in parts.items()}
        if len(set(counts.values())) > 1:
            sizes = ", ".join(f"{n} in {key!r}" for key, n in counts.items())
            raise ShapeError(f"{caller}: the parts of the data differ in their number of items: {sizes}")
        if not counts:
            raise ValueError(f"{caller}: there is no data in {data!r}")
        return next(iter(counts.values()))
    shape = getattr(data, "shape", None)
    if shape is not None:
        if not shape:
            raise ShapeError(f"{caller}: an array of shape () has no items")
        return int(shape[0])
    if hasattr(data, "__len__") and hasattr(data, "__getitem__") and not isinstance(data, (str, bytes)):
        return guarded(f"{caller}: __len__ of a {type(data).__name__}", len, data)
    raise TypeError(f"{caller}: data must be arrays or sequences, got a {type(data).__name__}")


def numbered(caller: str, data: Any) -> tuple[Any, int]:
    """The data and the number of its items; a number stands for data of so many items."""
    if isinstance(data, (bool, np.bool_)):
        raise TypeError(f"{caller}: data must be arrays, sequences or a number of items, got {data!r}")
    if isinstance(data, (int, np.integer)):
        return int(data), int(data)
    return data, count(caller, data)


def item(data: Any, i: int) -> Any:
    """The item at a place that is not negative."""
    if isinstance(data, tuple):
        return _like(data, [item(part, i) for part in data])
    if isinstance(data, dict):
        return {key: item(part, i) for key, part in data.items()}
    if isinstance(data, Lazy):
        return data.one(i)
    if hasattr(data, "iter_rows"):  # Polars gives a row as a dict only if asked
        return data.row(i, named=True)
    found = data.iloc if hasattr(data, "iloc") else data
    try:
        return found[i]
    except StopIteration as error:
        raise _no_end(i) from error


def cut(data: Any, where: Places, gather: Gather = list) -> Any:
    """The items at a slice or at an array of indices; those of sequences are put together by `gather`."""
    kind = type(data)
    if kind is np.ndarray:
        # `take` is faster, but would copy all of an array that is not contiguous, such as windows of a text.
        return (
            data.take(where, axis=0) if type(where) is not slice and data.flags.c_contiguous else data[where]
        )
    if kind is Tensor:
        return data[where] if type(where) is slice else _core.take(data, where, axis=0)
    if isinstance(data, tuple):
        return _like(data, [cut(part, where, gather) for part in data])
    if isinstance(data, dict):
        return {key: cut(part, where, gather) for key, part in data.items()}
    if isinstance(data, Lazy):
        return data.many(where, gather)
    if hasattr(data, "shape"):
        return data.iloc[where] if hasattr(data, "iloc") else data[where]
    indices = range(count("data", data))[where] if type(where) is slice else where.tolist()
    return gather(each(data.__getitem__, indices))


def each(f: Callable[[int], Any], indices: Iterable[int]) -> list[Any]:
    """`f` of each index; an error has a note of the index at which it happened."""
    items = []
    for i in indices:
        try:
            items.append(f(i))
        except StopIteration as error:
            raise _no_end(i) from error
        except Exception as error:
            error.add_note(f"at item {i} of the data")
            raise
    return items


def _no_end(i: int) -> RuntimeError:
    """The error of an item that would end whatever loop asks for the items, without a word."""
    return RuntimeError(f"item {i} of the data raised StopIteration, which would end the data early")


def in_memory(data: Any) -> bool:
    """Whether items are at hand and need not be made."""
    if isinstance(data, (tuple, dict)):
        return all(map(in_memory, data.values() if isinstance(data, dict) else data))
    if isinstance(data, Lazy):
        return data.at_hand()
    return isinstance(data, (list, range)) or hasattr(data, "shape")


def subset(data: Any, where: Places) -> Any:
    """Part of the data, as data: cut at once if it is in memory, else a view."""
    if isinstance(data, tuple):
        return _like(data, [subset(part, where) for part in data])
    if isinstance(data, dict):
        return {key: subset(part, where) for key, part in data.items()}
    if isinstance(data, View):
        return View(data.data, data.indices[where])
    if isinstance(data, list) or hasattr(data, "shape"):
        return cut(data, where)
    if isinstance(data, range) and isinstance(where, slice):
        return data[where]
    return View(data, np.arange(count("data", data))[where])


def places(where: Any, n: int) -> np.ndarray[Any, Any]:
    """Several places among `n`, given as indices, which may be negative, or as a mask."""
    indices = np.asarray(where)
    if indices.dtype == bool:
        if indices.shape != (n,):
            raise ShapeError(f"a mask of shape {indices.shape} for {n} items")
        return np.flatnonzero(indices)
    if indices.size == 0:
        return np.zeros(0, np.int64)
    if indices.ndim != 1 or indices.dtype.kind not in "iu":
        raise TypeError(f"places must be a number, a slice, indices or a mask, got {where!r}")
    low, high = int(indices.min()), int(indices.max())
    if low < -n or high >= n:
        raise IndexError(f"there is no item {low if low < -n else high} among {n}")
    return np.where(indices < 0, indices + n, indices)


def whole(caller: str, name: str, value: Any, least: int) -> int:
    """A whole number that is not too small, or an error that says so."""
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        raise TypeError(f"{caller}: {name} must be a whole number, got {value!r}")
    number: int = value.__index__()
    if number < least:
        raise ValueError(f"{caller}: {name} must be at least {least}, got {number}")
    return number


def permutation(rng: Generator | None, n: int) -> np.ndarray[Any, Any]:
    """The numbers below `n` in a random order."""
    return np.asarray(generator(rng).randperm(n))


def _like(data: tuple[Any, ...], parts: list[Any]) -> Any:
    """The parts as a tuple of the kind that `data` is."""
    return data._make(parts) if hasattr(data, "_make") else tuple(parts)
