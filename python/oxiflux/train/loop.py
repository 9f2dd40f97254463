"""Training: a loss, a model, data and an optimiser's state, batch by batch."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal
from warnings import warn

from .. import _core
from ..optimisers import setup
from ..optimisers.state import match
from ..tree import Params
from .progress import Bar, length

__all__ = ["train", "trainstep", "trainstep_withgradient"]

OnNaN = Literal["raise", "skip"]


def train(
    loss: Callable[..., Any],
    model: Any,
    data: Iterable[Any],
    state: Any,
    *,
    callback: Callable[[Any], object] | None = None,
    on_nan: OnNaN = "raise",
    progress: bool | None = None,
) -> None:
    """One pass over `data`: for each batch `update(state, model, gradient(loss))`.

    Explicit style: `loss(model, *batch)` and `state = setup(rule, model)`. A batch that is a tuple is spread
    over the arguments of the loss, anything else is one argument. A loss may give a tuple whose first item is
    the number to reduce.

    Implicit style: with `params(model)` in the place of the model the loss is called with the batch only, and
    the last argument is the rule itself, which keeps its state from one call to the next.

    A loss that is not finite raises ValueError before anything is changed; with `on_nan="skip"` it is a warning, and
    its batch is left out. `callback` is called after each step with the value of the loss before it, and ends the pass
    by returning True: `losses.append` collects the losses, and `early_stopping` fits. `progress` shows a bar with tqdm;
    by default if it is installed and a person watches, in a terminal or a notebook. Ref: Flux.jl, `train!`.

    >>> import oxiflux as flux
    >>> model = {"w": flux.tensor([1.0, 2.0])}
    >>> loss = lambda m, x: ((m["w"] - x) ** 2).sum()
    >>> flux.train(loss, model, [[0.0, 0.0]] * 3, flux.setup(flux.Descent(0.25), model))
    >>> model["w"].tolist()
    [0.125, 0.25]
    >>> losses = []
    >>> flux.train(loss, model, [[0.0, 0.0]], flux.setup(flux.Descent(0.25), model), callback=losses.append)
    >>> losses
    [Tensor(0.078125)]
    """
    compute, model, state = prepared("train", loss, model, state)
    with Bar("train", progress, total=length(data), leave=False) as bar:
        for n, (value, _) in enumerate(each_step("train", compute, model, data, state, on_nan), 1):
            if n == bar.due:
                bar.show(n)
            if callback is not None and callback(value) is True:
                return


def each_step(
    caller: str,
    loss: Callable[..., Any],
    model: Any,
    batches: Iterable[Any],
    state: Any,
    on_nan: OnNaN,
    where: str = "",
) -> Iterator[tuple[Any, float]]:
    """A step for each batch: what the loss gave before it, and its value as a number."""
    if on_nan not in ("raise", "skip"):
        raise ValueError(f"{caller}: on_nan must be 'raise' or 'skip', got {on_nan!r}")
    withgradient, update, isfinite = _core.withgradient, _core.update, math.isfinite
    # One function for all steps reads the batch where the loop below puts it.
    batch: Any = ()
    compute = lambda m: loss(m, *batch)
    for i, batch in enumerate(batches, 1):
        if type(batch) is not tuple:
            batch = (batch,)
        value, (grads,) = withgradient(compute, model)
        number = float(value[0] if type(value) is tuple else value)
        if isfinite(number):
            update(state, model, grads)
            yield value, number
        elif on_nan == "raise":
            raise _not_finite(caller, number, f" at step {i}{where}")
        else:
            warn(f"{caller}: the loss is {number} at step {i}{where}; its batch is left out", stacklevel=3)


def trainstep(loss: Callable[..., Any], model: Any, batch: Any, state: Any) -> Any:
    """One step of `train` for one batch; the value of the loss before it.

    >>> import oxiflux as flux
    >>> model = {"w": flux.tensor([1.0, 2.0])}
    >>> state = flux.setup(flux.Descent(0.5), model)
    >>> flux.trainstep(lambda m, x: ((m["w"] - x) ** 2).sum(), model, [0.0, 0.0], state).item()
    5.0
    """
    return trainstep_withgradient(loss, model, batch, state)[0]


def trainstep_withgradient(loss: Callable[..., Any], model: Any, batch: Any, state: Any) -> tuple[Any, Any]:
    """One step of `train` for one batch; the value of the loss before it, and its gradient.

    >>> import oxiflux as flux
    >>> model = {"w": flux.tensor([1.0, 2.0])}
    >>> state = flux.setup(flux.Descent(0.5), model)
    >>> value, grads = flux.trainstep_withgradient(lambda m: (m["w"] ** 2).sum(), model, (), state)
    >>> grads["w"].tolist()
    [2.0, 4.0]
    """
    compute, model, state = prepared("trainstep", loss, model, state)
    args = batch if type(batch) is tuple else (batch,)
    value, (grads,) = _core.withgradient(lambda m: compute(m, *args), model)
    number = float(value[0] if type(value) is tuple else value)
    if not math.isfinite(number):
        raise _not_finite("trainstep", number)
    _core.update(state, model, grads)
    return value, grads


class _Parameters:
    """The tensors of a Params as a model.

    The gradient finds tensors that are attributes of an object wherever the loss uses them.
    """

    def __init__(self, params: Params) -> None:
        self.tensors = list(params)


# What rules that were given without a state keep: by the rule's id, then by the ids of the parameters. Weak, so
# that it goes with the rule.
_KEPT: dict[int, dict[tuple[int, ...], tuple[_Parameters, Any]]] = {}


def prepared(
    caller: str, loss: Callable[..., Any], model: Any, state: Any
) -> tuple[Callable[..., Any], Any, Any]:
    """The loss as a function of model and batch, the model and the state, in either style."""
    if isinstance(model, Params):
        parameters, state = _kept_by(state, model)
        return lambda _, *batch: loss(*batch), parameters, state
    if hasattr(state, "apply") and hasattr(state, "init"):
        raise TypeError(
            f"{caller}: {state!r} is a rule; give setup({state!r}, model), made once before training"
        )
    match(caller, state, model, "the model")
    return loss, model, state


def _kept_by(rule: Any, params: Params) -> tuple[_Parameters, Any]:
    if id(rule) not in _KEPT:
        setup(rule, _Parameters(params))  # an error, before anything is kept
        _KEPT[id(rule)] = {}
        weakref.finalize(rule, _KEPT.pop, id(rule), None)
    kept = _KEPT[id(rule)]
    key = tuple(map(id, params))
    if key not in kept:
        parameters = _Parameters(params)
        kept[key] = parameters, setup(rule, parameters)
    return kept[key]


def _not_finite(caller: str, number: float, where: str = "") -> ValueError:
    return ValueError(f"{caller}: the loss is {number}{where}; the model is as it was before this step")
