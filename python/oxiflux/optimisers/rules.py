"""Optimisation rules: how a gradient becomes a step.

A rule has `init(x)`, its state for a parameter `x`, and `apply(state, x, dx) -> (state, dx)`, which turns the
gradient `dx` into the step that is subtracted from `x`. The methods here are the definitions; where `kernel`
names one of the core's fused kernels, `update` runs that instead. Names, defaults and states are those of
Optimisers.jl.
"""

# Longer than other files: it is a catalogue of short entries.

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from .. import _core
from .._core import Tensor, sqrt
from ..hints import RULE, Told, short, tell, unknown

__all__ = [
    "AMSGrad",
    "AdaBelief",
    "AdaDelta",
    "AdaGrad",
    "AdaMax",
    "Adam",
    "AdamW",
    "Descent",
    "Lion",
    "Momentum",
    "NAdam",
    "Nesterov",
    "OAdam",
    "RAdam",
    "RMSProp",
    "Rprop",
    "Rule",
]

# Attributes of the classes here that are no numbers.
_PARTS = ("rule", "rules", "dtype", "schedules", "gives_steps", "__orig_class__")
_OWN = f"{__package__}."
Pair = tuple[float, float]
Step = tuple[Any, Tensor]


class Elsewhere:
    """Names that optimisers have in other libraries: what to write here."""


tell(Elsewhere, RULE)


@dataclass(eq=False, repr=False)
class Rule(Told, Elsewhere):
    """What all rules share: hyper-parameters that are checked, and how they print.

    A rule of one's own needs no base class, only `init` and `apply`; the default ones here keep no state and
    subtract the gradient itself.

    >>> import oxiflux as flux
    >>> class Sign(flux.Rule):
    ...     def apply(self, state, x, dx):
    ...         return state, 0.1 * flux.sign(dx)
    >>> Sign()
    Sign()
    """

    kernel: ClassVar[str | None] = None
    # The hyper-parameters that decide what a state remembers, which was made by them.
    of_state: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        """A kernel does what the class says that names it, so it is not for one that says something else."""
        super().__init_subclass__(**options)
        if not {"init", "apply", "apply_all"}.isdisjoint(vars(cls)) and "kernel" not in vars(cls):
            cls.kernel = None

    def __setattr__(self, name: str, value: Any) -> None:
        """Hyper-parameters are checked, also when they are changed later; a misspelt one is an error."""
        field = type(self).__dataclass_fields__.get(name)
        if field is not None:
            # Such a number is in the range of every hyper-parameter that is one.
            if not (type(value) is float and 0.0 < value < 1.0 and field.type == "float"):
                value = _checked(type(self).__name__, name, value, field.type)
        elif type(self).__module__.startswith(_OWN) and not hasattr(type(self), name) and name not in _PARTS:
            raise AttributeError(
                unknown(f"{type(self).__name__} has no ", name, [f.name for f in fields(self)])
            )
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(repr(getattr(self, f.name)) for f in fields(self))})"

    def init(self, x: Tensor) -> Any:
        """The state of a parameter before the first step."""
        return None

    def apply(self, state: Any, x: Tensor, dx: Tensor) -> Step:
        """The state after a step, and what to subtract from `x`."""
        return state, dx


@dataclass(eq=False, repr=False)
class Descent(Rule):
    """Gradient descent: `x - eta * dx`.

    >>> Descent(0.3)
    Descent(0.3)
    """

    kernel: ClassVar[str] = "descent"
    eta: float = 0.1

    def apply(self, state: Any, x: Tensor, dx: Tensor) -> Step:
        return state, dx * self.eta


@dataclass(eq=False, repr=False)
class Momentum(Rule):
    """Descent with a velocity: `v = rho * v + eta * dx`, then `x - v`.

    >>> Momentum()
    Momentum(0.01, 0.9)
    """

    kernel: ClassVar[str] = "momentum"
    eta: float = 0.01
    rho: float = 0.9

    def init(self, x: Tensor) -> Any:
        return _core.zeros_like(x)

    def apply(self, state: Any, x: Tensor, dx: Tensor) -> Step:
        v = state * self.rho + dx * self.eta
        return v, v


