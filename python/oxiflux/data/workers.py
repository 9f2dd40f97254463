"""Batches made ahead of their use: in a thread, or in worker processes.

Modules of concurrent and multiprocessing are imported where they are used, so that `import oxiflux` stays fast.
"""

from __future__ import annotations

import os
import pickle
import queue
import random
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from .. import _core

__all__ = ["can_be_sent", "in_processes", "in_thread"]


def in_thread(batches: Iterable[Any], depth: int = 2) -> Iterator[Any]:
    """The same batches, made in a thread while the ones before are used; its errors arrive here.

    >>> list(in_thread(x * x for x in range(4)))
    [0, 1, 4, 9]
    """
    ready: queue.Queue[tuple[Any, BaseException | None, bool]] = queue.Queue()
    room = threading.Semaphore(depth)
    stop = threading.Event()

    def work() -> None:
        try:
            for made in batches:
                ready.put((made, None, False))
                room.acquire()
                if stop.is_set():
                    return
        except BaseException as error:
            ready.put((None, error, True))
        else:
            ready.put((None, None, True))

    threading.Thread(target=work, daemon=True).start()
    try:
        while True:
            made, error, is_last = ready.get()
            if error is not None:
                raise error
            if is_last:
                return
            room.release()
            yield made
    finally:
        stop.set()
        room.release()


def in_processes(
    make: Callable[[Any], Any],
    jobs: Iterable[Any],
    workers: int,
    seed: tuple[int, ...] = (0,),
    first: int = 0,
) -> Iterator[Any]:
    """`make(job)` for each job, in order, computed by worker processes at most two jobs a worker ahead.

    Before each job, random numbers are seeded by `seed` and the number of the job, counted from `first`, whichever
    worker does it. An error arrives here with the worker's traceback. The workers end with this iterator, however it
    ends, and with this process.

    >>> import operator
    >>> list(in_processes(operator.neg, range(4), workers=2))
    [0, -1, -2, -3]
    """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    context = multiprocessing.get_context()
    # Not an Event, whose `set` waits for every waiter, also for one that has been killed.
    stopped, stop = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(make, stopped))
    futures = (pool.submit(_work, (*seed, number), job) for number, job in enumerate(jobs, first))
    try:
        pending = deque(islice(futures, 2 * workers))
        while pending:
            made = pending.popleft().result()
            pending.extend(islice(futures, 1))
            yield made
    except BrokenProcessPool as error:
        raise RuntimeError(
            "DataLoader: a worker process has died; it may have been killed for want of memory"
        ) from error
    finally:
        stop.send_bytes(b"stop")
        pool.shutdown(cancel_futures=True)
        stop.close()
        stopped.close()


def can_be_sent(x: Any) -> bool:
    """Whether worker processes can have an object: a forked one has it already, others need it pickled.

    >>> can_be_sent(range(3))
    True
    """
    import multiprocessing

    if multiprocessing.get_start_method() == "fork":
        return True
    try:
        pickle.dumps(x)
    except Exception:  # pickle raises what it likes
        return False
    return True


# In a worker


_make: Callable[[Any], Any] | None = None
# Held where it changes whether a job is being done, and where this process ends because of it.
_lock = threading.Lock()
_is_at_work = False
_is_told = False


def _begin(make: Callable[[Any], Any], stopped: Any) -> None:
    global _make, _lock, _is_at_work, _is_told
    # A worker of a worker has been forked in the middle of its parent's job.
    _make, _lock, _is_at_work, _is_told = make, threading.Lock(), False, False
    # Ctrl-C reaches all processes of a terminal; it is the parent's to end the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _core.set_num_threads(1)
    threading.Thread(target=_end_with, args=(stopped,), daemon=True).start()


def _end_with(stopped: Any) -> None:
    """Ends this worker at once when its parent is gone, or when told to in the middle of a job. While it sends what it
    has made it goes on: the parent, which would wait forever for the rest of that, ends it afterwards.
    """
    global _is_told
    import multiprocessing
    from multiprocessing.connection import wait

    parent = multiprocessing.parent_process()
    if stopped in wait([stopped, parent.sentinel] if parent else [stopped]):
        with _lock:
            _is_told = True
            if _is_at_work:
                os._exit(1)
        if parent:
            wait([parent.sentinel])
    os._exit(1)


def _work(seed: tuple[int, ...], job: Any) -> Any:
    global _is_at_work
    with _lock:
        if _is_told:
            os._exit(1)
        _is_at_work = True
    try:
        return _done(seed, job)
    finally:
        with _lock:
            _is_at_work = False


def _done(seed: tuple[int, ...], job: Any) -> Any:
    number = int(np.random.SeedSequence(seed).generate_state(1)[0])
    _core.seed(number)
    np.random.seed(number)  # noqa: NPY002  the generator that data sets written for NumPy use
    random.seed(number)
    try:
        return _make(job)  # type: ignore[misc]
    except Exception as error:
        failed = _portable(error)
    # Raised here: within the block it would have the first error as its context. Libraries such as dask let pickles of
    # errors bring that along, also where it cannot be sent.
    raise failed


def _portable(error: Exception) -> Exception:
    """The error, or one that says the same where it could not be sent to another process."""
    if _can_be_sent(error):
        return error
    plain = RuntimeError(f"{type(error).__name__}: {error}").with_traceback(error.__traceback__)
    for note in getattr(error, "__notes__", ()):
        plain.add_note(note)
    plain.__cause__ = error.__cause__
    if not _can_be_sent(plain):
        plain.__cause__ = None
    return plain


def _can_be_sent(error: Exception) -> bool:
    """Whether an error can be pickled, and made again from its arguments."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return False
    return True
