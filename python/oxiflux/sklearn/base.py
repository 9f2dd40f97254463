"""What the classifier and the regressor do alike: their parameters, and how `flux.fit` trains for them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Real
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from .. import _core
from .._core import Generator
from ..optimisers import setup
from ..optimisers.scheduler import hyper_names, with_hyper
from ..signatures import OfClass
from ..training import History, fit
from .batches import Batches, dense
from .callbacks import Best, again, later, said, several
from .networks import Loss, built, check_outputs, is_whole, objective

__all__ = ["Estimator", "Target"]

# What `early_stopping=True` stands for: so many epochs may be no better, as in scikit-learn's networks.
PATIENCE = 10
# So many numbers at most are made of the rows of a prediction at once.
AT_ONCE = 2**22


class Target(NamedTuple):
    """What a network is to give: its targets, a row for each, and what the estimator has to remember of them."""

    values: np.ndarray[Any, Any]
    outputs: int
    loss: Loss
    learned: dict[str, Any]


class Estimator(BaseEstimator):  # type: ignore[misc]
    """A network with the methods of an estimator; `FluxClassifier` and `FluxRegressor` say what its outputs are."""

    __signature__: ClassVar[Any] = OfClass()
    # What an output is called in errors.
    _outputs_are = "outputs"

    model: Any
    loss: Any
    rule: Any
    epochs: int
    batchsize: int
    validation_fraction: float | None
    early_stopping: bool | int
    schedule: Any
    random_state: Any
    warm_start: bool
    callbacks: Any
    verbose: bool

    model_: Any
    history_: History
    # What partial_fit goes on with: what the rule remembers, the rule that this is of, and the random numbers.
    _state: Any
    _rule: Any
    _generator: Generator
    # The loss that the network was trained with, and whether it computes in float64.
    _loss: Loss
    _is_double: bool

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters by their names; `deep` has those of the rule too, such as `rule__eta`."""
        params: dict[str, Any] = super().get_params(deep)
        if deep:
            rule = _rule_of(self.rule)
            params |= {
                f"rule__{name}": getattr(rule, name) for name in hyper_names(rule) if hasattr(rule, name)
            }
        return params

    def set_params(self, **params: Any) -> Self:
        """Sets parameters by their names; `rule__eta=0.01` is the learning rate of the rule."""
        hyper = {name[6:]: params.pop(name) for name in list(params) if name.startswith("rule__")}
        super().set_params(**params)
        if hyper:
            known: set[str] = set()
            rule = with_hyper(_rule_of(self.rule), hyper, known)
            if strange := sorted(set(hyper) - known):
                has = ", ".join(hyper_names(rule)) or "no hyper-parameters"
                raise ValueError(f"{self._name}: {rule!r} has no {strange[0]!r}, only {has}")
            self.rule = rule
        return self

    @property
    def _name(self) -> str:
        return type(self).__name__

    @property
    def n_iter_(self) -> int:
        """The number of epochs so far."""
        check_is_fitted(self, "history_")
        return len(self.history_)

    def _target(self, y: Any, classes: Any, goes_on: bool, is_partial: bool) -> Target:
        """The targets of `y`, of the kind of those before if the training goes on."""
        raise NotImplementedError

    def _train(self, X: Any, y: Any, sample_weight: Any, *, is_partial: bool, classes: Any = None) -> Self:
        """Fits anew, or goes on: for one epoch, or with a warm start for all."""
        self._check_parameters()
        goes_on = hasattr(self, "model_") and (is_partial or self.warm_start)
        X, y = validate_data(
            self, X, y, accept_sparse="csr", dtype=(np.float64, np.float32), multi_output=True,
            y_numeric=self._outputs_are == "targets", reset=not goes_on,
        )  # fmt: skip
        target = self._target(y, classes, goes_on, is_partial)
        weight = self._weights(X, sample_weight, target, is_partial)
        if weight is not None and not weight.all():
            # What counts nothing is left out, be it as large as it may.
            counts = weight > 0
            X, weight, target = X[counts], weight[counts], target._replace(values=target.values[counts])
        random = check_random_state(self.random_state)
        if not (is_partial and goes_on):
            self._generator = Generator(int(random.randint(2**31 - 1)))
        with drawing_from(self._generator):
            return self._fit(X, target, weight, random, goes_on, is_partial)

    def _fit(self, X: Any, target: Target, weight: Any, random: Any, goes_on: bool, is_partial: bool) -> Self:
        """Trains with targets and weights, everything random being drawn from the estimator's own generator."""
        # Rows of a single batch are few: float64 costs them next to nothing.
        is_double = self._is_double if goes_on else X.shape[0] <= self.batchsize and not is_partial
        dtype = np.float64 if is_double else np.float32
        values = target.values
        rows = (
            self._narrowed("X", X, dtype),
            self._narrowed("y", values, dtype) if values.dtype.kind == "f" else values,
            None if weight is None else weight.astype(dtype),
        )
        loss = target.loss if self.loss is None else self.loss
        if goes_on:
            model, done = self.model_, self.history_
        else:
            model = built(self._name, self.model, X.shape[1], target.outputs, loss, is_double)
            done = History()
        check_outputs(self._name, model, dense(rows[0][:2]), target.outputs, self._outputs_are)
        if goes_on and is_partial and self._rule is self.rule:
            optimiser = self._state
        else:
            optimiser = setup(_rule_of(self.rule), model)
        epoch, step = (done[-1]["epoch"], done[-1]["step"]) if done else (0, 0)
        rows, held_out = (rows, None) if is_partial else self._split(rows, random)
        best = self._best_of(model) if held_out is not None and self.early_stopping else None
        history = fit(
            objective(self._name, loss, weight is not None), model,
            Batches(rows, self.batchsize, self._generator), optimiser,
            epochs=1 if is_partial else int(self.epochs),
            validation=None if held_out is None else Batches(held_out, max(self.batchsize, 1024)),
            callbacks=[*([best] if best else []), *map(again, several(self.callbacks)), *[said] * bool(self.verbose)],
            schedule=later(self.schedule, step if is_partial else 0), progress=False,
        )  # fmt: skip
        if best is not None:
            best.restore()
        if history.interrupted:
            warnings.warn(f"{self._name}: the training was interrupted", stacklevel=4)
        for row in history:
            done.append(row | {"epoch": row["epoch"] + epoch, "step": row["step"] + step})
        for name, value in target.learned.items():
            setattr(self, name, value)
        self.model_, self.history_ = model, done
        self._state, self._rule, self._loss, self._is_double = optimiser, self.rule, loss, is_double
        return self

    def _best_of(self, model: Any) -> Best:
        """What ends the training early, and keeps the best parameters."""
        is_flag = isinstance(self.early_stopping, (bool, np.bool_))
        return Best(model, PATIENCE if is_flag else int(self.early_stopping))

    def _outputs(self, X: Any) -> _core.Tensor:
        """What the network gives for the rows of `X`, some of them at a time."""
        check_is_fitted(self, "model_")
        X = validate_data(self, X, accept_sparse="csr", dtype=(np.float64, np.float32), reset=False)
        X = self._narrowed("X", X, np.float64 if self._is_double else np.float32)
        rows = max(1, min(4096, AT_ONCE // X.shape[1]))
        parts = [self.model_(dense(X[i : i + rows])) for i in range(0, X.shape[0], rows)]
        return parts[0] if len(parts) == 1 else _core.concat(parts)

    def _weights(self, X: Any, given: Any, target: Target, is_partial: bool) -> Any:
        """What each row counts, or None if all count the same: its weight times that of its class.

        The mean of those that count at all is 1, but that of the classes' weights only if all rows are here.
        """
        weight = None
        if given is not None:
            weight = _check_sample_weight(given, X, dtype=np.float64, ensure_non_negative=True)
            weight = self._with_mean_one(weight)
        of_class = self._class_weights(target, weight, is_partial)
        if of_class is None:
            return weight
        weight = of_class if weight is None else weight * of_class
        balanced = self._with_mean_one(weight)
        return weight if is_partial else balanced

    def _with_mean_one(self, weight: Any) -> Any:
        """Weights divided by the mean of those that are not 0."""
        least, most = weight.min(), weight.max()
        if not (0 <= least <= most < math.inf and most > 0):
            raise ValueError(
                f"{self._name}: weights must be 0 or more, and some more than 0, got {least} to {most}"
            )
        # The sum of the largest numbers there are, or one over the smallest, would be infinite.
        weight = weight / most
        return weight * (np.count_nonzero(weight) / weight.sum())

    def _class_weights(self, target: Target, weight: Any, is_partial: bool) -> Any:
        """What each row counts by its class, or None."""
        return None

    def _split(self, rows: tuple[Any, ...], random: Any) -> tuple[tuple[Any, ...], tuple[Any, ...] | None]:
        """The rows to train on, and those that are held out, if any are to be."""
        fraction = self.validation_fraction
        if fraction is None and self.early_stopping:
            fraction = 0.1
        if fraction is None:
            return rows, None
        labels = rows[1] if rows[1].dtype.kind == "i" else None
        if labels is not None:
            counts = np.bincount(labels)
            counts = counts[counts > 0]
            held = math.ceil(fraction * len(labels))
            # Classes keep their shares where there are enough rows for that.
            if counts.min() < 2 or not len(counts) <= held <= len(labels) - len(counts):
                labels = None
        parts = [part for part in rows if part is not None]
        split = train_test_split(*parts, test_size=fraction, random_state=random, stratify=labels)
        return (*split[::2], None)[:3], (*split[1::2], None)[:3]

    def _narrowed(self, what: str, values: Any, dtype: Any) -> Any:
        """Numbers of a dtype that the network computes in; raises where they are too large for it."""
        with np.errstate(over="ignore"):
            narrow = values.astype(dtype, copy=False)
        numbers = narrow if isinstance(narrow, np.ndarray) else narrow.data
        if narrow is not values and not np.isfinite(numbers).all():
            raise ValueError(f"{self._name}: {what} has a value that is too large for {np.dtype(dtype)}")
        return np.ascontiguousarray(narrow) if isinstance(narrow, np.ndarray) else narrow

    def _check_parameters(self) -> None:
        """Raises for parameters that cannot be right, except those that `fit` and `setup` look at."""
        for name in ("epochs", "batchsize"):
            value = getattr(self, name)
            if not is_whole(value):
                raise TypeError(f"{self._name}: {name} must be a whole number, got {value!r}")
            if value < 1:
                raise ValueError(f"{self._name}: {name} must be at least 1, got {value}")
        fraction = self.validation_fraction
        if fraction is not None and not (isinstance(fraction, Real) and 0 < fraction < 1):
            raise ValueError(
                f"{self._name}: validation_fraction must lie between 0 and 1, or be None, got {fraction!r}"
            )
        patience = self.early_stopping
        if not isinstance(patience, (bool, np.bool_)) and not (is_whole(patience) and patience > 0):
            raise ValueError(
                f"{self._name}: early_stopping must be true, false, or a number of epochs, got {patience!r}"
            )
        if self.loss is not None and not callable(self.loss):
            raise TypeError(
                f"{self._name}: loss must be a function of predictions and targets, such as flux.huber_loss, "
                f"got {self.loss!r}"
            )


def _rule_of(rule: Any) -> Any:
    """The rule; of a class the one with its defaults."""
    return rule() if isinstance(rule, type) and hasattr(rule, "apply") else rule


@contextmanager
def drawing_from(generator: Generator) -> Iterator[None]:
    """Lets everything random in this thread draw from a generator."""
    before = _core.replay(generator)
    try:
        yield
    finally:
        _core.replay(before)
