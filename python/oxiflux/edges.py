"""Losses at their edges: zeros that count as zeros beside infinities, and numbers of 16 bits that are rounded once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec

from . import _core
from ._core import Tensor, where
from .hints import misnamed, rename

__all__ = ["eps_of", "finite", "power", "product", "rounded_once", "xlogy"]

# From 1 to the next number.
_EPS = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52}

P = ParamSpec("P")


def rounded_once(loss: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """The loss, of a prediction of 16 bits computed in float32 up to its end: sums do not overflow on the way."""
    name = loss.__name__
    has_eps = "eps" in (loss.__kwdefaults__ or {})

    @functools.wraps(loss)
    def call(*args: Any, **options: Any) -> Tensor:
        yhat = args[0] if args else options.get("yhat")
        if type(yhat) is not Tensor or yhat.dtype.itemsize != 2 or yhat.dtype.kind != "f":
            try:
                return loss(*args, **options)
            except (TypeError, ValueError, IndexError) as error:
                if isinstance(error, TypeError):
                    misnamed(loss, options, error)
                    if not callable(agg := options.get("agg", abs)):
                        raise TypeError(
                            f"{name}: agg must be a function, such as flux.sum, got {agg!r}"
                        ) from None
                rename(name, error)
                raise
        if has_eps and options.get("eps") is None:
            options["eps"] = eps_of(yhat, None)
        wide = yhat.astype(_core.float32)
        args, options = ((wide, *args[1:]), options) if args else (args, options | {"yhat": wide})
        value: Any = call(*args, **options)
        # `agg` may give what it likes.
        return value.astype(yhat.dtype) if isinstance(value, Tensor) else value

    return call


def eps_of(yhat: Tensor, eps: float | None) -> float:
    """`eps`, or if none is given that of the prediction's dtype."""
    return _EPS[str(yhat.dtype)] if eps is None else eps


def finite(x: Tensor) -> bool:
    """Whether all numbers are finite, as they nearly always are: the plain formula does then."""
    return _core.all_finite(x)


def product(x: Tensor, y: Tensor) -> Tensor:
    """`x * y`, and 0 with no gradient where `x` is 0, even if `y` is infinite there."""
    return x * (y if finite(y) else where(x == 0, 0, y))


def power(x: Tensor, exponent: float) -> Tensor:
    """`x**exponent` of numbers that are not negative, without gradient at 0, where a root has an infinite one."""
    if exponent == 0:
        return x**0
    return where(x > 0, where(x > 0, x, 1) ** exponent, 0)


def xlogy(x: Tensor, y: Tensor) -> Tensor:
    """`x * log(y)`, and 0 with no gradient where `x` is 0, even if the logarithm is not finite there."""
    return x * _core.log(where(x == 0, 1, y))
