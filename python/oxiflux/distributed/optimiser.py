"""A rule for gradients that each rank has of its own part of a batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from .. import _core
from .._core import Leaf, Tensor
from ..functors import show_path
from ..optimisers.modifiers import checked_rule
from ..optimisers.scheduler import own_of, with_hyper
from ..optimisers.state import are_fused, rules_within, with_inner
from .gradients import Reducer
from .world import world

__all__ = ["DistributedOptimiser"]


# The memory of each rule by the shapes and dtypes of its parameters; beside the rules, which files hold whole.
_REDUCERS: WeakKeyDictionary[DistributedOptimiser, dict[Any, Reducer]] = WeakKeyDictionary()


class DistributedOptimiser:
    """A rule that averages the gradients over all ranks and then does one step of `rule`, the same on each of them.

    It is for training loops of one's own; `fit(…, distributed=True)` needs none. The mean is weighted by the rows of
    each rank where the batch comes from `shared`, and plain otherwise. All gradients of a step go at once, and `rule`
    sees their mean, so that `ClipNorm` and `AccumGrad` do what they do in one process. With `wire="bfloat16"` numbers
    are sent as such, and summed in float32. It comes last: `DistributedOptimiser(OptimiserChain(ClipNorm(1.0),
    Adam()))`. Ref: Flux.jl, `DistributedUtils.DistributedOptimizer`.

    >>> import oxiflux as flux
    >>> _ = flux.distributed.initialize()
    >>> model = {"w": flux.tensor([1.0])}
    >>> state = flux.setup(flux.distributed.DistributedOptimiser(flux.Descent(0.5)), model)
    >>> flux.update(state, model, {"w": flux.tensor([1.0])})
    >>> model["w"].item(), state["w"].rule
    (0.5, DistributedOptimiser(Descent(0.5)))
    """

    # `apply_all` gives the new values, as the fused kernels of `rule` make them.
    replaces = True

    rule: Any

    def __init__(self, rule: Any, wire: str | None = None) -> None:
        self.rule = checked_rule("DistributedOptimiser", rule)
        if wire not in (None, "bfloat16"):
            raise ValueError(f"DistributedOptimiser: wire must be None or 'bfloat16', got {wire!r}")
        self.wire = wire

    def __repr__(self) -> str:
        return f"DistributedOptimiser({self.rule!r}{'' if self.wire is None else f', wire={self.wire!r}'})"

    def init(self, x: Tensor) -> Any:
        """The state of a parameter: that of the rule."""
        return self.rule.init(x)

    def adjusted(self, hyper: dict[str, Any], known: set[str]) -> DistributedOptimiser:
        """This rule with those hyper-parameters that the rule within it has; their names are added to `known`."""
        new = DistributedOptimiser(with_hyper(self.rule, hyper, known), self.wire)
        if self in _REDUCERS:
            _REDUCERS[new] = _REDUCERS[self]
        return new

    def apply(self, state: Any, x: Tensor, dx: Any) -> tuple[Any, Any]:
        """One step for one parameter."""
        (state,), (dx,) = self.apply_all([state], [x], [dx])
        return state, dx

    def apply_all(self, states: list[Any], xs: list[Tensor], dxs: list[Any]) -> tuple[list[Any], list[Any]]:
        """The states and the new values of several parameters, for rules around this one."""
        dxs = dxs if self._agreed is None else self._mean(None, xs, dxs)
        leaves = [Leaf(self.rule, own_of(state)) for state in states]
        values = [_core.stop_gradient(x) for x in xs]
        if any(dx is not None for dx in dxs):
            _core.update(leaves, values, dxs)
        new = [None if dx is None else value for value, dx in zip(values, dxs, strict=True)]
        return [leaf.state for leaf in leaves], new

    @property
    def _agreed(self) -> Any:
        """What gives the mean of the gradients of all ranks; None where there is but one. `update` asks for it, and
        then does the steps of `rule` in place.
        """
        return None if world("DistributedOptimiser").comm is None else self._mean

    def _mean(self, model: Any, xs: list[Tensor], dxs: list[Any]) -> list[Any]:
        w = world("DistributedOptimiser")
        reducers = _REDUCERS.setdefault(self, {})
        key = tuple((x.shape, x.dtype) for x in xs)
        reducer = reducers.get(key)
        if reducer is None:
            w.agree("rules", self)
            reducer = reducers[key] = Reducer(w, _names(model, xs), xs, self.wire)
            reducer.copies = not are_fused(with_inner([self.rule]))
        elif any(a is not b for a, b in zip(reducer.tensors, xs, strict=True)):
            reducer.rename(_names(model, xs), xs)
        mine, total = w.share or (1, w.size)
        return reducer("DistributedOptimiser", dxs, mine / total)[0]


def forget(state: Any) -> None:
    """Lets the rules of a state meet anew, as where some ranks have made them anew and others have not."""
    for rule in rules_within(state):
        if isinstance(rule, DistributedOptimiser):
            _REDUCERS.pop(rule, None)


def _names(model: Any, tensors: list[Tensor]) -> list[str]:
    """Where each tensor is in the model."""
    paths = {id(t): show_path(path) for path, t in _core.leaves(model)}
    return [paths.get(id(t), f"parameter {i}") for i, t in enumerate(tensors)]


def agreement(state: Any) -> Callable[[float, Any], tuple[float, Any]] | None:
    """What tells each rank of a loss that is not finite on one of them, so that all leave the step out; None where no
    rule of the state shares gradients among ranks.
    """
    if not any(isinstance(rule, DistributedOptimiser) for rule in rules_within(state)):
        return None
    w = world("DistributedOptimiser")

    def agreed(number: float, grads: Any) -> tuple[float, Any]:
        losses = w.meet("a step", number)[:, 0]
        strange = [float(x) for x in losses if not math.isfinite(x)]
        return (strange[0] if strange and math.isfinite(number) else number), grads

    return None if w.comm is None else agreed