@dataclass(eq=False, repr=False)
class Nesterov(Rule):
    """Momentum with a look ahead: `v' = rho * v - eta * dx`, then `x + rho * v' - eta * dx`.

    >>> Nesterov()
    Nesterov(0.001, 0.9)
    """

    kernel: ClassVar[str] = "nesterov"
    eta: float = 0.001
    rho: float = 0.9

    def init(self, x: Tensor) -> Any:
        return _core.zeros_like(x)

    def apply(self, state: Any, x: Tensor, dx: Tensor) -> Step:
        v = state * self.rho - dx * self.eta
        return v, dx * self.eta - v * self.rho


@dataclass(eq=False, repr=False, init=False)
class RMSProp(Rule):
    """Steps scaled by the root of the mean square: `q = rho * q + (1 - rho) * dx**2`, then
    `x - eta * dx / (sqrt(q) + eps)`.

    `centred` takes the variance `q - l**2` for `q`, with `l` the mean of `dx`; `centered` is the same, spelled as
    Optimisers.jl also takes it.

    >>> RMSProp()
    RMSProp(0.001, 0.9, 1e-08, False)
    """

    eta: float = 0.001
    rho: float = 0.9
    eps: float = 1e-8
    centred: bool = False

    of_state: ClassVar[tuple[str, ...]] = ("centred",)

    def __init__(
        self,
        eta: float = 0.001,
        rho: float = 0.9,
        eps: float = 1e-8,
        centred: bool = False,
        *,
        centered: bool = False,
    ) -> None:
        self.eta, self.rho, self.eps = eta, rho, eps
        self.centred = centred
        if _checked("RMSProp", "centered", centered, "bool"):
            self.centred = True

    @property
    def kernel(self) -> str:  # type: ignore[override]
        """The name of the fused kernel."""
        return "centred_rmsprop" if self.centred else "rmsprop"

    def init(self, x: Tensor) -> Any:
        return _core.zeros_like(x), _core.zeros_like(x) if self.centred else None

    def apply(self, state: Any, x: Tensor, dx: Tensor) -> Step:
        q, l = state  # noqa: E741
        q = q * self.rho + dx * dx * (1 - self.rho)
        if not self.centred:
            return (q, None), dx * self.eta / (sqrt(q) + self.eps)
        l = l * self.rho + dx * (1 - self.rho)  # noqa: E741
        # The variance is not negative, but its rounding may be.
        return (q, l), dx * self.eta / (sqrt(_core.maximum(q - l * l, 0.0)) + self.eps)


@dataclass(eq=False, repr=False)
class Rprop(Rule):
    """Steps by the sign alone: a parameter's step `h` grows by `ell[1]` while its gradient keeps its sign and
    shrinks by `ell[0]` when that changes, within `gamma`; then `x - h * sign(dx)`.

    >>> Rprop()
    Rprop(0.001, (0.5, 1.2), (1e-06, 50.0))
    """

    kernel: ClassVar[str] = "rprop"
    eta: float = 1e-3
    ell: Pair = (0.5, 1.2)
    gamma: Pair = (1e-6, 50.0)

    def init(self, x: Tensor) -> Any:
        return _core.zeros_like(x), _core.zeros_like(x) + self.eta

    def apply(self, state: Any, x: Tensor, dx: Tensor) -> Step:
        before, h = state
        agreement = before * dx
        grown, shrunk = (
            _core.minimum(h * self.ell[1], self.gamma[1]),
            _core.maximum(h * self.ell[0], self.gamma[0]),
        )
        h = _core.where(agreement > 0, grown, _core.where(agreement < 0, shrunk, h))
        dx = _core.where(agreement < 0, 0.0, dx)
        return (dx, h), h * _core.sign(dx)


@dataclass(eq=False, repr=False)
class Adam(Rule):
    """Adaptive moments: `m = beta[0] * m + (1 - beta[0]) * dx`, `v = beta[1] * v + (1 - beta[1]) * dx**2`, then
    `x - eta * m / (1 - beta[0]**t) / (sqrt(v / (1 - beta[1]**t)) + eps)` at step `t`.

    >>> Adam()
    Adam(0.001, (0.9, 0.999), 1e-08)
    """

    kernel: ClassVar[str] = "adam"
    eta: float = 0.001
    beta: Pair = (0.9, 0.999)
    eps: float = 1e-8

    def init(self, x: Tensor) -> Any:
        return _core.zeros_like(x), _core.zeros_like(x), self.beta

    def apply(self, state: Any, x: Tensor, dx: Tensor) -> Step:
        m, v, at = state
        m, v = _moments(self.beta, m, v, dx)
        return (m, v, _next(at, self.beta)), _corrected(m, v, at, self.eps) * self.eta


