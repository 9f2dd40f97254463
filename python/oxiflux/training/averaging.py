"""Averages of weights over the steps or the epochs of a training, which often predict better than the last weights."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from numbers import Integral
from typing import Any

from .. import _core
from .._core import Tensor
from ..data import DataLoader
from ..functions.axes import flag
from ..hints import told
from ..tree import FLOATS, modules
from .batches import batches_of, spread, started
from .best import give_back, is_number, short, weights_of, whole_number
from .hooks import Run, Stand

__all__ = ["EMA", "SWA", "update_statistics"]


class Average(Stand):
    """A callback that keeps averages of all floating tensors of the model."""

    values: list[Tensor] | None = None
    count: int = 0

    def on_train_begin(self, run: Run) -> None:
        if not run.history:
            self.values, self.count = None, 0

    def _take(self, run: Run, share: float) -> None:
        """Moves the averages towards the weights; what is no float, such as a counter, is as it was last."""
        now = _wide(run.model)
        if self.values is None or [x.shape for x in self.values] != [x.shape for x in now]:
            self.values = now
        else:
            pairs = zip(self.values, now, strict=True)
            self.values = [_core.lerp(a, x, share) if x.dtype in FLOATS else x for a, x in pairs]
        self.count += 1

    def load_into(self, model: Any) -> None:
        """Gives a model the averages, if there are any yet."""
        if self.values is not None:
            give_back(type(self).__name__, model, self.values)

    @contextmanager
    def standing(self, run: Run) -> Iterator[None]:
        """The time in which the averages stand in the place of the weights."""
        if self.values is None:
            yield
            return
        own = weights_of(run.model)
        try:
            self.put(run)
            yield
        finally:
            give_back(type(self).__name__, run.model, own)

    def put(self, run: Run) -> None:
        """Puts the averages into the model of a run."""
        self.load_into(run.model)

    def on_train_end(self, run: Run) -> None:
        if self.values is not None and not run.history.interrupted:
            self.put(run)

    def state(self) -> dict[str, Any]:
        """The averages, for a checkpoint."""
        return {"count": self.count, "values": self.values}

    def load_state(self, state: dict[str, Any]) -> None:
        """Takes the averages that `state` gave."""
        self.count, self.values = state["count"], state["values"]


class EMA(Average):
    """A callback of `fit` that averages the weights exponentially: `average = decay * average + (1 - decay) * weights`
    after each step, or each `every` of them.

    The first average are the weights at the start. With `warmup` the decay of update `t` is at most
    `(1 + t) / (10 + t)`, for runs that are short beside `1 / (1 - decay)` steps. While an epoch is measured and while
    callbacks look at it the averages stand in the place of the weights, so that `val_loss`, `EarlyStopping` and
    `ModelCheckpoint` are about them; then the training goes on with the weights. In the end the model has the averages.
    Running statistics, as of `BatchNorm`, are averaged too. After Ctrl-C the model is left as it was;
    `load_into(model)` puts the averages into it. Ref: Polyak and Juditsky, "Acceleration of stochastic approximation by
    averaging", 1992.

    >>> import oxiflux as flux
    >>> model = {"w": flux.tensor([1.0])}
    >>> loss = lambda m, x: ((m["w"] - x) ** 2).sum()
    >>> history = flux.fit(loss, model, [[0.0]] * 2, flux.Descent(0.25), callbacks=flux.EMA(0.5))
    >>> model["w"].item()  # weights 1, 1/2, 1/4
    0.5
    """

    values: list[Tensor] | None
    decay: float
    every: int
    warmup: bool

    def __init__(self, decay: float = 0.999, *, every: int = 1, warmup: bool = False) -> None:
        if not is_number(decay) or not 0 <= decay < 1:
            raise ValueError(f"EMA: decay must be at least 0 and below 1, got {short(decay)}")
        self.decay, self.every = decay, whole_number("EMA", "every", every)
        self.warmup = flag("EMA", "warmup", warmup)

    def __repr__(self) -> str:
        return f"EMA({self.decay})"

    def on_train_begin(self, run: Run) -> None:
        super().on_train_begin(run)
        if self.values is None:
            self.values = _wide(run.model)

    def on_step_end(self, run: Run) -> None:
        if run.step % self.every == 0:
            t = self.count + 1
            decay = min(self.decay, (1 + t) / (10 + t)) if self.warmup else self.decay
            self._take(run, 1 - decay)


class SWA(Average):
    """A callback of `fit` that averages the weights at the end of epochs, from epoch `start` on: stochastic weight
    averaging.

    `start` is an epoch, counted from 1, or a share of all epochs such as 0.75; `every` takes one epoch of so many. A
    constant or cyclic learning rate suits it, as `schedule=` gives. The averages stand in the place of the weights
    as those of `EMA` do. Running statistics do not average: after `put` they are those of a pass of the averages over
    `statistics`, batches as `fit` takes them; unless given, over the training data without shuffling, if these are a
    DataLoader or a sequence; a model with running statistics and other data raises ValueError. That is a forward pass
    more for each such epoch. Ref: Izmailov et al., "Averaging weights leads to wider optima", 2018.

    >>> import oxiflux as flux
    >>> model = {"w": flux.tensor([1.0])}
    >>> loss = lambda m, x: ((m["w"] - x) ** 2).sum()
    >>> history = flux.fit(loss, model, [[0.0]], flux.Descent(0.25), epochs=3, callbacks=flux.SWA(2))
    >>> model["w"].item()  # after the epochs 1/2, 1/4, 1/8
    0.1875
    """

    start: float
    every: int
    statistics: Iterable[Any] | None

    def __init__(
        self, start: float = 0.75, *, every: int = 1, statistics: Iterable[Any] | None = None
    ) -> None:
        given: Any = start
        is_epoch = isinstance(given, Integral)
        if not is_number(given) or not (given >= 1 if is_epoch else 0 <= given < 1):
            raise ValueError(f"SWA: start must be an epoch from 1 on or a share below 1, got {short(start)}")
        self.start, self.every, self.statistics = start, whole_number("SWA", "every", every), statistics

    def __repr__(self) -> str:
        return f"SWA({self.start})"

    def on_train_begin(self, run: Run) -> None:
        super().on_train_begin(run)
        if _tracking(run.model):
            self._data(run)
        if (first := self._first(run)) > run.epochs:
            warnings.warn(
                f"SWA: averages are taken from epoch {first} on, and this run ends with epoch {run.epochs}: the "
                "weights stay as they are; SWA(0.75) begins after three quarters of the epochs",
                stacklevel=2,
            )

    def _first(self, run: Run) -> int:
        """The first epoch that counts."""
        return int(self.start if self.start >= 1 else self.start * run.epochs + 1)

    def standing(self, run: Run) -> Any:
        """The time in which the averages stand in the place of the weights, those of this epoch among them."""
        first = self._first(run)
        if run.epoch >= first and (run.epoch - first) % self.every == 0:
            self._take(run, 1 / (self.count + 1))
        return super().standing(run)

    def put(self, run: Run) -> None:
        """Puts the averages into the model of a run, with running statistics of their own."""
        super().put(run)
        if _tracking(run.model):
            update_statistics(run.model, self._data(run))

    def _data(self, run: Run) -> Iterable[Any]:
        if self.statistics is not None:
            return self.statistics
        data = run.data
        if isinstance(data, DataLoader) and hasattr(data.data, "__len__"):
            # Its own order and its place in a pass stay as they are.
            return DataLoader(data.data, data.batchsize, partial=data.partial, collate=data.collate)
        if isinstance(data, (list, range)):
            return data
        raise ValueError(
            "SWA: the model has running statistics, which are to be those of the averages, and the data may last for "
            "one pass only; give SWA(statistics=batches)"
        )


@told
def update_statistics(model: Any, data: Iterable[Any]) -> None:
    """Makes the running statistics of a model, as of `BatchNorm`, the means over the batches of a pass through data.

    The batches are those of `fit`: of a tuple the last part, the target, is left out. Other layers are in the mode that
    they have outside of a gradient, so that dropout does nothing, and nothing else changes. Averages of weights need
    this, see `SWA`. No batches raise ValueError.

    >>> import oxiflux as flux
    >>> model = flux.Chain(flux.BatchNorm(1))
    >>> flux.update_statistics(model, [flux.tensor([[1.0], [3.0]]), flux.tensor([[5.0], [7.0]])])
    >>> model[0].mu.tolist(), model[0].var.tolist()
    ([4.0], [2.0])
    """
    if not callable(model):
        raise TypeError(
            f"update_statistics: the model comes first and must be callable, got a {type(model).__name__}"
        )
    layers, n = _tracking(model), 0
    momenta, modes = [layer.momentum for layer in layers], [layer.active for layer in layers]
    generator = _core.default_generator()
    place = generator.get_state()
    try:
        for n, batch in enumerate(started("update_statistics", batches_of(data)), 1):
            for layer in layers:
                layer.momentum, layer.active = 1 / n, True
            args = spread(batch, lambda m, *_: m)
            with _core.paused():
                model(*args[: max(1, len(args) - 1)])
        if n == 0:
            raise ValueError("update_statistics: the data has no batches")
    finally:
        generator.set_state(place)
        for layer, momentum, active in zip(layers, momenta, modes, strict=True):
            layer.momentum, layer.active = momentum, active


def _wide(model: Any) -> list[Tensor]:
    """The values of the tensors of a model, halves as float32, in which small changes are not lost."""
    halves = (_core.float16, _core.bfloat16)
    return [x.astype(_core.float32) if x.dtype in halves else x for x in weights_of(model)]


def _tracking(model: Any) -> list[Any]:
    """The layers with running statistics."""
    return [m for m in modules(model) if getattr(m, "mu", None) is not None and hasattr(m, "momentum")]
