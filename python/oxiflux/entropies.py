"""Cross entropies of classes and of single events: of probabilities, of logits, and with a focus on what is hard."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Never

from . import _core
from ._core import Tensor, mean, relu
from .edges import eps_of, finite, power, product, rounded_once, xlogy
from .targets import check_options, classes, one_hot_like, pair
from .weighted import Classes, binary_weights

if TYPE_CHECKING:
    from .typing import ArrayLike

__all__ = [
    "binary_focal_loss", "binarycrossentropy", "crossentropy", "focal_loss", "logitbinarycrossentropy",
    "logitcrossentropy", "nll_loss",
]  # fmt: skip

Agg = Callable[[Tensor], Tensor]

# It costs one call of the core if its arguments are in order.
_logitcrossentropy = _core.logitcrossentropy_mean


@rounded_once
def crossentropy(
    yhat: ArrayLike,
    y: ArrayLike,
    *,
    agg: Agg = mean,
    axis: int = -1,
    eps: float | None = None,
    weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross entropy of probabilities, `agg(-sum(y * log(yhat + eps), axis))`.

    `y` is one-hot or probabilities in the shape of `yhat`, or integer labels in that shape without the axis
    of classes. A label out of range raises IndexError, a NaN or fractional one ValueError.
    `logitcrossentropy`, which takes the numbers before softmax, is faster and more accurate; it says what `weight`,
    `ignore_index` and `label_smoothing` are.

    >>> import oxiflux as flux
    >>> p = flux.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]])
    >>> [round(flux.crossentropy(p, y).item(), 4) for y in ([0, 1], [[1, 0, 0], [0, 1, 0]])]
    [0.2899, 0.2899]
    """
    given = Classes(
        "crossentropy", yhat, y, axis,
        weight=weight, ignore_index=ignore_index, label_smoothing=label_smoothing,
    )  # fmt: skip
    target, eps = given.target, eps_of(given.yhat, eps)
    return given.reduced(given.without_ignored(lambda p: -xlogy(target, p + eps).sum(axis=axis)), agg)


def logitcrossentropy(
    yhat: ArrayLike,
    y: ArrayLike,
    *,
    agg: Agg = mean,
    axis: int = -1,
    weight: ArrayLike | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    **unknown: Never,
) -> Tensor:
    """Cross entropy of logits, `agg(-sum(y * logsoftmax(yhat, axis), axis))`, without overflow for large
    logits.

    `y` is one-hot or probabilities in the shape of `yhat`, or integer labels in that shape without the axis
    of classes. A label out of range raises IndexError, a NaN or fractional one ValueError.

    `weight` has a number for each class, by which what `y` has of that class is multiplied. Labels that are
    `ignore_index`, which need not be a class, cost nothing and have no gradient. `label_smoothing` takes the place of
    `y` by `y * (1 - label_smoothing) + label_smoothing / classes`. The mean of labels is their sum over the sum of
    their weights, 1 unless given, without the ignored ones, and raises ValueError where that is 0; another `agg` gets
    the loss of each, which is 0 for ignored ones. Ref: PyTorch's `cross_entropy`.

    >>> import oxiflux as flux
    >>> logits = flux.tensor([[2.0, 0.5, -1.0], [0.0, 3.0, 0.0]])
    >>> round(flux.logitcrossentropy(logits, [0, 1]).item(), 4)
    0.1681
    >>> round(flux.logitcrossentropy(logits, [0, -1], ignore_index=-1, weight=[2, 1, 1]).item(), 4)
    0.2413
    """
    if (
        agg is mean
        and axis == -1
        and weight is None
        and ignore_index is None
        and not label_smoothing
        and not unknown
        and type(yhat) is Tensor
        and getattr(y, "ndim", None) == yhat.ndim - 1
    ):
        try:
            return _logitcrossentropy(yhat, y)
        except (TypeError, ValueError, IndexError):
            pass  # As in `mse`.
    options = ("agg", "axis", "weight", "ignore_index", "label_smoothing")
    check_options("logitcrossentropy", agg, unknown, *options)
    if weight is not None or ignore_index is not None or label_smoothing:
        return _of_classes(
            yhat, y, agg=agg, axis=axis,
            weight=weight, ignore_index=ignore_index, label_smoothing=label_smoothing,
        )  # fmt: skip
    yhat, y, labels = classes("logitcrossentropy", yhat, y, axis)
    if labels and axis in (-1, yhat.ndim - 1):
        return _logitcrossentropy(yhat, y) if agg is mean else agg(_core.logitcrossentropy_labels(yhat, y))
    if labels:
        y = one_hot_like(y, yhat, axis)
    return agg(-product(y, _core.logsoftmax(yhat, axis=axis)).sum(axis=axis))


