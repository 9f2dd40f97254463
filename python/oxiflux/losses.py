"""Loss functions: `loss(yhat, y)` of a prediction and its target, reduced to one number by `agg`, the mean
unless given.

A prediction is never broadcast against a target: different shapes raise ShapeError, an empty batch
ValueError. A single number is the target of every prediction. The target is converted to the dtype of the
prediction. `eps` keeps a logarithm finite; by default it is the distance from 1 to the next number of the
prediction's dtype. Classes lie on `axis`, the last one unless given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Never

import numpy as np

from . import _core
from ._core import ShapeError, Tensor, mean, relu, where
from .edges import eps_of, finite, rounded_once, xlogy
from .entropies import (
    binary_focal_loss,
    binarycrossentropy,
    crossentropy,
    focal_loss,
    logitbinarycrossentropy,
    logitcrossentropy,
    nll_loss,
)
from .functions.axes import axis_of
from .hints import told
from .margins import cosine_embedding_loss, margin_ranking_loss, triplet_margin_loss
from .targets import check_options, floating, pair

if TYPE_CHECKING:
    from .typing import ArrayLike

__all__ = [
    "binary_focal_loss",
    "binarycrossentropy",
    "cosine_embedding_loss",
    "crossentropy",
    "ctc_loss",
    "dice_coeff_loss",
    "focal_loss",
    "hinge_loss",
    "huber_loss",
    "kldivergence",
    "label_smoothing",
    "logitbinarycrossentropy",
    "logitcrossentropy",
    "mae",
    "margin_ranking_loss",
    "mse",
    "msle",
    "nll_loss",
    "poisson_loss",
    "siamese_contrastive_loss",
    "squared_hinge_loss",
    "triplet_margin_loss",
    "tversky_loss",
]

Agg = Callable[[Tensor], Tensor]

# Those that are called most cost one call of the core if their arguments are in order.
_mae, _mse = _core.mae, _core.mse


def mae(yhat: ArrayLike, y: ArrayLike, *, agg: Agg = mean, **unknown: Never) -> Tensor:
    """Mean absolute error, `agg(abs(yhat - y))`.

    >>> import oxiflux as flux
    >>> round(flux.mae([1.1, 1.9, 3.1], [1, 2, 3]).item(), 6)
    0.1
    """
    if agg is mean and not unknown:
        try:
            return _mae(yhat, y)
        except (TypeError, ValueError):
            pass  # What is wrong is found and said below; what can be converted is.
    check_options("mae", agg, unknown, "agg")
    yhat, y = pair("mae", yhat, y)
    return _mae(yhat, y) if agg is mean else agg(_core.abs(yhat - y))


def mse(yhat: ArrayLike, y: ArrayLike, *, agg: Agg = mean, **unknown: Never) -> Tensor:
    """Mean square error, `agg((yhat - y)**2)`.

    >>> import oxiflux as flux
    >>> round(flux.mse([1.1, 1.9, 3.1], [1, 2, 3]).item(), 6)
    0.01
    """
    if agg is mean and not unknown:
        try:
            return _mse(yhat, y)
        except (TypeError, ValueError):
            pass  # What is wrong is found and said below; what can be converted is.
    check_options("mse", agg, unknown, "agg")
    yhat, y = pair("mse", yhat, y)
    return _mse(yhat, y) if agg is mean else agg(_core.square(yhat - y))


@rounded_once
def msle(yhat: ArrayLike, y: ArrayLike, *, agg: Agg = mean, eps: float | None = None) -> Tensor:
    """Mean squared logarithmic error, `agg(log((yhat + eps) / (y + eps))**2)`; too low costs more than too
    high.

    >>> import oxiflux as flux
    >>> round(flux.msle([1.1, 2.2, 3.3], [1, 2, 3]).item(), 6)
    0.009084
    """
    yhat, y = pair("msle", yhat, y)
    eps = eps_of(yhat, eps)
    ratio = (yhat + eps) / (y + eps)
    if finite(ratio):
        return agg(_core.square(_core.log(ratio)))
    endless = yhat == math.inf
    log = where(endless, math.inf, _core.log(where(endless, 1, yhat) + eps))
    return agg(_core.square(log - _core.log(y + eps)))


@rounded_once
def huber_loss(yhat: ArrayLike, y: ArrayLike, *, agg: Agg = mean, delta: float = 1) -> Tensor:
    """Huber's loss: with `d = abs(yhat - y)`, `d**2 / 2` where `d <= delta`, else `delta * (d - delta / 2)`.

    Ref: Huber, "Robust estimation of a location parameter", 1964.

    >>> import oxiflux as flux
    >>> round(flux.huber_loss([1.1, 2.1, 3.1], [1, 2, 3], delta=0.05).item(), 6)
    0.00375
    """
    if not delta > 0:
        raise ValueError(f"huber_loss: delta must be positive, got {delta}")
    yhat, y = pair("huber_loss", yhat, y)
    d = _core.abs(yhat - y)
    if finite(d):
        near = _core.minimum(d, delta)
        return agg(near * (d - 0.5 * near))
    small = where(d <= delta, d, 0)  # squared alone: the square of what is large has no part in the gradient
    return agg(0.5 * small * small + where(d <= delta, 0, delta * (d - 0.5 * delta)))


@told
def label_smoothing(y: ArrayLike, alpha: float, *, axis: int | None = -1) -> Tensor:
    """Less certain labels: `y * (1 - alpha) + alpha / n` with `n` classes along `axis`.

    With `axis=None` each number is a label of its own, between 0 and 1, and `n` is 2. Raises ValueError
    unless `0 < alpha < 1`. Ref: Szegedy et al., "Rethinking the Inception architecture", 2016.

    >>> import oxiflux as flux
    >>> [round(p, 2) for p in flux.label_smoothing([0, 1, 0, 0], 0.2).tolist()]
    [0.05, 0.85, 0.05, 0.05]
    """
    if not 0 < alpha < 1:
        raise ValueError(f"label_smoothing: alpha must lie between 0 and 1, got {alpha}")
    y = floating("label_smoothing", "the labels", y)
    n = 2 if axis is None else y.shape[axis_of("label_smoothing", axis, y.ndim)]
    return y * (1 - alpha) + alpha / max(n, 1)  # Of no classes there are no labels.


@rounded_once
def kldivergence(
    yhat: ArrayLike, y: ArrayLike, *, agg: Agg = mean, axis: int = -1, eps: float | None = None
) -> Tensor:
    """Kullback-Leibler divergence of `y` from `yhat`, `agg(sum(y * log(y), axis)) + crossentropy(yhat, y)`.

    Ref: Kullback and Leibler, "On information and sufficiency", 1951.

    >>> import oxiflux as flux
    >>> round(flux.kldivergence([[0.5, 0.5]], [[1.0, 0.0]]).item(), 4)
    0.6931
    """
    yhat, y = pair("kldivergence", yhat, y)
    return agg(xlogy(y, y).sum(axis=axis)) + agg(-xlogy(y, yhat + eps_of(yhat, eps)).sum(axis=axis))


@rounded_once
def poisson_loss(yhat: ArrayLike, y: ArrayLike, *, agg: Agg = mean) -> Tensor:
    """Negative log likelihood of the counts `y` at the rates `yhat`, up to a constant: `agg(yhat - y *
    log(yhat))`.

    >>> import oxiflux as flux
    >>> round(flux.poisson_loss([1.0, 3.0, 3.0], [1, 2, 3]).item(), 4)
    0.5023
    """
    yhat, y = pair("poisson_loss", yhat, y)
    # An infinite rate is further from every count than its logarithm is.
    return agg(yhat - xlogy(y, yhat if finite(yhat) else where(yhat == math.inf, 1, yhat)))


@rounded_once
def hinge_loss(yhat: ArrayLike, y: ArrayLike, *, agg: Agg = mean) -> Tensor:
    """Hinge loss of scores for labels -1 and 1, `agg(max(0, 1 - yhat * y))`.

    >>> import oxiflux as flux
    >>> round(flux.hinge_loss([0.1, 0.3, 1.0, 1.5], [1, -1, 1, 1]).item(), 4)
    0.55
    """
    yhat, y = pair("hinge_loss", yhat, y)
    return agg(relu(1 - yhat * y))


@rounded_once
def squared_hinge_loss(yhat: ArrayLike, y: ArrayLike, *, agg: Agg = mean) -> Tensor:
    """Squared hinge loss of scores for labels -1 and 1, `agg(max(0, 1 - yhat * y)**2)`.

    >>> import oxiflux as flux
    >>> round(flux.squared_hinge_loss([0.1, 0.3, 1.0, 1.5], [1, -1, 1, 1]).item(), 4)
    0.625
    """
    yhat, y = pair("squared_hinge_loss", yhat, y)
    return agg(_core.square(relu(1 - yhat * y)))


@rounded_once
def dice_coeff_loss(yhat: ArrayLike, y: ArrayLike, *, smooth: float = 1) -> Tensor:
    """Dice loss for segmentation, `1 - (2 * sum(yhat * y) + smooth) / (sum(yhat**2) + sum(y**2) + smooth)`.

    Ref: Milletari, Navab and Ahmadi, "V-Net", 2016.

    >>> import oxiflux as flux
    >>> round(flux.dice_coeff_loss([1.1, 2.1, 3.1], [1, 2, 3]).item(), 5)
    0.00099
    """
    yhat, y = pair("dice_coeff_loss", yhat, y)
    overlap = 2 * (yhat * y).sum() + smooth
    return 1 - overlap / (_core.square(yhat).sum() + _core.square(y).sum() + smooth)


@rounded_once
def tversky_loss(yhat: ArrayLike, y: ArrayLike, *, beta: float = 0.7) -> Tensor:
    """Tversky loss for unbalanced segmentation, `1 - (p + 1) / (p + beta * fp + (1 - beta) * fn + 1)`.

    `p = sum(yhat * y)`, `fp = sum(yhat * (1 - y))` and `fn = sum((1 - yhat) * y)`. Ref: Salehi, Erdogmus and
    Gholipour, "Tversky loss function for image segmentation", 2017, with the weights as Flux has them.

    >>> import oxiflux as flux
    >>> round(flux.tversky_loss([1.0, 1.0, 0.0, 1.0, 1.0, 0.0], [0, 1, 0, 1, 1, 1]).item(), 4)
    0.2
    """
    yhat, y = pair("tversky_loss", yhat, y)
    hit = (yhat * y).sum()
    false_positive, false_negative = (yhat * (1 - y)).sum(), ((1 - yhat) * y).sum()
    return 1 - (hit + 1) / (hit + beta * false_positive + (1 - beta) * false_negative + 1)


@rounded_once
def siamese_contrastive_loss(yhat: ArrayLike, y: ArrayLike, *, agg: Agg = mean, margin: float = 1) -> Tensor:
    """Contrastive loss of distances, `agg((1 - y) * yhat**2 + y * max(0, margin - yhat)**2)`; `y` is 1 for
    unlike pairs.

    Raises ValueError for a negative margin. Ref: Hadsell, Chopra and LeCun, "Dimensionality reduction by
    learning an invariant mapping", 2006.

    >>> import oxiflux as flux
    >>> round(flux.siamese_contrastive_loss([0.5, 1.5, 2.5], [1, 2, 3], margin=2).item(), 4)
    -4.0
    """
    if margin < 0:
        raise ValueError(f"siamese_contrastive_loss: margin must not be negative, got {margin}")
    yhat, y = pair("siamese_contrastive_loss", yhat, y)
    alike = _core.square(where(y == 1, 0, yhat))  # infinitely far is far enough for what is unlike
    return agg((1 - y) * alike + y * _core.square(relu(margin - yhat)))


@told
def ctc_loss(
    yhat: ArrayLike,
    y: ArrayLike,
    *,
    agg: Agg = mean,
    input_lengths: Sequence[int] | None = None,
    target_lengths: Sequence[int] | None = None,
) -> Tensor:
    """Connectionist temporal classification: `-log P(y)` for logits `(time, classes)` and integer labels `(n,)`,
    or `agg` of it over a batch, `(batch, time, classes)` and `(batch, n)`.

    The last class is the blank, which is not among the labels; `softmax` is applied to the logits. `P(y)` sums
    over all ways to make the labels by one class at a time, with blanks and repetitions left out. It is zero,
    the loss infinite and its gradient zero, if there are more labels than times. Of a batch, `input_lengths` and
    `target_lengths` say how many times and labels of each row count, all unless given. Ref: Graves et al. 2006,
    Connectionist temporal classification.

    >>> import oxiflux as flux
    >>> x = flux.tensor([[1.0, 2.0, 3.0], [2.0, 1.0, 3.0], [3.0, 1.0, 2.0]])
    >>> round(flux.ctc_loss(x, [0, 1]).item(), 5)
    3.69907
    >>> batch = flux.stack([x, x])
    >>> flux.ctc_loss(batch, [[0, 1], [0, 0]], target_lengths=[2, 1], agg=lambda losses: losses)
    Tensor([3.6990738, 0.7397102])
    """
    x = floating("ctc_loss", "the prediction", yhat)
    labels = _core.asarray(y)
    if x.ndim == 3:
        if labels.ndim != 2 or labels.shape[0] != x.shape[0] or not x.shape[0]:
            raise ShapeError(
                "ctc_loss: expected logits (batch, time, classes) and labels (batch, n),"
                f" got shapes {x.shape} and {labels.shape}"
            )
        times = _counts("input_lengths", input_lengths, x.shape[0], x.shape[1])
        ends = _counts("target_lengths", target_lengths, x.shape[0], labels.shape[1])
        if target_lengths is not None:  # what does not count may be any number
            labels = labels[:, : max(ends)]
            labels = where(np.arange(max(ends)) < np.array(ends)[:, None], labels, 0)
        return agg(_core.ctc_losses(x, labels, np.stack([times, ends], axis=1)))
    if input_lengths is not None or target_lengths is not None:
        raise ShapeError(f"ctc_loss: lengths are for logits (batch, time, classes), got shape {x.shape}")
    return agg(_core.ctc_loss(x, labels))


def _counts(name: str, given: Sequence[int] | None, batch: int, most: int) -> list[int]:
    """How much of each row of a batch counts."""
    counts = [most] * batch if given is None else np.asarray(given).tolist()
    if not isinstance(counts, list) or len(counts) != batch:
        raise ShapeError(f"ctc_loss: {name} must be {batch} numbers, got {given!r}")
    if not all(isinstance(n, int) and 0 <= n <= most for n in counts):
        raise ValueError(f"ctc_loss: {name} must be integers from 0 to {most}, got {given!r}")
    return counts
