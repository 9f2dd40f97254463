"""Which learning rate suits: a short training with a rate that rises, after which all is as before."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import numpy as np

from .. import _core
from .._core import Leaf
from ..hints import Told, told
from ..optimisers import Adam, adjust
from ..optimisers.state import nodes_of
from .arguments import check, passes_of, state_of
from .batches import refuse_call, spread
from .best import give_back, is_number, short, weights_of
from .loop import steps_of

__all__ = ["RateCurve", "find_rate"]


class RateCurve(Told):
    """What `find_rate` found: the loss before each step, with the learning rate of the step.

    `suggestion` is the rate at which the loss, smoothed, falls fastest over the logarithm of the rate; NaN if it never
    falls. `plot()` draws the curve with matplotlib.

    >>> rates = [0.001, 0.01, 0.1, 1.0, 10.0]
    >>> RateCurve(rates, [2.0, 1.9, 1.0, 0.9, 5.0])
    RateCurve(5 steps, rates 0.001 to 10, suggestion 0.0316)
    """

    rates: list[float]
    losses: list[float]

    def __init__(self, rates: list[float], losses: list[float]) -> None:
        self.rates, self.losses = rates, losses

    @property
    def smoothed(self) -> list[float]:
        """The losses as means of neighbours, in a window of a twentieth of all."""
        half = len(self.losses) // 40
        return [float(np.mean(self.losses[max(0, i - half) : i + half + 1])) for i in range(len(self.losses))]

    @property
    def suggestion(self) -> float:
        """The rate at which the loss falls fastest."""
        if len(self.rates) < 2:
            return math.nan
        at, losses = np.log(self.rates), np.array(self.smoothed)
        # What comes after the lowest loss is the way up again.
        slopes = np.diff(losses) / np.diff(at)
        slopes = slopes[: max(1, int(losses.argmin()))]
        best = int(slopes.argmin())
        return float(np.exp((at[best] + at[best + 1]) / 2)) if slopes[best] < 0 else math.nan

    def __repr__(self) -> str:
        if not self.rates:
            return "RateCurve(0 steps)"
        ends = f"rates {self.rates[0]:.3g} to {self.rates[-1]:.3g}"
        return f"RateCurve({len(self.rates)} steps, {ends}, suggestion {self.suggestion:.3g})"

    def plot(self, ax: Any = None) -> Any:
        """Draws the losses over the rates, with the suggestion, and returns matplotlib's axes."""
        try:
            import matplotlib.pyplot as plt
        except ImportError:
            raise ImportError("RateCurve.plot needs matplotlib: pip install 'oxiflux[train]'") from None
        ax = ax or plt.subplots(layout="constrained")[1]
        ax.plot(self.rates, self.losses, alpha=0.3, label="loss")
        ax.plot(self.rates, self.smoothed, label="smoothed")
        if math.isfinite(self.suggestion):
            ax.axvline(self.suggestion, linestyle="--", color="gray", label=f"{self.suggestion:.2g}")
        ax.set_xscale("log")
        ax.set_xlabel("learning rate")
        ax.legend()
        ax.grid(alpha=0.3)
        return ax


