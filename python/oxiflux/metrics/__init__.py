"""Metrics: how good predictions are, as numbers that nobody differentiates: `flux.metrics.f1(model(x), y)`.

As in the losses the prediction comes first and the target second. Each metric is exact over all that it is given,
agrees with the function of scikit-learn that its page names, and takes predictions as models make them: labels,
probabilities or logits. `fit` and `evaluate` take them by name.
"""

from .classes import accuracy, confusion, f1, precision, recall
from .named import whole
from .numbers import mae, mse, r2, rmse
from .ranks import auc, topk

__all__ = [
    "accuracy", "auc", "confusion", "f1", "mae", "mse", "precision", "r2", "recall", "rmse", "topk", "whole",
]  # fmt: skip
