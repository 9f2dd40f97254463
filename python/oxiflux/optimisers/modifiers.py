"""Modifiers of gradients, and the chain that puts them before a rule."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from .. import _core
from .._core import Tensor
from .rules import Rule, Step

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

    >>> OptimiserChain(ClipGrad(1.0), WeightDecay())
    OptimiserChain(ClipGrad(1.0), WeightDecay(0.0005))
    """

    def __init__(self, *rules: Any) -> None:
        self.rules = tuple(checked_rule("OptimiserChain", rule) for rule in rules)

    def __repr__(self) -> str:
        return f"OptimiserChain({', '.join(map(repr, self.rules))})"

    def init(self, x: Tensor) -> Any:
        return tuple(rule.init(x) for rule in self.rules)

    def apply(self, state: Any, x: Tensor, dx: Any) -> Step:
        states = list(state)
        for i, rule in enumerate(self.rules):
            states[i], dx = rule.apply(states[i], x, dx)
            if dx is None:  # nothing to subtract yet: the rules that follow wait
                break
        return tuple(states), dx


@dataclass(eq=False, repr=False)
class WeightDecay(Rule):
    """Adds the gradient of `lambda_ / 2 * sum(x**2)`: `dx + lambda_ * x`.

    >>> WeightDecay()
    WeightDecay(0.0005)
    """

    lambda_: float = 5e-4

    def apply(self, state: Any, x: Tensor, dx: Tensor) -> Step:
        return state, dx + x * self.lambda_


@dataclass(eq=False, repr=False)
class SignDecay(Rule):
    """Adds the gradient of `lambda_ * sum(abs(x))`: `dx + lambda_ * sign(x)`.

    >>> SignDecay()
    SignDecay(0.001)
    """

    lambda_: float = 1e-3

    def apply(self, state: Any, x: Tensor, dx: Tensor) -> Step:
        return state, dx + _core.sign(x) * self.lambda_


@dataclass(eq=False, repr=False)
class ClipGrad(Rule):
    """Bounds every component: `clip(dx, -delta, delta)`.

    >>> ClipGrad()
    ClipGrad(10.0)
    """

    delta: float = 10.0

    def apply(self, state: Any, x: Tensor, dx: Tensor) -> Step:
        return state, _core.maximum(_core.minimum(dx, self.delta), -self.delta)


@dataclass(eq=False, repr=False)
class ClipNorm(Rule):
    """Bounds the `p`-norm of each parameter's gradient: `dx * min(1, omega / norm(dx))`.

    A norm that is not finite raises ValueError.

    >>> ClipNorm()
    ClipNorm(10.0, 2.0)
    """

    omega: float = 10.0
    p: float = 2.0

    def apply(self, state: Any, x: Tensor, dx: Tensor) -> Step:
        norm = _norm(dx, self.p)
        if not math.isfinite(norm):
            raise ValueError(f"ClipNorm: the gradient of a parameter of shape {x.shape} has the norm {norm}")
        return state, dx * (self.omega / norm) if norm > self.omega else dx


@dataclass(eq=False, repr=False)
class AccumGrad(Rule):
    """Collects the gradients of `n` steps and passes their mean on at the last of them.

    >>> AccumGrad(2)
    AccumGrad(2)
    """

    n: int

    def __post_init__(self) -> None:
        if type(self.n) is not int:
            raise TypeError(f"AccumGrad: n must be a whole number, got {self.n!r}")
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

    Steps too small for the precision of the parameter add up in the copy. Ref: Micikevicius et al., "Mixed Precision
    Training", 2017.

    >>> from oxiflux.optimisers import Descent
    >>> MixedPrecision(Descent(0.5), "float64")
    MixedPrecision(Descent(0.5), float64)
    """

    def __init__(self, rule: Any, dtype: Any = _core.float32) -> None:
        self.rule = checked_rule("MixedPrecision", rule)
        self.dtype = _core.dtype(dtype)

    def __repr__(self) -> str:
        return f"MixedPrecision({self.rule!r}, {self.dtype})"

    def init(self, x: Tensor) -> Any:
        wide = x.astype(self.dtype)
        return wide, self.rule.init(wide)

    def apply(self, state: Any, x: Tensor, dx: Any) -> tuple[Any, Any]:
        wide, inner = state
        inner, step = self.rule.apply(inner, wide, dx.astype(self.dtype))
        if step is None:
            return (wide, inner), None
        wide = wide - step
        # Subtracting a difference could miss the rounded copy by a digit.
        _core.assign(x, wide.astype(x.dtype))
        return (wide, inner), None


def checked_rule(caller: str, rule: Any) -> Any:
    """The rule, or TypeError for what is none."""
    if isinstance(rule, type) or not (hasattr(rule, "init") and hasattr(rule, "apply")):
        raise TypeError(f"{caller}: {rule!r} is no rule; a rule has init(x) and apply(state, x, dx)")
    return rule


def _norm(x: Tensor, p: float) -> float:
    if x.size == 0:
        return 0.0
    size = _core.abs(x)
    largest = _core.max(size).item()
    if p == math.inf or largest == 0 or not math.isfinite(largest):
        return float(largest)
    # Divided by the largest component, no power overflows.
    return float(largest * _core.sum((size / largest) ** p).item() ** (1 / p))
