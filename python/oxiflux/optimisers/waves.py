"""Schedules that rise and fall again and again: triangles and half sines, plain or with a shrinking height."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .schedules import Schedule, at_least_one, between, not_negative, raised

__all__ = ["Sin", "SinDecay2", "SinExp", "Triangle", "TriangleDecay2", "TriangleExp"]


@dataclass(frozen=True)
class Wave(Schedule):
    """What the waves share: they begin at `min(l0, l1)`, which they reach again after every `period`."""

    l0: float
    l1: float
    period: int

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one(self, "period", self.period)

    def __call__(self, t: int) -> float:
        t = not_negative(self, t)
        return between(self.l0, self.l1, self.form(t % self.period / self.period) * self.height(t))

    def form(self, place: float) -> float:
        """The wave from 0 to 1, at a place of the period from 0 to 1."""
        raise NotImplementedError

    def height(self, t: int) -> float:
        """What the wave is multiplied by at step `t`."""
        return 1.0


@dataclass(frozen=True)
class Triangle(Wave):
    """A triangular wave between `min(l0, l1)`, at step 0, and `max(l0, l1)`, half a `period` later.

    >>> [Triangle(0.0, 1.0, 4)(t) for t in range(6)]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.5]
    """

    def form(self, place: float) -> float:
        return 2 * min(place, 1 - place)


@dataclass(frozen=True)
class TriangleDecay2(Triangle):
    """`Triangle`, half as high in each period as in the one before: with `low = min(l0, l1)` it is
    `low + (Triangle(t) - low) / 2**(t // period)`.

    Ref: Smith, "Cyclical Learning Rates for Training Neural Networks", 2015, the policy "triangular2".

    >>> [TriangleDecay2(0.0, 1.0, 2)(t) for t in range(6)]
    [0.0, 1.0, 0.0, 0.5, 0.0, 0.25]
    """

    def height(self, t: int) -> float:
        return _halved(t // self.period)


@dataclass(frozen=True)
class TriangleExp(Triangle):
    """`Triangle` with a height that decays at each step: with `low = min(l0, l1)` it is
    `low + (Triangle(t) - low) * decay**t`.

    Ref: Smith, "Cyclical Learning Rates for Training Neural Networks", 2015, the policy "exp_range".

    >>> [TriangleExp(0.0, 1.0, 2, 0.5)(t) for t in range(6)]
    [0.0, 0.5, 0.0, 0.125, 0.0, 0.03125]
    """

    decay: float

    def height(self, t: int) -> float:
        return float(raised(self, t, self.decay, t))


@dataclass(frozen=True)
class Sin(Wave):
    """Half sines one after the other: `low + (high - low) * abs(sin(pi * t / period))`, `low` being `min(l0, l1)` and
    `high` being `max(l0, l1)`.

    >>> [round(Sin(0.0, 1.0, 4)(t), 3) for t in range(6)]
    [0.0, 0.707, 1.0, 0.707, 0.0, 0.707]
    """

    def form(self, place: float) -> float:
        return math.sin(math.pi * place)


@dataclass(frozen=True)
class SinDecay2(Sin):
    """`Sin`, half as high in each period as in the one before: with `low = min(l0, l1)` it is
    `low + (Sin(t) - low) / 2**(t // period)`.

    >>> [SinDecay2(0.0, 1.0, 2)(t) for t in range(6)]
    [0.0, 1.0, 0.0, 0.5, 0.0, 0.25]
    """

    def height(self, t: int) -> float:
        return _halved(t // self.period)


@dataclass(frozen=True)
class SinExp(Sin):
    """`Sin` with a height that decays at each step: with `low = min(l0, l1)` it is
    `low + (Sin(t) - low) * decay**t`.

    >>> [SinExp(0.0, 1.0, 2, 0.5)(t) for t in range(6)]
    [0.0, 0.5, 0.0, 0.125, 0.0, 0.03125]
    """

    decay: float

    def height(self, t: int) -> float:
        return float(raised(self, t, self.decay, t))


def _halved(times: int) -> float:
    return 0.5**times
