"""Gradients that a function brings along."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from . import _core
from ._core import ShapeError, Tensor
from .tree import at, places

__all__ = ["custom_gradient"]


def custom_gradient(f: Callable[..., tuple[Any, Callable[[Tensor], Any]]]) -> Callable[..., Tensor]:
    """Gives a Python function a gradient of its own: `f(*args)` returns its value and the pullback.

    The pullback takes the gradient that comes in for the value to one gradient for each argument: a sequence with
    None where there is none, or a single tensor if there is one argument. The gradient of a list, a dict or a layer
    mirrors it, as those that `gradient` gives do, and a dict may stand for an object. Made of tensor operations on the
    arguments, it can be differentiated too. What computes the value is not recorded, and may leave tensors for NumPy;
    a tensor from around it that an open gradient follows would get no gradient there, and raises ValueError.
    A gradient of another shape than its argument, or of a tensor that the argument does not have, raises ShapeError.

    >>> import oxiflux as flux
    >>> @flux.custom_gradient
    ... def straight_through(x):
    ...     return flux.round(x), lambda g: g
    >>> flux.gradient(lambda x: straight_through(x).sum(), flux.tensor([0.2, 1.7]))[0].tolist()
    [1.0, 1.0]
    """
    name = getattr(f, "__name__", type(f).__name__)

    @functools.wraps(f)
    def wrapped(*args: Any) -> Tensor:
        # Within one argument a tensor that occurs twice is one variable, whose gradients add up.
        found: dict[tuple[int, int], tuple[Tensor, list[Any]]] = {}
        for i, arg in enumerate(args):
            for path, x in places(arg):
                found.setdefault((i, id(x)), (x, []))[1].append(path)
        with _core.paused_for([x for x, _ in found.values()]):
            value, pullback = f(*args)

        def back(g: Tensor) -> list[Tensor | None]:
            grads = pullback(g)
            count = len(grads) if isinstance(grads, (tuple, list)) else None
            if len(args) == 1 and (count is None or _is_like(grads, args[0])):
                grads, count = (grads,), 1
            if count != len(args):
                raise ValueError(
                    f"custom_gradient: {count or 1} gradients for {len(args)} arguments of {name}"
                )
            for i, (grad, arg) in enumerate(zip(grads, args, strict=True)):
                _mirrors(f"the gradient of argument {i} of {name}", grad, arg)
            return [_total([at(grads[i], path) for path in paths]) for (i, _), (_, paths) in found.items()]

        return _core.custom(_core.asarray(value), [x for x, _ in found.values()], back)

    return wrapped


def _is_like(grad: Any, arg: Any) -> bool:
    """Whether a sequence is the gradient of an argument and not that of each argument."""
    if not isinstance(arg, (tuple, list)):
        return False
    try:
        _mirrors("", grad, arg)
    except ShapeError:
        return len(grad) > 1
    return True


def _total(grads: list[Any]) -> Any:
    given = [grad for grad in grads if grad is not None]
    return functools.reduce(_core.add, given) if given else None


def _mirrors(what: str, grad: Any, arg: Any) -> None:
    """Raises ShapeError unless a gradient that a custom rule gave fits its argument."""
    if grad is None or isinstance(arg, (int, float)):
        return
    if isinstance(arg, (Tensor, np.ndarray)):
        if not isinstance(grad, (Tensor, np.ndarray, int, float)):
            raise ShapeError(f"custom_gradient: {what} is a {type(grad).__name__}, the argument a tensor")
        if (shape := tuple(np.shape(grad))) != tuple(arg.shape):
            raise ShapeError(f"custom_gradient: {what} has shape {shape}, the argument {tuple(arg.shape)}")
        return
    kids, theirs = dict(_core.children(arg) or []), _core.children(grad)
    if theirs is None:
        raise ShapeError(
            f"custom_gradient: {what} is a {type(grad).__name__}, the argument a {type(arg).__name__}: give a gradient "
            "of the same structure, or None"
        )
    for key, part in theirs:
        if part is not None and key not in kids:
            raise ShapeError(f"custom_gradient: {what} has {key}, which the argument has not")
        if part is not None:
            _mirrors(f"{what}.{key}", part, kids[key])
