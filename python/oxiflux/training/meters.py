"""Metrics over the batches of an epoch: means of those that are called like the loss, and those of the whole epoch from
all predictions and targets.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np

from .._core import ShapeError
from ..data.guarded import guarded
from ..metrics import whole
from ..metrics.decided import choose
from ..metrics.given import array_of
from ..metrics.named import Whole, metric, name_of
from .batches import takes
from .measures import Means, number_of, size_of

__all__ = ["Meter", "Metrics", "measures_of"]

Function = Callable[..., Any]
Metrics = str | Function | Iterable[str | Function] | Mapping[str, str | Function]

# The columns of the table that are none of a metric's.
_TAKEN = {"epoch", "step", "loss", "seconds"}


def measures_of(caller: str, given: Any) -> dict[str, Function]:
    """The metrics by the names of their columns."""
    if isinstance(given, Mapping):
        named = {name: _metric(caller, f) for name, f in given.items()}
    else:
        is_one = callable(given) or isinstance(given, str) or not isinstance(given, Iterable)
        is_one = is_one or hasattr(given, "shape")  # no list of metrics, which is said below
        several = [_metric(caller, f) for f in ([given] if is_one else given)]
        named = {name_of(f): f for f in several}
        if len(named) < len(several):
            raise ValueError(
                f"{caller}: the metrics need different names; give a dict of them, not {given!r}"
            )
    names: list[Any] = list(named)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"{caller}: the name of a metric must be text, got {name!r}")
        if name in _TAKEN:
            raise ValueError(f"{caller}: there is a column {name} already; give the metric another name")
    return named


def _metric(caller: str, given: Any) -> Function:
    found: Any = metric(caller, given)
    if not callable(found) or isinstance(found, type):
        raise TypeError(f"{caller}: metrics must be functions or names of metrics, got {given!r}")
    return found  # type: ignore[no-any-return]


class Meter:
    """What metrics need of the batches of an epoch.

    >>> from oxiflux.metrics import accuracy
    >>> meter = Meter("fit", measures_of("fit", accuracy), None)
    >>> meter.add(lambda x: x, ([2.0, -1.0], [1, 0]))
    >>> meter.add(lambda x: x, ([1.0], [0]))
    >>> meter.results()
    {'accuracy': 0.6666666666666666}
    """

    caller: str
    measures: dict[str, Function]
    outputs: Function | None
    means: Means
    only_labels: bool

    def __init__(self, caller: str, measures: Mapping[str, Function], outputs: Function | None) -> None:
        if outputs is not None and not callable(outputs):
            raise TypeError(
                f"{caller}: outputs must be a function that gives predictions and targets, got {outputs!r}"
            )
        self.caller, self.measures, self.outputs = caller, dict(measures), outputs
        self.means = Means()
        self.parts: list[tuple[Any, ...]] = []
        # Scores for each class are kept as the class that they choose, where no metric asks for more.
        self.only_labels = all(f.of_labels for f in self.measures.values() if isinstance(f, Whole))

    def add(self, model: Any, args: tuple[Any, ...]) -> None:
        """Measures a batch, the arguments of the loss beside the model."""
        numbers = {}
        for name, f in self.measures.items():
            if not isinstance(f, Whole):
                if len(args) > 1 and not takes(f, 1 + len(args)) and takes(f, 2):
                    self.measures[name] = whole(f)
                    self.only_labels = False
                else:
                    value = guarded(f"{self.caller}: the metric {name}", f, model, *args)
                    numbers[name] = number_of(self.caller, f"the metric {name}", value)
        self.means.add(numbers, size_of(args))
        if any(isinstance(f, Whole) for f in self.measures.values()):
            self.parts.append(self._part(*self._outputs(model, args)))

    def _outputs(self, model: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Predictions and targets, and perhaps weights."""
        if self.outputs is not None:
            found = guarded(f"{self.caller}: outputs", self.outputs, model, *args)
            if not isinstance(found, tuple) or len(found) not in (2, 3):
                raise TypeError(
                    f"{self.caller}: outputs must give (predicted, target) or (predicted, target, weights), "
                    f"got {_kind(found)}"
                )
            return found
        if len(args) < 2:
            raise TypeError(
                f"{self.caller}: metrics are of predictions and targets, and a batch has one part, {_kind(args[0])}; "
                "give outputs=lambda model, batch: (predicted, target)"
            )
        return guarded(f"{self.caller}: the model", model, *args[:-1]), args[-1]

    def _part(self, predicted: Any, target: Any, weights: Any = None) -> tuple[Any, ...]:
        if isinstance(predicted, (tuple, dict)):
            raise TypeError(
                f"{self.caller}: the model gives {_kind(predicted)}, and metrics are of one array of predictions; "
                "give outputs=lambda model, *batch: (predicted, target)"
            )
        if size_of((target,)) == 0:
            return ()
        p, t = predicted, target
        if self.only_labels:
            p, t = choose(self.caller, predicted, target)
        else:
            # A loader may write the next batch into the same memory.
            p = array_of(self.caller, "the prediction", predicted)
            t = np.array(array_of(self.caller, "the target", target))
        t = np.array(t)
        return p, t, None if weights is None else np.array(array_of(self.caller, "the weights", weights))

    def results(self, as_numbers: bool = True) -> dict[str, Any]:
        """The metrics of all that has been added, in the order in which they were asked for."""
        means = self.means.means()
        parts = [part for part in self.parts if part]
        found = {}
        for name, f in self.measures.items():
            if not isinstance(f, Whole):
                if name in means:
                    found[name] = means[name]
                continue
            if not parts:
                found[name] = float("nan")
                continue
            value = self._whole(name, f, parts)
            found[name] = number_of(self.caller, f"the metric {name}", value) if as_numbers else value
        return found

    def _whole(self, name: str, f: Whole, parts: list[tuple[Any, ...]]) -> Any:
        try:
            predicted = _joined([p for p, _, _ in parts])
            target = np.concatenate([t for _, t, _ in parts])
            weights = None if parts[0][2] is None else np.concatenate([w for *_, w in parts])
        except ValueError as error:
            raise ShapeError(
                f"{self.caller}: predictions or targets of batches do not fit together: {error}"
            ) from None
        first, second, key = predicted, target, "weights"
        if _is_of_scikit_learn(f.f):
            first, second, key = target, predicted, "sample_weight"
        more = {} if weights is None else {key: weights}
        return guarded(f"{self.caller}: the metric {name}", partial(f, **more), first, second)


def _joined(parts: list[Any]) -> Any:
    """Predictions of several batches in one."""
    from ..metrics.given import Chosen

    if isinstance(parts[0], Chosen):
        labels = np.concatenate([part.labels for part in parts])
        return Chosen(labels, max(part.count for part in parts), all(part.is_known for part in parts))
    return np.concatenate(parts)


def _is_of_scikit_learn(f: Function) -> bool:
    """Whether a function names its arguments as scikit-learn's metrics do, which take the target first."""
    try:
        return next(iter(inspect.signature(f).parameters), "") == "y_true"
    except (TypeError, ValueError):
        return False


def _kind(x: Any) -> str:
    if isinstance(x, tuple):
        return f"a tuple of {len(x)}"
    shape = getattr(x, "shape", None)
    return f"a {type(x).__name__}" + (f" of shape {tuple(shape)}" if shape is not None else "")
