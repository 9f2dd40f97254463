"""A rule for gradients that each rank has of its own part of a batch."""

from __future__ import annotations

from typing import Any

from .. import _core
from .._core import Leaf, Tensor
from ..optimisers.modifiers import checked_rule
from ..optimisers.scheduler import own_of, with_hyper
from .gradients import Reducer
from .world import world

__all__ = ["DistributedOptimiser"]


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
        self._reducers: dict[Any, Reducer] = {}

    def __repr__(self) -> str:
        return f"DistributedOptimiser({self.rule!r}{'' if self.wire is None else f', wire={self.wire!r}'})"

    def __copy__(self) -> DistributedOptimiser:
        return DistributedOptimiser(self.rule, self.wire)

    def __deepcopy__(self, memo: Any) -> DistributedOptimiser:
        return self.__copy__()

    def __getstate__(self) -> dict[str, Any]:
        return {"rule": self.rule, "wire": self.wire, "_reducers": {}}

    def init(self, x: Tensor) -> Any:
        """The state of a parameter: that of the rule."""
        return self.rule.init(x)

    def adjusted(self, hyper: dict[str, Any], known: set[str]) -> DistributedOptimiser:
        """This rule with those hyper-parameters that the rule within it has; their names are added to `known`."""
        return DistributedOptimiser(with_hyper(self.rule, hyper, known), self.wire)

    def apply(self, state: Any, x: Tensor, dx: Any) -> tuple[Any, Any]:
        """One step for one parameter."""
        (state,), (dx,) = self.apply_all([state], [x], [dx])
        return state, dx

    def apply_all(self, states: list[Any], xs: list[Tensor], dxs: list[Any]) -> tuple[list[Any], list[Any]]:
        """The states and the new values of several parameters."""
        w = world("DistributedOptimiser")
        if w.comm is not None:
            key = tuple((x.shape, str(x.dtype)) for x in xs)
            if key not in self._reducers:
                names = [f"parameter {i}" for i in range(len(xs))]
                self._reducers[key] = Reducer(w, names, xs, self.wire)
            mine, total = w.share or (1, w.size)
            dxs, _ = self._reducers[key]("DistributedOptimiser", dxs, mine / total)
        leaves = [Leaf(self.rule, own_of(state)) for state in states]
        values = [_core.stop_gradient(x) for x in xs]
        if any(dx is not None for dx in dxs):
            _core.update(leaves, values, dxs)
        new = [None if dx is None else value for value, dx in zip(values, dxs, strict=True)]
        return [leaf.state for leaf in leaves], new
