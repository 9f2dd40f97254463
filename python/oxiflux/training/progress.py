"""A progress bar that costs next to nothing: it is drawn a few times a second, and between that not looked at."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Any, Self

from ..data.guarded import guarded

__all__ = ["Bar", "length"]

_SECONDS = 0.2
_NOTHING: Mapping[str, float] = {}


class Bar:
    """A tqdm bar, or nothing where nobody watches: in files and pipes, or where tqdm is not installed.

    The loop calls `show(n)` when it has reached step `due`, which is chosen so that this happens about every
    `_SECONDS`, whatever a step takes.

    >>> with Bar("train", False, total=3) as bar:
    ...     shown = [n for n in range(3) if n == bar.due]
    >>> shown
    []
    """

    def __init__(self, caller: str, progress: bool | None, **options: Any) -> None:
        self._make = _tqdm(caller, progress, **options)
        self._bar: Any = None
        self.due = -1 if self._make is None else 1
        self._step, self._at, self._start = 0, time.perf_counter(), time.time()
        # What is over within a second shows nothing, unless asked to.
        self._delay = 0 if progress else 1

    def show(self, n: int, title: str = "", numbers: Mapping[str, float] = _NOTHING) -> None:
        """Draws the bar after `n` steps if it is time, with a title before it and numbers behind it."""
        steps, seconds = n - self._step, time.perf_counter() - self._at + 1e-9
        wait = steps * (_SECONDS - seconds) / seconds
        if wait < 1:
            self.draw(n, title, numbers)
            self._step, self._at = n, self._at + seconds
            wait = steps * _SECONDS / seconds
        # The first steps say little of the next ones.
        self.due = n + max(1, int(min(wait, 2 * steps)))

    def draw(self, n: int, title: str = "", numbers: Mapping[str, float] = _NOTHING) -> None:
        """Draws the bar now."""
        # Made only here: a bar costs as much as many short steps.
        if self._bar is None and self._make is not None and time.time() >= self._start + self._delay:
            self._bar = self._make()
            self._bar.start_t = self._bar.last_print_t = self._start
        if self._bar is not None:
            self._bar.set_description(title, refresh=False)
            self._bar.set_postfix({name: f"{x:.4g}" for name, x in numbers.items()}, refresh=False)
            self._bar.update(n - self._bar.n)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()


def length(data: Any) -> int | None:
    """How many batches there are, if that can be known.

    >>> length([1, 2]), length(iter([1, 2]))
    (2, None)
    """
    try:
        return guarded(f"__len__ of a {type(data).__name__}", len, data)
    except TypeError:
        return None


def _tqdm(caller: str, progress: bool | None, **options: Any) -> Any:
    """What makes the bar, where it is wanted."""
    in_notebook = _in_notebook()
    if progress is False or (progress is None and not (in_notebook or (sys.stderr and sys.stderr.isatty()))):
        return None
    try:
        if in_notebook:
            from tqdm.auto import tqdm
        else:
            from tqdm import tqdm
    except ImportError:
        if progress:
            raise ImportError(f"{caller}: progress=True needs tqdm: pip install 'oxiflux[train]'") from None
        return None
    return partial(tqdm, unit="batch", mininterval=0, miniters=1, **options)


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and type(ipython.get_ipython()).__name__ == "ZMQInteractiveShell"
