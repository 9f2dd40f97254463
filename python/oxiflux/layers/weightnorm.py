"""Weight normalisation: the length of a weight apart from its direction."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from operator import index
from typing import Any, TypeVar

from .. import _core
from .._core import Tensor
from ..functions.numbers import wide
from ..functors import fmap
from ..hints import told
from ..show import describe
from ..tree import FLOATS
from .base import Layer, blame, named_any

__all__ = ["WeightNorm", "remove_weight_norms"]

Model = TypeVar("Model")


class WeightNorm(Layer):
    """A layer of which one parameter is `g * v / norm(v)`: its length `g` and its direction `v` are learnt apart.

    The layer keeps `v` as its own attribute, by the name `which`; `g` is here, and at first the norm of the
    parameter, so that the layer gives what it did. The norm is taken over `axis`: by default over all axes but the
    last, for each output by itself, as the paper does (Flux takes that over the last axis of Julia, which is the same
    for Dense). A parameter that is missing, no tensor or all zero raises ValueError. Of a layer of open size `autosize`
    makes it. `remove_weight_norms` ends it. Ref: Flux.jl, `WeightNorm`; Salimans and Kingma, "Weight normalization",
    2016.

    >>> import oxiflux as flux
    >>> plain = flux.Dense(3, 2)
    >>> layer = flux.WeightNorm(plain)
    >>> layer
    WeightNorm(
      Dense(3 => 2),                        # 8 parameters
      float32 tensor (1, 2),                # 2 parameters
      'weight',
      0,
    )                   # Total: 3 arrays, 10 parameters, 40 bytes.
    >>> x = flux.rand(5, 3)
    >>> bool(flux.all(abs(layer(x) - plain(x)) < 1e-6))
    True
    """

    layer: Any
    g: Tensor
    which: str
    axis: tuple[int, ...]

    is_made_of_layer = True

    def __init__(
        self,
        layer: Callable[..., Any],
        which: str = "weight",
        *,
        axis: int | Sequence[int] | None = None,
    ) -> None:
        v = getattr(layer, which, None)
        if not (isinstance(v, Tensor) and v.dtype in FLOATS):
            raise ValueError(f"WeightNorm: {describe(layer)} has no parameter {which!r}")
        if not _core.any(v).item():
            raise ValueError(f"WeightNorm: {which} of {describe(layer)} is all zero and has no direction")
        if axis is None:
            axis = range(max(v.ndim - 1, 0)) if v.ndim > 1 else range(v.ndim)
        self.layer, self.which = layer, which
        try:
            self.axis = tuple(map(index, axis)) if isinstance(axis, Iterable) else (index(axis),)
            self.g = self._norm(v)
        except Exception as error:
            blame(error, f"WeightNorm({describe(layer)}, {which!r})")
            raise

    def _norm(self, v: Tensor) -> Tensor:
        tiny = 2.220446049250313e-16 if v.dtype == _core.float64 else 1.1920929e-07
        # The squares of numbers of 16 bits may have too many.
        exact = wide(v)
        size = _core.sqrt(_core.sum(exact * exact, axis=self.axis, keepdims=True) + tiny)
        if not _core.holds(_core.all(_core.isfinite(_core.stop_gradient(size)))):
            # Squares beyond the type: they are taken of numbers up to 1.
            largest = _core.max(_core.abs(_core.stop_gradient(exact)), self.axis, keepdims=True)
            scale = _core.maximum(largest, 1.0)
            part = exact / scale
            size = scale * _core.sqrt(
                _core.sum(part * part, axis=self.axis, keepdims=True) + tiny / (scale * scale)
            )
        return _core.astype(size, v.dtype)

    def reparametrize(self) -> Any:
        """The layer with the parameter that it computes with: `g * v / norm(v)`."""
        v = getattr(self.layer, self.which)
        layer = copy.copy(self.layer)
        object.__setattr__(layer, self.which, v * (self.g / self._norm(v)))
        return layer

    @named_any
    def __call__(self, *args: Any, **options: Any) -> Tensor:
        """What the layer gives with the parameter `g * v / norm(v)`."""
        return self.reparametrize()(*args, **options)  # type: ignore[no-any-return]

    def describe(self) -> str:
        """The layer on one line."""
        return f"WeightNorm({describe(self.layer)}, {self.which!r}; axis={self._axes()})"

    def _shown(self) -> list[tuple[str | None, Any]]:
        return [(None, self.layer), (None, self.g), (None, self.which), (None, self._axes())]

    def _axes(self) -> int | tuple[int, ...]:
        return self.axis[0] if len(self.axis) == 1 else self.axis


@told
def remove_weight_norms(model: Model) -> Model:
    """A copy of a model in which the layer itself stands for each `WeightNorm`, with the parameter that was in
    effect.

    >>> import oxiflux as flux
    >>> flux.remove_weight_norms(flux.Chain(flux.WeightNorm(flux.Dense(3, 2)), flux.relu))
    Chain(
      Dense(3 => 2),                        # 8 parameters
      relu,
    )
    """
    plain: Model = fmap(lambda w: w.reparametrize(), model, exclude=lambda x: isinstance(x, WeightNorm))
    return plain
