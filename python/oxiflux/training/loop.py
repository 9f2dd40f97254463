"""Training: a loss, a model, data and an optimiser's state, batch by batch."""

from __future__ import annotations

import copy
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from types import FunctionType
from typing import TYPE_CHECKING, Any, Literal
from warnings import warn

from .. import _core
from .._core import Tensor
from ..compiled import captured
from ..data.guarded import guarded
from ..functors import show_path
from ..hints import told
from ..optimisers import setup
from ..tree import Params
from .answers import ends
from .batches import batches_of, refuse_call, spread, started
from .progress import Bar, length

if TYPE_CHECKING:
    from ..typing import HasApply, State

__all__ = ["train", "trainstep", "trainstep_withgradient"]

OnNaN = Literal["raise", "skip"]
# What `_core.Steps` makes of a function of the model.
Step = Callable[..., tuple[Any, float, Any, str]]


@told
def train(
    loss: Callable[..., Any],
    model: Any,
    data: Iterable[Any],
    state: State | HasApply,
    *,
    callback: Callable[[Any], object] | None = None,
    on_nan: OnNaN = "raise",
    compile: bool = False,
    progress: bool | None = None,
) -> None:
    """One pass over `data`: for each batch `update(state, model, gradient(loss))`.

    Explicit style: `loss(model, *batch)` and `state = setup(rule, model)`. A batch that is a tuple is spread
    over the arguments of the loss, and so is a list of arrays if the loss takes them; anything else is one argument. A
    loss may give a tuple whose first item is the number to reduce.

    Implicit style: with `params(model)` in the place of the model the loss is called with the batch only, and
    the last argument is the rule itself, which keeps its state from one call to the next.

    A loss or a gradient that is not finite raises ValueError, and the model is as before the step; with
    `on_nan="skip"` it is a warning, and the batch is left out. So it is with any error in a step. Put back are all
    tensors that the loss has assigned to, and what it has changed in the model's attributes, lists, dicts, sets,
    deques and arrays of up to 16 MiB, and in what these hold, if that is not more than 65,536 items. Random numbers
    that were drawn stay drawn. A loss that does not depend on any parameter, because it ends in `item()` or goes
    through NumPy, raises TypeError.

    With `compile=True` the loss and its gradient are captured and done again without their Python code, as
    `flux.compile` does it, to the same bits; what a loss prints or counts is then not repeated.

    `callback` is called after each step with the value of the loss before it, and ends the pass by returning True:
    `losses.append` collects the losses, and `early_stopping` fits. `progress` shows a bar with tqdm; by default if it
    is installed and a person watches, in a terminal or a notebook. Ref: Flux.jl, `train!`, which puts the model into
    training mode; here a model that is in test mode as a whole, by `testmode`, stays there and is a warning.

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
    compute, step = prepared("train", loss, model, state)
    again = done_again("train", compute) if compile else None
    with Bar("train", progress, total=length(data), leave=False) as bar:
        for n, (value, *_) in enumerate(each_step("train", compute, step, data, on_nan, again=again), 1):
            if n == bar.due:
                bar.show(n)
            if callback is not None and ends(guarded("train: the callback", callback, value)):
                return


def each_step(
    caller: str,
    loss: Callable[..., Any],
    step: Step,
    batches: Iterable[Any],
    on_nan: OnNaN,
    where: str = "",
    again: _core.compiled | None = None,
) -> Iterator[tuple[Any, float, tuple[Any, ...], Any]]:
    """A step for each batch: what the loss gave before it, its value as a number, the batch, and the gradients."""
    if on_nan not in ("raise", "skip"):
        raise ValueError(f"{caller}: on_nan must be 'raise' or 'skip', got {on_nan!r}")
    # One function for all steps reads the batch where the loop below puts it.
    batch: Any = ()
    compute = lambda m: loss(m, *batch)
    for i, batch in enumerate(started(caller, batches_of(batches)), 1):
        if type(batch) is not tuple:
            batch = spread(batch, loss)
        try:
            value, number, grads, outcome = guarded(
                f"{caller}: the loss", step, compute, *(() if again is None else (None, again, batch))
            )
        except TypeError:
            refuse_call(caller, loss, batch)
            raise
        if outcome == "done":
            yield value, number, batch, grads
            continue
        reason = _reason(value, number, grads, outcome)
        if outcome == "constant":
            raise TypeError(f"{caller}: {reason}")
        if on_nan == "raise":
            raise ValueError(
                f"{caller}: {reason} at step {i}{where}; the model is as it was before this step"
            )
        warn(f"{caller}: {reason} at step {i}{where}; its batch is left out", stacklevel=3)


def done_again(caller: str, loss: Callable[..., Any]) -> _core.compiled:
    """The loss of a model and a batch with its gradient, compiled."""

    def withgradient(model: Any, batch: tuple[Any, ...]) -> Any:
        return _core.withgradient(lambda m: loss(m, *batch), model)

    return captured(withgradient, f"{caller}: the loss")


@told
def trainstep(loss: Callable[..., Any], model: Any, batch: Any, state: State) -> Any:
    """One step of `train` for one batch; the value of the loss before it.

    >>> import oxiflux as flux
    >>> model = {"w": flux.tensor([1.0, 2.0])}
    >>> state = flux.setup(flux.Descent(0.5), model)
    >>> flux.trainstep(lambda m, x: ((m["w"] - x) ** 2).sum(), model, [0.0, 0.0], state).item()
    5.0
    """
    return _one_step(loss, model, batch, state)[0]


@told
def trainstep_withgradient(loss: Callable[..., Any], model: Any, batch: Any, state: State) -> tuple[Any, Any]:
    """One step of `train` for one batch; the value of the loss before it, and its gradient.

    >>> import oxiflux as flux
    >>> model = {"w": flux.tensor([1.0, 2.0])}
    >>> state = flux.setup(flux.Descent(0.5), model)
    >>> value, grads = flux.trainstep_withgradient(lambda m: (m["w"] ** 2).sum(), model, (), state)
    >>> grads["w"].tolist()
    [2.0, 4.0]
    """
    return _one_step(loss, model, batch, state)


def _one_step(loss: Callable[..., Any], model: Any, batch: Any, state: State) -> tuple[Any, Any]:
    compute, step = prepared("trainstep", loss, model, state)
    args = spread(batch, compute)
    try:
        value, number, grads, outcome = guarded("trainstep: the loss", step, lambda m: compute(m, *args))
    except TypeError:
        refuse_call("trainstep", compute, args)
        raise
    if outcome != "done":
        reason = _reason(value, number, grads, outcome)
        if outcome == "constant":
            raise TypeError(f"trainstep: {reason}")
        raise ValueError(f"trainstep: {reason}; the model is as it was before this step")
    return value, grads


def _reason(value: Any, number: float, grads: Any, outcome: str) -> str:
    """Why a step was not done."""
    if outcome == "loss":
        return f"the loss is {number}"
    if outcome == "gradient":
        for path, grad in _core.leaves(grads):
            if not _core.isfinite(grad).all():
                kind = "NaN" if _core.isnan(grad).any() else "infinities"
                return f"the loss is {number}, but its gradient has {kind} at {show_path(path)}"
        return f"the loss is {number}, but the gradient of another rank is not finite"
    loss = value[0] if type(value) is tuple else value
    if isinstance(loss, Tensor):
        why = (
            "it is made of other tensors, such as another model's, or of values that were taken out by numpy(), "
            "item(), float() or stop_gradient()"
        )
    else:
        why = (
            f"it is a {type(loss).__name__}; leave out item(), float() or numpy() and give the tensor itself"
        )
    return f"nothing to train: the loss does not depend on any parameter of the model that has a rule: {why}"


def steps_of(caller: str, model: Any, state: Any, beside: Any = ()) -> _core.Steps:
    """The steps of a training, with a warning if all layers that have a mode are in test mode, where nobody trains on
    purpose.
    """
    # A single step follows at once; in a loop the data come between.
    step = _core.Steps(caller, model, state, beside, caller == "trainstep")
    if step.in_test_mode:
        warn(
            f"{caller}: the model is in test mode: dropout does nothing and running statistics stay as they are; "
            "testmode(model, None) lets its layers tell training by themselves",
            stacklevel=_depth_of_user(),
        )
    return step


def among_ranks(steps: _core.Steps, state: Any) -> Step:
    """The steps; those of ranks whose rule shares their gradients are done by all of them or by none."""
    # Whoever has such a rule has imported it.
    module = sys.modules.get("oxiflux.distributed.optimiser")
    agreed = None if module is None else module.agreement(state)
    return steps if agreed is None else lambda compute, _=None, *again: steps(compute, agreed, *again)


def _depth_of_user() -> int:
    """How far outside this package the call comes from, counted from who asks."""
    frame, depth = sys._getframe(1), 1
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).startswith("oxiflux."):
        frame, depth = frame.f_back, depth + 1
    return depth


class _Parameters:
    """The tensors of a Params as a model.

    The gradient finds tensors that are attributes of an object wherever the loss uses them.
    """

    def __init__(self, params: Params) -> None:
        self.tensors = list(params)


# What rules that were given without a state keep: by the rule's id, then by the ids of the parameters, which it holds.
# The states refer to a copy of the rule, so that an entry can go when the rule does.
_KEPT: dict[int, tuple[Any, dict[tuple[int, ...], tuple[_Parameters, Any]], Any]] = {}


def prepared(caller: str, loss: Any, model: Any, state: Any) -> tuple[Callable[..., Any], Step]:
    """The loss as a function of model and batch, and the steps that train with it, in either style."""
    if not callable(loss) or (isinstance(model, FunctionType) and not isinstance(loss, FunctionType)):
        if callable(model) and _core.leaves(loss):
            raise TypeError(f"{caller}: the loss comes before the model: {caller}(loss, model, …)")
        if not callable(loss):
            raise TypeError(f"{caller}: the loss must be a function of the model and a batch, got {loss!r}")
    if isinstance(model, Params):
        parameters, state = _kept_by(state, model)
        # The loss may change more of the models than the parameters.
        steps = steps_of(caller, parameters, state, model.models)
        return lambda _, *batch: loss(*batch), among_ranks(steps, state)
    if hasattr(state, "apply") and hasattr(state, "init"):
        raise TypeError(
            f"{caller}: {state!r} is a rule; give setup({state!r}, model), made once before training"
        )
    return loss, among_ranks(steps_of(caller, model, state), state)


def _kept_by(rule: Any, params: Params) -> tuple[_Parameters, Any]:
    if id(rule) not in _KEPT:
        own = copy.copy(rule)
        setup(own, _Parameters(params))  # an error, before anything is kept
        held = None
        try:
            weakref.finalize(rule, _KEPT.pop, id(rule), None)
        except TypeError:
            held = (
                rule  # Its class has slots and no weak references: it stays, so that its id is not another's.
            )
        _KEPT[id(rule)] = own, {}, held
    own, kept, _ = _KEPT[id(rule)]
    for name, value in _core.children(rule) or ():
        object.__setattr__(own, name, value)  # hyper-parameters may have been changed since
    key = tuple(map(id, params))
    if key not in kept:
        parameters = _Parameters(params)
        kept[key] = parameters, setup(own, parameters)
    return kept[key]
