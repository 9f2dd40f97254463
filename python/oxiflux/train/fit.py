"""`fit`: epochs of training with all that belongs to them, and the table of how it went."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from itertools import chain, count, islice
from typing import Any

from .. import _core
from .._core import Leaf
from ..optimisers import adjust, setup
from ..optimisers.state import match
from ..tree import Params
from .history import History
from .loop import OnNaN, each_step
from .progress import Bar, length

__all__ = ["fit"]

Function = Callable[..., Any]


def fit(
    loss: Function,
    model: Any,
    data: Iterable[Any],
    rule: Any,
    *,
    epochs: int = 1,
    steps: int | None = None,
    validation: Any = None,
    metrics: Function | Iterable[Function] | Mapping[str, Function] = (),
    callbacks: Function | Iterable[Function] = (),
    schedule: Function | Mapping[str, Function] | None = None,
    on_nan: OnNaN = "raise",
    progress: bool | None = None,
    log: Any = None,
) -> History:
    """Trains a model for some epochs, each a pass of `train` over `data`, and returns a table with a row for each.

    `loss(model, *batch)`, the batches and the state are those of `train`; a rule in the state's place stands for
    `setup(rule, model)`. An epoch has all batches, or the next `steps` of data that begin anew where they end.

    - `validation`: batches, or one batch as a tuple. Their mean loss after each epoch is the column `val_loss`.
    - `metrics`: functions called like the loss, whose means over the validation data become columns such as
      `val_accuracy`; a dict gives them other names. A loss that gives `(value, {"accuracy": number})` adds
      its own columns for the training data.
    - `callbacks`: called with the row after each epoch, a dict; True ends the training.
      `early_stopping(lambda row: row["val_loss"], 5, init_score=math.inf)` is one.
    - `schedule`: the learning rate as a function of the step, counted from 0; a dict schedules other hyper-parameters
      too, `{"eta": f, "rho": g}`. The last value in an epoch is a column.
    - `on_nan`: "raise" stops at a loss that is not finite, "skip" warns and leaves its batch out.
    - `progress`: shows a bar with tqdm; by default if it is installed and a person watches, in a terminal or
      a notebook.
    - `log`: a TensorBoard writer, or anything with `add_scalar(name, value, step)`, or the path of a folder in which
      tensorboardX is to write.

    Ctrl-C ends the training with the model as it was after the last whole step; the table then has the epochs before
    that and is `interrupted`.

    >>> import numpy as np, oxiflux as flux
    >>> flux.seed(0)
    >>> x = np.linspace(-1, 1, 64, dtype=np.float32).reshape(-1, 1)
    >>> train, validation = flux.splitobs((x, 4 * x + 2), at=0.75, shuffle=True)
    >>> model = flux.Dense(1, 1)
    >>> loss = lambda model, x, y: flux.mse(model(x), y)
    >>> history = flux.fit(
    ...     loss, model, flux.DataLoader(train, 8), flux.Adam(0.1), epochs=30, validation=validation
    ... )
    >>> len(history), history.columns
    (30, ['epoch', 'step', 'loss', 'val_loss', 'seconds'])
    >>> history["loss"][0] > 1 > 0.01 > history["val_loss"][-1]
    True
    """
    _check(loss, data, epochs, steps)
    state = _state(model, rule)
    functions = _metrics(metrics, validation)
    watchers = _functions("callbacks", callbacks)
    pace = _Pace(schedule, state)
    size = steps or length(data)
    history, step = History(), 0
    shown: dict[str, float] = {}
    with ExitStack() as stack:
        writer = _writer(log, stack)
        bar = stack.enter_context(Bar("fit", progress, total=size and size * epochs))
        try:
            for epoch, batches in enumerate(islice(_passes(data, steps), epochs), 1):
                start, before, total, extras = time.perf_counter(), step, 0.0, _Means()
                title, where = f"epoch {epoch}/{epochs}", f" of epoch {epoch}"
                for value, number in each_step("fit", loss, model, pace(batches), state, on_nan, where):
                    step += 1
                    total += number
                    if type(value) is tuple:
                        extras.add(_numbers(value))
                    if step == bar.due:
                        bar.show(step, title, loss=total / (step - before), **shown)
                row = {
                    "epoch": epoch,
                    "step": step,
                    "loss": total / (step - before) if step > before else math.nan,
                }
                shown = extras.means() | _measured(loss, functions, model, validation) | pace.values
                row |= shown | {"seconds": time.perf_counter() - start}
                history.append(row)
                if writer is not None:
                    for name in [name for name in row if name not in ("epoch", "step")]:
                        writer.add_scalar(name, row[name], step)
                if any(answer is True for answer in [watch(row) for watch in watchers]):
                    break
            bar.show(step)
        except KeyboardInterrupt:
            history.interrupted = True
    return history


class _Means:
    """Means of numbers with names, weighted."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.weight = 0

    def add(self, numbers: Mapping[str, float], weight: int = 1) -> None:
        self.weight += weight
        for name, number in numbers.items():
            self.sums[name] = self.sums.get(name, 0.0) + weight * number

    def means(self, prefix: str = "") -> dict[str, float]:
        return {prefix + name: x / self.weight if self.weight else math.nan for name, x in self.sums.items()}


