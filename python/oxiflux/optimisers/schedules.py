"""Schedules: hyper-parameters as functions of the step.

A schedule keeps nothing: `schedule(t)` is its value at step `t`, counted from 0, and iterating gives the values
from there on without end. The learning rate follows one by `adjust(state, schedule(t))` before step `t`. Wherever
a schedule is made of others, a number stands for a constant one, and any function of `t` for a schedule. Names and
formulas are those of ParameterSchedulers.jl, which counts from 1.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import abc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate, count, islice
from operator import index
from typing import Any, TypeVar

import numpy as np

from ..hints import Told

__all__ = [
    "Cos",
    "CosAnneal",
    "Exp",
    "Inv",
    "Loop",
    "OneCycle",
    "Poly",
    "Schedule",
    "Sequence",
    "Step",
    "Warmup",
]

MOST_STAIRS = 2**20
Number = TypeVar("Number", int, float)
Part = Callable[[int], float] | float


class Schedule(Told):
    """What all schedules share: they are called with a step, and iterated.

    A schedule of one's own needs only `__call__`; from here it gets iteration.

    >>> class Halved(Schedule):
    ...     def __call__(self, t: int) -> float:
    ...         return 0.5**t
    >>> etas = iter(Halved())
    >>> next(etas), next(etas), next(etas)
    (1.0, 0.5, 0.25)
    """

    def __post_init__(self) -> None:
        """What a schedule of this module is made of are numbers, and schedules where its formula has them."""
        for field in getattr(self, "__dataclass_fields__", {}).values():
            check_part(type(self).__name__, field.name, getattr(self, field.name), str(field.type))

    def __call__(self, t: int) -> float:
        """The value at step `t`, counted from 0."""
        raise NotImplementedError(f"{type(self).__name__} has no __call__(t)")

    def __iter__(self) -> Iterator[float]:
        return map(self, count())


@dataclass(frozen=True)
class Step(Schedule):
    """A staircase: `start * decay**i` on stair `i`, of `step_sizes[i]` steps; the last one has no end.

    A single number in `step_sizes` is the size of every stair.

    >>> [Step(1.0, 0.5, [2, 1])(t) for t in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.5]
    >>> [Step(1.0, 0.5, 2)(t) for t in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    start: float
    decay: float
    step_sizes: int | abc.Sequence[int]

    def __post_init__(self) -> None:
        super().__post_init__()
        given: Any = self.step_sizes
        is_one = hasattr(given, "__index__") and not np.ndim(given)
        # Later changes of a list are none of a schedule.
        sizes = index(given) if is_one else tuple(map(index, given))
        object.__setattr__(self, "step_sizes", sizes)
        for size in sizes if isinstance(sizes, tuple) else [sizes]:
            at_least_one(self, "step_sizes", size)

    def __call__(self, t: int) -> float:
        t = not_negative(self, t)
        if isinstance(self.step_sizes, int):
            return self.start * raised(self, t, self.decay, t // self.step_sizes)
        return self.start * raised(self, t, self.decay, _stair(self.step_sizes, t))


@dataclass(frozen=True)
class Exp(Schedule):
    """Exponential decay: `start * decay**t`.

    >>> [Exp(1.0, 0.5)(t) for t in range(4)]
    [1.0, 0.5, 0.25, 0.125]
    """

    start: float
    decay: float

    def __call__(self, t: int) -> float:
        t = not_negative(self, t)
        return self.start * raised(self, t, self.decay, t)


@dataclass(frozen=True)
class Poly(Schedule):
    """Polynomial decay: `start * (1 - t / max_iter)**degree`, and 0 from step `max_iter` on.

    >>> [Poly(1.0, 2, 4)(t) for t in range(6)]
    [1.0, 0.5625, 0.25, 0.0625, 0.0, 0.0]
    """

    start: float
    degree: float
    max_iter: int

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one(self, "max_iter", self.max_iter)

    def __call__(self, t: int) -> float:
        t = not_negative(self, t)
        return float(self.start * raised(self, t, max(0.0, 1 - t / self.max_iter), self.degree))


@dataclass(frozen=True)
class Inv(Schedule):
    """Inverse decay: `start / (1 + t * decay)**degree`.

    >>> [Inv(1.0, 1.0, 1)(t) for t in (0, 1, 3)]
    [1.0, 0.5, 0.25]
    """

    start: float
    decay: float
    degree: float

    def __call__(self, t: int) -> float:
        t = not_negative(self, t)
        try:
            return float(self.start / raised(self, t, 1 + t * self.decay, self.degree))
        except ZeroDivisionError:
            raise ValueError(f"{self!r}: at step {t} it divides by 0") from None


@dataclass(frozen=True)
class CosAnneal(Schedule):
    """Half a cosine from `max(l0, l1)` down to `min(l0, l1)`: `low + (high - low) * (1 + cos(pi * t / period)) / 2`.

    With `restart` it jumps back up after each `period`, without it swings back. Ref: Loshchilov and Hutter, "SGDR:
    Stochastic Gradient Descent with Warm Restarts", 2016.

    >>> [round(CosAnneal(0.0, 1.0, 2)(t), 3) for t in range(4)]
    [1.0, 0.5, 1.0, 0.5]
    >>> [round(CosAnneal(0.0, 1.0, 2, restart=False)(t), 3) for t in range(4)]
    [1.0, 0.5, 0.0, 0.5]
    """

    l0: float
    l1: float
    period: int
    restart: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one(self, "period", self.period)

    def __call__(self, t: int) -> float:
        t = not_negative(self, t)
        return between(self.l0, self.l1, _cosine(t % self.period if self.restart else t, self.period))


Cos = CosAnneal


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Half a cosine up from `startval` to `maxval` in `ceil(percent_start * nsteps)` of `nsteps` steps, and another
    down to `endval`, which then stays.

    `startval` is `maxval / 25` and `endval` is `maxval / 1e5` unless given. Ref: Smith and Topin, "Super-Convergence:
    Very Fast Training of Neural Networks Using Large Learning Rates", 2017.

    >>> [round(OneCycle(8, 1.0, startval=0.0, endval=0.5)(t), 3) for t in (0, 1, 2, 5, 8)]
    [0.0, 0.5, 1.0, 0.75, 0.5]
    """

    nsteps: int
    maxval: float
    startval: float | None = None
    endval: float | None = None
    percent_start: float = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one(self, "nsteps", self.nsteps)
        if not 0 <= self.percent_start <= 1:
            raise ValueError(f"OneCycle: percent_start must be between 0 and 1, got {self.percent_start!r}")

    def __call__(self, t: int) -> float:
        up = math.ceil(self.percent_start * self.nsteps)
        t = not_negative(self, t)
        if t < up:
            start = self.maxval / 25 if self.startval is None else self.startval
            return start + (self.maxval - start) * (1 - _cosine(t, up))
        end = self.maxval / 1e5 if self.endval is None else self.endval
        if t >= self.nsteps:
            return end
        return end + (self.maxval - end) * _cosine(t - up, self.nsteps - up)


class Sequence(Schedule):
    """Schedules one after the other, each beginning at its own step 0: `Sequence((first, n), (second, m), …)` follows
    `first` for `n` steps. The last one has no end.

    >>> [Sequence((0.1, 2), (Exp(1.0, 0.5), 3))(t) for t in range(5)]
    [0.1, 0.1, 1.0, 0.5, 0.25]
    """

    def __init__(self, *stages: tuple[Part, int]) -> None:
        if not stages:
            raise ValueError("Sequence: there are no schedules")
        stage: Any
        for stage in stages:
            if not isinstance(stage, tuple) or len(stage) != 2:
                raise TypeError(f"Sequence: give pairs (schedule, number of steps), got {stage!r}")
            part, size = stage
            check_part("Sequence", "a schedule", part, "Part")
            check_part("Sequence", "the number of steps", size, "int")
            at_least_one(self, "the number of steps", size)
        self.stages = stages

    def __call__(self, t: int) -> float:
        sizes = [size for _, size in self.stages]
        t = not_negative(self, t)
        i = _stair(sizes, t)
        return value_at(self.stages[i][0], t - sum(sizes[:i]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self.stages == other.stages

    def __hash__(self) -> int:
        return hash(self.stages)

    def __repr__(self) -> str:
        return f"Sequence({', '.join(map(repr, self.stages))})"


@dataclass(frozen=True)
class Warmup(Schedule):
    """A straight line from `start` to the first value of `schedule` in `steps` steps, then `schedule` from its step 0.

    >>> [Warmup(Exp(1.0, 0.5), 2)(t) for t in range(5)]
    [0.0, 0.5, 1.0, 0.5, 0.25]
    """

    schedule: Part
    steps: int
    start: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one(self, "steps", self.steps)

    def __call__(self, t: int) -> float:
        t = not_negative(self, t)
        if t >= self.steps:
            return value_at(self.schedule, t - self.steps)
        return self.start + (value_at(self.schedule, 0) - self.start) * t / self.steps


@dataclass(frozen=True)
class Loop(Schedule):
    """The first `period` steps of a schedule, again and again: `schedule(t % period)`.

    >>> [Loop(Exp(1.0, 0.5), 2)(t) for t in range(5)]
    [1.0, 0.5, 1.0, 0.5, 1.0]
    """

    schedule: Part
    period: int

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least_one(self, "period", self.period)

    def __call__(self, t: int) -> float:
        return value_at(self.schedule, not_negative(self, t) % self.period)


def check_part(schedule: str, name: str, value: Any, kind: str) -> None:
    """Raises TypeError for what is not of the kind that a field is annotated with."""
    if kind == "Part" and isinstance(value, type):
        raise TypeError(
            f"{schedule}: {name} is the class {value.__name__}; make a schedule of it: {value.__name__}(…)"
        )
    if (value is None and kind.endswith("| None")) or (kind == "Part" and callable(value)):
        return
    if kind.startswith("int"):
        several = (
            list(islice(value, MOST_STAIRS + 1))
            if "Sequence" in kind and hasattr(value, "__len__") and not isinstance(value, str)
            else [value]
        )
        if not all(hasattr(n, "__index__") and not isinstance(n, bool) for n in several):
            raise TypeError(
                f"{schedule}: {name} must be a whole number{' or a list of them' * ('Sequence' in kind)}, got {value!r}"
            )
        if len(several) > MOST_STAIRS:
            raise ValueError(f"{schedule}: {name} has more than {MOST_STAIRS} items")
    elif kind == "bool" and not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{schedule}: {name} must be True or False, got {value!r}")
    elif kind.startswith(("float", "Part")) and (
        isinstance(value, (bool, str)) or not hasattr(value, "__float__")
    ):
        raise TypeError(
            f"{schedule}: {name} must be a number{' or a schedule' * (kind == 'Part')}, got {value!r}"
        )


def value_at(part: Part, t: Any) -> float:
    return part(t) if callable(part) else part


def _stair(sizes: abc.Sequence[int], t: int) -> int:
    """The number of the stair on which `t` lies, with stairs of these sizes and the last one without end."""
    return bisect_right(list(accumulate(sizes[:-1])), t)


def between(a: float, b: float, place: float) -> float:
    return min(a, b) + abs(a - b) * place


def _cosine(t: int, period: int) -> float:
    """From 1 at 0 to 0 at `period`."""
    return (1 + math.cos(math.pi * t / period)) / 2


def not_negative(schedule: Schedule, t: Number) -> Number:
    """The step, an integer of NumPy or a tensor as Python's."""
    if type(t) not in (int, float):
        t = _plain(schedule, t)
    if not 0 <= t < math.inf:
        raise ValueError(f"{type(schedule).__name__}: steps count from 0, got {t}")
    return t


def _plain(schedule: Schedule, t: Any) -> Any:
    """A number of NumPy or a tensor as one of Python: its precision is none of the step's."""
    if not hasattr(t, "__float__"):
        raise TypeError(f"{type(schedule).__name__}: a step is a number, got {t!r}")
    try:
        return int(index(t))
    except TypeError:
        return float(t)


def raised(schedule: Schedule, t: float, base: float, degree: float) -> float:
    """`base**degree` at a step, or an error that says that it is no number.

    >>> raised(Exp(1.0, 0.5), 2, 0.5, 2)
    0.25
    """
    try:
        power: Any = base**degree
    except (OverflowError, ZeroDivisionError):
        power = 1j
    if isinstance(power, complex):
        raise ValueError(f"{schedule!r}: at step {t} {base!r}**{degree!r} is no number")
    return float(power)


def at_least_one(schedule: Schedule, name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{type(schedule).__name__}: {name} must be at least 1, got {value!r}")
