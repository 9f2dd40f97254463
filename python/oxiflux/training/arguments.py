"""What `fit` is given: checked, and made into what its loop needs."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack
from itertools import chain, count, islice
from types import FunctionType
from typing import Any

from .. import _core
from .._core import Leaf
from ..data.guarded import guarded
from ..optimisers import Scheduler, adjust, setup
from ..optimisers.state import nodes_of, rules_within
from ..tree import Params
from .batches import batches_of, started

__all__ = [
    "Pace",
    "check",
    "passes_of",
    "state_of",
    "writer_of",
]

Function = Callable[..., Any]


def check(
    caller: str, loss: Any, model: Any, data: Any, epochs: Any, steps: Any, checkpoint: Any, resume: bool
) -> None:
    """Raises for what cannot be right, before anything is done."""
    if callable(model) and _core.leaves(loss) and (not callable(loss) or isinstance(model, FunctionType)):
        raise TypeError(f"{caller}: the loss comes before the model: {caller}(loss, model, …)")
    if not callable(loss):
        raise TypeError(f"{caller}: the loss must be a function of the model and a batch, got {loss!r}")
    for name, number, least in (("epochs", epochs, 0), ("steps", 1 if steps is None else steps, 1)):
        if isinstance(number, bool) or not hasattr(number, "__index__"):
            raise TypeError(f"{caller}: {name} must be a whole number, got {number!r}")
        if number < least:
            raise ValueError(f"{caller}: {name} must be at least {least}, got {number}")
    if not isinstance(checkpoint, (str, os.PathLike, type(None))):
        raise TypeError(f"{caller}: checkpoint must be a path, got {checkpoint!r}")
    if resume and checkpoint is None:
        raise ValueError("fit: resume=True goes on from a checkpoint; give checkpoint=path")
    if isinstance(data, (tuple, Mapping, str)) or hasattr(data, "shape"):
        raise TypeError(
            f"{caller}: the data must be batches, got a {type(data).__name__}; "
            "DataLoader(data, 32, shuffle=True) makes batches of it, [data] a single one"
        )
    if not hasattr(data, "__iter__") and not hasattr(data, "__getitem__"):
        raise TypeError(f"{caller}: the data must be batches, got a {type(data).__name__}")


def state_of(caller: str, model: Any, rule: Any) -> Any:
    """The state that is given, or that of a rule."""
    if isinstance(model, Params):
        raise TypeError(
            f"{caller}: params(model) is for train; give the model itself, and loss(model, *batch)"
        )
    if hasattr(rule, "init") and hasattr(rule, "apply"):
        return setup(rule, model)
    if not isinstance(rule, Leaf) and not any(isinstance(x, Leaf) for x in nodes_of(rule)):
        raise TypeError(f"{caller}: {rule!r} is neither a rule nor a state that setup(rule, model) made")
    return rule


def passes_of(caller: str, data: Any, steps: int | None) -> Generator[Iterable[Any], None, None]:
    """The batches of each epoch, without end."""
    passes = _whole_passes(caller, data)
    try:
        if steps is None:
            yield from passes
        stream = chain.from_iterable(passes)
        while True:
            yield islice(stream, steps)
    finally:
        passes.close()


def _whole_passes(caller: str, data: Any) -> Generator[Iterable[Any], None, None]:
    for n in count(1):
        batches = started(caller, batches_of(data))
        try:
            first = next(batches)
        except StopIteration:
            advice = {
                "fit": "; a generator lasts for one, which steps= cuts into epochs",
                "find_rate": "; a generator lasts for one: give a list or a DataLoader, or steps= as many as it has",
            }
            again = advice[caller] if n > 1 else ""
            raise ValueError(f"{caller}: the data has no batches in pass {n}{again}") from None
        try:
            yield chain([first], batches)
        finally:
            # The traceback of an error may outlive the training by far: workers shall not.
            if batches is not data and hasattr(batches, "close"):
                batches.close()


def writer_of(log: Any, stack: ExitStack) -> Any:
    """What writes the rows down, if anything."""
    if log is None or hasattr(log, "add_scalar"):
        return log
    if not isinstance(log, (str, os.PathLike)):
        raise TypeError(f"fit: log must be a path or have add_scalar(name, value, step), got {log!r}")
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise ImportError("fit: a path for log needs tensorboardX: pip install 'oxiflux[train]'") from None
    writer = SummaryWriter(os.fspath(log))
    stack.callback(writer.close)
    return writer


class Pace:
    """Hyper-parameters that follow schedules by the step or by the epoch, and their values at the last step."""

    schedules: dict[str, Callable[[int], float]]
    optimiser: Any
    step: int
    ranks: int
    saved_ranks: int

    def __init__(self, schedule: Any, state: Any, per: Any = "step") -> None:
        if per not in ("step", "epoch"):
            raise ValueError(f"fit: per must be 'step' or 'epoch', got {per!r}")
        if per == "epoch" and schedule is None:
            raise ValueError("fit: per='epoch' says how a schedule counts; give schedule=")
        given = schedule if isinstance(schedule, Mapping) else {} if schedule is None else {"eta": schedule}
        for name, f in given.items():
            if not callable(f) or isinstance(f, type):
                raise TypeError(f"fit: the schedule of {name} must be a function of the {per}, got {f!r}")
            for rule in rules_within(state):
                if isinstance(rule, Scheduler) and name in rule.schedules:
                    raise ValueError(f"fit: {name} has a schedule already, that of the rule {rule}")
        self.schedules, self.optimiser, self.per = dict(given), state, per
        self.values: dict[str, float] = {}
        self.step = 0
        self.ranks, self.saved_ranks = 1, 1

    def state(self) -> dict[str, Any]:
        """The place, for a checkpoint."""
        return {"step": self.step} | ({"ranks": self.ranks} if self.ranks > 1 else {})

    def load_state(self, state: dict[str, Any]) -> None:
        """Goes to a place that `state` gave."""
        self.step, self.saved_ranks = state["step"], state.get("ranks", 1)

    def __call__(self, batches: Iterable[Any], epoch: int) -> Iterable[Any]:
        """The batches of an epoch, counted from 0; the hyper-parameters are set as each is taken."""
        return self._adjusted(batches, epoch) if self.schedules else batches

    def _adjusted(self, batches: Iterable[Any], epoch: int) -> Iterator[Any]:
        for batch in batches:
            t = self.step if self.per == "step" else epoch
            values = {
                name: guarded(f"fit: the schedule of {name}", f, t) for name, f in self.schedules.items()
            }
            if values != self.values:
                adjust(self.optimiser, **values)
                self.values = values
            self.step += 1
            yield batch
