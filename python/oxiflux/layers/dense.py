"""The fully connected layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import _core
from .._core import ShapeError, Tensor, identity
from ..init import glorot_uniform
from .base import (
    Layer,
    check_activation,
    check_sizes,
    made,
    made_bias,
    named_any,
    options,
    parameter,
    shape_of,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["Dense"]

_dense = _core.dense


class Dense(Layer):
    """`activation(x @ weight + bias)` on the last axis: `(…, size_in)` becomes `(…, size_out)`.

    `weight` is `(size_in, size_out)`, made by `init`; `bias` is `(size_out,)`: zeros, or none with
    `bias=False`, or the given values. `activation` is any function of a tensor; those of this package are
    computed in the same pass. An input of another size raises ShapeError.

    >>> import oxiflux as flux
    >>> layer = flux.Dense(5, 2, flux.tanh, bias=False)
    >>> layer
    Dense(5 => 2, tanh; bias=False)  # 10 parameters
    >>> layer(flux.rand(64, 5)).shape
    (64, 2)
    """

    weight: Tensor
    bias: Tensor | None
    activation: Callable[[Tensor], Tensor]

    def __init__(
        self,
        size_in: int,
        size_out: int,
        activation: Callable[[Tensor], Tensor] = identity,
        *,
        bias: bool | ArrayLike | Tensor = True,
        init: Callable[[tuple[int, int]], Any] = glorot_uniform,
    ) -> None:
        check_sizes("Dense", size_in, size_out)
        check_activation("Dense", activation)
        shown = f"Dense({size_in} => {size_out})"
        self.weight = made(shown, init, (size_in, size_out))
        self.bias = made_bias(shown, self.weight, bias, size_out)
        self.activation = activation

    @classmethod
    def of(
        cls,
        weight: ArrayLike | Tensor,
        bias: bool | ArrayLike | Tensor = True,
        activation: Callable[[Tensor], Tensor] = identity,
    ) -> Dense:
        """The layer with this weight of shape `(size_in, size_out)`; a tensor keeps its dtype, the rest is
        float32.

        >>> import oxiflux as flux
        >>> flux.Dense.of([[1.0], [2.0]], [0.5])([[1, 1]]).tolist()
        [[3.5]]
        """
        weight = parameter(weight)
        if weight.ndim != 2:
            raise ShapeError(f"Dense.of: the weight must be (in, out), got shape {weight.shape}")
        size_in, size_out = weight.shape
        return cls(size_in, size_out, activation, bias=bias, init=lambda _: weight)

    def __call__(self, x: ArrayLike | Tensor) -> Tensor:
        """`activation(x @ weight + bias)`."""
        try:
            return _dense(x, self.weight, self.bias, self.activation)
        except Exception as error:
            self._refuse(x, error)
            raise

    @named_any
    def _refuse(self, x: Any, error: Exception) -> None:
        """Raises the error with the layer's name; only what failed pays for it."""
        size = self.weight.shape[0]
        if isinstance(error, ShapeError) and (shape := shape_of(x))[-1:] != (size,):
            raise ShapeError(f"expected {size} features on the last axis, got shape {shape}") from None
        raise error

    def describe(self) -> str:
        """The layer on one line."""
        size_in, size_out = self.weight.shape
        return f"Dense({size_in} => {size_out}{options(self.activation, self.bias)})"
