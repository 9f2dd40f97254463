"""Calls of other people's functions in loops over data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["guarded"]

Result = TypeVar("Result")


def guarded(what: str, f: Callable[..., Result], *args: Any) -> Result:
    """`f(*args)`, whose StopIteration becomes a RuntimeError that names it: it would end the loop around it, and so the
    data, without a word.

    >>> guarded("the number", int, "3")
    3
    >>> guarded("the number", next, iter(()))
    Traceback (most recent call last):
    ...
    RuntimeError: the number raised StopIteration, which would end the data early
    """
    try:
        return f(*args)
    except StopIteration as error:
        raise RuntimeError(f"{what} raised StopIteration, which would end the data early") from error
