"""Sums of arrays over ranks, in an order that is always the same."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from .world import World

__all__ = ["Summed", "summed"]

Array = np.ndarray[Any, Any]


class Summed:
    """Memory of `size` numbers of one dtype in which each rank puts its own, and finds the sum of all.

    Ranks of one machine put them side by side in memory that they share, and each sums its part of all in the order of
    the ranks. Ranks of several machines send each other their parts; two of them need no order. A `wire` of
    "bfloat16" sends numbers of that type, of which the sums are taken in float32.
    """

    world: World
    size: int
    part: int
    dtype: np.dtype[Any]
    wire: str | None
    mine: Array
    sum: Array
    ranks: list[Array]

    def __init__(self, world: World, size: int, dtype: Any, wire: str | None = None) -> None:
        self.world, self.dtype = world, np.dtype(dtype)
        self.size, n = size, world.size
        self.part = -(-size // n)
        self.wire = wire if self.dtype == np.float32 else None
        self.window: Any = None
        padded = self.part * n
        if self.wire is None and world.node.size == n and self._fits(padded * self.dtype.itemsize * (n + 1)):
            self._share(padded)
        else:
            self.mine = np.zeros(padded, self.dtype)
            self.sum = self.mine if n == 2 and self.wire is None else np.zeros(padded, self.dtype)

    def _fits(self, size: int) -> bool:
        """Whether all ranks find enough memory to share."""
        try:
            free = os.statvfs("/dev/shm")
            enough = size < free.f_bavail * free.f_frsize // 2
        except OSError:
            enough = False
        return not self.world.any("memory for gradients", not enough)

    def _share(self, padded: int) -> None:
        from mpi4py import MPI

        world, item = self.world, self.dtype.itemsize
        # The segment of each rank has its own numbers, and then its part of the sums, on a page of their own.
        own = -(-padded * item // 4096) * 4096
        extent = own + (padded * item if world.rank == 0 else 0)
        self.window = MPI.Win.Allocate_shared(extent, 1, comm=world.node)
        self.window.Lock_all(MPI.MODE_NOCHECK)
        memory = [np.frombuffer(self.window.Shared_query(rank)[0], np.uint8) for rank in range(world.size)]
        self.ranks = [segment[: padded * item].view(self.dtype) for segment in memory]
        self.mine = self.ranks[world.rank]
        self.sum = memory[0][own : own + padded * item].view(self.dtype)
        self.mine[:] = 0
        world.meet("memory for gradients")

    def run(self, call: str, *numbers: float) -> Array:
        """Sums what is in `mine` of all ranks into `sum`; gives the `numbers` of all ranks, as `World.meet` does."""
        world, part = self.world, self.part
        if self.window is None:
            found = world.meet(call, *numbers)
            self._send(call)
            return found
        self.window.Sync()
        found = world.meet(call, *numbers).copy()
        self.window.Sync()
        own = slice(world.rank * part, (world.rank + 1) * part)
        into = self.sum[own]
        np.add(self.ranks[0][own], self.ranks[1][own], into)
        for other in self.ranks[2:]:
            np.add(into, other[own], into)
        self.window.Sync()
        world.meet(call)
        self.window.Sync()
        return found

    def _send(self, call: str) -> None:
        world = self.world
        comm: Any = world.comm
        if self.sum is self.mine:
            from mpi4py import MPI

            world._wait(call, comm.Iallreduce, MPI.IN_PLACE, self.mine)
            return
        narrow, widen = (_narrow, _widen) if self.wire else (_same, _same)
        sent = narrow(self.mine)
        parts = np.empty((world.size, self.part), sent.dtype)
        world._wait(call, comm.Ialltoall, sent, parts)
        every = np.empty_like(sent)
        world._wait(call, comm.Iallgather, narrow(np.add.reduce(widen(parts), axis=0)), every)
        self.sum[:] = widen(every)


def summed(world: World, call: str, array: Array) -> Array:
    """The sum of an array over all ranks, in their order."""
    if world.comm is None:
        return array.copy()
    world.meet(call)
    parts = np.empty((world.size, *array.shape), array.dtype)
    world._wait(call, world.comm.Iallgather, np.ascontiguousarray(array), parts)
    return np.asarray(np.add.reduce(parts, axis=0))


def _same(x: Array) -> Array:
    return x


def _narrow(x: Array) -> Array:
    """The upper halves of float32 numbers, rounded to even, which are bfloat16 numbers."""
    bits = x.view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(x), np.uint16(0x7FC0), rounded)


def _widen(bits: Array) -> Array:
    return (bits.astype(np.uint32) << 16).view(np.float32)
