"""Windows of adjacent items, as data."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _core
from .._core import Tensor
from ..hints import told
from .arrays import batch
from .items import Gather, Lazy, Places, count, cut, each, in_memory, whole

__all__ = ["slidingwindow"]


class Windows(Lazy):
    """What `slidingwindow` gives."""

    data: Any
    size: int
    stride: int

    def __init__(self, data: Any, size: int, stride: int, length: int) -> None:
        self.data, self.size, self.stride = data, size, stride
        self._count = length

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"{len(self)} windows of size {self.size}, stride {self.stride}"

    def one(self, i: int) -> Any:
        return cut(self.data, slice(i * self.stride, i * self.stride + self.size))

    def many(self, where: Places, gather: Gather) -> Any:
        indices = np.arange(len(self))[where]
        if gather is batch:
            starts = indices[:, None] * self.stride
            return _stacked(self.data, starts + np.arange(self.size))
        return gather(each(self.one, indices.tolist()))

    def at_hand(self) -> bool:
        return in_memory(self.data)


@told
def slidingwindow(data: Any, size: int, stride: int = 1) -> Any:
    """Data whose items are windows: `size` adjacent items of `data`, each window `stride` items after the one before.

    Only whole windows are there: of `n` items these are `(n - size) // stride + 1`, and what is left over at the end is
    in none. A window of an array is an array without a copy, one of a tuple or a dict a tuple or a dict. They are cut
    when they are asked for; a `DataLoader` stacks them: a batch of an array has the shape `(batchsize, size, …)`.

    A `size` or `stride` below 1, or a `size` above the number of items, raises ValueError. Ref: MLUtils.jl,
    `slidingwindow`.

    >>> import numpy as np
    >>> windows = slidingwindow(np.arange(11, 31), size=6, stride=3)
    >>> len(windows), windows[1]
    (5, array([14, 15, 16, 17, 18, 19]))
    >>> from oxiflux import DataLoader
    >>> [x.shape for x in DataLoader(windows, batchsize=3)]
    [(3, 6), (2, 6)]
    """
    n = count("slidingwindow", data)
    size, stride = whole("slidingwindow", "size", size, 1), whole("slidingwindow", "stride", stride, 1)
    if size > n:
        raise ValueError(f"slidingwindow: the size of a window, {size}, is above the number of items, {n}")
    return Windows(data, size, stride, (n - size) // stride + 1)


def _stacked(data: Any, places: np.ndarray[Any, Any]) -> Any:
    """The batch of windows at the places in the rows."""
    if type(data) is np.ndarray:
        return data[places]
    if type(data) is Tensor:
        return _core.take(data, places, axis=0)
    if isinstance(data, tuple):
        parts = [_stacked(part, places) for part in data]
        return data._make(parts) if hasattr(data, "_make") else tuple(parts)
    if isinstance(data, dict):
        return {key: _stacked(part, places) for key, part in data.items()}
    return batch([cut(data, row, batch) for row in places])
