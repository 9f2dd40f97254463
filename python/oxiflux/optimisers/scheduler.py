"""A rule whose hyper-parameters follow schedules by themselves, and the changing of hyper-parameters within rules."""

from __future__ import annotations

import copy
from dataclasses import fields, is_dataclass, replace
from typing import Any, Self

from .. import _core
from .._core import Leaf, Tensor
from ..hints import unknown
from .modifiers import MixedPrecision, OptimiserChain, Steps, alone, apply_to_all, checked_rule
from .rules import Rule, Step
from .schedules import Part, check_part, value_at

__all__ = ["Scheduler"]


class Scheduler(Rule):
    """A rule whose hyper-parameters follow schedules: `Scheduler(schedule, rule)` sets `eta`, the learning rate.

    `rule` is a rule, a chain of them, or a class of rules, which gets its other defaults. More schedules are given by
    name, `Scheduler(AdamW, eta=…, lambda_=…)`, or one after the other in the order of the rule's fields. A number is a
    constant schedule. The rule may also come first.

    Each parameter counts its updates from 0, in the state `(t, state of the rule)`: saving, loading and resuming keep
    the place, and a frozen parameter does not count. `adjust` puts a number in the place of a schedule. A schedule in
    epochs is `Interpolator(schedule, number of batches)`. A schedule that is to be saved is one of this package, or its
    class is listed in `classes`. A name that the rule does not have raises ValueError. Ref: ParameterSchedulers.jl,
    `Scheduler`, which has the rule first.

    >>> import oxiflux as flux
    >>> model = {"w": flux.tensor([1.0])}
    >>> state = flux.setup(flux.Scheduler(flux.Exp(0.5, 0.5), flux.Descent), model)
    >>> for _ in range(3):
    ...     flux.update(state, model, {"w": flux.tensor([1.0])})
    >>> model["w"].tolist(), state["w"].state
    ([0.125], (3, None))
    >>> flux.Scheduler(flux.AdamW, lambda_=flux.Exp(0.1, 0.5))
    Scheduler(AdamW(0.001, (0.9, 0.999), 0.1, 1e-08, True), lambda_=Exp(start=0.1, decay=0.5))
    """

    rule: Any
    schedules: dict[str, Part]
    # Whether it must give steps, because something comes after it.
    gives_steps: bool

    def __new__(cls, *_: Any, **schedules: Part) -> Self:
        """A new one, which takes any name: which ones the rule has is looked at later."""
        return object.__new__(cls)

    def __init__(self, *parts: Any, **schedules: Part) -> None:
        rules = [part for part in parts if hasattr(part, "apply")]
        if len(rules) != 1:
            raise TypeError(
                f"Scheduler: give schedules and one rule, Scheduler(schedule, Adam), got {len(rules)} rules"
            )
        rule = rules[0]
        if hasattr(rule, "_agreed"):
            kind = type(rule).__name__
            raise TypeError(
                f"Scheduler: a {kind} comes around a Scheduler: {kind}(Scheduler(schedule, rule))"
            )
        named = _named(rule, [part for part in parts if part is not rule])
        if twice := sorted(named.keys() & schedules.keys()):
            raise TypeError(
                f"Scheduler: the schedule of {twice[0]} is given twice, by its place and by its name"
            )
        schedules = named | schedules
        if not schedules:
            raise TypeError(f"Scheduler: {rule!r} comes without a schedule: Scheduler(schedule, {rule!r})")
        for name, schedule in schedules.items():
            check_part("Scheduler", name, schedule, "Part")
        values = {name: value_at(schedule, 0) for name, schedule in schedules.items()}
        rule = rule(**values) if isinstance(rule, type) else rule
        self.rule = _set("Scheduler", checked_rule("Scheduler", rule), values)
        self.schedules = schedules
        self.gives_steps = False

    @property
    def replaces(self) -> bool:
        """Whether it gives the new values of a parameter and not the step to them."""
        return self._is_fused or bool(getattr(self.rule, "replaces", False))

    @property
    def _is_fused(self) -> bool:
        """Whether the core's kernel for the rule makes the steps; it gives new values."""
        return not self.gives_steps and getattr(self.rule, "kernel", None) in _core.kernels

    def __repr__(self) -> str:
        named = [f"{name}={schedule!r}" for name, schedule in self.schedules.items() if name != "eta"]
        first = [repr(self.schedules["eta"])] if "eta" in self.schedules else []
        return f"Scheduler({', '.join([*first, repr(self.rule), *named])})"

    def init(self, x: Tensor) -> Any:
        return 0, self.rule.init(x)

    def apply(self, state: Any, x: Tensor, dx: Any) -> Step:
        return alone(self, state, x, dx)

    def apply_all(self, states: list[Any], xs: list[Tensor], dxs: list[Any]) -> Steps:
        """The states and steps of several parameters."""
        states, made = list(states), [None] * len(xs)
        # Parameters that were frozen for a time are at other steps.
        alike: dict[int, list[int]] = {}
        for i, ((t, _), dx) in enumerate(zip(states, dxs, strict=True)):
            if dx is not None:
                alike.setdefault(t, []).append(i)
        move = _fused if self._is_fused else apply_to_all
        for t, places in alike.items():
            inner, steps = move(
                self.at(t), [states[i][1] for i in places], [xs[i] for i in places], [dxs[i] for i in places]
            )
            for i, state, step in zip(places, inner, steps, strict=True):
                states[i], made[i] = (t + 1, state), step
        return states, made

    def at(self, t: int) -> Any:
        """The rule with its hyper-parameters as they are at step `t`, counted from 0.

        >>> import oxiflux as flux
        >>> flux.Scheduler(flux.Exp(0.5, 0.5), flux.Descent()).at(2)
        Descent(0.125)
        """
        return _set("Scheduler", self.rule, {name: value_at(s, t) for name, s in self.schedules.items()})

    def stepping(self) -> Scheduler:
        """The same rule, after which others may come: it gives steps."""
        return self._changed(gives_steps=True)

    def adjusted(self, hyper: dict[str, Any], known: set[str]) -> Scheduler:
        """The same rule with other hyper-parameters; a number takes the place of a schedule."""
        own = {name: value for name, value in hyper.items() if name in self.schedules}
        for name, value in own.items():
            check_part("adjust", name, value, "Part")
        rule = with_hyper(self.rule, hyper | {name: value_at(part, 0) for name, part in own.items()}, known)
        return self._changed(rule=rule, schedules=self.schedules | own)

    def _changed(self, **parts: Any) -> Scheduler:
        changed = copy.copy(self)
        for name, part in parts.items():
            setattr(changed, name, part)
        return changed