@rounded_once
def _of_classes(yhat: ArrayLike, y: ArrayLike, *, agg: Agg, axis: int, **options: Any) -> Tensor:
    """`logitcrossentropy` with classes that do not all count alike."""
    given = Classes("logitcrossentropy", yhat, y, axis, **options)
    if given.are_labels and not given.smoothing and axis in (-1, given.yhat.ndim - 1):
        losses = given.without_ignored(lambda x: _core.logitcrossentropy_labels(x, given.y))
        counts = given.counts
        return given.reduced(losses if counts is None else product(counts, losses), agg)
    if given.are_labels and axis in (-1, given.yhat.ndim - 1):
        return given.reduced(given.without_ignored(lambda x: _smoothed(given, x)), agg)
    target = given.target
    return given.reduced(
        given.without_ignored(lambda x: -product(target, _core.logsoftmax(x, axis=axis)).sum(axis=axis)), agg
    )


def _smoothed(given: Classes, x: Tensor) -> Tensor:
    """The losses of smoothed labels of classes along the last axis, without a target for each class."""
    logs = _core.logsoftmax(x)
    own = _core.squeeze(_core.take_along_axis(logs, _core.expand_dims(given.y, -1)), -1)
    if given.weight is None:
        others = logs.sum(axis=-1)
    else:
        own, others = own * _core.take(given.weight, given.y), _core.matmul(logs, given.weight)
    losses = -(own * (1 - given.smoothing) + others * (given.smoothing / given.count))
    # A class without weight, or without chance, costs nothing.
    return losses if finite(losses) else -product(given.target, logs).sum(axis=-1)


@rounded_once
def nll_loss(
    yhat: ArrayLike,
    y: ArrayLike,
    *,
    agg: Agg = mean,
    axis: int = -1,
    weight: ArrayLike | None = None,
    ignore_index: int | None = None,
) -> Tensor:
    """Negative log likelihood of logarithms of probabilities, `agg(-sum(y * yhat, axis))`, such as those of
    `logsoftmax`.

    `y`, `weight` and `ignore_index` are those of `logitcrossentropy`, which takes the logits and is faster. Ref:
    PyTorch's `nll_loss`.

    >>> import oxiflux as flux
    >>> logits = flux.tensor([[2.0, 0.5, -1.0], [0.0, 3.0, 0.0]])
    >>> round(flux.nll_loss(flux.logsoftmax(logits), [0, 1]).item(), 4)
    0.1681
    """
    given = Classes("nll_loss", yhat, y, axis, weight=weight, ignore_index=ignore_index)
    if given.are_labels:
        places = _core.expand_dims(given.y, axis)
        losses = given.without_ignored(
            lambda x: -_core.squeeze(_core.take_along_axis(x, places, axis=axis), axis=axis)
        )
        counts = given.counts
        return given.reduced(losses if counts is None else product(counts, losses), agg)
    return given.reduced(-product(given.target, given.yhat).sum(axis=axis), agg)


@rounded_once
def binarycrossentropy(
    yhat: ArrayLike,
    y: ArrayLike,
    *,
    agg: Agg = mean,
    eps: float | None = None,
    weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None,
) -> Tensor:
    """Cross entropy of probabilities of one event each, `agg(-y * log(yhat + eps) - (1 - y) * log(1 - yhat +
    eps))`.

    `weight` and `pos_weight` are those of `logitbinarycrossentropy`.

    >>> import oxiflux as flux
    >>> round(flux.binarycrossentropy([0.9, 0.2], [True, False]).item(), 4)
    0.1643
    """
    yhat, y = pair("binarycrossentropy", yhat, y)
    eps = eps_of(yhat, eps)
    weight = binary_weights("binarycrossentropy", "weight", weight, yhat)
    pos_weight = binary_weights("binarycrossentropy", "pos_weight", pos_weight, yhat)
    happened = y if pos_weight is None else y * pos_weight
    losses = -xlogy(happened, yhat + eps) - xlogy(1 - y, 1 - yhat + eps)
    return agg(losses if weight is None else product(weight, losses))


