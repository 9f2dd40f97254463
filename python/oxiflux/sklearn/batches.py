"""The rows of a fit as batches of tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from scipy.sparse import issparse

from .._core import Generator, Tensor, arange, from_numpy, take

__all__ = ["Batches", "dense"]


class Batches:
    """Batches of rows that belong together, a tuple of tensors each; with a generator in a new order in each pass.

    A part is an array or a sparse matrix, which becomes dense batch by batch, or None, which is left out. A last batch
    of a single row, of which no variance can be taken, is joined to the one before.

    >>> batches = Batches((np.zeros((5, 3), np.float32), None, np.arange(5)), 2)
    >>> [(x.shape, y.tolist()) for x, y in batches], len(batches)
    ([((2, 3), [0, 1]), ((3, 3), [2, 3, 4])], 2)
    """

    parts: list[Any]
    batchsize: int
    generator: Generator | None
    count: int

    def __init__(self, parts: tuple[Any, ...], batchsize: int, generator: Generator | None = None) -> None:
        self.parts = [part if issparse(part) else from_numpy(part) for part in parts if part is not None]
        self.rows: int = self.parts[0].shape[0]
        self.batchsize, self.generator = batchsize, generator
        self.count = max(1, -(-self.rows // batchsize) - (self.rows % batchsize == 1 < batchsize))

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        order = arange(self.rows) if self.generator is None else self.generator.randperm(self.rows)
        for i in range(self.count):
            first = i * self.batchsize
            where = order[first : first + self.batchsize if i + 1 < self.count else self.rows]
            yield tuple(
                take(part, where, axis=0) if type(part) is Tensor else dense(part[where.numpy()])
                for part in self.parts
            )


def dense(rows: Any) -> Tensor:
    """Rows of an array or of a sparse matrix as a tensor, without a copy of what is dense already.

    >>> dense(np.ones((1, 2), np.float32)).tolist()
    [[1.0, 1.0]]
    """
    return from_numpy(rows.toarray() if issparse(rows) else np.ascontiguousarray(rows))
