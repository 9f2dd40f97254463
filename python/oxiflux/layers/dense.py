"""The fully connected layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .._core import DTypeError, ShapeError, Tensor, identity
from ..init import create_bias, glorot_uniform
from ..show import name_of
from ..tree import FLOATS
from .base import Layer, blame, shape_of

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
        sizes: tuple[Any, Any] = (size_in, size_out)
        if not all(isinstance(n, (int, np.integer)) and n >= 0 for n in sizes):
            raise ValueError(f"Dense: sizes are non-negative integers, got {size_in!r} and {size_out!r}")
        weight = _parameter(init((size_in, size_out)))
        if weight.shape != (size_in, size_out):
            raise ShapeError(f"Dense({size_in} => {size_out}): init made a weight of shape {weight.shape}")
        self._set(weight, bias, activation)

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
        weight = _parameter(weight)
        if weight.ndim != 2:
            raise ShapeError(f"Dense.of: the weight must be (in, out), got shape {weight.shape}")
        self = cls.__new__(cls)
        self._set(weight, bias, activation)
        return self

    def _set(self, weight: Tensor, bias: Any, activation: Any) -> None:
        if not callable(activation):
            raise TypeError(f"Dense: the activation must be a function, got {activation!r}")
        self.weight = weight
        self.bias = create_bias(weight, bias, weight.shape[1])
        self.activation = activation

    def __call__(self, x: ArrayLike | Tensor) -> Tensor:
        """`activation(x @ weight + bias)`."""
        try:
            return _dense(x, self.weight, self.bias, self.activation)
        except (ShapeError, DTypeError) as error:
            size, shape = self.weight.shape[0], shape_of(x)
            if shape[-1:] != (size,):
                raise ShapeError(
                    f"{self.describe()}: expected {size} features on the last axis, got shape {shape}"
                ) from None
            blame(error, self.describe())
            raise
        except TypeError as error:
            raise TypeError(f"{self.describe()}: {error}") from None

    def describe(self) -> str:
        """The layer on one line."""
        size_in, size_out = self.weight.shape
        activation = "" if self.activation is identity else f", {name_of(self.activation)}"
        return f"Dense({size_in} => {size_out}{activation}{'' if self.bias is not None else '; bias=False'})"


def _parameter(values: Any) -> Tensor:
    """Given values as a parameter: floating, and float32 unless they are a tensor of another floating
    dtype.
    """
    if type(values) is Tensor and values.dtype in FLOATS:
        return values
    return _core.tensor(values).astype(_core.float32)
