"""Losses of classes that do not all count alike: weights, labels that are ignored, labels that are smoothed.

The mean of labels is that of PyTorch: the sum of the losses over the sum of the weights of the labels, of which
ignored ones have none.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from . import _core
from ._core import ShapeError, Tensor, mean
from .edges import finite
from .targets import floating, labelled, one_hot_like

if TYPE_CHECKING:
    from .typing import ArrayLike

__all__ = ["Classes", "binary_weights"]


class Classes:
    """Predictions and targets of a loss of classes, and what each of them counts.

    `target` has the shape of the prediction: one-hot or probabilities, smoothed, times the weights of the classes. A
    loss that is linear in its target needs no more of the options.
    """

    name: str
    axis: int
    smoothing: float
    yhat: Tensor
    y: Tensor
    are_labels: bool
    kept: Tensor | None
    count: int
    weight: Tensor | None

    def __init__(
        self,
        name: str,
        yhat: ArrayLike,
        y: ArrayLike,
        axis: int,
        *,
        weight: ArrayLike | None = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
    ) -> None:
        if not 0 <= label_smoothing <= 1:
            raise ValueError(f"{name}: label_smoothing must lie between 0 and 1, got {label_smoothing}")
        self.name, self.axis, self.smoothing = name, axis, label_smoothing
        self.yhat, self.y, self.are_labels, self.kept = labelled(name, yhat, y, axis, ignore_index)
        self.ignore_index = ignore_index
        self.count = self.yhat.shape[axis]
        self.weight = None if weight is None else self._weight(weight)

    def _weight(self, given: ArrayLike) -> Tensor:
        """The weights of the classes, checked."""
        weight = floating(self.name, "the weight", given)
        if weight.shape != (self.count,):
            raise ShapeError(
                f"{self.name}: weight must be a number for each of {self.count} classes, got shape {weight.shape}"
            )
        return weight.astype(self.yhat.dtype)

    def along(self, x: Tensor) -> Tensor:
        """A number for each class in the shape of one prediction."""
        shape = [1] * self.yhat.ndim
        shape[self.axis] = self.count
        return x.reshape(tuple(shape))

    @property
    def target(self) -> Tensor:
        """What the logarithms are multiplied by."""
        y = one_hot_like(self.y, self.yhat, self.axis) if self.are_labels else self.y
        if self.smoothing:
            y = y * (1 - self.smoothing) + self.smoothing / self.count
        if self.weight is not None:
            y = y * self.along(self.weight)
        if self.kept is not None:
            y = _core.where(_core.expand_dims(self.kept, self.axis), y, 0.0)
        return y

    def without_ignored(self, each: Callable[[Tensor], Tensor]) -> Tensor:
        """`each(yhat)`, where predictions of ignored labels that are not finite have no part in the gradient."""
        losses = each(self.yhat)
        if self.kept is None:
            return losses
        if not finite(losses):
            losses = each(_core.where(_core.expand_dims(self.kept, self.axis), self.yhat, 0.0))
        return _core.where(self.kept, losses, 0.0)

    @functools.cached_property
    def counts(self) -> Tensor | None:
        """What each label counts, or None if all count the same."""
        counts = None if self.weight is None else _core.take(self.weight, self.y)
        if self.kept is None:
            return counts
        return self.kept.astype(self.yhat.dtype) if counts is None else _core.where(self.kept, counts, 0.0)

    def reduced(self, losses: Tensor, agg: Callable[[Tensor], Tensor]) -> Tensor:
        """`agg` of the losses; the mean of labels is by their weights."""
        if agg is not mean or not self.are_labels:
            return agg(losses)
        counts = self.counts
        if self.weight is not None or self.ignore_index is not None:
            ranks = _ranks()
            if ranks is not None:
                return self._reduced_among(ranks, losses)
        if counts is None:
            return mean(losses)
        total = counts.sum()
        if _core.holds(_core.equal(_core.stop_gradient(total), 0)):
            raise ValueError(self._nothing())
        return losses.sum() / total

    def _reduced_among(self, ranks: Ranks, losses: Tensor) -> Tensor:
        """What the labels of this rank add to the mean of all, for those who count it by the rows of this rank."""
        assert ranks.share is not None
        mine, rows = ranks.share
        counts = self.counts
        own = self.y.size if counts is None else _core.stop_gradient(counts).sum().item()
        total = float(ranks.meet(f"{self.name} with weights", own if mine else 0.0)[:, 0].sum())
        if not total:
            raise ValueError(self._nothing())
        return losses.sum() * (rows / max(mine, 1) / total)

    def _nothing(self) -> str:
        of = "label" if self.y.size == 1 else "labels"
        if self.kept is not None and not _core.any(self.kept).item():
            what = f"all {self.y.size} {of} are {self.ignore_index}, which is ignored"
        else:
            what = f"the weights of {self.y.size} {of} add up to 0"
        return f"{self.name}: there is nothing to take the mean of, {what}; agg=flux.sum gives 0"


class Ranks(Protocol):
    """The processes among which the rows of a batch are shared out: a World of `distributed`."""

    share: tuple[int, int] | None

    def meet(self, call: str, *numbers: float) -> Any:
        """A few numbers of each process, a row for each."""


def _ranks() -> Ranks | None:
    """Those of this moment, if there are such. Nobody who has not imported `distributed` has them."""
    module = sys.modules.get(f"{__package__}.distributed.world")
    return None if module is None else module.sharing()


def binary_weights(name: str, option: str, given: ArrayLike | None, yhat: Tensor) -> Tensor | None:
    """Weights that broadcast to the prediction, in its dtype."""
    if given is None:
        return None
    weight = floating(name, f"the {option}", given)
    try:
        _core.broadcast_to(weight, yhat.shape)
    except ShapeError:
        raise ShapeError(
            f"{name}: {option} of shape {weight.shape} does not broadcast to the prediction {yhat.shape}"
        ) from None
    return weight.astype(yhat.dtype)
