"""Pooling: the largest element, the mean or the norm of windows that slide over an image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from .. import _core
from .._core import ShapeError, Tensor
from ..hints import told
from .base import Layer, named
from .window import Sizes, kernel, padding, shown, sizes

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._core import _TensorLike as ArrayLike
    from .window import SamePad

__all__ = [
    "AdaptiveMaxPool", "AdaptiveMeanPool", "GlobalMaxPool", "GlobalMeanPool", "MaxPool", "MeanPool",
    "lpnormpool", "maxpool", "meanpool",
]  # fmt: skip

Pad = int | Sequence[int]

# Half of the bits by which a number may be larger or smaller than 1.
_MOST_BITS = {"float16": 7, "float64": 500}


def _windows(owner: str, window: Any, stride: Any, pad: Any) -> tuple[Sizes, Sizes, Sizes]:
    """The normal forms of the parameters that say where windows lie."""
    window = kernel(owner, window)
    stride = window if stride is None else sizes(owner, "stride", stride, len(window))
    before_and_after = padding(owner, pad, window)
    if any(n >= window[i // 2] for i, n in enumerate(before_and_after)):
        raise ValueError(f"{owner}: pad must be less than the window {window}, got {pad!r}")
    return window, stride, before_and_after


@told
def maxpool(
    x: ArrayLike, window: Sequence[int], *, stride: Pad | None = None, pad: Pad | SamePad = 0
) -> Tensor:
    """The largest element of each window of `(batch, *lengths, channels)`, with one to three lengths.

    `window` is a tuple with a number for each length, `stride` one number or a tuple (the window itself unless
    given), `pad` one number, one for each length, two for each length, or SamePad(); padding never wins. NaN
    wins. Of equal elements the first has the gradient. Raises ShapeError for another number of axes and for a
    window that is larger than the padded image, ValueError for padding as large as the window.

    >>> import oxiflux as flux
    >>> flux.maxpool(flux.reshape(flux.arange(6), (1, 6, 1)), (2,)).flatten().tolist()
    [1.0, 3.0, 5.0]
    """
    return _core.maxpool(x, *_windows("maxpool", window, stride, pad))


@told
def meanpool(
    x: ArrayLike, window: Sequence[int], *, stride: Pad | None = None, pad: Pad | SamePad = 0
) -> Tensor:
    """The mean of each window of `(batch, *lengths, channels)`, in which padding counts as zeros.

    The parameters and errors are those of `maxpool`.

    >>> import oxiflux as flux
    >>> flux.meanpool(flux.reshape(flux.arange(6), (1, 6, 1)), (2,), pad=(1, 0), stride=2).flatten().tolist()
    [0.0, 1.5, 3.5]
    """
    return _core.meanpool(x, *_windows("meanpool", window, stride, pad))


@told
def lpnormpool(
    x: ArrayLike, p: float, window: Sequence[int], *, stride: Pad | None = None, pad: Pad | SamePad = 0
) -> Tensor:
    """The p-norm `(sum x^p)^(1/p)` of each window of `(batch, *lengths, channels)`.

    The parameters and errors are those of `maxpool`; `p` is positive. As the formula has no absolute value, an
    odd or broken `p` wants elements that are not negative. With `p=inf` it is the largest magnitude. Where the
    sum is zero, the gradient is, too; for `p < 1` also that of each element that is zero.
    Ref: Gulcehre et al., "Learned-norm pooling for deep feedforward and recurrent neural networks", 2014.

    >>> import oxiflux as flux
    >>> flux.lpnormpool([[[3.0], [4.0], [0.0], [2.0]]], 2, (2,)).flatten().tolist()
    [5.0, 2.0]
    """
    if not p > 0:
        raise ValueError(f"lpnormpool: p must be positive, got {p!r}")
    x = _core.asarray(x)
    if p == math.inf:
        return maxpool(_core.abs(x), window, stride=stride, pad=pad)
    window, stride, pad = _windows("lpnormpool", window, stride, pad)
    unit = _unit(x, p)
    total = _core.meanpool(_power(x if unit == 1 else x / unit, p), window, stride, pad)
    total = total * float(math.prod(window))
    nothing = _core.equal(total, 0)
    root = _core.power(_core.where(nothing, 1.0, total), 1 / p)
    norm = _core.where(nothing, 0.0, root)
    return norm if unit == 1 else norm * unit


def _power(x: Tensor, p: float) -> Tensor:
    """`x**p`, without a gradient at 0, where a root has an infinite one."""
    if p >= 1:
        return _core.power(x, p)
    nothing = _core.equal(x, 0)
    return _core.where(nothing, 0.0, _core.power(_core.where(nothing, 1.0, x), p))


def _unit(x: Tensor, p: float) -> float:
    """A power of two near the largest element if its power may not fit the type, else 1."""
    most = _core.max(_core.abs(_core.stop_gradient(x))).item() if x.size else 0.0
    if not 0 < most < math.inf:
        return 1.0
    exponent = math.floor(math.log2(most))
    return 2.0**exponent if abs(exponent * p) > _MOST_BITS.get(str(x.dtype), 64) else 1.0


class _Pool(Layer):
    """A pooling with fixed windows."""

    _pool: ClassVar[Callable[..., Tensor]]

    window: Sizes
    stride: Sizes
    pad: Sizes

    def __init__(self, window: Sequence[int], *, stride: Pad | None = None, pad: Pad | SamePad = 0) -> None:
        self.window, self.stride, self.pad = _windows(type(self).__name__, window, stride, pad)

    @named
    def __call__(self, x: ArrayLike) -> Tensor:
        return type(self)._pool(x, self.window, self.stride, self.pad)

    def describe(self) -> str:
        """The layer on one line."""
        pad = f", pad={shown(self.pad)}" if any(self.pad) else ""
        stride = f", stride={shown(self.stride)}" if self.stride != self.window else ""
        return f"{type(self).__name__}({self.window}{pad}{stride})"


class MaxPool(_Pool):
    """The largest element of each window of `(batch, *lengths, channels)`; its parameters are those of
    `maxpool`.

    >>> import oxiflux as flux
    >>> layer = flux.MaxPool((5, 5), pad=flux.SamePad())
    >>> layer
    MaxPool((5, 5), pad=2)
    >>> layer(flux.rand(2, 100, 100, 7)).shape
    (2, 20, 20, 7)
    """

    _pool = staticmethod(_core.maxpool)


class MeanPool(_Pool):
    """The mean of each window of `(batch, *lengths, channels)`; its parameters are those of `meanpool`.

    >>> import oxiflux as flux
    >>> layer = flux.MeanPool((5,), stride=2)
    >>> layer
    MeanPool((5,), stride=2)
    >>> layer(flux.rand(2, 101, 7)).shape
    (2, 49, 7)
    """

    _pool = staticmethod(_core.meanpool)


class _AdaptivePool(Layer):
    """A pooling whose windows are chosen for the length of the output."""

    _pool: ClassVar[Callable[..., Tensor]]

    size: Sizes

    def __init__(self, size: Sequence[int]) -> None:
        self.size = kernel(type(self).__name__, size, "the size")

    @named
    def __call__(self, x: ArrayLike) -> Tensor:
        x = _core.asarray(x)
        lengths = x.shape[1:-1]
        if x.ndim != len(self.size) + 2 or any(n < m for n, m in zip(lengths, self.size, strict=True)):
            raise ShapeError(
                f"expected (batch, *lengths, channels) with lengths of at least {self.size},"
                f" got shape {x.shape}"
            )
        stride = tuple(n // m for n, m in zip(lengths, self.size, strict=True))
        window = tuple(n - (m - 1) * s for n, m, s in zip(lengths, self.size, stride, strict=True))
        return type(self)._pool(x, window, stride)

    def describe(self) -> str:
        """The layer on one line."""
        return f"{type(self).__name__}({self.size})"


class AdaptiveMaxPool(_AdaptivePool):
    """`maxpool` with the windows that make the output as long as `size` says.

    Along each axis from `n` to `m` elements the stride is `n // m`, and the window `n - (m - 1) * stride`.
    An input that is shorter than the output raises ShapeError.

    >>> import oxiflux as flux
    >>> layer = flux.AdaptiveMaxPool((25, 25))
    >>> layer
    AdaptiveMaxPool((25, 25))
    >>> layer(flux.rand(2, 100, 110, 3)).shape
    (2, 25, 25, 3)
    """

    _pool = staticmethod(_core.maxpool)


class AdaptiveMeanPool(_AdaptivePool):
    """`meanpool` with the windows that make the output as long as `size` says; see AdaptiveMaxPool.

    >>> import oxiflux as flux
    >>> flux.AdaptiveMeanPool((2,))([[[1.0], [2.0], [3.0]]]).tolist()
    [[[1.5], [2.5]]]
    """

    _pool = staticmethod(_core.meanpool)


def _flat(x: ArrayLike) -> tuple[Tensor, tuple[int, ...]]:
    """The lengths as one axis, and the shape with lengths of 1."""
    x = _core.asarray(x)
    if x.ndim < 3 or 0 in x.shape[1:-1]:
        raise ShapeError(f"expected (batch, *lengths, channels) with elements, got shape {x.shape}")
    n, *lengths, channels = x.shape
    return _core.reshape(x, (n, math.prod(lengths), channels)), (n, *[1] * len(lengths), channels)


class GlobalMaxPool(Layer):
    """The largest element of each channel: `(batch, *lengths, channels)` becomes `(batch, 1, …, channels)`.

    >>> import oxiflux as flux
    >>> flux.GlobalMaxPool()(flux.rand(2, 10, 8, 3)).shape
    (2, 1, 1, 3)
    """

    @named
    def __call__(self, x: ArrayLike) -> Tensor:
        flat, shape = _flat(x)
        return _core.reshape(_core.maxpool(flat, flat.shape[1]), shape)


class GlobalMeanPool(Layer):
    """The mean of each channel: `(batch, *lengths, channels)` becomes `(batch, 1, …, channels)`.

    >>> import oxiflux as flux
    >>> flux.Chain(flux.GlobalMeanPool(), flux.flatten)(flux.ones((2, 10, 8, 3))).tolist()
    [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """

    @named
    def __call__(self, x: ArrayLike) -> Tensor:
        flat, shape = _flat(x)
        return _core.reshape(_core.mean(flat, axis=1), shape)
