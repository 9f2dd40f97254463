"""What ends a job that cannot go on: a rank that raises, and ranks that wait for one that does not come."""

from __future__ import annotations

import os
import select
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any, NoReturn

import numpy as np

__all__ = ["Forked", "Watchdog", "abort_on_exception", "end_on_exit", "place_of_user"]

_TEXT = 512
_WAITS = "waits in"
# The seconds after which a wait is spoken of.
_NOTICE = 30.0


def abort_on_exception(comm: Any) -> None:
    """An exception that nobody catches ends all ranks, which would wait for this one for ever; its traceback comes
    first, by the hook that was there before.
    """
    before, own = sys.excepthook, os.getpid()

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if os.getpid() != own:
            Forked.status = 1
            before(kind, error, trace)
            return
        try:
            sys.stdout.flush()
            before(kind, error, trace)
            print(f"rank {comm.rank} of {comm.size}: {kind.__name__} ends the job", file=sys.stderr)  # noqa: T201
            sys.stderr.flush()
        finally:
            comm.Abort(1)

    sys.excepthook = hook


def end_on_exit(comm: Any, end: Callable[[], None]) -> None:
    """Lets `os._exit` tell the other ranks: some MPIs take a process that leaves by it with status 0 for the end of the
    job, kill the others, and report success.
    """
    before, own = os._exit, os.getpid()

    def leave(status: int) -> NoReturn:
        from mpi4py import MPI

        if os.getpid() == own and not MPI.Is_finalized():
            if status == 0 and threading.current_thread() is threading.main_thread():
                end()
                MPI.Finalize()
            else:
                os.write(2, f"rank {comm.rank} of {comm.size}: os._exit({status}) ends the job\n".encode())
                comm.Abort(status or 1)
        before(status)

    os._exit = leave


class Forked:
    """What the communicator is in a process that a rank has forked: it takes no part in what the ranks do."""

    # With which it ends.
    status = 0

    def __init__(self, rank: int, size: int) -> None:
        self._rank, self._size = rank, size

    def __getattr__(self, name: str) -> Any:
        self()

    def __call__(self, *_: Any) -> NoReturn:
        raise RuntimeError(
            f"this process was forked from rank {self._rank} of {self._size} and cannot take part in what the ranks do "
            "together; let the rank itself call it"
        )

    @classmethod
    def end(cls) -> NoReturn:
        """Ends the process without MPI's own end, which would end all ranks."""
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(cls.status)


def place_of_user(frame: Any) -> str:
    """The line of the user's code in which a frame is, such as `train.py:12 in main`."""
    while frame is not None and str(frame.f_globals.get("__name__", "")).startswith("oxiflux."):
        frame = frame.f_back
    if frame is None:
        return "the package"
    code = frame.f_code
    return f"{code.co_filename.rsplit('/', 1)[-1]}:{frame.f_lineno} in {code.co_name}"


