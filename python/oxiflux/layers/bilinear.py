"""The layer of two inputs."""

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

__all__ = ["Bilinear"]


class Bilinear(Layer):
    """`z[k] = activation(sum(x[i] * weight[i, j, k] * y[j] for i, j) + bias[k])` on the last axis.

    `Bilinear((in1, in2), out)(x, y)` takes `(…, in1)` and `(…, in2)` to `(…, out)`; the leading axes
    broadcast, and `Bilinear(n, out)` is that of two inputs of one size. A tuple is two inputs, and of a single one
    `y = x`. `weight` is `(in1, in2, out)`, made by `init`; `bias` as for `Dense`. `Bilinear(weight, bias=True,
    activation=identity)` takes given arrays, and sizes of None are left to `autosize`. Raises ShapeError for inputs of
    other sizes. Ref: Flux.jl, `Bilinear`.

    >>> import oxiflux as flux
    >>> layer = flux.Bilinear((5, 6), 7)
    >>> layer
    Bilinear((5, 6) => 7)  # 217 parameters
    >>> layer(flux.rand(32, 5), flux.rand(32, 6)).shape
    (32, 7)
    >>> flux.SkipConnection(flux.Dense(5, 9, flux.tanh), flux.Bilinear((9, 5), 3))(flux.rand(32, 5)).shape
    (32, 3)
    >>> flux.Bilinear(flux.rand(8, 16, 4), False, flux.tanh)
    Bilinear((8, 16) => 4, tanh; bias=False)  # 512 parameters
    """

    weight: Tensor
    bias: Tensor | None
    activation: Callable[[Tensor], Tensor]

    open_at: ClassVar[int | None] = 0

    @overload
    def __init__(
        self,
        sizes_in: int | tuple[int | None, int | None] | None,
        size_out: int | Callable[[int], int],
        activation: Callable[[Tensor], Tensor] = ...,
        *,
        bias: bool | ArrayLike = ...,
        init: Callable[[tuple[int, int, int]], Any] = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        sizes_in: ArrayLike,
        size_out: bool | ArrayLike = ...,
        activation: Callable[[Tensor], Tensor] = ...,
        *,
        bias: bool | ArrayLike = ...,
    ) -> None: ...
    def __init__(
        self,
        sizes_in: Any,
        size_out: Any = True,
        activation: Callable[[Tensor], Tensor] = identity,
        *,
        bias: bool | ArrayLike = True,
        init: Callable[[tuple[int, int, int]], Any] = glorot_uniform,
    ) -> None:
        check_activation("Bilinear", activation)
        if is_weight(sizes_in, axes=2):
            bias = given_bias("Bilinear", size_out, bias, init, glorot_uniform)
            self.weight = given_weight("Bilinear", sizes_in, "in1", "in2", "out")
            *sizes_in, size_out = self.weight.shape
            shown = f"Bilinear({tuple(sizes_in)} => {size_out})"
        else:
            require_size("Bilinear", size_out=size_out)
            sizes_in = sizes_in if isinstance(sizes_in, (tuple, list)) else (sizes_in, sizes_in)
            if len(sizes_in) != 2:
                raise ValueError(
                    f"Bilinear: the sizes of the inputs are a pair, or one of both, got {sizes_in!r}"
                )
            shape = (*sizes_in, size_out)
            check_sizes("Bilinear", *shape)
            shown = f"Bilinear({tuple(sizes_in)} => {size_out})"
            self.weight = made(shown, init, shape)
        self.bias = made_bias(shown, self.weight, bias, size_out)
        self.activation = activation

    @named_any
    def __call__(self, *inputs: Any) -> Tensor:
        """The layer's value for two inputs, or one that stands for both."""
        if len(inputs) == 1:
            inputs = inputs[0] if isinstance(inputs[0], tuple) else inputs * 2
        if len(inputs) != 2:
            raise ValueError(f"takes one input or two, got {len(inputs)}")
        *sizes, size_out = self.weight.shape
        shapes = tuple(map(shape_of, inputs))
        if [shape[-1:] for shape in shapes] != [(n,) for n in sizes]:
            raise ShapeError(
                f"expected {sizes[0]} and {sizes[1]} features on the last axis, "
                f"got shapes {shapes[0]} and {shapes[1]}"
            )
        x, y = (v if type(v) is Tensor else _core.asarray(v, dtype=self.weight.dtype) for v in inputs)
        # One product with `x` gives a matrix for each observation, for `y` to be multiplied with.
        matrices = x @ self.weight.reshape(sizes[0], sizes[1] * size_out)
        z = _core.expand_dims(y, -2) @ matrices.reshape(*x.shape[:-1], sizes[1], size_out)
        z = _core.squeeze(z, axis=-2)
        return self.activation(z if self.bias is None else z + self.bias)

    def describe(self) -> str:
        """The layer on one line."""
        in1, in2, size_out = self.weight.shape
        sizes = str(in1) if in1 == in2 else f"({in1}, {in2})"
        return f"Bilinear({sizes} => {size_out}{options(self.activation, self.bias)})"
