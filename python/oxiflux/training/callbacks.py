"""Functions that count how often something happened, or hold another function back."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from operator import sub
from typing import Any

from ..files.checkpoints import keeps_its_place
from ..hints import told

__all__ = ["early_stopping", "patience", "plateau", "throttle"]


class Patience:
    """A function that `patience` makes; a checkpoint keeps how often in a row its predicate has been true."""

    predicate: Any
    wait: int
    times: int

    def __init__(self, predicate: Callable[..., Any], wait: int) -> None:
        self.predicate, self.wait, self.times = predicate, wait, 0

    def __call__(self, *args: Any, **kwargs: Any) -> bool:
        self.times = self.times + 1 if self.predicate(*args, **kwargs) else 0
        return self.times >= self.wait

    def state(self) -> dict[str, Any]:
        """The place, for a checkpoint."""
        of_predicate = self.predicate.state() if keeps_its_place(self.predicate) else None
        return {"times": self.times, "predicate": of_predicate}

    def load_state(self, state: dict[str, Any]) -> None:
        """Goes to a place that `state` gave."""
        self.times = state["times"]
        if keeps_its_place(self.predicate):
            self.predicate.load_state(state["predicate"])


class Score:
    """A predicate about `f(...)` and a score of the calls before; a checkpoint keeps that score."""

    f: Callable[..., Any]
    distance: Callable[[Any, Any], Any]
    score: Any
    least: float

    def __init__(
        self, f: Callable[..., Any], distance: Callable[[Any, Any], Any], score: Any, least: float
    ) -> None:
        self.f, self.distance, self.score, self.least = f, distance, score, least

    def state(self) -> Any:
        """The score, for a checkpoint."""
        return self.score

    def load_state(self, state: Any) -> None:
        """Takes a score that `state` gave."""
        self.score = state


class NoBetter(Score):
    """Whether the score is no better than the best before."""

    def __call__(self, *args: Any, **kwargs: Any) -> bool:
        score = self.f(*args, **kwargs)
        gain = self.distance(self.score, score)
        if self.score == math.inf and gain == -math.inf:
            gain = math.inf  # the first of scores that are to rise
        if gain >= 0:
            self.score = score
        # Not `<`, which is false for NaN.
        return not gain >= self.least


class Flat(Score):
    """Whether the score is as good as the last one."""

    def __call__(self, *args: Any, **kwargs: Any) -> bool:
        score = self.f(*args, **kwargs)
        change = abs(self.distance(self.score, score))
        self.score = score
        return bool(change < self.least)


@told
def patience(predicate: Callable[..., Any], wait: int) -> Patience:
    """A function that is true once `predicate(...)` has been true `wait` times in a row.

    Ref: Flux.jl, `patience`.

    >>> low = patience(lambda loss: loss < 1, 2)
    >>> [low(loss) for loss in (0.5, 2.0, 0.5, 0.4, 0.3)]
    [False, False, False, True, True]
    """
    return Patience(predicate, wait)


@told
def early_stopping(
    f: Callable[..., Any],
    delay: int,
    distance: Callable[[Any, Any], Any] = sub,
    init_score: float = math.inf,
    min_dist: float = 0,
) -> Patience:
    """A function that is true once `f(...)` has not fallen below its lowest value `delay` times in a row.

    It has fallen if `distance(lowest, score) >= min_dist`, the distance being `lowest - score`; NaN has not. For a
    score that is to rise give `distance=lambda highest, score: score - highest`. Before the first call the lowest
    value is `init_score`, as in Flux; a first score of either direction has fallen below infinity.
    Ref: Flux.jl, `early_stopping`.

    >>> stop = early_stopping(lambda loss: loss, 2)
    >>> [stop(loss) for loss in (3.0, 2.0, 2.5, 1.0, 1.5, 1.2)]
    [False, False, False, False, False, True]
    """
    return Patience(NoBetter(f, distance, init_score, min_dist), delay)


@told
def plateau(
    f: Callable[..., Any],
    width: int,
    distance: Callable[[Any, Any], Any] = sub,
    init_score: float = math.inf,
    min_dist: float = 1e-6,
) -> Patience:
    """A function that is true once `f(...)` has changed by less than `min_dist` `width` times in a row.

    A change is `abs(distance(last, score))`, the distance being `last - score`; before the first call the last
    value is `init_score`. Ref: Flux.jl, `plateau`.

    >>> flat = plateau(lambda loss: loss, 2, min_dist=0.1)
    >>> [flat(loss) for loss in (1.0, 0.5, 0.45, 0.44)]
    [False, False, False, True]
    """
    return Patience(Flat(f, distance, init_score, min_dist), width)


@told
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
