"""The element-wise affine layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from .. import _core
from .._core import Tensor, identity
from ..init import ones32
from .base import Layer, check_activation, check_sizes, made, made_bias, named, options
from .given import given, given_bias, is_weight
from .unsized import EACH

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = ["Scale"]


class Scale(Layer):
    """`activation(scale * x + bias)`, element by element on the last axes.

    `Scale(size…, activation)`: `scale` has the shape `(size…)` and is made by `init`; `bias` has the same
    shape: zeros, or none with `bias=False`, or the given values. The input's last axes are of these sizes, or
    broadcast with them. Raises ShapeError for others. `Scale(scale, bias=True, activation=identity)` takes given
    arrays, and sizes of None are left to `autosize`. Ref: Flux.jl, `Scale`.

    >>> import oxiflux as flux
    >>> layer = flux.Scale(3, flux.relu)
    >>> layer
    Scale(3, relu)      # 6 parameters
    >>> layer([[1, -2, 3], [-4, 5, 6]]).tolist()
    [[1.0, 0.0, 3.0], [0.0, 5.0, 6.0]]
    >>> flux.Scale([[1, 2, 3, 4]], False, flux.square)
    Scale(1, 4, square; bias=False)  # 4 parameters
    """

    scale: Tensor
    bias: Tensor | None
    activation: Callable[[Tensor], Tensor]

    open_at: ClassVar[int | None] = EACH

    def __init__(
        self,
        *size: Any,
        bias: bool | ArrayLike = True,
        init: Callable[[tuple[int, ...]], Any] = ones32,
        activation: Callable[[Tensor], Tensor] = identity,
    ) -> None:
        if size and callable(size[-1]):
            *size, activation = size  # type: ignore[assignment]
        if not size:
            raise ValueError("Scale: needs at least one size")
        check_activation("Scale", activation)
        if is_weight(size[0], axes_of_list=1):
            if len(size) > 2:
                raise TypeError(
                    f"Scale: takes a scale, a bias and an activation, got {len(size)} of the first two"
                )
            bias = given_bias("Scale", size[1] if len(size) > 1 else True, bias, init, ones32)
            self.scale = given("Scale", size[0])
            size = self.scale.shape
            shown = f"Scale({', '.join(map(str, size))})"
        else:
            check_sizes("Scale", *size)
            shown = f"Scale({', '.join(map(str, size))})"
            self.scale = made(shown, init, tuple(size))
        self.bias = made_bias(shown, self.scale, bias, *size)
        self.activation = activation

    @named
    def __call__(self, x: ArrayLike) -> Tensor:
        """`activation(scale * x + bias)`."""
        y = _core.multiply(x, self.scale)
        return self.activation(y if self.bias is None else y + self.bias)

    def products(self, _: Any, output: tuple[int, ...]) -> int:
        """One for each number of the output."""
        return math.prod(output)

    def describe(self) -> str:
        """The layer on one line."""
        sizes = ", ".join(map(str, self.scale.shape))
        return f"Scale({sizes}{options(self.activation, self.bias)})"