def with_hyper(rule: Any, hyper: dict[str, Any], known: set[str]) -> Any:
    """The rule with those hyper-parameters that it has; their names are added to `known`.

    >>> from oxiflux.optimisers import ClipGrad, Descent
    >>> with_hyper(OptimiserChain(ClipGrad(), Descent()), {"eta": 0.5, "rho": 0.9}, set())
    OptimiserChain(ClipGrad(10.0), Descent(0.5))
    """
    if isinstance(rule, OptimiserChain):
        return OptimiserChain(*(with_hyper(part, hyper, known) for part in rule.rules))
    if isinstance(rule, MixedPrecision):
        return MixedPrecision(with_hyper(rule.rule, hyper, known), rule.dtype)
    if hasattr(rule, "adjusted"):  # as a Scheduler, which knows the rule within it
        return rule.adjusted(hyper, known)
    own = {key: value for key, value in hyper.items() if hasattr(rule, key)}
    known.update(own)
    for name in getattr(rule, "of_state", ()):
        if name in own and own[name] != getattr(rule, name):
            kind = type(rule).__name__
            raise ValueError(
                f"adjust: {name} decides what {kind} remembers; make the state anew: setup({kind}(…), model)"
            )
    if is_dataclass(rule):
        return replace(rule, **own)  # type: ignore[type-var]
    changed = copy.copy(rule)
    for key, value in own.items():
        setattr(changed, key, value)
    return changed


def hyper_names(rule: Any) -> list[str]:
    """The names of the hyper-parameters of a rule, and of the rules within it.

    >>> from oxiflux.optimisers import ClipGrad, Descent
    >>> hyper_names(OptimiserChain(ClipGrad(), Descent()))
    ['delta', 'eta']
    """
    parts = (*getattr(rule, "rules", ()), getattr(rule, "rule", None))
    own = [f.name for f in fields(rule)] if is_dataclass(rule) else []
    return own + [name for part in parts if part is not None for name in hyper_names(part)]


def _named(rule: Any, schedules: list[Any]) -> dict[str, Part]:
    """Schedules that were given without a name: the first is that of `eta`, the next those of the fields after it."""
    for schedule in schedules:
        if isinstance(schedule, type):
            raise TypeError(
                f"Scheduler: {schedule.__name__} is no schedule, but a class; make one: {schedule.__name__}(…)"
            )
    names = hyper_names(rule)
    if not names or "eta" not in names or isinstance(rule, (OptimiserChain, MixedPrecision)):
        names = ["eta"]
    names = names[names.index("eta") :]
    if len(schedules) > len(names):
        raise TypeError(
            f"Scheduler: {rule!r} takes {len(names)} of {len(schedules)} schedules by position; name them"
        )
    return dict(zip(names, schedules, strict=False))


def _set(caller: str, rule: Any, values: dict[str, Any]) -> Any:
    """The rule with other hyper-parameters, each of which it must have."""
    known: set[str] = set()
    made = with_hyper(rule, values, known)
    if strange := sorted(set(values) - known):
        raise ValueError(f"{caller}: {unknown(f'{rule!r} has no ', strange[0], hyper_names(rule))}")
    return made


def _fused(rule: Any, states: list[Any], xs: list[Tensor], dxs: list[Any]) -> Steps:
    """The states and the new values that the core's kernel makes of copies."""
    values = [_core.stop_gradient(x) for x in xs]
    leaves = [Leaf(rule, own_of(state)) for state in states]
    _core.update(leaves, values, dxs)
    return [leaf.state for leaf in leaves], values


def own_of(state: Any) -> Any:
    """A state with the same values, whose tensors may be written without changing those given."""
    if isinstance(state, Tensor):
        return _core.stop_gradient(state)
    return tuple(map(own_of, state)) if isinstance(state, tuple) else state
