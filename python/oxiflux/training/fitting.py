"""`fit`: epochs of training with all that belongs to them, and the table of how it went."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, nullcontext
from typing import Any, Literal

from ..data.guarded import guarded
from ..files import load_checkpoint, save_checkpoint
from ..hints import told
from ..optimisers.state import rule_classes, rules_within
from .arguments import Pace, check, passes_of, state_of, writer_of
from .balance import weighted_by_class
from .batches import spread
from .history import History
from .hooks import Callbacks, Run
from .loop import OnNaN, among_ranks, done_again, each_step, steps_of
from .measures import Means, aside, size_of
from .meters import Meter, Metrics, measures_of
from .prediction import measured
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
    metrics: Metrics = (),
    outputs: Function | None = None,
    callbacks: Any = (),
    schedule: Function | Mapping[str, Function] | None = None,
    per: Literal["step", "epoch"] = "step",
    class_weight: Any = None,
    on_nan: OnNaN = "raise",
    compile: bool = False,
    progress: bool | None = None,
    log: Any = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    distributed: bool = False,
    wire: str | None = None,
) -> History:
    """Trains a model for some epochs, each a pass of `train` over `data`, and returns a table with a row for each.

    `loss(model, *batch)`, the batches and the state are those of `train`; a rule in the state's place stands for
    `setup(rule, model)`. An epoch has all batches, or the next `steps` of data that begin anew where they end.

    The column `loss` is the mean over the epoch's batches, each weighted by its items.

    - `validation`: batches, or one batch as a tuple. Their mean loss after each epoch is the column `val_loss`.
    - `metrics`: names of metrics of `flux.metrics`, such as `["accuracy", "auc"]`, or these functions, also with
      options by `functools.partial`. They are computed once an epoch, from the predictions for all of the validation
      data, and are the columns `val_accuracy` and so on. A function of your own of two arguments, `f(predicted,
      target)`, is such a metric too; one that is called like the loss is averaged over the batches, weighted by their
      items. A dict gives them other names. Without validation data they are those of the training batches, each
      measured before its step, which costs a forward pass more; their columns have no `val_`. A loss that gives
      `(value, {"accuracy": number})` adds its own columns for the training data.
    - `outputs`: a function called like the loss that gives metrics their `(predicted, target)`, or `(predicted, target,
      weights)`. By default the last part of a batch is the target, and the model called with the others the prediction.
    - `callbacks`: functions that are called with the row after each epoch, a dict, and objects with hooks, see
      `Callback`; one that gives True ends the training. `EarlyStopping("val_loss", 5)` is one, and so are
      `ModelCheckpoint`, `EMA`, `SWA`, `GradientNorm`, and Flux's `early_stopping(lambda row: row["val_loss"], 5)`.
    - `schedule`: the learning rate as a function of the step, counted from 0; a dict schedules other hyper-parameters
      too, `{"eta": f, "rho": g}`. The last value in an epoch is a column. With `per="epoch"` they are functions of the
      epoch, counted from 0, too.
    - `class_weight`: a number for each class, as an array or a dict, or "balanced" for the reciprocals of how often
      they occur in a DataLoader of arrays. The loss gets it as the keyword `weight` in each step, as losses of classes
      take it: `def loss(m, x, y, weight=None): return flux.logitcrossentropy(m(x), y, weight=weight)`. The validation
      loss is computed without.
    - `on_nan`: "raise" stops at a loss or a gradient that is not finite, "skip" warns and leaves its batch out.
    - `compile`: whether the loss and its gradient are captured and done again without their Python code, as
      `flux.compile` does it: to the same bits, faster where tensors are small.
    - `progress`: shows a bar with tqdm; by default if it is installed and a person watches, in a terminal or
      a notebook.
    - `log`: a TensorBoard writer, or anything with `add_scalar(name, value, step)`, or the path of a folder in which
      tensorboardX is to write.
    - `checkpoint`: a file that `save_checkpoint` writes after each epoch: the model, the state, the table, the place in
      the schedule and, of a DataLoader, in the data, and what `early_stopping`, `plateau`, `patience` and other
      callbacks with methods `state()` and `load_state(state)` count. With `resume`, training goes on from there, if it
      exists, until `epochs` in all have been done or a callback has ended it.
    - `distributed`: trains on all processes that `mpiexec` has started, each with its rows of every batch, to the
      result of one process; alone without mpiexec. All ranks call `fit` with the same arguments. They begin with the
      parameters of rank 0, which alone shows progress, logs and writes files; validation is shared out, callbacks run
      on all ranks, and one that ends the training on one ends it on all. The loss must be a mean over the rows, or over
      labels by weights. With `wire="bfloat16"` the gradients are sent as such numbers and summed in float32. See
      `flux.distributed`.

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
    check("fit", loss, model, data, epochs, steps, checkpoint, resume)
    one = _together(model, distributed, wire)
    if one is not None:
        one.begin(
            epochs=epochs, steps=steps, metrics=metrics, on_nan=on_nan, wire=wire, resume=resume, per=per
        )
        progress, log = (progress, log) if one.is_first else (False, None)
    step_loss = loss if class_weight is None else weighted_by_class(loss, class_weight, data)
    state = state_of("fit", model, rule)
    step_once: Any = steps_of("fit", model, state)
    again = done_again("fit", step_loss) if compile else None
    if one is not None:
        one.agree(rules=list(dict.fromkeys(map(repr, rules_within(state)))))
    measures = measures_of("fit", metrics)
    Meter("fit", measures, outputs)  # an error now, not after an epoch
    watch = Callbacks(callbacks)
    pace = Pace(schedule, state, per)
    size = steps or length(data)
    history = History()
    parts = {"model": model, "state": state, "history": history, "pace": pace, "callbacks": watch}
    if one is None:
        step_once = among_ranks(step_once, state)
    else:
        data, step_once, pace.ranks = one.data(data), one.steps(step_once, state), one.world.size
    if hasattr(data, "load_state"):
        parts["data"] = data
    if checkpoint is not None and resume:
        with (
            nullcontext(checkpoint if os.path.exists(checkpoint) else None)
            if one is None
            else one.resumed(checkpoint) as path
        ):
            if path is not None:
                load_checkpoint(path, classes=rule_classes(state), **parts)
        if one is not None and path is not None:
            one.told_of(pace.saved_ranks)
    epochs = len(history) if watch.ended else epochs
    run = Run(model, state, data, history, epochs)
    run.writes = one is None or one.is_first
    is_ended = (lambda: watch.ended) if one is None else lambda: one.any(watch.ended)
    shown: dict[str, float] = {}
    with ExitStack() as stack:
        writer = writer_of(log, stack)
        passes = stack.enter_context(closing(passes_of("fit", data, steps)))
        bar = stack.enter_context(Bar("fit", progress, total=size and size * epochs))
        try:
            watch.call("on_train_begin", run)
            for epoch in range(len(history) + 1, epochs + 1):
                if is_ended():
                    break
                run.begin(epoch)
                watch.call("on_epoch_begin", run)
                if is_ended():
                    break
                start, before, means = time.perf_counter(), run.step, Means()
                title, where = f"epoch {epoch}/{epochs}", f" of epoch {epoch}"
                batches, meter = pace(next(passes), epoch - 1), Meter("fit", measures, outputs)
                if measures and validation is None:
                    batches = _seen(batches, loss, model, meter)
                for value, number, args, grads in each_step(
                    "fit", step_loss, step_once, batches, on_nan, where, again
                ):
                    run.step += 1
                    if one is None:
                        means.add({"loss": number} | aside(value), size_of(args))
                    else:
                        means.add(*one.numbers(number, value, args))
                    if run.step == bar.due:
                        bar.show(run.step, title, shown | means.means())
                    if watch.sees_steps:
                        run.batch, run.value = args, number
                        run.gradients = grads if one is None else one.kept(grads)
                        watch.call("on_step_end", run)
                        if is_ended():
                            break
                shown = (means.means() if run.step > before else {"loss": math.nan}) | run.logged()
                if one is not None:
                    one.settle()
                with watch.standing(run):
                    if one is not None:
                        one.settle()
                    shown |= _measured(loss, meter, model, validation, one) | pace.values
                    row = {"epoch": epoch, "step": run.step, **shown, "seconds": time.perf_counter() - start}
                    row = row if one is None else one.row(row)
                    history.append(row)
                    run.row = row
                    watch.at_row(run)
                if writer is not None:
                    for name in [name for name in row if name not in ("epoch", "step")]:
                        guarded("fit: the log", writer.add_scalar, name, row[name], run.step)
                if checkpoint is not None and run.writes:
                    save_checkpoint(checkpoint, classes=rule_classes(state), **parts)
            bar.draw(run.step, f"epoch {len(history)}/{epochs}", shown)
        except KeyboardInterrupt:
            if one is not None and not one.is_alone:
                raise
            history.interrupted = True
        watch.call("on_train_end", run)
        if one is not None:
            one.settle()
    return history


