"""Axes, counts of things and switches as arguments of functions."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from operator import index
from typing import SupportsIndex

import numpy as np

from .._core import Tensor


def axis_of(function: str, axis: int, ndim: int) -> int:
    """The place of an axis, counted from the front; IndexError where there is none."""
    if not -ndim <= axis < ndim:
        raise IndexError(f"{function}: axis {axis} is out of range for {ndim} dimensions")
    return axis % ndim


def integers(values: SupportsIndex | Iterable[SupportsIndex]) -> list[int]:
    """One integer of any kind, or several: as many as a tensor has axes, at most."""
    if not isinstance(values, Iterable):
        return [index(values)]
    several = [index(i) for i in itertools.islice(values, 65)]
    if len(several) > 64:
        raise ValueError("a tensor has at most 64 axes, got more")
    return several


def flag(function: str, name: str, value: object) -> bool:
    """A switch of a function; TypeError for what is neither True nor False, such as "no"."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{function}: {name} must be True or False, got {value!r}")
    return bool(value)


def narrow(x: Tensor, axis: int, start: int, stop: int) -> Tensor:
    """The part of `x` from `start` up to `stop` along an axis."""
    return x[(slice(None),) * (axis % x.ndim) + (slice(start, stop),)]
