"""What a row of the tables of options is: a callable, the formula of its result, and another value of each option."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import oxiflux as flux


@dataclass(frozen=True)
class Pair:
    """A value that is written otherwise in the formula, such as a function of tensors and the same of arrays."""

    ours: Any
    theirs: Any


@dataclass(frozen=True)
class With:
    """A value that shows only beside other options; the result with these alone is what it is compared to."""

    value: Any
    others: dict[str, Any]


@dataclass(frozen=True)
class Row:
    """`ours(**options)` and `formula(**options)` give the same numbers, with none and with each of `turned`."""

    ours: Callable[..., Any]
    formula: Callable[..., Any]
    turned: dict[str, Any]
    rtol: float = 1e-6


def written(options, side):
    """The options as `ours` or `theirs` has them."""
    return {key: getattr(value, side) if isinstance(value, Pair) else value for key, value in options.items()}


def arrays(result):
    """The numbers of a result, a flat list of float64 arrays."""
    if isinstance(result, dict):
        result = [result[key] for key in sorted(result)]
    if isinstance(result, (list, tuple)):
        return [a for part in result for a in arrays(part)]
    return [np.asarray(result.numpy() if isinstance(result, flux.Tensor) else result).astype(np.float64)]


def numbers(*shape, seed=0):
    """Numbers between -1 and 1, none of which is near zero or another one, in float32."""
    if len(shape) == 1 and isinstance(shape[0], tuple):
        (shape,) = shape
    n = int(np.prod(shape))
    places = np.random.default_rng(seed + n).permutation(n)
    return ((places - n / 2 + 0.25) / max(1, n / 2)).reshape(shape).astype(np.float32)


def others(*shape):
    """Other numbers of this shape, as from another initialiser."""
    return 0.5 + numbers(*shape, seed=99)
