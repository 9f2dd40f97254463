"""The processes of a training: who they are, and how they meet."""

from __future__ import annotations

import atexit
import json
import os
import re
import sys
import threading
import time
import zlib
from typing import Any

import numpy as np

from .. import _core
from .meeting import Rows
from .watch import Forked, Watchdog, abort_on_exception, end_on_exit, place_of_user

__all__ = [
    "DisagreementError",
    "World",
    "barrier",
    "initialize",
    "local_rank",
    "total_workers",
    "world",
]

# What launchers tell a process of the number of all.
_LAUNCHERS = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
_NUMBERS = 6
_TEXT = 1024
_END = "the end of the script"

Floats = np.ndarray[Any, np.dtype[np.float64]]


class DisagreementError(RuntimeError):
    """Ranks have called different things; the message says what each of them did and where."""


class World:
    """This process among all: its `rank`, their number `size`, and the calls in which all of them meet.

    A World of one process has no MPI, and everything in it is done at once.
    """

    comm: Any
    is_crowded: bool

    def __init__(self, comm: Any = None, timeout: float = 300.0) -> None:
        self.comm = None if comm is None or comm.size == 1 else comm
        self.rank: int = 0 if comm is None else comm.rank
        self.size: int = 1 if comm is None else comm.size
        self.is_crowded = False
        self.node: Any = None
        # The rows of the batch that a loader has handed out last, and those of all ranks, where they are known.
        self.share: tuple[int, int] | None = None
        # The memory that all ranks have taken to share, in the same order.
        self.shared: list[Any] = []
        self._mine = np.zeros(1 + _NUMBERS)
        self._all = np.zeros((self.size, 1 + _NUMBERS))
        self._watch: Watchdog | None = None
        self._come: Any = None
        self._call = threading.RLock()
        if self.comm is not None:
            self.node = self.comm.Split_type(_mpi().COMM_TYPE_SHARED)
            # Never the blocking form: what meets must be of one kind, and a rank at its end sleeps while it waits.
            alone = self.node.size < self.size
            self._come = self.comm.Iallgather if alone else Rows(self.node, 1 + _NUMBERS)
            self._watch = Watchdog(self.comm, timeout, self.node)

    def meet(self, call: str, *numbers: float) -> Floats:
        """A few numbers of each rank, a row for each, or DisagreementError if the others call something else.

        >>> World().meet("a step", 0.5, 3)[:, :2].tolist()
        [[0.5, 3.0]]
        """
        mine = self._mine
        if not self._call.acquire(blocking=False):
            doing = "a call" if self._watch is None else self._watch.doing
            raise RuntimeError(
                f"{call}: another thread of rank {self.rank} is in {doing}; the ranks meet call by call, so that only "
                "one thread of each may make them"
            )
        try:
            mine[0] = zlib.crc32(call.encode())
            mine[1 : 1 + len(numbers)] = numbers
            if self.comm is None:
                return mine[None, 1:]
            self._wait(call, self._come, mine, self._all)
            if (self._all[:, 0] != mine[0]).any():
                self._disagree(call)
            return self._all[:, 1:]
        finally:
            self._call.release()

    def _wait(self, call: str, f: Any, *args: Any) -> None:
        """A call of MPI's, watched. With more threads than cores a rank that waits sleeps now and then, so that those
        who compute get on.
        """
        watch = self._watch
        assert watch is not None
        outer = watch.since
        watch.doing, watch.since = call, time.monotonic()
        try:
            request = f(*args)
            if request is not None:
                # Others may be busy beside these ranks: after a while to spin is of no use.
                pause, tries, patience = 1e-5, 0, 5 if self.is_crowded else 2000
                while not request.Test():
                    tries += 1
                    if tries > patience:
                        time.sleep(pause)
                        # Whoever has waited for seconds does so for some milliseconds more.
                        longest = min(max(1e-3, 0.01 * (time.monotonic() - watch.since)), 0.02)
                        pause = min(longest, pause * 1.2)
        finally:
            watch.since = outer

    def _disagree(self, call: str) -> None:
        """Raises what names each rank's call."""
        text = f"{call} ({place_of_user(sys._getframe(2))})" if call != _END else "has ended"
        given = self.texts(text)
        if call == _END:
            return
        sides: dict[str, list[int]] = {}
        for rank, said in enumerate(given):
            sides.setdefault(said, []).append(rank)
        who = [
            f"rank{'s' * (len(ranks) > 1)} {', '.join(map(str, ranks))} {'' if said == 'has ended' else 'in '}{said}"
            for said, ranks in sides.items()
        ]
        raise DisagreementError(
            f"the ranks do not do the same: {'; '.join(who)}. Every rank must make the same calls in the same order"
        )

    def texts(self, text: str) -> list[str]:
        """A text of each rank; long ones are cut."""
        if self.comm is None:
            return [text]
        mine = np.frombuffer(text.encode()[:_TEXT].ljust(_TEXT), np.uint8)
        every = np.empty((self.size, _TEXT), np.uint8)
        self._wait("a gathering of texts", self.comm.Iallgather, mine, every)
        return [row.tobytes().decode(errors="replace").rstrip() for row in every]

    def run(self, call: str, name: str, *args: Any) -> None:
        """One of the communicator's methods by its name, watched, after all have met."""
        self.meet(call)
        self._wait(call, getattr(self.comm, name), *args)

    def bytes(self, call: str, data: bytes, root: int = 0) -> bytes:
        """The bytes of the root, on all ranks."""
        if self.comm is None:
            return data
        size = int(self.meet(call, len(data))[root, 0])
        buffer = np.frombuffer(data, np.uint8) if self.rank == root else np.empty(size, np.uint8)
        self._wait(call, self.comm.Ibcast, buffer, root)
        return data if self.rank == root else buffer.tobytes()

    def plain(self, call: str, data: Any, root: int = 0) -> Any:
        """Plain data of the root, which JSON can hold, on all ranks."""
        return data if self.comm is None else json.loads(self.bytes(call, json.dumps(data).encode(), root))

    def gathered(self, call: str, array: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
        """An array of each rank; the shapes may differ, the dtypes may not."""
        if self.comm is None:
            return [array]
        self.meet(call)
        array = np.ascontiguousarray(array)
        shapes = [json.loads(text) for text in self.texts(json.dumps([array.dtype.str, array.shape]))]
        sizes = [int(np.prod(shape)) * np.dtype(dtype).itemsize for dtype, shape in shapes]
        data = np.empty(sum(sizes), np.uint8)
        self._wait(call, self.comm.Iallgatherv, array.reshape(-1).view(np.uint8), [data, sizes])
        parts = np.split(data, np.cumsum(sizes)[:-1])
        return [
            part.view(np.dtype(dtype)).reshape(shape)
            for part, (dtype, shape) in zip(parts, shapes, strict=True)
        ]

    def agree(self, what: str, given: Any) -> None:
        """Raises DisagreementError, which names both sides, unless all ranks give the same text."""
        if self.comm is None:
            return
        text = re.sub(" at 0x[0-9a-f]+", "", str(given))  # functions and objects print where they are
        hashes = self.meet(f"agreement on {what}", zlib.crc32(text.encode()))[:, 0]
        if (hashes == hashes[0]).all():
            return
        every = self.texts(text)
        other = next(rank for rank in range(1, self.size) if hashes[rank] != hashes[0])
        raise DisagreementError(
            f"the ranks have different {what}: rank 0 has {every[0]} where rank {other} has {every[other]}"
        )

    def any(self, call: str, flag: bool) -> bool:
        """Whether it is so on one of the ranks."""
        return flag if self.comm is None else bool(self.meet(call, flag)[:, 0].any())

    def leave(self) -> None:
        """In a process that this rank has forked: it is no rank."""
        self.comm = self._come = Forked(self.rank, self.size)

    def end(self) -> None:
        """At the end of the script: others that still call something are told that this rank has ended."""
        if isinstance(self.comm, Forked):
            self.comm.end()
        if self.comm is None or _mpi().Is_finalized():
            return
        assert self._watch is not None
        if self._watch.is_ending:
            return
        self._watch.is_ending, self._watch.timeout = True, np.inf
        self.is_crowded = True  # what still computes has the cores
        self.meet(_END)


_WORLD: list[World] = []


def _mpi() -> Any:
    from mpi4py import MPI

    return MPI


def initialize(timeout: float = 300.0, threads: int | None = None) -> World:
    """Lets this process take part in a training of all that `mpiexec` has started, and gives its World.

    Without mpiexec, or without mpi4py, it is a training of one process, and every function here does at once what it
    would do among several. It may be called again, and `fit(…, distributed=True)` calls it.

    Each rank gets its part of the machine's cores for its threads, `threads` if given, unless the variable
    OXIFLUX_NUM_THREADS says how many. A rank that raises ends the whole job, and so does one that has waited for the
    others for `timeout` seconds. If a launcher has started several processes and MPI sees but one, which is so where
    `mpiexec` belongs to another MPI than mpi4py, RuntimeError says so. Ref: Flux.jl, `DistributedUtils.initialize`.

    >>> import oxiflux as flux
    >>> flux.distributed.initialize().size
    1
    """
    if not timeout > 0:
        raise ValueError(f"initialize: timeout must be a positive number of seconds, got {timeout!r}")
    if _WORLD:
        return _WORLD[0]
    launched = max((int(os.environ[n]) for n in _LAUNCHERS if os.environ.get(n, "").isdigit()), default=1)
    try:
        MPI = _mpi()
    except ImportError:
        if launched > 1:
            raise ImportError(
                f"initialize: a launcher has started {launched} processes, and mpi4py, by which they meet, is not "
                "installed: pip install 'oxiflux[mpi]'"
            ) from None
        _WORLD.append(World())
        return _WORLD[0]
    comm = MPI.COMM_WORLD
    if comm.size == 1 and launched > 1:
        library = MPI.Get_library_version().split("\n")[0].strip("\0 ")
        raise RuntimeError(
            f"initialize: a launcher has started {launched} processes, but for mpi4py each of them is alone: its MPI "
            f"is {library}, and mpiexec belongs to another one; use the mpiexec of that MPI"
        )
    if comm.size == 1:
        _WORLD.append(World())
        return _WORLD[0]
    found = World(comm.Dup(), timeout)
    abort_on_exception(found.comm)
    end_on_exit(found.comm, found.end)
    _share_cores(found, threads)
    atexit.register(found.end)
    os.register_at_fork(after_in_child=found.leave)
    _WORLD.append(found)
    return found


def _share_cores(found: World, threads: int | None) -> None:
    """Gives this rank its part of the cores that it has in common with others."""
    cores = sorted(os.sched_getaffinity(0))
    mask = zlib.crc32(repr(cores).encode())
    same = np.empty(found.node.size)
    found.node.Allgather(np.array([float(mask)]), same)
    sharing = int((same == mask).sum())
    if threads is not None:
        _core.set_num_threads(threads)
    elif "OXIFLUX_NUM_THREADS" not in os.environ:
        _core.set_num_threads(max(1, len(cores) // sharing))
    found.is_crowded = sharing * _core.get_num_threads() > len(cores)


def world(caller: str) -> World:
    """The World of this process, or RuntimeError if there is none yet."""
    if not _WORLD:
        raise RuntimeError(f"{caller}: call flux.distributed.initialize() first")
    return _WORLD[0]


def sharing() -> World | None:
    """The World of this process while it has a batch of which other ranks have the other rows."""
    if not _WORLD or _WORLD[0].comm is None or _WORLD[0].share is None:
        return None
    return _WORLD[0]


def local_rank() -> int:
    """The number of this process, from 0 to `total_workers() - 1`. Ref: Flux.jl, `DistributedUtils.local_rank`.

    >>> import oxiflux as flux
    >>> _ = flux.distributed.initialize()
    >>> flux.distributed.local_rank()
    0
    """
    return world("local_rank").rank


def total_workers() -> int:
    """The number of processes. Ref: Flux.jl, `DistributedUtils.total_workers`.

    >>> import oxiflux as flux
    >>> _ = flux.distributed.initialize()
    >>> flux.distributed.total_workers()
    1
    """
    return world("total_workers").size


def barrier() -> None:
    """Waits until all processes are here.

    >>> import oxiflux as flux
    >>> _ = flux.distributed.initialize()
    >>> flux.distributed.barrier()
    """
    world("barrier").meet("barrier")
