"""Callbacks that watch a column of the table: to stop in time, and to keep the best model."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from numbers import Real
from operator import index
from typing import Any, Literal

from .. import _core
from .._core import Tensor
from ..files import save_checkpoint
from ..functions.axes import flag
from ..metrics.named import direction
from ..optimisers.state import rule_classes
from .hooks import Callback, Run

__all__ = [
    "EarlyStopping",
    "ModelCheckpoint",
    "give_back",
    "is_number",
    "short",
    "weights_of",
    "whole_number",
]

Mode = Literal["auto", "min", "max"]


def weights_of(model: Any) -> list[Tensor]:
    """The values of all tensors of a model, which later steps leave alone."""
    return [_core.stop_gradient(x) for _, x in _core.leaves(model)]


def give_back(owner: str, model: Any, values: list[Tensor]) -> None:
    """Gives the tensors of a model the values that `weights_of` found."""
    tensors = [x for _, x in _core.leaves(model)]
    if [x.shape for x in tensors] != [x.shape for x in values]:
        raise ValueError(
            f"{owner}: the model has {len(tensors)} tensors and had {len(values)} of other shapes or places"
        )
    for tensor, value in zip(tensors, values, strict=True):
        _core.assign(tensor, value if value.dtype == tensor.dtype else value.astype(tensor.dtype))


def is_number(x: Any) -> bool:
    """Whether this is a number, which True and False are not."""
    return isinstance(x, Real) and not isinstance(x, bool)


def short(x: Any) -> str:
    """A value in a message."""
    text = repr(x)
    return text if len(text) <= 80 else f"a {type(x).__name__}"


def whole_number(owner: str, name: str, x: Any, least: int = 1) -> int:
    """A whole number that is not too small, or an error that names it."""
    try:
        number = None if isinstance(x, bool) else index(x)
    except (TypeError, ValueError):
        number = None
    if number is None:
        raise TypeError(f"{owner}: {name} must be a whole number, got {short(x)}")
    if number < least:
        raise ValueError(f"{owner}: {name} must be at least {least}, got {number}")
    return number


class Watcher(Callback):
    """A callback that knows the best value of a column, and the epoch that had it."""

    monitor: str
    mode: str
    min_delta: float
    best: float
    best_epoch: int

    def __init__(self, monitor: str, mode: Mode, min_delta: float = 0.0) -> None:
        name = type(self).__name__
        if not isinstance(monitor, str):
            raise TypeError(f"{name}: monitor must be the name of a column, got {short(monitor)}")
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"{name}: mode must be 'auto', 'min' or 'max', got {short(mode)}")
        found = direction(monitor) if mode == "auto" else mode
        if found is None:
            raise ValueError(f"{name}: give mode='min' or 'max' for {monitor}, whose name does not say which")
        if not is_number(min_delta) or not min_delta >= 0:
            raise ValueError(f"{name}: min_delta must be a number of at least 0, got {short(min_delta)}")
        self.monitor, self.mode, self.min_delta = monitor, found, min_delta
        self.best, self.best_epoch = math.nan, 0

    def forget(self) -> None:
        """Begins anew."""
        self.best, self.best_epoch = math.nan, 0

    def on_train_begin(self, run: Run) -> None:
        # A run that is resumed goes on.
        if not run.history:
            self.forget()

    def improves(self, run: Run) -> bool:
        """Whether the row is better than the best before it, which it then is itself. NaN never is."""
        row = run.row or {}
        if self.monitor not in row:
            hint = "; give validation=" if self.monitor.startswith("val_") and "val_loss" not in row else ""
            name = type(self).__name__
            raise ValueError(f"{name}: there is no column {self.monitor}, only {', '.join(row)}{hint}")
        value = float(row[self.monitor])
        gain = self.best - value if self.mode == "min" else value - self.best
        if math.isnan(value) or not (self.best_epoch == 0 or gain > self.min_delta):
            return False
        self.best, self.best_epoch = value, run.epoch
        return True

    def state(self) -> dict[str, Any]:
        """The place, for a checkpoint."""
        return {"monitor": self.monitor, "best": self.best, "best_epoch": self.best_epoch}

    def load_state(self, state: dict[str, Any]) -> None:
        """Goes to a place that `state` gave; of another column nothing is known."""
        if state["monitor"] == self.monitor:
            self.best, self.best_epoch = state["best"], state["best_epoch"]


class EarlyStopping(Watcher):
    """A callback of `fit` that ends the training when a column has not improved for `patience` epochs.

    A value has improved if it is better than the best by more than `min_delta`; NaN has not. `mode` is "min" or "max";
    "auto" goes by the name: losses and errors fall, accuracies, `auc`, `f1`, `r2` and the like rise. With
    `restore_best` the model has the weights of the best epoch in the end, running statistics included, also if all
    epochs were done; after Ctrl-C it is left as it was. `best` and `best_epoch` tell which that was. A checkpoint of
    `fit` keeps them and the weights. `early_stopping`, the function, is Flux's.

    >>> import oxiflux as flux
    >>> losses = iter([3.0, 1.0, 2.0, 1.5, 0.5])
    >>> loss = lambda m, x: ((m["w"] - x) ** 2).sum()
    >>> model = {"w": flux.tensor([1.0])}
    >>> stop = flux.EarlyStopping("val_error", patience=2)
    >>> history = flux.fit(
    ...     loss, model, [[0.0]], flux.Descent(0.25), epochs=9, validation=[[0.0]],
    ...     metrics={"error": lambda m, x: next(losses)}, callbacks=stop,
    ... )
    >>> len(history), stop.best, stop.best_epoch, model["w"].item()
    (4, 1.0, 2, 0.25)
    """

    patience: int
    restore_best: bool
    waited: int

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 10,
        restore_best: bool = True,
        min_delta: float = 0.0,
        mode: Mode = "auto",
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = whole_number("EarlyStopping", "patience", patience)
        self.restore_best = flag("EarlyStopping", "restore_best", restore_best)
        self.forget()

    def __repr__(self) -> str:
        return f"EarlyStopping({self.monitor!r}, patience={self.patience}, restore_best={self.restore_best})"

    def forget(self) -> None:
        """Begins anew."""
        super().forget()
        self.waited = 0
        self.weights: list[Tensor] | None = None

    def on_epoch_end(self, run: Run) -> bool:
        if self.improves(run):
            self.waited = 0
            self.weights = weights_of(run.model) if self.restore_best else None
        else:
            self.waited += 1
        return self.waited >= self.patience

    def on_train_end(self, run: Run) -> None:
        if not run.history.interrupted:
            self.restore(run.model)

    def restore(self, model: Any) -> None:
        """Gives a model the weights of the best epoch, if they were kept."""
        if self.weights is not None:
            give_back("EarlyStopping", model, self.weights)

    def state(self) -> dict[str, Any]:
        """The place, for a checkpoint."""
        return super().state() | {"waited": self.waited, "weights": self.weights}

    def load_state(self, state: dict[str, Any]) -> None:
        """Goes to a place that `state` gave."""
        super().load_state(state)
        if state["monitor"] == self.monitor:
            self.waited = state["waited"]
            self.weights = state["weights"] if self.restore_best else None


class ModelCheckpoint(Watcher):
    """A callback of `fit` that writes the model to a file whenever a column is the best so far.

    The file is one of `save_checkpoint`, whole at any moment, with the parts `model`, `state` (the optimiser's),
    `epoch` and `row`: `load_checkpoint(path, model=model)` reads it. Names of columns in the path are filled in, such
    as `"runs/{epoch:03d}.safetensors"`. With `best_only=False` each epoch is written, or each `every` of them. `mode`
    is as in `EarlyStopping`. Classes of your own in the model are listed in `classes`, if they shall be read without
    one.

    >>> import os, tempfile
    >>> import oxiflux as flux
    >>> path = os.path.join(tempfile.mkdtemp(), "best.safetensors")
    >>> loss = lambda m, x: ((m["w"] - x) ** 2).sum()
    >>> keep = flux.ModelCheckpoint(path, "loss")
    >>> history = flux.fit(loss, {"w": flux.ones(1)}, [[0.0]], flux.Descent(0.25), epochs=3, callbacks=keep)
    >>> best = flux.load_checkpoint(path)
    >>> best["epoch"], best["model"]["w"].item(), best["row"]["loss"]
    (3, 0.125, 0.0625)
    """

    every: int
    path: str
    best_only: bool
    classes: tuple[type, ...]

    def __init__(
        self,
        path: str | os.PathLike[str],
        monitor: str = "val_loss",
        mode: Mode = "auto",
        *,
        best_only: bool = True,
        every: int = 1,
        classes: Iterable[type] = (),
    ) -> None:
        if not isinstance(path, (str, os.PathLike)):
            raise TypeError(f"ModelCheckpoint: path must be a path, got {short(path)}")
        best_only = flag("ModelCheckpoint", "best_only", best_only)
        # Without a best one nothing is watched.
        super().__init__(monitor, mode if best_only else "min")
        self.every = whole_number("ModelCheckpoint", "every", every)
        self.path, self.best_only, self.classes = os.fspath(path), best_only, tuple(classes)

    def __repr__(self) -> str:
        return f"ModelCheckpoint({self.path!r}, {self.monitor!r})"

    def on_epoch_end(self, run: Run) -> None:
        if run.epoch % self.every or (self.best_only and not self.improves(run)) or not run.writes:
            return
        parts = {"model": run.model, "state": run.state, "epoch": run.epoch, "row": dict(run.row or {})}
        classes = {*self.classes, *rule_classes(run.state)}
        path = self.filled(run.row or {})
        if folder := os.path.dirname(path):
            os.makedirs(folder, exist_ok=True)
        save_checkpoint(path, classes=classes, **parts)

    def filled(self, row: dict[str, Any]) -> str:
        """The path of an epoch."""
        if "{" not in self.path:
            return self.path
        try:
            return self.path.format(**row)
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(
                f"ModelCheckpoint: the path {self.path!r} cannot be filled in: {error}; the columns are "
                f"{', '.join(row)}"
            ) from None