class _Pace:
    """Hyper-parameters that follow schedules, and their values at the last step."""

    def __init__(self, schedule: Any, state: Any) -> None:
        given = schedule if isinstance(schedule, Mapping) else {} if schedule is None else {"eta": schedule}
        for name, f in given.items():
            if not callable(f):
                raise TypeError(f"fit: the schedule of {name} must be a function of the step, got {f!r}")
        self.schedules, self.state = dict(given), state
        self.values: dict[str, float] = {}
        self.step = 0

    def __call__(self, batches: Iterable[Any]) -> Iterable[Any]:
        """The batches; the hyper-parameters are set as each is taken."""
        return self._adjusted(batches) if self.schedules else batches

    def _adjusted(self, batches: Iterable[Any]) -> Iterator[Any]:
        for batch in batches:
            values = {name: f(self.step) for name, f in self.schedules.items()}
            if values != self.values:
                adjust(self.state, **values)
                self.values = values
            self.step += 1
            yield batch


def _check(loss: Any, data: Any, epochs: Any, steps: Any) -> None:
    if not callable(loss):
        raise TypeError(f"fit: the loss must be a function of the model and a batch, got {loss!r}")
    for name, number, least in (("epochs", epochs, 0), ("steps", 1 if steps is None else steps, 1)):
        if isinstance(number, bool) or not hasattr(number, "__index__"):
            raise TypeError(f"fit: {name} must be a whole number, got {number!r}")
        if number < least:
            raise ValueError(f"fit: {name} must be at least {least}, got {number}")
    if isinstance(data, (tuple, Mapping, str)) or hasattr(data, "shape"):
        raise TypeError(
            f"fit: the data must be batches, got a {type(data).__name__}; "
            "DataLoader(data, 32, shuffle=True) makes batches of it, [data] a single one"
        )
    if not hasattr(data, "__iter__") and not hasattr(data, "__getitem__"):
        raise TypeError(f"fit: the data must be batches, got a {type(data).__name__}")


def _state(model: Any, rule: Any) -> Any:
    """The state that is given, or that of a rule."""
    if isinstance(model, Params):
        raise TypeError("fit: params(model) is for train; give the model itself, and loss(model, *batch)")
    if hasattr(rule, "init") and hasattr(rule, "apply"):
        return setup(rule, model)
    if not isinstance(rule, Leaf) and not any(isinstance(x, Leaf) for x in _nodes(rule)):
        raise TypeError(f"fit: {rule!r} is neither a rule nor a state that setup(rule, model) made")
    match("fit", rule, model, "the model")
    return rule


def _nodes(tree: Any) -> Iterator[Any]:
    for _, kid in _core.children(tree) or []:
        yield kid
        yield from _nodes(kid)


def _functions(what: str, given: Any) -> list[Function]:
    """One function or several."""
    functions = [given] if callable(given) else list(given)
    for f in functions:
        if not callable(f):
            raise TypeError(f"fit: {what} must be functions, got {f!r}")
    return functions


def _metrics(given: Any, validation: Any) -> dict[str, Function]:
    """The metrics by their names."""
    if isinstance(given, Mapping):
        metrics = dict(zip(given, _functions("metrics", given.values()), strict=True))
    else:
        functions = _functions("metrics", given)
        metrics = {getattr(f, "__name__", type(f).__name__): f for f in functions}
        if len(metrics) < len(functions):
            raise ValueError(f"fit: the metrics need different names; give a dict of them, not {functions!r}")
    if metrics and validation is None:
        raise ValueError("fit: metrics are measured on the validation data; give validation=")
    return metrics


def _passes(data: Any, steps: int | None) -> Iterator[Iterable[Any]]:
    """The batches of each epoch, without end."""
    passes = _whole_passes(data)
    if steps is None:
        return passes
    stream = chain.from_iterable(passes)
    return (islice(stream, steps) for _ in count())


def _whole_passes(data: Any) -> Iterator[Iterable[Any]]:
    for n in count(1):
        batches = iter(data)
        try:
            first = next(batches)
        except StopIteration:
            again = "; a generator lasts for one, which steps= cuts into epochs" if n > 1 else ""
            raise ValueError(f"fit: the data has no batches in pass {n}{again}") from None
        yield chain([first], batches)


def _measured(
    loss: Function, metrics: Mapping[str, Function], model: Any, validation: Any
) -> dict[str, float]:
    """The means of the loss and of the metrics over the validation data, each batch weighted by its items."""
    if validation is None:
        return {}
    means = _Means()
    for batch in [validation] if isinstance(validation, tuple) else validation:
        args = batch if type(batch) is tuple else (batch,)
        value = loss(model, *args)
        value, aside = (value[0], _numbers(value)) if type(value) is tuple else (value, {})
        numbers = {"loss": _number("the loss", value)} | aside
        numbers |= {name: _number(name, metric(model, *args)) for name, metric in metrics.items()}
        means.add(numbers, _size(args))
    if not means.sums:
        raise ValueError("fit: the validation data has no batches")
    return means.means("val_")


def _numbers(value: Any) -> dict[str, float]:
    """The numbers that a loss gives in a dict beside its value."""
    aside = value[1] if len(value) > 1 else None
    return {name: _number(name, x) for name, x in aside.items()} if isinstance(aside, Mapping) else {}


def _number(name: str, x: Any) -> float:
    try:
        return float(x)
    except (TypeError, ValueError):
        raise TypeError(f"fit: {name} must be a number, got {x!r}") from None


def _size(batch: Any) -> int:
    """The number of items in a batch."""
    while isinstance(batch, (tuple, Mapping)) and batch:
        batch = next(iter(batch.values() if isinstance(batch, Mapping) else batch))
    try:
        return len(batch)
    except TypeError:
        return 1


def _writer(log: Any, stack: ExitStack) -> Any:
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
