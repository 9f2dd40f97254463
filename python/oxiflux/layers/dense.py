"""The fully connected layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, overload

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
    shape_of,
)
from .given import given_bias, given_weight, is_weight, require_size

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = ["Dense"]

_dense = _core.dense


class Dense(Layer):
    """`activation(x @ weight + bias)` on the last axis: `(…, size_in)` becomes `(…, size_out)`.

    `Dense(size_in, size_out, activation=identity, *, bias=True, init=glorot_uniform)`, or of given arrays
    `Dense(weight, bias=True, activation=identity)`. `weight` is `(size_in, size_out)`, made by `init`; `bias` is
    `(size_out,)`: zeros, or none with `bias=False`, or the given values. `activation` is any function of a tensor;
    those of this package are computed in the same pass. An input of another size raises ShapeError. Given arrays
    become float32, tensors keep their dtype. A `size_in` of None is left to `autosize`. Ref: Flux.jl, `Dense`.

    >>> import oxiflux as flux
    >>> layer = flux.Dense(5, 2, flux.tanh, bias=False)
    >>> layer
    Dense(5 => 2, tanh; bias=False)  # 10 parameters
    >>> layer(flux.rand(64, 5)).shape
    (64, 2)
    >>> flux.Dense([[1.0], [2.0]], [0.5])([[1, 1]]).tolist()
    [[3.5]]
    """

    weight: Tensor
    bias: Tensor | None
    activation: Callable[[Tensor], Tensor]

    open_at: ClassVar[int | None] = 0

    @overload
    def __init__(
        self,
        size_in: int | None,
        size_out: int | Callable[[int], int],
        activation: Callable[[Tensor], Tensor] = ...,
        *,
        bias: bool | ArrayLike = ...,
        init: Callable[[tuple[int, int]], Any] = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        size_in: ArrayLike,
        size_out: bool | ArrayLike = ...,
        activation: Callable[[Tensor], Tensor] = ...,
        *,
        bias: bool | ArrayLike = ...,
    ) -> None: ...
    def __init__(
        self,
        size_in: Any,
        size_out: Any = True,
        activation: Callable[[Tensor], Tensor] = identity,
        *,
        bias: bool | ArrayLike = True,
        init: Callable[[tuple[int, int]], Any] = glorot_uniform,
    ) -> None:
        check_activation("Dense", activation)
        if is_weight(size_in, axes_of_list=1 if isinstance(size_in, list) else 2):
            bias = given_bias("Dense", size_out, bias, init, glorot_uniform)
            self.weight = given_weight("Dense", size_in, "in", "out")
            size_in, size_out = self.weight.shape
            shown = f"Dense({size_in} => {size_out})"
        else:
            require_size("Dense", size_out=size_out)
            check_sizes("Dense", size_in, size_out)
            shown = f"Dense({size_in} => {size_out})"
            self.weight = made(shown, init, (size_in, size_out))
        self.bias = made_bias(shown, self.weight, bias, size_out)
        self.activation = activation

    def __call__(self, x: ArrayLike) -> Tensor:
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