@dataclass(eq=False, repr=False)
class AdamW(Rule):
    """Adam with weight decay: `x - eta * (step + lambda_ * x)`, `step` being Adam's for a learning rate of 1, or
    `x - eta * step - lambda_ * x` unless `couple`.

    >>> AdamW(0.01, lambda_=0.1)
    AdamW(0.01, (0.9, 0.999), 0.1, 1e-08, True)
    """

    kernel: ClassVar[str] = "adamw"
    eta: float = 0.001
    beta: Pair = (0.9, 0.999)
    lambda_: float = 0.0
    eps: float = 1e-8
    couple: bool = True

    def init(self, x: Tensor) -> Any:
        return _core.zeros_like(x), _core.zeros_like(x), self.beta

    def apply(self, state: Any, x: Tensor, dx: Tensor) -> Step:
        m, v, at = state
        m, v = _moments(self.beta, m, v, dx)
        decay = self.eta * self.lambda_ if self.couple else self.lambda_
        return (m, v, _next(at, self.beta)), _corrected(m, v, at, self.eps) * self.eta + x * decay


@dataclass(eq=False, repr=False)
class RAdam(Rule):
    """Adam whose rate is rectified: with `limit = 2 / (1 - beta[1]) - 1` and
    `rho = limit - 2 * t * beta[1]**t / (1 - beta[1]**t)`, Adam's step times
    `sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho))`, and `eta * m / (1 - beta[0]**t)`
    while `rho <= 4`.

    >>> RAdam()
    RAdam(0.001, (0.9, 0.999), 1e-08)
    """

    kernel: ClassVar[str] = "radam"
    eta: float = 0.001
    beta: Pair = (0.9, 0.999)
    eps: float = 1e-8

    def init(self, x: Tensor) -> Any:
        return _core.zeros_like(x), _core.zeros_like(x), self.beta, 1

    def apply(self, state: Any, x: Tensor, dx: Tensor) -> Step:
        m, v, at, t = state
        m, v = _moments(self.beta, m, v, dx)
        limit = 2 / (1 - self.beta[1]) - 1
        rho = limit - 2 * t * at[1] / (1 - at[1])
        if rho > 4:
            rate = math.sqrt((rho - 4) * (rho - 2) * limit / ((limit - 4) * (limit - 2) * rho))
            step = _corrected(m, v, at, self.eps) * (rate * self.eta)
        else:
            step = m * (self.eta / (1 - at[0]))
        return (m, v, _next(at, self.beta), t + 1), step


@dataclass(eq=False, repr=False)
class AdaMax(Rule):
    """Adam with the largest gradient: `u = max(beta[1] * u, abs(dx))`, then
    `x - eta * m / (1 - beta[0]**t) / (u + eps)`.

    >>> AdaMax()
    AdaMax(0.001, (0.9, 0.999), 1e-08)
    """

    kernel: ClassVar[str] = "adamax"
    eta: float = 0.001
    beta: Pair = (0.9, 0.999)
    eps: float = 1e-8

    def init(self, x: Tensor) -> Any:
        return _core.zeros_like(x), _core.zeros_like(x), self.beta

    def apply(self, state: Any, x: Tensor, dx: Tensor) -> Step:
        m, u, at = state
        m = m * self.beta[0] + dx * (1 - self.beta[0])
        u = _core.maximum(u * self.beta[1], _core.abs(dx))
        return (m, u, _next(at, self.beta)), m * (self.eta / (1 - at[0])) / (u + self.eps)


@dataclass(eq=False, repr=False)
class OAdam(Rule):
    """Optimistic Adam: `x - (2 * step - before)`, with Adam's step and that of the time before.

    >>> OAdam()
    OAdam(0.001, (0.5, 0.9), 1e-08)
    """

    kernel: ClassVar[str] = "oadam"
    eta: float = 0.001
    beta: Pair = (0.5, 0.9)
    eps: float = 1e-8

    def init(self, x: Tensor) -> Any:
        return _core.zeros_like(x), _core.zeros_like(x), self.beta, _core.zeros_like(x)

    def apply(self, state: Any, x: Tensor, dx: Tensor) -> Step:
        m, v, at, before = state
        m, v = _moments(self.beta, m, v, dx)
        step = _corrected(m, v, at, self.eps) * self.eta
        return (m, v, _next(at, self.beta), step), step * 2 - before


