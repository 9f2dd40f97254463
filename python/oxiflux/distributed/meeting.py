"""A few numbers of each rank of one machine, which all of them see."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Rows"]


class Rows:
    """Rows of memory that the ranks of a machine share, one for each of them: its numbers, and how often it has come.

    A rank that waits looks at them when it is awake, and nobody waits for it meanwhile: a collective of MPI's goes on
    only as its ranks look after it, so that those who sleep hold up the others round by round. A rank may come again
    before the others have read, but not twice; so two tables take turns.
    """

    def __init__(self, node: Any, numbers: int) -> None:
        from mpi4py import MPI

        self.count, self._first, size = 0, 0, node.size
        width = -(-(1 + numbers) // 8) * 8  # whole lines of a cache
        allocate: Any = MPI.Win.Allocate_shared
        self.window = allocate(16 * width * size if node.rank == 0 else 0, 1, comm=node)
        self.window.Lock_all(MPI.MODE_NOCHECK)
        memory = np.frombuffer(self.window.Shared_query(0)[0], np.uint8)
        tables = memory.view(np.float64).reshape(2, size, width)
        self.tables = [table[:, : 1 + numbers] for table in tables]
        self.mine = [table[node.rank] for table in self.tables]
        for row in self.mine:
            row[:] = 0
        self.window.Sync()
        node.Barrier()

    def __call__(self, numbers: Any, table: Any) -> Rows:
        """Comes with some numbers; when all have come, those of all are in the table."""
        self.count += 1
        self._first, self._into = 0, table
        mine = self.mine[self.count % 2]
        mine[1:] = numbers
        self.window.Sync()
        mine[0] = self.count
        return self

    def Test(self) -> bool:  # noqa: N802  # as MPI's requests have it
        """Whether all have come."""
        rows = self.tables[self.count % 2]
        while self._first < len(rows):
            if rows[self._first, 0] != self.count:
                return False
            self._first += 1
        self.window.Sync()
        self._into[:] = rows[:, 1:]
        return True
