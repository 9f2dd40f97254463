"""Dropout: leaving out at random what a layer computes, while it is trained."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .._core import Generator, Tensor
from ..hints import told
from ..init import generator
from .base import named
from .mode import Mode, ModeLayer, check_mode

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = ["AlphaDropout", "Dropout", "dropout"]

# selu(-inf), to which `AlphaDropout` sets what it drops.
_LOWEST_SELU = -1.7580993408473766


@told
def dropout(
    x: ArrayLike,
    p: float,
    *,
    axis: int | Sequence[int] | None = None,
    rng: Generator | None = None,
) -> Tensor:
    """Sets each element to 0 with probability `p`, and multiplies the others by `1 / (1 - p)`: the mean stays
    the same.

    With `axis` the choice is made along these axes only: `axis=(0, -1)` drops whole channels of `(batch, height,
    width, channels)`. Draws from `rng`, or from the generator that `seed` sets. It does so in any mode; `Dropout`
    is the layer. A `p` outside of [0, 1] raises ValueError. Ref: NNlib.jl, `dropout`; Srivastava et al.,
    "Dropout: a simple way to prevent neural networks from overfitting", 2014.

    >>> import oxiflux as flux
    >>> y = flux.dropout(flux.ones((100, 100)), 0.25)
    >>> sorted(set(y.reshape(-1).tolist())) == [0.0, 1.3333333730697632]
    True
    >>> rows = flux.dropout(flux.ones((3, 4)), 0.5, axis=0)
    >>> bool(flux.all(rows == rows[:, :1]))
    True
    """
    return _dropped(_core.asarray(x), _probability("dropout", p), axis, generator(rng))


def _dropped(x: Tensor, p: float, axis: int | Sequence[int] | None, rng: Generator) -> Tensor:
    if p == 0:
        return x
    keep = 1 - p
    scale = 1 / keep if keep > 0 else 0.0
    if axis is None:
        return _core.dropout(x, keep, scale, 0.0, 0.0, rng)
    axes = {_axis(i, x.ndim) for i in (axis if isinstance(axis, Sequence) else [axis])}
    shape = [n if i in axes else 1 for i, n in enumerate(x.shape)]
    return x * _core.dropout(_core.ones(shape, dtype=x.dtype), keep, scale, 0.0, 0.0, rng)


class Dropout(ModeLayer):
    """`dropout(x, p)` in training mode, and the input itself in test mode.

    The mode is that of the call: training within `gradient`; `active=True` or False, `trainmode` and `testmode`
    set it. With `axis` the choice is made along these axes only: `axis=(0, -1)` drops whole channels. `rng` is a
    generator of its own. A `p` outside of [0, 1] raises ValueError. Ref: Flux.jl, `Dropout`.

    >>> import oxiflux as flux
    >>> layer = flux.Dropout(0.4)
    >>> layer(flux.ones(3)).tolist()
    [1.0, 1.0, 1.0]
    >>> y = flux.trainmode(layer)(flux.ones(10_000))
    >>> abs(y.mean().item() - 1) < 0.1, abs((y == 0).astype(flux.float32).mean().item() - 0.4) < 0.05
    (True, True)
    """

    p: float
    axis: int | Sequence[int] | None
    active: bool | None
    rng: Generator | None

    def __init__(
        self,
        p: float,
        *,
        axis: int | Sequence[int] | None = None,
        active: Mode = None,
        rng: Generator | None = None,
    ) -> None:
        p = _probability("Dropout", p)
        self.p, self.axis, self.rng = p, axis, None if rng is None else generator(rng)
        self.active = check_mode("Dropout", active)

    @named
    def __call__(self, x: ArrayLike) -> Tensor:
        """`x`, of which some elements are 0 in training mode."""
        if not self.is_active():
            return _core.asarray(x)
        return _dropped(_core.asarray(x), self.p, self.axis, generator(self.rng))

    def describe(self) -> str:
        """The layer on one line."""
        axis = "" if self.axis is None else f", axis={self.axis}"
        active = "" if self.active is None else f", active={self.active}"
        return f"Dropout({self.p}{axis}{active})"


class AlphaDropout(ModeLayer):
    """Dropout for networks of `selu`: in training mode it sets elements to the lowest value of `selu` with
    probability `p`, then scales and shifts all, so that mean 0 and variance 1 stay what they are.

    The mode is that of the call: training within `gradient`; `active=True` or False, `trainmode` and `testmode`
    set it. A `p` outside of [0, 1] raises ValueError. Ref: Flux.jl, `AlphaDropout`; Klambauer et al.,
    "Self-normalizing neural networks", 2017.

    >>> import oxiflux as flux
    >>> layer = flux.AlphaDropout(0.2, active=True)
    >>> y = layer(flux.randn(1000, 100))
    >>> abs(y.mean().item()) < 0.02, abs(y.std().item() - 1) < 0.02
    (True, True)
    """

    p: float
    active: bool | None
    rng: Generator | None

    def __init__(self, p: float, *, active: Mode = None, rng: Generator | None = None) -> None:
        p = _probability("AlphaDropout", p)
        self.p, self.rng = p, None if rng is None else generator(rng)
        self.active = check_mode("AlphaDropout", active)

    @named
    def __call__(self, x: ArrayLike) -> Tensor:
        """`x`, of which some elements are the lowest of `selu` in training mode."""
        x = _core.asarray(x)
        if self.p == 0 or not self.is_active():
            return x
        keep = 1 - self.p
        if keep == 0:
            return _core.dropout(x, 0.0, 0.0)
        scale = 1 / math.sqrt(keep * (1 + self.p * _LOWEST_SELU**2))
        shift = -scale * _LOWEST_SELU * self.p
        return _core.dropout(x, keep, scale, shift, scale * _LOWEST_SELU + shift, self.rng)

    def describe(self) -> str:
        """The layer on one line."""
        return f"AlphaDropout({self.p})"


def _probability(name: str, p: Any) -> float:
    """The probability, which may be a tensor of one number."""
    if isinstance(p, Tensor) and not p.ndim:
        p = p.item()
    if isinstance(p, (bool, np.bool_)) or not isinstance(p, (int, float, np.number)):
        what = f"a {type(p).__name__} of shape {p.shape}" if isinstance(p, (Tensor, np.ndarray)) else repr(p)
        raise ValueError(f"{name}: the probability p must be a number from 0 to 1, got {what}")
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: the probability p must be from 0 to 1, got {p!r}")
    return p  # type: ignore[return-value]


def _axis(axis: Any, ndim: int) -> int:
    if not isinstance(axis, (int, np.integer)):
        raise TypeError(f"dropout: an axis is an integer, got {axis!r}")
    if not -ndim <= axis < ndim:
        raise IndexError(f"dropout: axis {axis} is out of range for {ndim} axes")
    return int(axis) % ndim
