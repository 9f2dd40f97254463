"""Modifiers of gradients, and the chain that puts them before a rule."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from .. import _core
from .._core import Tensor
from ..tree import FLOATS
from .rules import Rule, Step

Steps = tuple[list[Any], list[Any]]

__all__ = [
    "AccumGrad",
    "ClipGrad",
    "ClipNorm",
    "MixedPrecision",
    "OptimiserChain",
    "SignDecay",
    "WeightDecay",
]


class OptimiserChain(Rule):
    """Several rules in order, each applied to what the one before made of the gradient.

    With the rules of this library it is one fused pass over all parameters that share it; with any other, or with
    `MixedPrecision` inside and not around it, it runs in Python.

    >>> OptimiserChain(ClipGrad(1.0), WeightDecay())
    OptimiserChain(ClipGrad(1.0), WeightDecay(0.0005))
    """

    kernel: ClassVar[str] = "chain"
    rules: tuple[Any, ...]

    def __init__(self, *rules: Any) -> None:
        checked = [checked_rule("OptimiserChain", rule) for rule in rules]
        self.rules = (*_giving_steps("OptimiserChain", checked[:-1]), *checked[-1:])

    @property
    def replaces(self) -> bool:
        """Whether it gives the new values of a parameter and not the step to them."""
        return bool(self.rules) and getattr(self.rules[-1], "replaces", False)

    def __repr__(self) -> str:
        return f"OptimiserChain({', '.join(map(repr, self.rules))})"

    def init(self, x: Tensor) -> Any:
        return tuple(rule.init(x) for rule in self.rules)

    def apply(self, state: Any, x: Tensor, dx: Any) -> Step:
        return alone(self, state, x, dx)

    def apply_all(self, states: list[Any], xs: list[Tensor], dxs: list[Any]) -> Steps:
        """The states and steps of several parameters."""
        columns: list[Any] = list(zip(*states, strict=True))
        for i, rule in enumerate(self.rules):
            columns[i], dxs = apply_to_all(rule, columns[i], xs, dxs)
        return list(zip(*columns, strict=True)) or states, dxs


@dataclass(eq=False, repr=False)
class WeightDecay(Rule):
    """Adds the gradient of `lambda_ / 2 * sum(x**2)`: `dx + lambda_ * x`.

    >>> WeightDecay()
    WeightDecay(0.0005)
    """

    kernel: ClassVar[str] = "weight_decay"
    lambda_: float = 5e-4

    def apply(self, state: Any, x: Tensor, dx: Tensor) -> Step:
        return state, dx + x * self.lambda_


@dataclass(eq=False, repr=False)
class SignDecay(Rule):
    """Adds the gradient of `lambda_ * sum(abs(x))`: `dx + lambda_ * sign(x)`.

    >>> SignDecay()
    SignDecay(0.001)
    """

    kernel: ClassVar[str] = "sign_decay"
    lambda_: float = 1e-3

    def apply(self, state: Any, x: Tensor, dx: Tensor) -> Step:
        return state, dx + _core.sign(x) * self.lambda_


@dataclass(eq=False, repr=False)
class ClipGrad(Rule):
    """Bounds every component: `clip(dx, -delta, delta)`.

    >>> ClipGrad()
    ClipGrad(10.0)
    """

    kernel: ClassVar[str] = "clip_grad"
    delta: float = 10.0

    def apply(self, state: Any, x: Tensor, dx: Tensor) -> Step:
        return state, _core.maximum(_core.minimum(dx, self.delta), -self.delta)


@dataclass(eq=False, repr=False)
class ClipNorm(Rule):
    """Bounds the `p`-norm of each parameter's gradient: `dx * min(1, omega / norm(dx))`.

    With `whole` the norm is that of all parameters that share the rule, as if they were one: those of the whole
    model, unless parts of it have rules of their own. A norm that is not finite raises ValueError, unless `throw` is
    False: then the formula is taken at its word, by which NaN makes NaN of all, and an infinity zeros and NaN. Ref:
    Pascanu et al., "On the difficulty of training recurrent neural networks", 2013.

    >>> ClipNorm()
    ClipNorm(10.0, 2.0)
    >>> import oxiflux as flux
    >>> model = {"a": flux.zeros(1), "b": flux.zeros(1)}
    >>> grads = {"a": flux.tensor([30.0]), "b": flux.tensor([40.0])}
    >>> flux.update(flux.setup(ClipNorm(5.0, whole=True), model), model, grads)
    >>> model["a"].item(), model["b"].item()
    (-3.0, -4.0)
    """

    omega: float = 10.0
    p: float = 2.0
    whole: bool = False
    throw: bool = True

    @property
    def kernel(self) -> str | None:  # type: ignore[override]
        """The name of the fused kernel, which has an error for what is not finite."""
        return "clip_norm" if self.throw else None

    def __repr__(self) -> str:
        options = ", whole=True" * self.whole + ", throw=False" * (not self.throw)
        return f"ClipNorm({self.omega}, {self.p}{options})"

    def apply(self, state: Any, x: Tensor, dx: Any) -> Step:
        return alone(self, state, x, dx)

    def apply_all(self, states: list[Any], xs: list[Tensor], dxs: list[Any]) -> Steps:
        """The states and steps of several parameters."""
        norms = [0.0 if dx is None else _norm(dx, self.p) for dx in dxs]
        for norm, x in zip(norms, xs, strict=True):
            if self.throw and not math.isfinite(norm):
                raise ValueError(
                    f"ClipNorm: the gradient of a parameter of shape {x.shape} has the norm {norm}"
                )
        if self.whole:
            # Of float64 numbers, so that no power overflows here either.
            norms = [_norm(_core.tensor(norms, dtype=_core.float64), self.p)] * len(norms)
        return states, [
            dx * (self.omega / norm) if dx is not None and not norm <= self.omega else dx
            for dx, norm in zip(dxs, norms, strict=True)
        ]


@dataclass(eq=False, repr=False)
class AccumGrad(Rule):
    """Collects the gradients of `n` steps and passes their mean on at the last of them.

    >>> AccumGrad(2)
    AccumGrad(2)
    """

    kernel: ClassVar[str] = "accum_grad"
    n: int

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if self.n < 1:
            raise ValueError(f"AccumGrad: n must be at least 1, got {self.n}")

    def init(self, x: Tensor) -> Any:
        return _core.zeros_like(x), 1

    def apply(self, state: Any, x: Tensor, dx: Tensor) -> tuple[Any, Any]:
        total, count = state
        total = dx / self.n if count == 1 else total + dx / self.n
        return ((total, count + 1), None) if count < self.n else ((total, 1), total)


class MixedPrecision(Rule):
    """A rule that works on a copy of each parameter in a wider `dtype`; the parameter is the copy, rounded.

    `MixedPrecision(rule, dtype=float32)`, or the dtype first, as in Optimisers.jl. Steps too small for the precision of
    the parameter add up in the copy. Ref: Micikevicius et al., "Mixed Precision Training", 2017.

    >>> from oxiflux.optimisers import Descent
    >>> MixedPrecision(Descent(0.5), "float64")
    MixedPrecision(Descent(0.5), float64)
    >>> MixedPrecision("float64", Descent(0.5))
    MixedPrecision(Descent(0.5), float64)
    """

    # `apply` gives the new values: subtracting a difference could miss the rounded copy by a digit.
    replaces = True

    rule: Any
    dtype: _core.DType

    @property
    def kernel(self) -> str | None:  # type: ignore[override]
        """The name of the fused kernel."""
        return "mixed_precision" if self.dtype in (_core.float32, _core.float64) else None

    def __init__(self, rule: Any, dtype: Any = _core.float32) -> None:
        if hasattr(dtype, "apply") and not hasattr(rule, "apply"):
            rule, dtype = dtype, rule
        (self.rule,) = _giving_steps("MixedPrecision", [checked_rule("MixedPrecision", rule)])
        if hasattr(dtype, "apply"):
            raise TypeError(f"MixedPrecision: takes one rule and a dtype, got {rule!r} and {dtype!r}")
        self.dtype = _core.dtype(dtype)
        if self.dtype not in FLOATS:
            raise TypeError(f"MixedPrecision: the dtype must be floating, got {self.dtype}")

    def __repr__(self) -> str:
        return f"MixedPrecision({self.rule!r}, {self.dtype})"

    def init(self, x: Tensor) -> Any:
        wide = x.astype(self.dtype)
        return wide, self.rule.init(wide)

    def apply(self, state: Any, x: Tensor, dx: Any) -> Step:
        return alone(self, state, x, dx)

    def apply_all(self, states: list[Any], xs: list[Tensor], dxs: list[Any]) -> Steps:
        """The states and steps of several parameters."""
        wides, inners = [wide for wide, _ in states], [inner for _, inner in states]
        dxs = [None if dx is None else dx.astype(self.dtype) for dx in dxs]
        inners, steps = apply_to_all(self.rule, inners, wides, dxs)
        wides = [wide if step is None else wide - step for wide, step in zip(wides, steps, strict=True)]
        values = [None if step is None else wide for wide, step in zip(wides, steps, strict=True)]
        return list(zip(wides, inners, strict=True)), values


def checked_rule(caller: str, rule: Any) -> Any:
    """The rule, or TypeError for what is none."""
    if isinstance(rule, type) or not (hasattr(rule, "init") and hasattr(rule, "apply")):
        if isinstance(rule, type) and hasattr(rule, "apply"):
            raise TypeError(f"{caller}: {rule!r} is no rule, but a class; make one: {rule.__name__}()")
        if isinstance(rule, (list, tuple)):
            raise TypeError(f"{caller}: a {type(rule).__name__} is no rule; spread it: {caller}(*rules)")
        raise TypeError(f"{caller}: {rule!r} is no rule; a rule has init(x) and apply(state, x, dx)")
    return rule


def _giving_steps(caller: str, rules: Sequence[Any]) -> list[Any]:
    """The rules, in the form in which others may come after them."""
    given = [rule.stepping() if hasattr(rule, "stepping") else rule for rule in rules]
    for rule in given:
        if getattr(rule, "replaces", False):
            raise ValueError(f"{caller}: {rule!r} gives no step, so that nothing can come after it")
    return given


def apply_to_all(rule: Any, states: Sequence[Any], xs: list[Tensor], dxs: list[Any]) -> Steps:
    """One step of a rule for several parameters; where there is no gradient yet, the rule waits."""
    if hasattr(rule, "apply_all"):
        together: Steps = rule.apply_all(list(states), xs, dxs)
        return together
    steps = [
        (state, None) if dx is None else rule.apply(state, x, dx)
        for state, x, dx in zip(states, xs, dxs, strict=True)
    ]
    return [state for state, _ in steps], [dx for _, dx in steps]


def alone(rule: Any, state: Any, x: Tensor, dx: Any) -> Step:
    """One step of a rule that has `apply_all`, for one parameter."""
    (state,), (dx,) = rule.apply_all([state], [x], [dx])
    return state, dx


def _norm(x: Tensor, p: float) -> float:
    if x.size == 0:
        return 0.0
    size = _core.abs(x)
    largest = _core.max(size).item()
    if p == math.inf or largest == 0 or not math.isfinite(largest):
        return float(largest)
    # Divided by the largest component, no power overflows.
    return float(largest * _core.sum((size / largest) ** p).item() ** (1 / p))
