"""Sums of arrays over ranks, in an order that is always the same."""

from __future__ import annotations

import os
import weakref
from typing import Any

import numpy as np

from .world import World

__all__ = ["Summed", "summed"]

Array = np.ndarray[Any, Any]


class Summed:
    """Memory of `size` numbers of one dtype in which each rank puts its own, and finds the sum of all.

    The numbers of all ranks are cut into as many parts, and each rank sums one of them, its own numbers first and then
    those of the others in their order. Ranks of one machine share memory: they put what others sum into memory of their
    own, and what they sum themselves where the sum will be. Others may still read the last sum then, so that sums take
    `turn`s in two places. Ranks of several machines send each other their parts; two of them need no order. A `wire` of
    "bfloat16" sends numbers of that type, of which the sums are taken in float32.
    """

    world: World
    size: int
    part: int
    dtype: np.dtype[Any]
    turn: int
    wire: str | None
    sums: list[Array]

    def __init__(self, world: World, size: int, dtype: Any, wire: str | None = None) -> None:
        self.world, self.dtype = world, np.dtype(dtype)
        self.size, self.turn, n = size, 0, world.size
        self.part = -(-size // n)
        self.own = slice(world.rank * self.part, (world.rank + 1) * self.part)
        self.wire = wire if self.dtype == np.float32 else None
        self.window: Any = None
        padded = self.part * n
        if self.wire is None and world.node.size == n and self._fits(padded * self.dtype.itemsize * (n + 2)):
            self._share(padded)
        else:
            self.mine = np.zeros(padded, self.dtype)
            self.sums = [self.mine if n == 2 and self.wire is None else np.zeros(padded, self.dtype)] * 2

    def _fits(self, size: int) -> bool:
        """Whether all ranks find enough memory to share."""
        try:
            free = os.statvfs("/dev/shm")
            enough = size < free.f_bavail * free.f_frsize // 2
        except OSError:
            enough = False
        return not self.world.any("memory for gradients", not enough)

    def _share(self, padded: int) -> None:
        world, size = self.world, padded * self.dtype.itemsize
        # Each begins on a page of its own: the numbers of a rank, and after those of the first the two sums.
        extent = -(-size // 4096) * 4096
        shared = _shared(world, extent)
        weakref.finalize(self, setattr, shared, "is_free", True)
        self.window, memory = shared.window, shared.memory
        each = [segment[:size].view(self.dtype) for segment in memory]
        self.mine = each[world.rank]
        self.others = [numbers[self.own] for rank, numbers in enumerate(each) if rank != world.rank]
        self.sums = [memory[0][extent * k : extent * k + size].view(self.dtype) for k in (1, 2)]
        self.mine[:] = 0
        for both in self.sums:
            both[self.own] = 0
        world.meet("memory for gradients")

    def places(self, turn: int, start: int, end: int) -> list[tuple[slice, Array]]:
        """Where this rank puts its numbers from `start` to `end` in a turn: pieces, counted from `start`."""
        first, last = (max(start, self.own.start), min(end, self.own.stop)) if self.window else (end, end)
        if first >= last:
            return [(slice(0, end - start), self.mine[start:end])]
        cuts = [(start, first, self.mine), (first, last, self.sums[turn]), (last, end, self.mine)]
        return [(slice(a - start, b - start), memory[a:b]) for a, b, memory in cuts if a < b]

    def run(self, call: str, *numbers: float) -> Array:
        """Sums what all ranks have put in their places, and then it is the next turn; gives the `numbers` of all ranks,
        as `World.meet` does.
        """
        world, into = self.world, self.sums[self.turn][self.own]
        self.turn = 1 - self.turn
        if self.window is None:
            found = world.meet(call, *numbers)
            self._send(call)
            return found
        self.window.Sync()
        found = world.meet(call, *numbers).copy()
        self.window.Sync()
        for other in self.others:
            np.add(into, other, into)
        self.window.Sync()
        world.meet(call)
        self.window.Sync()
        return found

    def _send(self, call: str) -> None:
        world = self.world
        comm: Any = world.comm
        if self.sums[0] is self.mine:
            from mpi4py import MPI

            world._wait(call, comm.Iallreduce, MPI.IN_PLACE, self.mine)
            return
        narrow, widen = (_narrow, _widen) if self.wire else (_same, _same)
        sent = narrow(self.mine)
        parts = np.empty((world.size, self.part), sent.dtype)
        world._wait(call, comm.Ialltoall, sent, parts)
        every = np.empty_like(sent)
        world._wait(call, comm.Iallgather, narrow(np.add.reduce(widen(parts), axis=0)), every)
        self.sums[0][:] = widen(every)


class _Shared:
    """Memory that the ranks of a machine share, of `extent` bytes for each, and thrice as many for the first. It is
    never given back to MPI, for which all ranks would have to let go of it at once.
    """

    is_free = False
    extent: int
    window: Any
    memory: list[Array]

    def __init__(self, world: World, extent: int) -> None:
        from mpi4py import MPI

        self.extent = extent
        allocate: Any = MPI.Win.Allocate_shared
        self.window = allocate(extent * (1 if world.rank else 3), 1, comm=world.node)
        self.window.Lock_all(MPI.MODE_NOCHECK)
        self.memory = [
            np.frombuffer(self.window.Shared_query(rank)[0], np.uint8) for rank in range(world.size)
        ]


def _shared(world: World, extent: int) -> _Shared:
    """Memory that none of the ranks uses any more, or new memory."""
    free = 0
    for i, shared in enumerate(world.shared[:50]):  # as many as a number tells the others of
        if shared.is_free and extent <= shared.extent <= 2 * extent:
            free |= 1 << i
    common = np.bitwise_and.reduce(world.meet("memory to use again", free)[:, 0].astype(np.int64))
    if common:
        again: _Shared = world.shared[(int(common) & -int(common)).bit_length() - 1]
        again.is_free = False
        return again
    new = _Shared(world, extent)
    world.shared.append(new)
    return new


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