@dataclass(eq=False, repr=False)
class AdaGrad(Rule):
    """Steps that shrink with all gradients so far: `a = a + dx**2` from `eps`, then
    `x - eta * dx / (sqrt(a) + eps)`.

    >>> AdaGrad()
    AdaGrad(0.1, 1e-08)
    """

    kernel: ClassVar[str] = "adagrad"
    eta: float = 0.1
    eps: float = 1e-8

    def init(self, x: Tensor) -> Any:
        return _core.zeros_like(x) + self.eps

    def apply(self, state: Any, x: Tensor, dx: Tensor) -> Step:
        a = state + dx * dx
        return a, dx * self.eta / (sqrt(a) + self.eps)


@dataclass(eq=False, repr=False)
class AdaDelta(Rule):
    """Steps without a learning rate: `a = rho * a + (1 - rho) * dx**2`,
    `step = dx * sqrt(d + eps) / sqrt(a + eps)`, `d = rho * d + (1 - rho) * step**2`, then `x - step`.

    >>> AdaDelta()
    AdaDelta(0.9, 1e-08)
    """

    kernel: ClassVar[str] = "adadelta"
    rho: float = 0.9
    eps: float = 1e-8

    def init(self, x: Tensor) -> Any:
        return _core.zeros_like(x), _core.zeros_like(x)

    def apply(self, state: Any, x: Tensor, dx: Tensor) -> Step:
        a, d = state
        a = a * self.rho + dx * dx * (1 - self.rho)
        step = dx * sqrt(d + self.eps) / sqrt(a + self.eps)
        return (a, d * self.rho + step * step * (1 - self.rho)), step


@dataclass(eq=False, repr=False)
class AMSGrad(Rule):
    """Adam without bias correction whose scale never falls: `w = max(w, v)`, all from `eps`, then
    `x - eta * m / (sqrt(w) + eps)`.

    >>> AMSGrad()
    AMSGrad(0.001, (0.9, 0.999), 1e-08)
    """

    kernel: ClassVar[str] = "amsgrad"
    eta: float = 0.001
    beta: Pair = (0.9, 0.999)
    eps: float = 1e-8

    def init(self, x: Tensor) -> Any:
        return tuple(_core.zeros_like(x) + self.eps for _ in range(3))

    def apply(self, state: Any, x: Tensor, dx: Tensor) -> Step:
        m, v, w = state
        m, v = _moments(self.beta, m, v, dx)
        w = _core.maximum(w, v)
        return (m, v, w), m * self.eta / (sqrt(w) + self.eps)


@dataclass(eq=False, repr=False)
class NAdam(Rule):
    """Adam with Nesterov's look ahead: `x - eta * ahead / (sqrt(v * beta[1] / (1 - beta[1]**t)) + eps)` where
    `ahead = beta[0] * m / (1 - beta[0]**(t + 1)) + (1 - beta[0]) * dx / (1 - beta[0]**t)`.

    >>> NAdam()
    NAdam(0.001, (0.9, 0.999), 1e-08)
    """

    kernel: ClassVar[str] = "nadam"
    eta: float = 0.001
    beta: Pair = (0.9, 0.999)
    eps: float = 1e-8

    def init(self, x: Tensor) -> Any:
        return _core.zeros_like(x), _core.zeros_like(x), self.beta

    def apply(self, state: Any, x: Tensor, dx: Tensor) -> Step:
        (m, v, at), (b1, b2) = state, self.beta
        m, v = _moments(self.beta, m, v, dx)
        ahead = m * (b1 / (1 - b1 * at[0])) + dx * ((1 - b1) / (1 - at[0]))
        return (m, v, _next(at, self.beta)), ahead * self.eta / (sqrt(v * (b2 / (1 - at[1]))) + self.eps)


