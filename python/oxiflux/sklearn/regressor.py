"""Networks that tell numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin

from ..losses import mse
from ..optimisers import Adam
from .base import Estimator, Target

__all__ = ["FluxRegressor"]


class FluxRegressor(RegressorMixin, Estimator):  # type: ignore[misc]
    """A regressor of scikit-learn that is a network of this package, trained by `fit`.

    It takes arrays, frames and sparse matrices of numbers; `y` is a number for each row, or several in columns, and
    learns best if it is of the size of 1: `TransformedTargetRegressor` sees to that. The parameters are those of
    `FluxClassifier`, but for the weights of classes.

    - `model`: the sizes of hidden layers, with relu behind each; or a function of the numbers of features and of
      columns of `y` that gives any model; or a model, of which a copy is trained.
    - `loss`: a function of predictions and targets, both `(rows, columns)`; by default `mse`. With weights it is called
      with `agg=identity` for the loss of each row.

    After `fit` there are `model_`, `history_` with a row for each epoch, `n_iter_`, `n_features_in_` and
    `feature_names_in_`.

    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 100).reshape(-1, 1)
    >>> y = np.sin(3 * X[:, 0])
    >>> regressor = FluxRegressor((32,), rule=Adam(0.01), epochs=300, random_state=0).fit(X, y)
    >>> regressor.score(X, y) > 0.95, regressor.predict(X[:2]).shape
    (True, (2,))
    >>> FluxRegressor(epochs=1).fit(X, np.stack([y, -y], axis=1)).predict(X[:2]).shape
    (2, 2)
    """

    _outputs_are = "targets"

    def __init__(
        self,
        model: Any = (100,),
        *,
        loss: Callable[..., Any] | None = None,
        rule: Any = Adam,
        epochs: int = 200,
        batchsize: int = 200,
        validation_fraction: float | None = None,
        early_stopping: bool | int = False,
        schedule: Any = None,
        random_state: Any = None,
        warm_start: bool = False,
        callbacks: Any = (),
        verbose: bool = False,
    ) -> None:
        self.model = model
        self.loss = loss
        self.rule = rule
        self.epochs = epochs
        self.batchsize = batchsize
        self.validation_fraction = validation_fraction
        self.early_stopping = early_stopping
        self.schedule = schedule
        self.random_state = random_state
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Trains on the rows of `X` and their numbers; a row of weight 2 counts as two, one of weight 0 as none."""
        return self._train(X, y, sample_weight, is_partial=False)

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """One epoch over some rows, with what the rule remembers, and without rows that are held out."""
        return self._train(X, y, sample_weight, is_partial=True)

    def predict(self, X: Any) -> np.ndarray[Any, Any]:
        """The numbers of each row, in the shape that `y` had."""
        outputs = self._outputs(X).numpy().astype(np.float64)
        return outputs[:, 0] if self._is_column else outputs

    def _target(self, y: Any, classes: Any, goes_on: bool, is_partial: bool) -> Target:
        values = np.asarray(y, np.float64)
        columns = 1 if values.ndim == 1 else values.shape[1]
        if goes_on and (values.ndim == 1, columns) != (self._is_column, self._columns):
            before = "one axis" if self._is_column else f"{self._columns} columns"
            raise ValueError(f"{self._name}: y had {before} before and has shape {values.shape} now")
        learned = {"_is_column": values.ndim == 1, "_columns": columns}
        return Target(values.reshape(len(values), columns), columns, mse, learned)
