"""Callbacks of `fit`: functions that get the row of each epoch, and objects with hooks that see the whole run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from ..data.guarded import guarded
from ..files.checkpoints import keeps_its_place
from ..hints import Told, unknown
from .answers import ends
from .history import History

__all__ = ["HOOKS", "Callback", "Callbacks", "Run", "Stand"]

HOOKS = ("on_train_begin", "on_epoch_begin", "on_step_end", "on_epoch_end", "on_train_end")


class Run(Told):
    """A training as it is at the moment: what `fit` gives to the hooks of a callback.

    `model`, `state` (the optimiser's), `data` and `epochs` are what `fit` was given; `epoch` and `step` count from 1,
    and are 0 before the first; `history` has the rows so far. After a step `batch` are the arguments that the loss had
    beside the model, `value` is the loss before the step, and `gradients` is the tree of its gradients. `row` is that
    of the epoch, once it is known.

    >>> import oxiflux as flux
    >>> steps = []
    >>> class Steps(flux.Callback):
    ...     def on_step_end(self, run: flux.Run) -> None:
    ...         steps.append((run.epoch, run.step, run.value))
    >>> model = {"w": flux.tensor([1.0])}
    >>> loss = lambda m, x: ((m["w"] - x) ** 2).sum()
    >>> _ = flux.fit(loss, model, [[0.0], [0.0]], flux.Descent(0.25), callbacks=Steps())
    >>> steps
    [(1, 1, 1.0), (1, 2, 0.25)]
    """

    model: Any
    state: Any
    data: Any
    history: History
    epochs: int
    epoch: int
    is_stopped: bool

    def __init__(self, model: Any, state: Any, data: Any, history: History, epochs: int) -> None:
        if not isinstance(history, History):
            raise TypeError(f"Run: history must be a History, got a {type(history).__name__}")
        self.model, self.state, self.data, self.history, self.epochs = model, state, data, history, epochs
        self.epoch = len(history)
        self.step: int = int(history[-1]["step"]) if history else 0
        self.batch: tuple[Any, ...] = ()
        self.value: float | None = None
        self.gradients: Any = None
        self.row: dict[str, Any] | None = None
        self.is_stopped = False
        # Of several processes only one writes files.
        self.writes = True
        self._logged: dict[str, list[float]] = {}

    def begin(self, epoch: int) -> None:
        """The epoch that begins, without a row yet."""
        self.epoch, self.row = epoch, None

    def stop(self) -> None:
        """Ends the training after the hook, as True from it does."""
        self.is_stopped = True

    def log(self, name: str, number: float) -> None:
        """Puts a number into the row of this epoch: the mean of all that are given before the row is there."""
        number = float(number)
        if self.row is not None:
            # The time stays the last column.
            seconds = self.row.pop("seconds", None)
            self.row[name] = number
            self.row |= {} if seconds is None else {"seconds": seconds}
        else:
            self._logged.setdefault(name, []).append(number)

    def logged(self) -> dict[str, float]:
        """The means of what was logged since the last call."""
        found = {name: sum(numbers) / len(numbers) for name, numbers in self._logged.items()}
        self._logged = {}
        return found


class Callback(Told):
    """Base of callbacks with hooks, none of which does anything here: `on_train_begin`, `on_epoch_begin`,
    `on_step_end`, `on_epoch_end`, `on_train_end`. Each is called with a `Run`, and ends the training by returning
    True.

    Any object with one of these methods is a callback of `fit`, whether it has this base or not. One with methods
    `state()` and `load_state(state)` is resumed from a checkpoint: `state` gives plain data and tensors. When a run is
    interrupted `on_train_end` is called too, and `run.history.interrupted` is True. An error in a hook has a note with
    the name of the callback.

    >>> import oxiflux as flux
    >>> class Halve(flux.Callback):
    ...     def on_epoch_end(self, run: flux.Run) -> None:
    ...         flux.adjust(run.state, run.state["w"].rule.eta / 2)
    >>> model = {"w": flux.tensor([1.0])}
    >>> state = flux.setup(flux.Descent(0.4), model)
    >>> loss = lambda m, x: ((m["w"] - x) ** 2).sum()
    >>> _ = flux.fit(loss, model, [[0.0]], state, epochs=2, callbacks=Halve())
    >>> state["w"]
    Leaf(Descent(0.1), None)
    """

    def on_train_begin(self, run: Run) -> bool | None:
        """Before the first epoch, also of a run that is resumed."""

    def on_epoch_begin(self, run: Run) -> bool | None:
        """Before the first batch of an epoch is taken."""

    def on_step_end(self, run: Run) -> bool | None:
        """After each step."""

    def on_epoch_end(self, run: Run) -> bool | None:
        """When the row of an epoch is there, in `run.row`."""

    def on_train_end(self, run: Run) -> bool | None:
        """After the last epoch."""


class Stand(Callback):
    """A callback whose weights stand in the place of the model's while it is measured and looked at."""

    def standing(self, run: Run) -> AbstractContextManager[None]:
        """The time in which they do."""
        raise NotImplementedError


class Callbacks:
    """The callbacks, and whether one of them has ended the training."""

    all: list[Any]
    by_hook: dict[str, list[Any]]
    ended: bool
    stands: list[Stand]
    sees_steps: bool

    def __init__(self, given: Any) -> None:
        self.all = _listed(given)
        self.ended = False
        self.by_hook = {hook: [c for c in self.all if _has(c, hook)] for hook in HOOKS}
        # What stands in for the model at its end comes first, so that others see it.
        self.by_hook["on_train_end"].sort(key=lambda c: not isinstance(c, Stand))
        self.stands = [c for c in self.all if isinstance(c, Stand)]
        if len(self.stands) > 1:
            names = " and ".join(map(_name, self.stands))
            raise ValueError(f"fit: callbacks {names} average the weights; only one can")
        self.sees_steps = bool(self.by_hook["on_step_end"])

    def call(self, hook: str, run: Run) -> None:
        """Calls a hook of all callbacks."""
        for callback in self.by_hook[hook]:
            self._heed(callback, f"{_name(callback)}.{hook}", getattr(callback, hook), run, run)
        if run.is_stopped:
            self.ended = True

    def at_row(self, run: Run) -> None:
        """Calls those that are functions with the row, the others with the run, in their order."""
        for callback in self.all:
            if _has(callback, "on_epoch_end"):
                self._heed(callback, f"{_name(callback)}.on_epoch_end", callback.on_epoch_end, run, run)
            if callable(callback):
                self._heed(callback, _name(callback), callback, run.row, run)
        if run.is_stopped:
            self.ended = True

    def _heed(self, callback: Any, name: str, f: Callable[..., Any], given: Any, run: Run) -> None:
        try:
            answer = guarded(f"fit: the callback {name}", f, given)
        except Exception as error:
            error.add_note(f"fit: raised by the callback {name} in epoch {run.epoch}")
            raise
        if ends(answer):
            self.ended = True

    @contextmanager
    def standing(self, run: Run) -> Iterator[None]:
        """The time in which averages stand in the place of the weights, if there are any."""
        with ExitStack() as stack:
            for stand in self.stands:
                stack.enter_context(stand.standing(run))
            yield

    def state(self) -> dict[str, Any]:
        """The places of those that have one, for a checkpoint."""
        places = [c.state() if keeps_its_place(c) else None for c in self.all]
        return {"ended": self.ended, "places": places, "kinds": [type(c).__name__ for c in self.all]}

    def load_state(self, state: dict[str, Any]) -> None:
        """Goes to places that `state` gave; callbacks that are new begin anew."""
        self.ended = state["ended"] and bool(self.all)
        kinds = state.get("kinds") or [type(c).__name__ for c in self.all]
        for callback, place, kind in zip(self.all, state["places"], kinds, strict=False):
            if place is not None and keeps_its_place(callback) and type(callback).__name__ == kind:
                callback.load_state(place)


def _listed(given: Any) -> list[Any]:
    """One callback or several, each of which must be one."""
    is_one = callable(given) or isinstance(given, str) or not isinstance(given, Iterable)
    several = [given] if is_one or any(_has(given, hook) for hook in HOOKS) else list(given)
    for callback in several:
        if isinstance(callback, type):
            raise TypeError(
                f"fit: {callback.__name__} is no callback, but a class; make one: {callback.__name__}(…)"
            )
        is_hooked = isinstance(callback, Callback) or any(_has(callback, hook) for hook in HOOKS)
        if not is_hooked and not callable(callback):
            raise TypeError(f"fit: callbacks must be functions or objects with hooks, got {callback!r}")
        for name in dir(type(callback)):
            if name.startswith("on_") and name not in HOOKS and is_hooked:
                text = unknown(f"{type(callback).__name__} has the hook ", name, HOOKS)
                raise TypeError(f"fit: {text}; the hooks are {', '.join(HOOKS)}")
    return several


def _has(callback: Any, hook: str) -> bool:
    """Whether a callback does anything at a hook."""
    own = getattr(type(callback), hook, None) or getattr(callback, hook, None)
    return callable(own) and own is not getattr(Callback, hook)


def _name(callback: Any) -> str:
    """The name of a function or of the class of an object."""
    name = getattr(callback, "__qualname__", None) or getattr(callback, "__name__", None)
    return str(name or type(callback).__name__).replace("<locals>.", "")
