"""Functions that count how often something happened, or hold another function back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from operator import sub
from typing import Any

__all__ = ["early_stopping", "patience", "plateau", "throttle"]


def patience(predicate: Callable[..., Any], wait: int) -> Callable[..., bool]:
    """A function that is true once `predicate(...)` has been true `wait` times in a row.

    Ref: Flux.jl, `patience`.

    >>> low = patience(lambda loss: loss < 1, 2)
    >>> [low(loss) for loss in (0.5, 2.0, 0.5, 0.4, 0.3)]
    [False, False, False, True, True]
    """
    times = 0

    def enough(*args: Any, **kwargs: Any) -> bool:
        nonlocal times
        times = times + 1 if predicate(*args, **kwargs) else 0
        return times >= wait

    return enough


def early_stopping(
    f: Callable[..., Any],
    delay: int,
    distance: Callable[[Any, Any], Any] = sub,
    init_score: float = 0,
    min_dist: float = 0,
) -> Callable[..., bool]:
    """A function that is true once `f(...)` has not fallen below its lowest value `delay` times in a row.

    It has fallen if `distance(lowest, score) >= min_dist`, the distance being `lowest - score`; NaN has not. For a
    score that is to rise give `distance=lambda highest, score: score - highest`. Before the first call the lowest
    value is `init_score`, as in Flux; for a loss give `math.inf`. Ref: Flux.jl, `early_stopping`.

    >>> import math
    >>> stop = early_stopping(lambda loss: loss, 2, init_score=math.inf)
    >>> [stop(loss) for loss in (3.0, 2.0, 2.5, 1.0, 1.5, 1.2)]
    [False, False, False, False, False, True]
    """
    best: Any = init_score

    def is_no_better(*args: Any, **kwargs: Any) -> bool:
        nonlocal best
        score = f(*args, **kwargs)
        gain = distance(best, score)
        if gain >= 0:
            best = score
        # Not `<`, which is false for NaN.
        return not gain >= min_dist

    return patience(is_no_better, delay)


def plateau(
    f: Callable[..., Any],
    width: int,
    distance: Callable[[Any, Any], Any] = sub,
    init_score: float = 0,
    min_dist: float = 1e-6,
) -> Callable[..., bool]:
    """A function that is true once `f(...)` has changed by less than `min_dist` `width` times in a row.

    A change is `abs(distance(last, score))`, the distance being `last - score`; before the first call the last
    value is `init_score`. Ref: Flux.jl, `plateau`.

    >>> flat = plateau(lambda loss: loss, 2, min_dist=0.1)
    >>> [flat(loss) for loss in (1.0, 0.5, 0.45, 0.44)]
    [False, False, False, True]
    """
    last: Any = init_score

    def is_flat(*args: Any, **kwargs: Any) -> bool:
        nonlocal last
        score = f(*args, **kwargs)
        change = abs(distance(last, score))
        last = score
        return bool(change < min_dist)

    return patience(is_flat, width)


def throttle(
    f: Callable[..., Any], timeout: float, leading: bool = True, trailing: bool = False
) -> Callable[..., Any]:
    """A function that calls `f` at most once in `timeout` seconds, and gives the last result of `f` in between.

    `leading` calls it at the first call of such a time, `trailing` once more at its end with the arguments of the
    last call, in a thread. Ref: Flux.jl, `throttle`.

    >>> calls = []
    >>> log = throttle(calls.append, 60)
    >>> for step in range(100):
    ...     log(step)
    >>> calls
    [0]
    """
    if timeout < 0:
        raise ValueError(f"throttle: timeout must be 0 or more seconds, got {timeout!r}")
    lock = threading.Lock()
    free_at, result = -float("inf"), None
    later: Callable[[], Any] | None = None
    timer: threading.Timer | None = None

    def at_end() -> None:
        nonlocal later, timer, free_at, result
        with lock:
            call, later, timer = later, None, None
            free_at = time.monotonic() + timeout
        if call is not None:
            result = call()

    def throttled(*args: Any, **kwargs: Any) -> Any:
        nonlocal later, timer, free_at, result
        with lock:
            now = time.monotonic()
            is_first = now >= free_at and timer is None
            if is_first:
                free_at = now + timeout
            waits = not leading if is_first else trailing
            if waits:
                later = lambda: f(*args, **kwargs)
                if timer is None:
                    timer = threading.Timer(max(0.0, free_at - now), at_end)
                    timer.daemon = True
                    timer.start()
        if is_first and leading:
            result = f(*args, **kwargs)
        return result

    return throttled
