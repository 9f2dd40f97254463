"""What ends a job that cannot go on: a rank that raises, and ranks that wait for one that does not come."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from types import TracebackType
from typing import Any

import numpy as np

__all__ = ["Watchdog", "abort_on_exception", "place_of_user"]

_TEXT = 512


def abort_on_exception(comm: Any) -> None:
    """An exception that nobody catches ends all ranks, which would wait for this one for ever; its traceback comes
    first, by the hook that was there before.
    """
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        try:
            sys.stdout.flush()
            before(kind, error, trace)
            print(f"rank {comm.rank} of {comm.size}: {kind.__name__} ends the job", file=sys.stderr)  # noqa: T201
            sys.stderr.flush()
        finally:
            comm.Abort(1)

    sys.excepthook = hook


def place_of_user(frame: Any) -> str:
    """The line of the user's code in which a frame is, such as `train.py:12 in main`."""
    while frame is not None and str(frame.f_globals.get("__name__", "")).startswith("oxiflux."):
        frame = frame.f_back
    if frame is None:
        return "the package"
    code = frame.f_code
    return f"{code.co_filename.rsplit('/', 1)[-1]}:{frame.f_lineno} in {code.co_name}"


class Watchdog:
    """A thread that ends the job when this rank has waited for the others for too long, and says where each of them is.

    `doing` is what this rank waits in and `since` the time from which it does; both are set around each call.
    """

    comm: Any
    timeout: float
    thread: threading.Thread
    doing: str
    since: float
    main: int

    def __init__(self, comm: Any, timeout: float) -> None:
        self.comm, self.timeout = comm.Dup(), timeout
        self.doing, self.since = "", 0.0
        self.main = threading.get_ident()
        self.thread = threading.Thread(target=self._run, name="oxiflux-watchdog", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        pause = min(0.5, self.timeout / 4)
        while True:
            time.sleep(pause)
            since = self.since
            try:
                if self.comm.Iprobe(tag=1):
                    self._answer()
                if since and time.monotonic() - since > self.timeout and since == self.since:
                    self._end(time.monotonic() - since)
            except Exception:  # MPI is being finalised
                return

    def _status(self) -> str:
        """Where this rank's main thread is."""
        place = place_of_user(sys._current_frames().get(self.main))
        return f"waits in {self.doing} ({place})" if self.since else f"is at {place}, in no call of MPI's"

    def _answer(self) -> None:
        from mpi4py import MPI

        status = MPI.Status()
        self.comm.Recv(np.empty(0, np.uint8), tag=1, status=status)
        text = self._status().encode()[:_TEXT].ljust(_TEXT)
        self.comm.Isend(np.frombuffer(text, np.uint8), status.source, tag=2)

    def _end(self, seconds: float) -> None:
        """Asks the others where they are, says it, and ends the job."""
        comm, mine = self.comm, self.comm.rank
        answers = {rank: np.zeros(_TEXT, np.uint8) for rank in range(comm.size) if rank != mine}
        waiting = {rank: comm.Irecv(into, rank, tag=2) for rank, into in answers.items()}
        for rank in answers:
            comm.Isend(np.empty(0, np.uint8), rank, tag=1)
        until = time.monotonic() + 2
        came: set[int] = set()
        while len(came) < len(waiting) and time.monotonic() < until:
            # Others that have waited too long ask as well.
            if comm.Iprobe(tag=1):
                self._answer()
            came |= {rank for rank in waiting if rank not in came and waiting[rank].Test()}
            time.sleep(0.02)
        lines = [
            f"rank {mine} has waited {seconds:.0f} s in {self.doing}: another rank ended or took another path"
        ]
        lines.append(f"  rank {mine}: {self._status()}")
        for rank, text in answers.items():
            said = text.tobytes().decode(errors="replace").rstrip() if rank in came else "does not answer"
            lines.append(f"  rank {rank}: {said}")
        print("\n".join(lines), file=sys.stderr, flush=True)  # noqa: T201
        frame = sys._current_frames().get(self.main)
        traceback.print_stack(frame, file=sys.stderr)
        sys.stderr.flush()
        comm.Abort(75)
