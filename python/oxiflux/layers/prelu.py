"""The rectifier whose slope is learnt."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from .. import _core
from .._core import ShapeError, Tensor
from .base import Layer, check_sizes, named, parameter, shape_of, turned

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = ["PReLU"]


class PReLU(Layer):
    """`x` where it is positive, else `slope * x`, with a slope that is learnt: one for all, or one for each of
    `channels`, the elements of the last axis.

    The slopes begin at `slope`. Another number of channels raises ShapeError. Ref: He et al., "Delving deep into
    rectifiers", 2015; PyTorch's `PReLU`.

    >>> import oxiflux as flux
    >>> layer = flux.PReLU()
    >>> layer
    PReLU(1)            # 1 parameter
    >>> layer([-2.0, 0.0, 3.0]).tolist()
    [-0.5, 0.0, 3.0]
    >>> flux.PReLU(3, slope=0.1)
    PReLU(3)            # 3 parameters
    """

    slope: Tensor

    def __init__(self, channels: int = 1, slope: float = 0.25) -> None:
        check_sizes("PReLU", channels)
        if channels < 1:
            raise ValueError(f"PReLU: channels are a positive integer, got {channels}")
        self.slope = parameter(_core.full((int(channels),), float(slope), dtype=_core.float32))

    @named
    def __call__(self, x: ArrayLike) -> Tensor:
        """`x` with its negative elements times the slopes."""
        shape, channels = shape_of(x), self.slope.shape[0]
        if channels > 1 and shape[-1:] != (channels,):
            raise ShapeError(
                f"expected {channels} channels on the last axis, got shape {shape}{turned(shape, channels)}"
            )
        slope = self.slope if shape else self.slope[0]
        return _core.prelu(x, slope)

    def products(self, _: Any, output: tuple[int, ...]) -> int:
        """One for each number."""
        return math.prod(output)

    def describe(self) -> str:
        """The layer on one line."""
        return f"PReLU({self.slope.shape[0]})"