def _seen(batches: Iterable[Any], loss: Function, model: Any, meter: Meter) -> Iterator[Any]:
    """The batches, each measured before its step."""
    for batch in batches:
        meter.add(model, spread(batch, loss))
        yield batch


def _together(model: Any, distributed: bool, wire: str | None) -> Any:
    """The processes of a training, where it is one of several."""
    if not distributed:
        if wire is not None:
            raise ValueError("fit: wire= says how gradients are sent among processes; give distributed=True")
        return None
    if wire not in (None, "bfloat16"):
        raise ValueError(f"fit: wire must be None or 'bfloat16', got {wire!r}")
    # MPI is not looked for before it is asked for.
    from .together import together

    return together(model, wire)


def _measured(loss: Function, meter: Meter, model: Any, validation: Any, one: Any = None) -> dict[str, Any]:
    """The loss and the metrics of the validation data, or the metrics of what has been seen without such data."""
    if validation is None:
        return meter.results() if one is None else one.seen(meter).results()
    batches = [validation] if isinstance(validation, tuple) else validation
    if one is None or one.is_alone:
        found = measured("fit", loss, meter, model, batches)
    else:
        found = one.measured(loss, meter, model, batches)
    if found is None:
        raise ValueError("fit: the validation data has no batches")
    return {f"val_{name}": number for name, number in found.items()}