def logitbinarycrossentropy(
    yhat: ArrayLike,
    y: ArrayLike,
    *,
    agg: Agg = mean,
    weight: ArrayLike | None = None,
    pos_weight: ArrayLike | None = None,
    **unknown: Never,
) -> Tensor:
    """`binarycrossentropy(sigmoid(yhat), y)` without overflow: `agg((1 - y) * yhat - logsigmoid(yhat))`; what
    is certain and right costs nothing.

    `weight` multiplies each loss, `pos_weight` what `y` has of the event: above 1 it makes up for events that are
    rare. Both broadcast to the prediction, so that a vector has one number for each of the last axis; the mean
    divides by the number of predictions, whatever the weights. Ref: PyTorch's `binary_cross_entropy_with_logits`.

    >>> import oxiflux as flux
    >>> round(flux.logitbinarycrossentropy([2.0, -1.0, 3.0], [True, False, True]).item(), 4)
    0.1629
    >>> round(flux.logitbinarycrossentropy([2.0, -1.0, 3.0], [True, False, True], pos_weight=3).item(), 4)
    0.2799
    """
    check_options("logitbinarycrossentropy", agg, unknown, "agg", "weight", "pos_weight")
    if weight is not None or pos_weight is not None:
        return _of_events(yhat, y, agg=agg, weight=weight, pos_weight=pos_weight)
    yhat, y = pair("logitbinarycrossentropy", yhat, y)
    return agg(_core.logitbinarycrossentropy_each(yhat, y))


@rounded_once
def _of_events(
    yhat: ArrayLike, y: ArrayLike, *, agg: Agg, weight: ArrayLike | None, pos_weight: ArrayLike | None
) -> Tensor:
    """`logitbinarycrossentropy` with weights."""
    yhat, y = pair("logitbinarycrossentropy", yhat, y)
    weight = binary_weights("logitbinarycrossentropy", "weight", weight, yhat)
    pos_weight = binary_weights("logitbinarycrossentropy", "pos_weight", pos_weight, yhat)
    if pos_weight is None:
        losses = _core.logitbinarycrossentropy_each(yhat, y)
    else:
        # The loss is linear in what there is of the event and in what there is not, which together need not be 1.
        happened = pos_weight * y
        both = happened + (1 - y)
        none = not _core.holds(_core.greater(_core.min(_core.stop_gradient(both)), 0))
        share = happened / (_core.where(both == 0, 1.0, both) if none else both)
        losses = product(both, _core.logitbinarycrossentropy_each(yhat, share))
    return agg(losses if weight is None else product(weight, losses))


@rounded_once
def binary_focal_loss(
    yhat: ArrayLike, y: ArrayLike, *, agg: Agg = mean, gamma: float = 2, eps: float | None = None
) -> Tensor:
    """Focal loss of one probability each, `agg(-(1 - p)**gamma * log(p))`, with `p` that of the true outcome.

    `p = y * yhat + (1 - y) * (1 - yhat) + eps`. With `gamma=0` it is `binarycrossentropy`; Flux takes
    `eps` away where `y` is 0, which has no logarithm at `yhat` 1. Ref: Lin et al., "Focal loss for dense object
    detection", 2017.

    >>> import oxiflux as flux
    >>> round(flux.binary_focal_loss([[0.6, 0.4], [0.3, 0.7]], [[1, 0], [0, 1]]).item(), 4)
    0.0569
    """
    yhat, y = pair("binary_focal_loss", yhat, y)
    p = y * yhat + (1 - y) * (1 - yhat) + eps_of(yhat, eps)
    return agg(-power(relu(1 - p), gamma) * _core.log(p))


@rounded_once
def focal_loss(
    yhat: ArrayLike,
    y: ArrayLike,
    *,
    agg: Agg = mean,
    axis: int = -1,
    gamma: float = 2,
    eps: float | None = None,
    weight: ArrayLike | None = None,
    ignore_index: int | None = None,
) -> Tensor:
    """Focal loss of probabilities, `agg(sum(-y * (1 - q)**gamma * log(q), axis))` with `q = yhat + eps`.

    `y` may be integer labels, as in `crossentropy`, which it is with `gamma=0`; `weight` and `ignore_index` are
    those of `logitcrossentropy`. Ref: Lin et al., "Focal loss for dense object detection", 2017.

    >>> import oxiflux as flux
    >>> round(flux.focal_loss([[0.4, 0.5, 0.1], [0.2, 0.5, 0.3]], [0, 2]).item(), 4)
    0.4599
    """
    given = Classes("focal_loss", yhat, y, axis, weight=weight, ignore_index=ignore_index)
    target, eps = given.target, eps_of(given.yhat, eps)

    def each(p: Tensor) -> Tensor:
        q = p + eps
        return (-xlogy(target, q) * power(relu(1 - q), gamma)).sum(axis=axis)

    return given.reduced(given.without_ignored(each), agg)
