"""What an estimator trains: the network of its `model`, the loss of batches, and the end that belongs to a loss."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from numbers import Integral
from typing import Any

from .. import _core, losses
from .._core import (
    ShapeError,
    Tensor,
    float64,
    identity,
    logsigmoid,
    logsoftmax,
    mean,
    relu,
    sigmoid,
    softmax,
)
from ..layers import Chain, Dense
from ..tree import f64

__all__ = [
    "Loss",
    "built",
    "check_outputs",
    "end_of",
    "is_whole",
    "log_probabilities",
    "objective",
    "probabilities",
]

Loss = Callable[..., Tensor]

# Losses that take other things than numbers before softmax or sigmoid, and what makes these things of such numbers.
ENDS: dict[Any, Callable[[Tensor], Tensor]] = {
    losses.crossentropy: softmax,
    losses.focal_loss: softmax,
    losses.nll_loss: logsoftmax,
    losses.binarycrossentropy: sigmoid,
    losses.binary_focal_loss: sigmoid,
}


def end_of(loss: Loss) -> Callable[[Tensor], Tensor]:
    """What stands at the end of a network whose outputs this loss takes.

    >>> end_of(losses.mse), end_of(functools.partial(losses.crossentropy, label_smoothing=0.1))
    (<built-in function identity>, <built-in function softmax>)
    """
    while isinstance(loss, functools.partial):
        loss = loss.func
    return ENDS.get(loss, identity)


def built(caller: str, model: Any, features: int, outputs: int, loss: Loss, is_double: bool) -> Any:
    """A fresh network: of hidden sizes with relu between them, of a function of both sizes, or a copy of a model.

    >>> built("FluxRegressor", (8,), 3, 1, losses.mse, False)
    Chain(
      Dense(3 => 8, relu),                  # 32 parameters
      Dense(8 => 1),                        # 9 parameters
    )                   # Total: 4 arrays, 41 parameters, 164 bytes.
    """
    if callable(model):
        network = copy.deepcopy(model) if _core.leaves(model) else model(features, outputs)
        if not callable(network):
            raise TypeError(
                f"{caller}: model({features}, {outputs}) must give a model that can be called with rows, "
                f"got {network!r}"
            )
    else:
        sizes = [features, *hidden(caller, model), outputs]
        last = len(sizes) - 2
        layers: list[Any] = [
            Dense(sizes[i], sizes[i + 1], relu if i < last else identity) for i in range(last + 1)
        ]
        end = end_of(loss)
        network = Chain(*layers, *([] if end is identity else [end]))
    return f64(network) if is_double else network


def hidden(caller: str, model: Any) -> list[int]:
    """The sizes of the hidden layers.

    >>> hidden("FluxRegressor", 8), hidden("FluxRegressor", ())
    ([8], [])
    """
    sizes = [model] if is_whole(model) else model
    if not hasattr(sizes, "__iter__") or isinstance(sizes, str):
        raise TypeError(
            f"{caller}: model must be the sizes of hidden layers, such as (64, 64), or a function of the numbers of "
            f"features and of outputs that gives a model, got {model!r}"
        )
    each = list(sizes)
    if not all(is_whole(n) and n > 0 for n in each):
        raise ValueError(f"{caller}: hidden layers must have whole sizes of at least 1, got {model!r}")
    return [int(n) for n in each]


def is_whole(x: Any) -> bool:
    """Whether this is a whole number.

    >>> is_whole(3), is_whole(True), is_whole(3.0)
    (True, False, False)
    """
    return isinstance(x, Integral) and not isinstance(x, bool)


def check_outputs(caller: str, network: Any, x: Tensor, outputs: int, what: str) -> None:
    """Raises unless a network gives a number for each of the outputs; layers that have no sizes before get them."""
    y = network(x)
    shape = getattr(y, "shape", None)
    if shape is None:
        raise TypeError(f"{caller}: the model must give a tensor, got a {type(y).__name__}")
    if tuple(shape) != (len(x), outputs):
        raise ShapeError(
            f"{caller}: for {outputs} {what} and rows of shape {x.shape} the model must give shape "
            f"({len(x)}, {outputs}), got {tuple(shape)}"
        )


def objective(caller: str, loss: Loss, is_weighted: bool) -> Loss:
    """The loss of a batch `(x, y)`, or of a batch with weights `(x, y, weight)`.

    >>> twice = lambda x: x * 2
    >>> x, y = _core.tensor([[1.0], [2.0]]), _core.tensor([[2.0], [0.0]])
    >>> objective("", losses.mse, False)(twice, x, y).item()
    8.0
    >>> objective("", losses.mse, True)(twice, x, y, _core.tensor([2.0, 0.5])).item()
    4.0
    """
    if not is_weighted:
        return lambda m, x, y: loss(m(x), y)

    def weighted(m: Any, x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        each = per_row(m(x), y)
        return mean((each.reshape(len(each), -1).mean(axis=1) if each.ndim > 1 else each) * weight)

    def per_row(yhat: Tensor, y: Tensor) -> Tensor:
        try:
            each = loss(yhat, y, agg=identity)
        except TypeError as error:
            if "agg" not in str(error):
                raise
            raise TypeError(
                f"{caller}: rows have weights, so that the loss must give one number for each: let it take agg=, as "
                f"flux.mse does ({error})"
            ) from None
        if each.ndim == 0 or len(each) != len(y):
            raise ShapeError(
                f"{caller}: with agg=identity the loss must give a number for each of {len(y)} rows, "
                f"got shape {each.shape}"
            )
        return each

    return weighted


def probabilities(loss: Loss, outputs: Tensor, are_labels: bool) -> Tensor:
    """What a network that this loss trains gives, as probabilities: of one class among several, or of each label.

    >>> probabilities(losses.logitcrossentropy, _core.tensor([[0.0, 0.0]]), False).tolist()
    [[0.5, 0.5]]
    """
    if end_of(loss) in (softmax, sigmoid):
        return outputs.astype(float64)
    return (sigmoid if are_labels else softmax)(outputs.astype(float64))


def log_probabilities(loss: Loss, outputs: Tensor, are_labels: bool) -> Tensor:
    """The logarithms of `probabilities`, which stay finite where those are too small for a number.

    >>> log_probabilities(losses.logitcrossentropy, _core.tensor([[0.0, -1000.0]]), False).tolist()
    [[0.0, -1000.0]]
    """
    if end_of(loss) in (softmax, sigmoid):
        return _core.log(outputs.astype(float64))
    return (logsigmoid if are_labels else logsoftmax)(outputs.astype(float64))
