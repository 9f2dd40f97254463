"""`fit`: epochs of training with all that belongs to them, and the table of how it went."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, closing
from typing import Any, Literal

from ..data.guarded import guarded
from ..files import load_checkpoint, save_checkpoint
from ..hints import told
from .arguments import Callbacks, Pace, check, named, passes_of, rule_classes, state_of, writer_of
from .history import History
from .loop import OnNaN, each_step, steps_of
from .measures import Means, aside, measured, size_of
from .progress import Bar, length

__all__ = ["fit"]

Function = Callable[..., Any]


@told
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
    per: Literal["step", "epoch"] = "step",
    on_nan: OnNaN = "raise",
    progress: bool | None = None,
    log: Any = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
) -> History:
    """Trains a model for some epochs, each a pass of `train` over `data`, and returns a table with a row for each.

    `loss(model, *batch)`, the batches and the state are those of `train`; a rule in the state's place stands for
    `setup(rule, model)`. An epoch has all batches, or the next `steps` of data that begin anew where they end.

    The column `loss` is the mean over the epoch's batches, each weighted by its items.

    - `validation`: batches, or one batch as a tuple. Their mean loss after each epoch is the column `val_loss`.
    - `metrics`: functions called like the loss, whose means over the validation data become columns such as
      `val_accuracy`; a dict gives them other names. A loss that gives `(value, {"accuracy": number})` adds
      its own columns for the training data.
    - `callbacks`: called with the row after each epoch, a dict; True ends the training.
      `early_stopping(lambda row: row["val_loss"], 5)` is one.
    - `schedule`: the learning rate as a function of the step, counted from 0; a dict schedules other hyper-parameters
      too, `{"eta": f, "rho": g}`. The last value in an epoch is a column. With `per="epoch"` they are functions of the
      epoch, counted from 0, too.
    - `on_nan`: "raise" stops at a loss or a gradient that is not finite, "skip" warns and leaves its batch out.
    - `progress`: shows a bar with tqdm; by default if it is installed and a person watches, in a terminal or
      a notebook.
    - `log`: a TensorBoard writer, or anything with `add_scalar(name, value, step)`, or the path of a folder in which
      tensorboardX is to write.
    - `checkpoint`: a file that `save_checkpoint` writes after each epoch: the model, the state, the table, the place in
      the schedule and, of a DataLoader, in the data, and what `early_stopping`, `plateau`, `patience` and other
      callbacks with methods `state()` and `load_state(state)` count. With `resume`, training goes on from there, if it
      exists, until `epochs` in all have been done or a callback has ended it.

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
    check(loss, model, data, epochs, steps, checkpoint, resume)
    state = state_of(model, rule)
    step_once = steps_of("fit", model, state)
    measures = named(metrics, validation)
    watch = Callbacks(callbacks)
    pace = Pace(schedule, state, per)
    size = steps or length(data)
    history = History()
    run = {"model": model, "state": state, "history": history, "pace": pace, "callbacks": watch}
    if hasattr(data, "load_state"):
        run["data"] = data
    if checkpoint is not None and resume and os.path.exists(checkpoint):
        load_checkpoint(checkpoint, classes=rule_classes(state), **run)
    epochs = len(history) if watch.ended else epochs
    first, step = len(history) + 1, history[-1]["step"] if history else 0
    shown: dict[str, float] = {}
    with ExitStack() as stack:
        writer = writer_of(log, stack)
        passes = stack.enter_context(closing(passes_of(data, steps)))
        bar = stack.enter_context(Bar("fit", progress, total=size and size * epochs))
        try:
            for epoch, batches in zip(range(first, epochs + 1), passes, strict=False):
                start, before, means = time.perf_counter(), step, Means()
                title, where = f"epoch {epoch}/{epochs}", f" of epoch {epoch}"
                steps_done = each_step("fit", loss, step_once, pace(batches, epoch - 1), on_nan, where)
                for value, number, args in steps_done:
                    step += 1
                    means.add({"loss": number} | aside(value), size_of(args))
                    if step == bar.due:
                        bar.show(step, title, shown | means.means())
                shown = means.means() if step > before else {"loss": math.nan}
                shown |= measured(loss, measures, model, validation) | pace.values
                row = {"epoch": epoch, "step": step, **shown, "seconds": time.perf_counter() - start}
                history.append(row)
                if writer is not None:
                    for name in [name for name in row if name not in ("epoch", "step")]:
                        guarded("fit: the log", writer.add_scalar, name, row[name], step)
                watch(row)
                if checkpoint is not None:
                    save_checkpoint(checkpoint, classes=rule_classes(state), **run)
                if watch.ended:
                    break
            bar.draw(step, f"epoch {len(history)}/{epochs}", shown)
        except KeyboardInterrupt:
            history.interrupted = True
    return history
