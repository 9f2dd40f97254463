"""Gradients beside central differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import _core
from ._core import ShapeError, Tensor
from .functors import fmap, show_path
from .gradient import gradient, or_zeros
from .hints import told
from .tree import FLOATS, at, trainables

__all__ = ["gradcheck"]


@told
def gradcheck(
    f: Callable[..., Any],
    *args: Any,
    eps: float = 1e-6,
    rtol: float = 1e-5,
    atol: float = 1e-7,
    order: int = 1,
) -> bool:
    """Whether the gradients of `f` agree with central differences in float64, `(f(x + eps) - f(x - eps)) /
    2eps`.

    Checked are all numbers of the floating arguments, and all parameters of models, against a fixed random
    weighting of the result, and with `order=2` the gradient of the gradient too. Returns True; a disagreement
    raises AssertionError with the place and both numbers.

    >>> import oxiflux as flux
    >>> flux.gradcheck(lambda x: flux.sin(x) * x, [0.3, 1.2], order=2)
    True
    >>> flux.gradcheck(lambda model, x: model(x), flux.Dense(2, 3, flux.tanh), [0.3, 1.2])
    True
    """
    # What is one object in two arguments stays so: each is differentiated by on its own.
    made = {id(x): x if callable(x) or _core.leaves(x) else _core.asarray(x) for x in args}
    given = tuple(made[id(x)] for x in args)
    xs = fmap(lambda t: t.astype(_core.float64) if t.dtype in FLOATS else t, given)
    rng = np.random.default_rng(0)
    weights = _core.tensor(rng.uniform(0.5, 1.5, _core.asarray(f(*xs)).shape))

    def weighted(*z: Any) -> Tensor:
        total: Tensor = (f(*z) * weights).sum()
        return total

    _compare(weighted, xs, eps, rtol, atol, "first")
    if order >= 2:
        directions = [
            [(path, _core.tensor(rng.uniform(0.5, 1.5, t.shape))) for path, t in trainables(x, path=True)]
            for x in xs
        ]

        def directional(*z: Any) -> Tensor:
            slopes = [
                (slope * direction).sum()
                for grad, ways in zip(gradient(weighted, *z), directions, strict=True)
                for path, direction in ways
                if (slope := at(grad, path)) is not None
            ]
            return sum(slopes, start=_core.sum(weights) * 0)

        _compare(directional, xs, eps, rtol, atol, "second")
    return True


def _with(x: Any, old: Tensor, new: Tensor) -> Any:
    """An argument with another tensor in the place of one of its own."""
    return fmap(lambda t: new if t is old else t, x)


def _compare(
    f: Callable[..., Tensor],
    xs: tuple[Any, ...],
    eps: float,
    rtol: float,
    atol: float,
    order: str,
) -> None:
    """Checks each partial derivative of a number."""
    try:
        grads = gradient(f, *xs)
    except ShapeError as error:
        raise AssertionError(f"gradcheck: no {order} derivative: {error}") from error
    for i, x in enumerate(xs):
        for path, t in trainables(x, path=True):
            name = f"argument {i}" + (f".{show_path(path)}" if path else "")
            g = or_zeros(at(grads[i], path), t).numpy()
            if g.shape != t.shape:
                raise AssertionError(f"gradcheck: {name} has shape {t.shape} and its gradient {g.shape}")
            for place in np.ndindex(t.shape):
                ends = []
                for step in (eps, -eps):
                    moved = np.array(t.numpy())
                    moved[place] += step
                    ends.append(float(f(*xs[:i], _with(x, t, _core.tensor(moved)), *xs[i + 1 :])))
                difference = (ends[0] - ends[1]) / (2 * eps)
                if not abs(g[place] - difference) <= atol + rtol * abs(difference):
                    where = f"{name}{list(map(int, place)) if place else ''}"
                    raise AssertionError(
                        f"gradcheck: {order} derivative by {where} is {g[place]:.10g}, "
                        f"differences give {difference:.10g}"
                    )