@dataclass(eq=False, repr=False)
class AdaBelief(Rule):
    """Adam with the variance about the mean: `v = beta[1] * v + (1 - beta[1]) * (dx - m)**2 + eps`.

    >>> AdaBelief()
    AdaBelief(0.001, (0.9, 0.999), 1e-16)
    """

    kernel: ClassVar[str] = "adabelief"
    eta: float = 0.001
    beta: Pair = (0.9, 0.999)
    eps: float = 1e-16

    def init(self, x: Tensor) -> Any:
        return _core.zeros_like(x), _core.zeros_like(x), self.beta

    def apply(self, state: Any, x: Tensor, dx: Tensor) -> Step:
        m, v, at = state
        m = m * self.beta[0] + dx * (1 - self.beta[0])
        v = v * self.beta[1] + (dx - m) * (dx - m) * (1 - self.beta[1]) + self.eps
        return (m, v, _next(at, self.beta)), _corrected(m, v, at, self.eps) * self.eta


@dataclass(eq=False, repr=False)
class Lion(Rule):
    """Steps by the sign of a momentum: `m = beta[1] * dx + (1 - beta[1]) * m`, then
    `x - eta * sign((beta[1] - beta[0]) * dx + beta[0] * m)`.

    >>> Lion()
    Lion(0.001, (0.9, 0.999))
    """

    kernel: ClassVar[str] = "lion"
    eta: float = 0.001
    beta: Pair = (0.9, 0.999)

    def init(self, x: Tensor) -> Any:
        return _core.zeros_like(x)

    def apply(self, state: Any, x: Tensor, dx: Tensor) -> Step:
        b1, b2 = self.beta
        m = dx * b2 + state * (1 - b2)
        return m, _core.sign(dx * (b2 - b1) + m * b1) * self.eta


def _moments(beta: Pair, m: Tensor, v: Tensor, dx: Tensor) -> tuple[Tensor, Tensor]:
    """Moving averages of the gradient and of its square."""
    return m * beta[0] + dx * (1 - beta[0]), v * beta[1] + dx * dx * (1 - beta[1])


def _corrected(m: Tensor, v: Tensor, at: Pair, eps: float) -> Tensor:
    """The ratio of the moments, whose bias towards 0 is divided out."""
    return m / (1 - at[0]) / (sqrt(v / (1 - at[1])) + eps)


def _next(at: Pair, beta: Pair) -> Pair:
    """The powers of `beta` one step on."""
    return at[0] * beta[0], at[1] * beta[1]


# What a hyper-parameter may be: the words for an error, and the test.
_RANGES: dict[str, tuple[str, Callable[[float], bool]]] = {
    "rho": ("from 0 up to but not including 1", lambda v: 0 <= v < 1),
    "beta": ("from 0 up to but not including 1", lambda v: 0 <= v < 1),
    "p": ("positive", lambda v: v > 0),
    "delta": ("positive", lambda v: v > 0),
    "omega": ("positive", lambda v: v > 0),
}
_DEFAULT_RANGE: tuple[str, Callable[[float], bool]] = ("0 or more and finite", lambda v: 0 <= v < math.inf)


def _checked(rule: str, name: str, value: Any, kind: Any) -> Any:
    """A hyper-parameter as floats or a switch, or an error that names the rule and the value."""
    if kind in (int, "int"):
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise TypeError(f"{rule}: {name} must be a whole number, got {value!r}")
        return int(value)
    if kind in (bool, "bool"):
        if not isinstance(value, (bool, np.bool_)):
            raise TypeError(f"{rule}: {name} must be True or False, got {value!r}")
        return bool(value)
    if name in ("beta", "ell", "gamma"):
        if not isinstance(value, (tuple, list)) or len(value) != 2:
            raise TypeError(f"{rule}: {name} must be a pair of numbers, got {value!r}")
        return tuple(_checked_number(rule, name, v) for v in value)
    return _checked_number(rule, name, value)


def _checked_number(rule: str, name: str, value: Any) -> float:
    words, allowed = _RANGES.get(name, _DEFAULT_RANGE)
    try:
        if isinstance(value, (bool, np.bool_, str, bytes)):
            raise TypeError
        number: float = float(value)
    except (TypeError, ValueError):
        meet = f"; a rule meets its model in setup({rule}(), model)" if callable(value) else ""
        raise TypeError(f"{rule}: {name} must be a number, got {short(value)}{meet}") from None
    if not allowed(number):
        raise ValueError(f"{rule}: {name} must be {words}, got {value!r}")
    return number
