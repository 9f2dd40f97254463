"""Whether algorithms that are fast but less accurate than the plain ones are left out."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from threading import Lock
from types import TracebackType
from typing import Self

from . import _core
from .hints import meant

__all__ = ["strict"]

_lock = Lock()
# What has been said outside of blocks, each with what finds the object that said it, which may become a block yet.
_said: list[tuple[bool, Callable[[], strict | None]]] = [(False, lambda: None)]


class strict:  # noqa: N801
    """Leaves out algorithms that are faster than the plain ones but less accurate, or lets them in again.

    `flux.strict(True)` holds from then on, in all threads; `with flux.strict(True):` holds in this thread for the
    block, whatever is said elsewhere. It covers one algorithm: Winograd's, by which float32 convolutions with windows
    of 3 x 3, stride and dilation 1, and enough channels and pixels, and their gradients, take about half the time at
    two to three times the rounding error.

    >>> import oxiflux as flux
    >>> x, w = flux.randn(1, 16, 16, 64), flux.randn(3, 3, 64, 64)
    >>> with flux.strict(True):
    ...     exact = flux.conv(x, w)
    >>> flux.allclose(flux.conv(x, w), exact, atol=1e-3)
    True
    """

    def __init__(self, on: bool = True) -> None:
        """Says so for all threads, until this becomes a block or another says something else."""
        if not isinstance(on, bool):
            raise TypeError(f"strict: on must be True or False, got {on!r}{meant(on)}")
        self._on = on
        self._before: list[bool | None] = []
        with _lock:
            _said.append((on, weakref.ref(self)))
            # What is dropped can't become a block any more, so that nothing said before it will hold again.
            last = max(i for i, (_, block) in enumerate(_said) if block() is None)
            del _said[:last]
            _core.set_strict(on)

    def __enter__(self) -> Self:
        with _lock:
            _said[:] = [said for said in _said if said[1]() is not self]
            _core.set_strict(_said[-1][0])
        self._before.append(_core.strict_here(self._on))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _core.strict_here(self._before.pop())

    def __repr__(self) -> str:
        return f"strict({self._on})"