class Watchdog:
    """A thread that ends the job when this rank has waited for the others for too long, and says where each of them is;
    it says so before, too, after `notice` seconds. It ends the job as well when a rank of this machine has died, which
    not every launcher does.

    `doing` is what this rank waits in and `since` the time from which it does; both are set around each call.
    """

    comm: Any
    timeout: float
    thread: threading.Thread
    notice: float
    doing: str
    since: float
    main: int
    is_ending: bool

    def __init__(self, comm: Any, timeout: float, node: Any) -> None:
        self.comm, self.timeout, self.notice = comm.Dup(), timeout, _NOTICE
        self.doing, self.since, self.asked = "", 0.0, 0
        self.main, self.is_ending = threading.get_ident(), False
        self._near = _others_of(node, comm.rank)
        self._deaths = select.poll()
        for handle in self._near:
            self._deaths.register(handle, select.POLLIN)
        self.thread = threading.Thread(target=self._run, name="oxiflux-watchdog", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        pause, told, waited, last = min(0.5, self.timeout / 4), 0.0, 0.0, 0.0
        while True:
            start = time.monotonic()
            for handle, _ in self._deaths.poll(1e3 * pause):
                self._died(handle)
            since = self.since
            # A job that was stopped as a whole, or a machine that slept, has not waited meanwhile.
            waited = waited + min(time.monotonic() - start, 4 * pause) if since and since == last else 0.0
            last = since
            try:
                while self.comm.Iprobe(tag=1):
                    self._answer()
                if waited > self.timeout and since == self.since:
                    self._end(waited)
                if waited > self.notice and since != told:
                    told = since
                    self._tell(waited)
            except Exception:  # MPI is being finalised
                return

    def _died(self, handle: int) -> None:
        """Ends the job because a rank has died, unless all have come to their ends."""
        self._deaths.unregister(handle)
        rank, pid = self._near.pop(handle)
        is_first = self.comm.rank < min([rank for rank, _ in self._near.values()], default=self.comm.size)
        # One that has died after all have met at their ends has done well; and one voice is enough.
        time.sleep(2.0 if self.is_ending else 0.0 if is_first else 1.0)
        if self.is_ending and not self.since:
            return
        os.write(2, f"rank {rank} of {self.comm.size}, process {pid}, has died: the job ends\n".encode())
        self.comm.Abort(75)

    def _status(self) -> str:
        """Where this rank's main thread is."""
        place = place_of_user(sys._current_frames().get(self.main))
        return f"{_WAITS} {self.doing} ({place})" if self.since else f"is at {place}, in no call of MPI's"

    def _answer(self) -> None:
        from mpi4py import MPI

        status, question = MPI.Status(), np.zeros(1, np.int64)
        self.comm.Recv(question, tag=1, status=status)
        text = self._status().encode()[:_TEXT].ljust(_TEXT)
        self.comm.Isend(np.frombuffer(text, np.uint8), status.source, tag=int(question[0]))

    def _statuses(self) -> list[str]:
        """Where each rank is, as they say."""
        comm, mine = self.comm, self.comm.rank
        # Each question has a tag of its own, so that no late answer is taken for one to the next.
        self.asked += 1
        question = np.array([1 + self.asked])
        answers = {rank: np.zeros(_TEXT, np.uint8) for rank in range(comm.size) if rank != mine}
        waiting = {rank: comm.Irecv(into, rank, tag=1 + self.asked) for rank, into in answers.items()}
        for rank in answers:
            comm.Isend(question, rank, tag=1)
        until = time.monotonic() + 2
        came: set[int] = set()
        while len(came) < len(waiting) and time.monotonic() < until:
            # Others that have waited too long ask as well.
            if comm.Iprobe(tag=1):
                self._answer()
            came |= {rank for rank in waiting if rank not in came and waiting[rank].Test()}
            time.sleep(0.02)
        for rank in waiting.keys() - came:
            waiting[rank].Cancel()
        said = {rank: answers[rank].tobytes().decode(errors="replace").rstrip() for rank in came}
        said[mine] = self._status()
        return [said.get(rank, "does not answer") for rank in range(comm.size)]

    def _tell(self, seconds: float) -> None:
        """Says who waits for whom, once for each long wait, by the first of those who wait."""
        said, mine = self._statuses(), self.comm.rank
        if self.since and not any(text.startswith(_WAITS) for text in said[:mine]):
            self._print(
                f"rank {mine} has waited {seconds:.0f} s in {self.doing}; after {self.timeout:.0f} s the job ends",
                said,
            )

    def _end(self, seconds: float) -> None:
        """Asks the others where they are, says it, and ends the job."""
        mine, doing = self.comm.rank, self.doing
        self._print(
            f"rank {mine} has waited {seconds:.0f} s in {doing}: another rank ended or took another path",
            self._statuses(),
        )
        traceback.print_stack(sys._current_frames().get(self.main), file=sys.stderr)
        sys.stderr.flush()
        self.comm.Abort(75)

    def _print(self, title: str, said: list[str]) -> None:
        lines = [title, *(f"  rank {rank}: {text}" for rank, text in enumerate(said))]
        print("\n".join(lines), file=sys.stderr, flush=True)  # noqa: T201


def _others_of(node: Any, rank: int) -> dict[int, tuple[int, int]]:
    """The other ranks of this machine with their processes, by what tells of the end of each; none where the system has
    no such thing.
    """
    try:
        space = os.stat("/proc/self/ns/pid").st_ino  # a process has another number in another space
    except OSError:
        space = -1
    every = np.empty((node.size, 3), np.int64)
    node.Allgather(np.array([rank, os.getpid(), space]), every)
    found: dict[int, tuple[int, int]] = {}
    for other, pid, of in every.tolist():
        if other != rank and of == space >= 0:
            try:
                found[os.pidfd_open(pid)] = other, pid
            except (AttributeError, OSError):
                continue
    return found
