"""Random numbers and threads, as an estimator finds and leaves them."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import contextmanager

from .._core import Generator, get_num_threads, replay, set_num_threads

__all__ = ["drawing_from", "heed_joblib"]


@contextmanager
def drawing_from(generator: Generator) -> Iterator[None]:
    """Lets everything random in this thread draw from a generator."""
    before = replay(generator)
    try:
        yield
    finally:
        replay(before)


def heed_joblib() -> None:
    """In a process that joblib has started, takes as many threads as joblib allows to it, unless
    `OXIFLUX_NUM_THREADS` says how many.
    """
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    is_worker = multiprocessing.parent_process() is not None or "JOBLIB_SPAWNED_PROCESS" in os.environ
    if not is_worker or not allowed.isdecimal() or "OXIFLUX_NUM_THREADS" in os.environ:
        return
    if 0 < int(allowed) < get_num_threads():
        set_num_threads(int(allowed))
