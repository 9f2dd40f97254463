"""Schedules made of another one: in other units of time, begun later, with changing parameters, or advanced by hand."""

from __future__ import annotations

import math
from collections import abc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from ..hints import Told
from .schedules import Part, Schedule, check_part, not_negative, value_at

__all__ = ["ComposedSchedule", "Interpolator", "Shifted", "Stateful"]


@dataclass(frozen=True)
class Interpolator(Schedule):
    """A schedule in units of `rate` steps: `schedule(floor(t / rate))`.

    `Interpolator(schedule, len(loader))` follows in steps what is written in epochs. The time `t` may be a fraction,
    such as that of a solver, of which `rate` is one step of the schedule. `floor_fn` makes the whole number, by default
    the largest one that is not above the quotient. A `rate` that is not positive raises ValueError.

    >>> import oxiflux as flux
    >>> [Interpolator(flux.Exp(1.0, 0.5), 2)(t) for t in range(5)]
    [1.0, 1.0, 0.5, 0.5, 0.25]
    >>> Interpolator(flux.Exp(1.0, 0.5), 0.1, floor_fn=round)(0.3)
    0.125
    """

    schedule: Part
    rate: float
    floor_fn: Callable[[float], int] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.rate < math.inf:
            raise ValueError(f"Interpolator: rate must be positive and finite, got {self.rate!r}")
        if self.floor_fn is not None and not callable(self.floor_fn):
            raise TypeError(f"Interpolator: floor_fn must be a function of a number, got {self.floor_fn!r}")

    def __call__(self, t: float) -> float:
        return value_at(self.schedule, (self.floor_fn or math.floor)(not_negative(self, t) / self.rate))


@dataclass(frozen=True)
class Shifted(Schedule):
    """A schedule that begins at its step `offset`: `schedule(t + offset)`. A negative `offset` raises ValueError.

    >>> import oxiflux as flux
    >>> [Shifted(flux.Exp(1.0, 0.5), 2)(t) for t in range(3)]
    [0.25, 0.125, 0.0625]
    """

    schedule: Part
    offset: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.offset < 0:
            raise ValueError(f"Shifted: offset must be 0 or more, got {self.offset!r}")

    def __call__(self, t: int) -> float:
        return value_at(self.schedule, not_negative(self, t) + self.offset)


@dataclass(frozen=True)
class ComposedSchedule(Schedule):
    """A schedule whose parameters follow schedules: at step `t` it is `schedule(p(t) for p in parameters)(t)`.

    `schedule` is a class of schedules, a function that makes one, or a schedule whose parameters are replaced.
    `parameters` are in the order of the class's own, or a dict of them by name. A number of steps follows a schedule
    whose values are whole. Parameters that do not fit raise the error of the class, at once.

    >>> import oxiflux as flux
    >>> [ComposedSchedule(flux.Triangle, (0.0, flux.Exp(1.0, 0.5), 2))(t) for t in range(4)]
    [0.0, 0.5, 0.0, 0.125]
    >>> [ComposedSchedule(flux.Exp(1.0, 0.5), {"start": flux.Step(1.0, 10.0, 2)})(t) for t in range(4)]
    [1.0, 0.5, 2.5, 1.25]
    """

    schedule: Any
    parameters: Any

    def __post_init__(self) -> None:
        given = self.parameters
        if isinstance(given, abc.Mapping):
            given = dict(given)
        elif isinstance(given, (list, tuple)):
            given = tuple(given)
        else:
            raise TypeError(f"ComposedSchedule: parameters must be a tuple or a dict, got {given!r}")
        for name, part in given.items() if isinstance(given, dict) else enumerate(given):
            check_part("ComposedSchedule", f"parameter {name}", part, "Part")
        if not callable(self.schedule):
            raise TypeError(f"ComposedSchedule: {self.schedule!r} is neither a schedule nor makes one")
        object.__setattr__(self, "parameters", given)
        made = self._made(0)
        if not callable(made):
            raise TypeError(f"ComposedSchedule: {self.schedule!r} makes no schedule, but {made!r}")
        if isinstance(self.schedule, type) and isinstance(made, Schedule):
            # Unlike its class a schedule can be in a file.
            object.__setattr__(self, "schedule", made)

    def __call__(self, t: int) -> float:
        t = not_negative(self, t)
        return float(self._made(t)(t))

    def _made(self, t: int) -> Any:
        """The schedule with its parameters as they are at a step."""
        base = self.schedule
        make = type(base) if isinstance(base, Schedule) else base
        # What is not given is as in the schedule that is there.
        fields = list(getattr(base, "__dataclass_fields__", ()))
        names = [] if make is base else fields
        if isinstance(self.parameters, dict):
            named = {name: _fitting(base, name, value_at(part, t)) for name, part in self.parameters.items()}
            return replace(base, **named) if names else make(**named)
        places = fields + [""] * len(self.parameters)
        values = [
            _fitting(base, name, value_at(part, t))
            for name, part in zip(places, self.parameters, strict=False)
        ]
        if len(values) > len(names) > 0:
            raise TypeError(
                f"ComposedSchedule: {len(values)} parameters for {make.__name__}({', '.join(names)})"
            )
        return replace(base, **dict(zip(names, values, strict=False))) if names else make(*values)


def _fitting(schedule: Any, name: str, value: Any) -> Any:
    """The value of a parameter; one of a number of steps may come from a schedule, whose values are never integers."""
    field = getattr(schedule, "__dataclass_fields__", {}).get(name)
    is_count = field is not None and str(field.type).startswith("int")
    return int(value) if is_count and isinstance(value, float) and value.is_integer() else value


class Stateful(Told):
    """A schedule that remembers its step: `next` gives the value there and goes one step on.

    With `advance` it goes on only where `advance(step)` is true. `reset()` begins anew. A checkpoint keeps the step: it
    has `state()` and `load_state(state)`.

    >>> import oxiflux as flux
    >>> eta = Stateful(flux.Exp(1.0, 0.5))
    >>> next(eta), next(eta), eta.step
    (1.0, 0.5, 2)
    >>> eta.reset()
    >>> next(eta)
    1.0
    """

    schedule: Part
    advance: Callable[[int], object] | None
    step: int

    def __init__(self, schedule: Part, advance: Callable[[int], object] | None = None) -> None:
        check_part("Stateful", "schedule", schedule, "Part")
        if advance is not None and not callable(advance):
            raise TypeError(f"Stateful: advance must be a function of the step, got {advance!r}")
        self.schedule, self.advance, self.step = schedule, advance, 0

    def __iter__(self) -> Iterator[float]:
        return self

    def __next__(self) -> float:
        value = value_at(self.schedule, self.step)
        if self.advance is None or self.advance(self.step):
            self.step += 1
        return value

    def __repr__(self) -> str:
        return f"Stateful({self.schedule!r}) at step {self.step}"

    def reset(self) -> None:
        """Begins anew at step 0."""
        self.step = 0

    def state(self) -> dict[str, int]:
        """The place, for a checkpoint."""
        return {"step": self.step}

    def load_state(self, state: Any) -> None:
        """Goes to a place that `state` gave; what is none raises ValueError."""
        step = state.get("step") if isinstance(state, dict) else None
        if type(step) is not int or step < 0:
            raise ValueError(f"Stateful: {state!r} is not what state() gives")
        self.step = step
