"""Batches of data, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, Literal, overload

import numpy as np
from numpy.typing import NDArray

from .._core import Generator, Tensor, get_num_threads
from ..functions.axes import flag
from ..hints import Told
from ..init import generator
from .arrays import batch
from .batches import buffer_for, check_apart, check_buffer, collate_of, filled, has_arrays, made
from .guarded import guarded
from .items import Places, count, in_memory, item, permutation
from .workers import can_be_sent, in_processes, in_thread

__all__ = ["DataLoader", "eachobs"]

if TYPE_CHECKING:
    # Checkers know this module whether it is installed or not.
    from typing_extensions import TypeVar

    from ..typing import Arrays

    # A batch; a `DataLoader` of which nothing is said has any.
    B = TypeVar("B", covariant=True, default=Any)
    A = TypeVar("A", bound=Tensor | NDArray[Any] | tuple[Arrays, ...] | dict[Any, Any])
else:
    from typing import TypeVar

    B = TypeVar("B", covariant=True)


@dataclass
class _Pass:
    """A pass: how many batches have been handed out, and where the generator was when its order was drawn."""

    batch: int = 0
    order: tuple[int, int] | None = None


class DataLoader(Told, Generic[B]):
    """An iterable over batches of `data`, along the first axis; each pass starts anew.

    `data` is an array, a tensor, a frame, a sequence of items, or a tuple or dict of these with equal lengths; a batch
    has the same form. Batches of arrays are cut out, without a copy unless shuffled; items of sequences are put
    together by `batch`. With `collate` a batch is `collate(items)`, of single items of arrays too; True stands for
    `batch`, and False leaves the items in a list. A `batchsize` of None gives single items. What can only be iterated,
    such as a generator, works too, but has no length and is not shuffled.

    With `buffer` the batches of NumPy arrays are written into the same memory, so that each is valid until the next
    one. True takes memory for each pass; or it is given, in the form of a batch of the data: an array of the dtype and
    of `batchsize` items, or in its place None for what is to be made anew, as all that is no NumPy array is.

    `shuffle` draws a new order for each pass, from `rng` or the default generator. Without `partial` a last batch of
    fewer items is left out. In the middle of a pass `state()` is the place of the next batch, from which the first pass
    after `load_state` goes on.

    `parallel` prepares the next batches ahead. Items that Python code makes, by `__getitem__` or `collate`, are made in
    that many worker processes, or with True in as many as there are threads; batches come in the same order, and random
    numbers in a worker are seeded for each batch. Arrays, which need no workers, streams, and what cannot be pickled
    where processes are not forked, are prepared in a thread. Ref: MLUtils.jl, `DataLoader`.

    >>> import numpy as np
    >>> loader = DataLoader((np.zeros((5, 2)), np.arange(5)), batchsize=2)
    >>> [y.tolist() for x, y in loader], len(loader)
    ([[0, 1], [2, 3], [4]], 3)
    """

    shuffle: bool
    partial: bool
    collate: Callable[[list[Any]], Any] | None
    rng: Generator | None

    if TYPE_CHECKING:
        # Batches of arrays have the form of the data; of what else they are made of is not for types to say.
        @overload
        def __init__(
            self: DataLoader[A],
            data: A,
            batchsize: int = 1,
            shuffle: bool = False,
            partial: bool = True,
            collate: Literal[True] | None = None,
            parallel: bool | int = False,
            rng: Generator | None = None,
            buffer: Any = False,
        ) -> None: ...
        @overload
        def __init__(
            self: DataLoader[Any],
            data: Any,
            batchsize: int | None = 1,
            shuffle: bool = False,
            partial: bool = True,
            collate: bool | Callable[[list[Any]], Any] | None = None,
            parallel: bool | int = False,
            rng: Generator | None = None,
            buffer: Any = False,
        ) -> None: ...

    def __init__(
        self,
        data: Any,
        batchsize: int | None = 1,
        shuffle: bool = False,
        partial: bool = True,
        collate: bool | Callable[[list[Any]], Any] | None = None,
        parallel: bool | int = False,
        rng: Generator | None = None,
        buffer: Any = False,
    ) -> None:
        if batchsize is not None:
            if isinstance(batchsize, bool) or not isinstance(batchsize, (int, np.integer)):
                if hasattr(batchsize, "shape"):
                    raise TypeError(
                        f"DataLoader: batchsize must be a whole number, got an array of shape {batchsize.shape}; "
                        "the parts of the data come in one tuple: DataLoader((x, y), 32)"
                    )
                raise TypeError(f"DataLoader: batchsize must be a whole number, got {batchsize!r}")
            if batchsize < 1:
                raise ValueError(f"DataLoader: batchsize must be at least 1, got {batchsize}")
            batchsize = int(batchsize)
        if not isinstance(parallel, (bool, int)):
            raise TypeError(
                f"DataLoader: parallel must be true, false or a number of workers, got {parallel!r}"
            )
        if parallel < 0:
            raise ValueError(f"DataLoader: the number of workers must be at least 0, got {parallel}")
        self.data = data
        self.batchsize = batchsize
        self.shuffle = flag("DataLoader", "shuffle", shuffle)
        self.partial = flag("DataLoader", "partial", partial)
        self.collate = collate_of("DataLoader", collate)
        self.parallel = parallel
        self.rng = None if rng is None else generator(rng)
        is_stream = hasattr(data, "__iter__") and not hasattr(data, "__len__")
        if is_stream and shuffle:
            raise TypeError(f"DataLoader: a {type(data).__name__} has no length and cannot be shuffled")
        self._count = None if is_stream else count("DataLoader", data)
        self._pass: _Pass | None = None
        self._next = _Pass()
        self.buffer = buffer
        if buffer is not False:
            self._check_buffer()

    def _check_buffer(self) -> None:
        """Raises where there is nothing to write into a buffer, or where it does not fit."""
        for name, value in [("collate", self.collate), ("parallel", self.parallel)]:
            if value:
                raise ValueError(
                    f"DataLoader: buffer= and {name}= exclude each other: what {name} makes is new"
                )
        if self.batchsize is None:
            raise ValueError("DataLoader: buffer= is for batches; single items need a batchsize of 1")
        if self._count is None:
            raise TypeError(
                f"DataLoader: a {type(self.data).__name__} has no arrays to be written into a buffer"
            )
        if self.buffer is not True:
            check_buffer(self.buffer, self.data, self.batchsize)
            check_apart(self.buffer)
        if not has_arrays(buffer_for(self.data, 0) if self.buffer is True else self.buffer):
            raise TypeError(
                "DataLoader: buffer= is for NumPy arrays, and there is none in the data; the memory of tensors is used "
                "again without it"
            )

    def __len__(self) -> int:
        if self._count is None:
            raise TypeError(f"DataLoader: a {type(self.data).__name__} has no length")
        whole, rest = divmod(self._count, self.batchsize or 1)
        return whole + (self.partial and rest > 0)

    def __repr__(self) -> str:
        size = f"a {type(self.data).__name__}" if self._count is None else f"{self._count} items"
        return f"DataLoader({size}, batchsize={self.batchsize}, shuffle={self.shuffle})"

    def __iter__(self) -> Iterator[B]:
        self._pass, self._next = self._next, _Pass()
        here = self._pass
        workers = self._workers()
        batches = self._stream(here) if self._count is None else self._batches(self._count, here, workers)
        try:
            # Counted here: threads and processes are ahead of what has been handed out.
            for ready in in_thread(batches) if self.parallel and not workers else batches:
                here.batch += 1
                yield ready
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

    def _placed(self, places: Iterable[Any]) -> Iterable[Any]:
        """The places of each batch, or of the rows of it that this process makes."""
        return places

    def _workers(self) -> int:
        """How many worker processes make the batches; none where a thread does as well."""
        if not self.parallel or self._count is None or (in_memory(self.data) and not self.collate):
            return 0
        if not can_be_sent((self.data, self.collate)):
            return 0
        return min(get_num_threads() if self.parallel is True else self.parallel, max(1, len(self)))

    def _batches(self, n: int, here: _Pass, workers: int) -> Iterator[Any]:
        if (now := count("DataLoader", self.data)) != n:
            raise ValueError(f"DataLoader: the data had {n} items when it was given and has {now} now")
        done, size = here.batch, self.batchsize or 1
        # Workers' random numbers are seeded by the place at which an order would be drawn.
        order = self._order(n, here) if self.shuffle or workers else None
        firsts = range(done * size, len(self) * size, size)
        if not self.shuffle or order is None:
            places: Iterable[Any] = (slice(i, min(i + size, n)) for i in firsts)
        else:
            places = (order[i : i + size] for i in firsts)
        places = self._placed(places)
        make: Callable[[Any], Any]
        if self.buffer is False:
            make = partial(_made, self.data, self.collate, self.batchsize is None)
        else:
            buffer = buffer_for(self.data, min(size, n)) if self.buffer is True else self.buffer
            make = partial(filled, buffer, self.data)
        if workers:
            return in_processes(make, places, workers, here.order or (), done)
        # Not `map`, which takes a StopIteration of the data for its own end.
        return (make(where) for where in places)

    def _stream(self, here: _Pass) -> Iterator[Any]:
        size = self.batchsize
        items = islice(
            guarded("DataLoader: __iter__ of the data", iter, self.data), here.batch * (size or 1), None
        )
        if size is None:
            yield from items
            return
        while taken := list(islice(items, size)):
            if self.partial or len(taken) == size:
                yield guarded("DataLoader: collate", self.collate or batch, taken)


def _made(data: Any, collate: Callable[[list[Any]], Any] | None, is_single: bool, where: Places) -> Any:
    """The batch of the items at some places, or the single item there."""
    if is_single:
        return item(data, where.start if isinstance(where, slice) else int(where[0]))
    return made("DataLoader", data, collate, where)


def eachobs(data: Any, batchsize: int | None = None, **options: Any) -> DataLoader[Any]:
    """An iterable over the items of `data`, or over batches: `DataLoader` with single items as the default.

    Ref: MLUtils.jl, `eachobs`.

    >>> import numpy as np
    >>> [(x.tolist(), name) for x, name in eachobs((np.arange(4).reshape(2, 2), ["a", "b"]))]
    [([0, 1], 'a'), ([2, 3], 'b')]
    """
    return DataLoader(data, batchsize, **options)