@told
def find_rate(
    loss: Callable[..., Any],
    model: Any,
    data: Iterable[Any],
    rule: Any = None,
    *,
    low: float = 1e-6,
    high: float = 1.0,
    steps: int = 100,
    diverged: float = 4.0,
) -> RateCurve:
    """Trains for up to `steps` with a learning rate that rises from `low` to `high` by the same factor each time, puts
    everything back, and returns the losses over the rates.

    Loss, model, data and rule are those of `fit`; without a rule it is `Adam()`. It ends early where the loss is not
    finite, or where the mean of the last ones is more than `diverged` times the median of all. Afterwards the model
    with its running statistics and modes, the state of an optimiser that was given, the default generator and the
    place of a DataLoader are as they were; data that last for one pass have been read. Ref: Smith, "Cyclical learning
    rates for training neural networks", 2017.

    >>> import oxiflux as flux
    >>> flux.seed(0)
    >>> x = flux.randn(64, 2)
    >>> data = flux.DataLoader((x, x.sum(axis=1, keepdims=True)), 16, shuffle=True)
    >>> model = flux.Dense(2, 1)
    >>> before = model.weight.tolist()
    >>> curve = flux.find_rate(lambda m, x, y: flux.mse(m(x), y), model, data, flux.Adam())
    >>> 1e-4 < curve.suggestion < 1, model.weight.tolist() == before
    (True, True)
    """
    check("find_rate", loss, model, data, 1, steps, None, False)
    if not is_number(low) or not is_number(high) or not 0 < low < high < math.inf:
        raise ValueError(
            f"find_rate: rates must rise from low to high above 0, got {short(low)} and {short(high)}"
        )
    if not is_number(diverged) or not diverged > 1:
        raise ValueError(f"find_rate: diverged must be above 1, got {short(diverged)}")
    own = rule is not None and not (hasattr(rule, "init") and hasattr(rule, "apply"))
    state = state_of("find_rate", model, Adam() if rule is None else rule)
    step_once = steps_of("find_rate", model, state)
    kept = _Kept(model, state if own else None, data)
    rates = np.geomspace(low, high, steps).tolist()
    curve = RateCurve([], [])
    recent = math.nan
    try:
        passes = passes_of("find_rate", data, steps)
        try:
            for rate, batch in zip(rates, islice(next(passes), steps), strict=False):
                adjust(state, rate)
                value = _step(loss, step_once, batch)
                # The mean of the last losses, of which a single one says little.
                recent = value if math.isnan(recent) else 0.9 * recent + 0.1 * value
                curve.losses.append(value)
                if not math.isfinite(value) or recent > diverged * float(np.median(curve.losses)):
                    curve.losses.pop()
                    break
                curve.rates.append(rate)
        finally:
            passes.close()
    finally:
        kept.put_back()
    return curve


def _step(loss: Callable[..., Any], step_once: _core.Steps, batch: Any) -> float:
    """A step; its loss, or NaN if it was not done."""
    args = spread(batch, loss)
    try:
        _, number, _, outcome = step_once(lambda m: loss(m, *args))
    except TypeError:
        refuse_call("find_rate", loss, args)
        raise
    if outcome == "constant":
        raise TypeError("find_rate: the loss does not depend on any parameter of the model that has a rule")
    return number if outcome == "done" else math.nan


class _Kept:
    """A model, a state and the place of data as they are, to go back to."""

    def __init__(self, model: Any, state: Any, data: Any) -> None:
        self.model, self.data = model, data
        self.weights, self.objects = weights_of(model), _core.Snapshot(model, state)
        leaves = [] if state is None else [x for x in (state, *nodes_of(state)) if isinstance(x, Leaf)]
        # Rules change what they keep in place, so that it is copied.
        self.leaves = [(leaf, leaf.rule, _copied(leaf.state), leaf.frozen) for leaf in leaves]
        self.place = data.state() if hasattr(data, "load_state") and hasattr(data, "state") else None
        self.generator = _core.default_generator().get_state()

    def put_back(self) -> None:
        self.objects.put_back()
        give_back("find_rate", self.model, self.weights)
        for leaf, rule, state, frozen in self.leaves:
            leaf.rule, leaf.state, leaf.frozen = rule, state, frozen
        if self.place is not None:
            self.data.load_state(self.place)
        _core.default_generator().set_state(self.generator)


def _copied(state: Any) -> Any:
    if isinstance(state, _core.Tensor):
        return _core.stop_gradient(state)
    if isinstance(state, (tuple, list)) and type(state) in (tuple, list):
        return type(state)(map(_copied, state))
    return {key: _copied(x) for key, x in state.items()} if type(state) is dict else state
