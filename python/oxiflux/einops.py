"""Einops on tensors: after `import oxiflux.einops`, `einops.rearrange`, `reduce`, `repeat`, `pack`, `unpack` and
`einsum` take them, and the layers `Rearrange`, `Reduce` and `EinMix` of `einops.layers` are here as layers of this
package.

Needs einops (https://einops.rocks), which is imported with this module and not before.

>>> import einops
>>> import oxiflux as flux
>>> import oxiflux.einops
>>> einops.rearrange(flux.zeros((2, 6, 3)), "b (h w) c -> b c h w", h=2).shape
(2, 3, 2, 3)
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import einops
import numpy as np
from einops._backends import AbstractBackend
from einops.layers import RearrangeMixin, ReduceMixin
from einops.layers._einmix import _EinmixMixin

from . import _core, functions
from ._core import Tensor
from .einsum import einsum
from .layers import Layer

if TYPE_CHECKING:
    from .typing import ArrayLike

__all__ = ["Backend", "EinMix", "Rearrange", "Reduce"]


class Backend(AbstractBackend):
    """What einops calls to work on tensors of this package; it finds the class by itself."""

    framework_name = "oxiflux"

    def is_appropriate_type(self, tensor: Any) -> bool:
        return isinstance(tensor, Tensor)

    def from_numpy(self, x: np.ndarray[Any, Any]) -> Tensor:
        return _core.tensor(x)

    def to_numpy(self, x: Tensor) -> np.ndarray[Any, Any]:
        return x.numpy()

    def arange(self, start: int, stop: int) -> Tensor:
        return _core.arange(start, stop)

    def reshape(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        return _core.reshape(x, tuple(shape))

    def transpose(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        return _core.permute_dims(x, tuple(axes))

    def reduce(self, x: Tensor, operation: str, axes: Sequence[int]) -> Tensor:
        reduced: Tensor = getattr(_core, operation)(x, axis=tuple(axes))
        return reduced

    def stack_on_zeroth_dimension(self, tensors: list[Tensor]) -> Tensor:
        return _core.stack(tensors)

    def add_axis(self, x: Tensor, new_position: int) -> Tensor:
        return _core.expand_dims(x, new_position)

    def tile(self, x: Tensor, repeats: Sequence[int]) -> Tensor:
        return functions.tile(x, tuple(repeats))

    def concat(self, tensors: list[Tensor], axis: int) -> Tensor:
        return _core.concat(tensors, axis)

    def is_float_type(self, x: Tensor) -> bool:
        return x.dtype.kind == "f"

    def layers(self) -> Any:
        return sys.modules[__name__]

    def einsum(self, pattern: str, *x: Tensor) -> Tensor:
        return einsum(pattern, *x)


class Rearrange(Layer):
    """`einops.rearrange` as a layer, with the pattern and the lengths of axes that it takes.

    >>> import oxiflux as flux
    >>> from oxiflux.einops import Rearrange
    >>> flux.Chain(Rearrange("b h w c -> b (h w c)"), flux.Dense(12, 2))(flux.zeros((5, 2, 2, 3))).shape
    (5, 2)
    """

    pattern: str
    axes_lengths: dict[str, int]

    def __init__(self, pattern: str, **axes_lengths: int) -> None:
        RearrangeMixin(pattern, **axes_lengths)  # raises EinopsError for a pattern that is none
        self.pattern, self.axes_lengths = pattern, axes_lengths

    def __call__(self, x: ArrayLike) -> Tensor:
        return einops.rearrange(_core.asarray(x), self.pattern, **self.axes_lengths)

    def describe(self) -> str:
        return f"Rearrange({_options(self.pattern, **self.axes_lengths)})"


class Reduce(Layer):
    """`einops.reduce` as a layer, with the pattern, the reduction and the lengths of axes that it takes.

    >>> import oxiflux as flux
    >>> from oxiflux.einops import Reduce
    >>> Reduce("b (h 2) c -> b h c", "max")(flux.tensor([[[1.0], [2.0], [5.0], [3.0]]])).tolist()
    [[[2.0], [5.0]]]
    """

    pattern: str
    reduction: str
    axes_lengths: dict[str, int]

    def __init__(self, pattern: str, reduction: str, **axes_lengths: int) -> None:
        ReduceMixin(pattern, reduction, **axes_lengths)  # as above
        self.pattern, self.reduction, self.axes_lengths = pattern, reduction, axes_lengths

    def __call__(self, x: ArrayLike) -> Tensor:
        return einops.reduce(_core.asarray(x), self.pattern, self.reduction, **self.axes_lengths)

    def describe(self) -> str:
        return f"Reduce({_options(self.pattern, self.reduction, **self.axes_lengths)})"


def _options(*given: str, **lengths: int) -> str:
    return ", ".join([*map(repr, given), *(f"{name}={n}" for name, n in lengths.items())])


class EinMix(_EinmixMixin, Layer):
    """`einsum` of an input and a weight, named by patterns of einops, plus a bias.

    The weight is uniform between `-+sqrt(3 / n)` for the `n` elements that make one of the output, the bias between
    `-+sqrt(1 / n)`. Ref: einops, `EinMix`.

    >>> import oxiflux as flux
    >>> from oxiflux.einops import EinMix
    >>> EinMix("b t c -> b t d", weight_shape="c d", bias_shape="d", c=3, d=5)(flux.zeros((2, 7, 3))).shape
    (2, 7, 5)
    """

    weight: Tensor
    bias: Tensor | None
    before: Rearrange | None
    after: Rearrange | None

    def _create_parameters(
        self, weight_shape: list[int], weight_bound: float, bias_shape: list[int] | None, bias_bound: float
    ) -> None:
        def uniform(shape: list[int], bound: float) -> Tensor:
            return (2 * _core.rand(*shape) - 1) * bound

        self.weight = uniform(weight_shape, weight_bound)
        self.bias = None if bias_shape is None else uniform(bias_shape, bias_bound)

    def _create_rearrange_layers(
        self,
        pre_reshape_pattern: str | None,
        pre_reshape_lengths: dict[str, int] | None,
        post_reshape_pattern: str | None,
        post_reshape_lengths: dict[str, int] | None,
    ) -> None:
        def layer(pattern: str | None, lengths: dict[str, int] | None) -> Rearrange | None:
            return None if pattern is None else Rearrange(pattern, **(lengths or {}))

        self.before = layer(pre_reshape_pattern, pre_reshape_lengths)
        self.after = layer(post_reshape_pattern, post_reshape_lengths)

    def __call__(self, x: ArrayLike) -> Tensor:
        y = _core.asarray(x) if self.before is None else self.before(x)
        y = einsum(self.einsum_pattern, y, self.weight)
        y = y if self.bias is None else y + self.bias
        return y if self.after is None else self.after(y)

    def describe(self) -> str:
        shapes = [self.pattern, self.weight_shape, *([] if self.bias_shape is None else [self.bias_shape])]
        return f"EinMix({_options(*shapes, **self.axes_lengths)})"
