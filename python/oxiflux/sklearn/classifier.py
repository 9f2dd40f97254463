"""Networks that tell classes, or labels of which each row may have several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from scipy.sparse import issparse
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d

from ..losses import logitbinarycrossentropy, logitcrossentropy
from ..optimisers import Adam
from .base import Estimator, Target
from .networks import log_probabilities, probabilities

__all__ = ["FluxClassifier"]


class FluxClassifier(ClassifierMixin, Estimator):  # type: ignore[misc]
    """A classifier of scikit-learn that is a network of this package, trained by `fit`.

    It takes arrays, frames and sparse matrices of numbers, classes of any kind in `y`, or for several labels in a row
    a matrix of zeros and ones. Its defaults are those of `MLPClassifier`, but for that one's end as soon as the loss
    stays as it is. `fit` computes in float32, or in float64 where all rows are a single batch.

    - `model`: the sizes of hidden layers, with relu behind each; or a function of the numbers of features and of
      classes that gives any model, whose outputs, a number for each class, are taken as before softmax; or a model,
      of which a copy is trained.
    - `loss`: a function of the outputs and of the classes' numbers from 0 on, or of the matrix of labels; by default
      `logitcrossentropy` or `logitbinarycrossentropy`. Of losses that take probabilities, such as `focal_loss`, those
      are the outputs.
    - `rule`: an optimiser's rule, or its class for its defaults. `set_params` and searches know its numbers as
      `rule__eta` and the like.
    - `epochs`, `batchsize`: how often `fit` takes all rows, and how many at a time, in random order.
    - `validation_fraction`: the share of rows that is held out, whose loss is the column `val_loss` of the history; by
      default 0.1 with `early_stopping`, else nothing.
    - `early_stopping`: ends the training after so many epochs without a lower `val_loss`, 10 if it is true, and takes
      the parameters of the best one.
    - `schedule`: the learning rate as a function of the step, or a dict of such functions, as in `fit`.
    - `class_weight`: what rows of a class count, a dict by class, or "balanced"; it multiplies `sample_weight`.
    - `random_state`: a number gives the same bits, with any number of threads.
    - `warm_start`: lets `fit` go on from the parameters of the last one.
    - `callbacks`: functions of the row after each epoch, as in `fit`; what counts, such as `early_stopping`, begins
      anew each time.
    - `verbose`: writes the row after each epoch.

    After `fit` there are `classes_`, `model_`, `history_` with a row for each epoch, `n_iter_`, `n_features_in_` and
    `feature_names_in_`.

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = FluxClassifier((16,), rule=Adam(0.01), epochs=60, batchsize=32, random_state=0).fit(X, y)
    >>> classifier.score(X, y) > 0.9
    True
    >>> classifier.predict_proba(X[:2]).shape, classifier.history_.columns
    ((2, 3), ['epoch', 'step', 'loss', 'seconds'])
    """

    _outputs_are = "classes"

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
        class_weight: Any = None,
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
        self.class_weight = class_weight
        self.random_state = random_state
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Trains on the rows of `X` and their classes; a row of weight 2 counts as two, one of weight 0 as none."""
        return self._train(X, y, sample_weight, is_partial=False)

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Self:
        """One epoch over some rows, with what the rule remembers, and without rows that are held out.

        The first call needs all `classes` there are, unless `y` is a matrix of labels. A dict `class_weight` weighs
        them as it says; "balanced" has no meaning here.
        """
        return self._train(X, y, sample_weight, is_partial=True, classes=classes)

    def predict(self, X: Any) -> np.ndarray[Any, Any]:
        """The likeliest class of each row, or a matrix of the labels that are likelier than not."""
        outputs = self._outputs(X)
        if self._is_multilabel:
            return (probabilities(self._loss, outputs, True).numpy() > 0.5).astype(np.int64)
        classes: np.ndarray[Any, Any] = self.classes_[outputs.numpy().argmax(axis=1)]
        return classes

    def predict_proba(self, X: Any) -> np.ndarray[Any, Any]:
        """The probability of each class, or of each label, for each row."""
        outputs = self._outputs(X)
        return np.array(probabilities(self._loss, outputs, self._is_multilabel))

    def predict_log_proba(self, X: Any) -> np.ndarray[Any, Any]:
        """The logarithms of `predict_proba`, which are finite where a probability is too small for a number."""
        outputs = self._outputs(X)
        return np.array(log_probabilities(self._loss, outputs, self._is_multilabel))

    def _target(self, y: Any, classes: Any, goes_on: bool, is_partial: bool) -> Target:
        check_classification_targets(y)
        kind = type_of_target(y)
        if kind == "multiclass-multioutput":
            raise ValueError(
                f"{self._name}: y must be one column of classes or a matrix of labels, each 0 or 1, "
                f"got several columns of classes in shape {y.shape}"
            )
        is_multilabel = kind == "multilabel-indicator"
        if goes_on and is_multilabel != self._is_multilabel:
            before, now = ("a matrix of labels", "one column of classes")[:: 1 if self._is_multilabel else -1]
            raise ValueError(f"{self._name}: y was {before} before and is {now} now")
        if is_multilabel:
            values = (y.toarray() if issparse(y) else np.asarray(y)).astype(np.float64)
            # What `classes` says of a matrix is at most that there are zeros and ones.
            names = self._names(np.arange(values.shape[1]), None, goes_on, True)
            loss: Any = logitbinarycrossentropy
        else:
            y = column_or_1d(y, warn=True)
            if is_partial and not goes_on and classes is None:
                raise ValueError("classes must be passed on the first call to partial_fit.")
            names = self._names(np.unique(y), classes, goes_on, not is_partial)
            values, loss = np.searchsorted(names, y).astype(np.int64), logitcrossentropy
        return Target(values, len(names), loss, {"classes_": names, "_is_multilabel": is_multilabel})

    def _names(self, here: Any, classes: Any, goes_on: bool, are_all: bool) -> Any:
        """The classes there are: those of before, those that are given, or those that are here, whichever come first;
        those that are here are among them, or all of them.
        """
        given = None if classes is None else np.unique(classes)
        if goes_on and given is not None and not np.array_equal(given, self.classes_):
            raise ValueError(f"{self._name}: classes={given} are not the classes of before, {self.classes_}")
        names = self.classes_ if goes_on else here if given is None else given
        if len(np.setdiff1d(here, names)) or (are_all and len(here) != len(names)):
            raise ValueError(
                f"{self._name}: y has the classes {here}, and {'' if are_all else 'some of '}{names} are expected"
            )
        return names

    def _class_weights(self, target: Target, weight: Any, is_partial: bool) -> Any:
        given, names = self.class_weight, target.learned["classes_"]
        if given is None:
            return None
        if is_partial and isinstance(given, str):
            raise ValueError(
                f"{self._name}: partial_fit does not know how often each class will come, which "
                f"class_weight={given!r} asks for; give a dict of weights"
            )
        if target.learned["_is_multilabel"]:
            return compute_sample_weight(given, target.values.astype(np.int64))
        labels = target.values
        if given == "balanced":
            # Not by scikit-learn's function, of which older versions know no weights.
            of_class = np.bincount(labels, weight, minlength=len(names))
            return (of_class.sum() / len(names) / np.maximum(of_class, 1e-300))[labels]
        return np.asarray(compute_class_weight(given, classes=names, y=names[labels]), np.float64)[labels]
