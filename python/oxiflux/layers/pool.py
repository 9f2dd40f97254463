"""Pooling: the largest element, the mean or the norm of windows that slide over an image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from .. import _core
from .._core import ShapeError, Tensor
from ..functions.axes import flag
from ..hints import told
from .base import Layer, named
from .window import Sizes, kernel, padding, shown, sizes

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..typing import ArrayLike
    from .window import SamePad

__all__ = [
    "AdaptiveMaxPool", "AdaptiveMeanPool", "GlobalMaxPool", "GlobalMeanPool", "MaxPool", "MeanPool",
    "lpnormpool", "maxpool", "meanpool",
]  # fmt: skip

Pad = int | Sequence[int]

# Half of the bits by which a number may be larger or smaller than 1.
_MOST_BITS = {"float16": 7, "float64": 500}


class _Windows(NamedTuple):
    """Where windows lie, in the normal form that the core takes."""

    window: Sizes
    stride: Sizes
    pad: Sizes
    dilation: Sizes
    ceil_mode: bool


def _windows(owner: str, window: Any, stride: Any, pad: Any, dilation: Any, ceil_mode: Any) -> _Windows:
    window = kernel(owner, window)
    stride = window if stride is None else sizes(owner, "stride", stride, len(window))
    dilation = sizes(owner, "dilation", dilation, len(window))
    before_and_after = padding(owner, pad, window, dilation)
    reach = tuple((n - 1) * d + 1 for n, d in zip(window, dilation, strict=True))
    if any(n >= reach[i // 2] for i, n in enumerate(before_and_after)):
        raise ValueError(f"{owner}: pad must be less than the window {reach}, got {pad!r}")
    return _Windows(window, stride, before_and_after, dilation, flag(owner, "ceil_mode", ceil_mode))


@told
def maxpool(
    x: ArrayLike,
    window: Sequence[int],
    *,
    stride: Pad | None = None,
    pad: Pad | SamePad = 0,
    dilation: Pad = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """The largest element of each window of `(batch, *lengths, channels)`, with one to three lengths.

    `window` is a tuple with a number for each length, `stride` one number or a tuple (the window itself unless
    given), `pad` one number, one for each length, two for each length, or SamePad(); padding never wins.
    `dilation`, a number or a tuple, is how far apart the elements of a window are. With `ceil_mode` elements that
    are left behind the last window have one more, unless it would start behind the image and the padding before it.
    NaN wins. Of equal elements the first has the gradient. Raises ShapeError for another number of axes, for a
    window that is larger than the padded image, and where a window with a dilation has nothing of the image;
    ValueError for padding as large as the window. Ref: PyTorch's `max_pool2d`, for windows that are not whole.

    >>> import oxiflux as flux
    >>> x = flux.reshape(flux.arange(7), (1, 7, 1))
    >>> flux.maxpool(x, (2,)).flatten().tolist(), flux.maxpool(x, (2,), ceil_mode=True).flatten().tolist()
    ([1.0, 3.0, 5.0], [1.0, 3.0, 5.0, 6.0])
    >>> flux.maxpool(x, (2,), stride=1, dilation=3).flatten().tolist()
    [3.0, 4.0, 5.0, 6.0]
    """
    return _core.maxpool(x, *_windows("maxpool", window, stride, pad, dilation, ceil_mode))


@told
def meanpool(
    x: ArrayLike,
    window: Sequence[int],
    *,
    stride: Pad | None = None,
    pad: Pad | SamePad = 0,
    dilation: Pad = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of `(batch, *lengths, channels)`, in which padding counts as zeros.

    Without `count_include_pad` padding does not count: the mean is that of the elements of the image. What of a
    window lies behind the padding, which is only so with `ceil_mode`, never counts. The other parameters and the
    errors are those of `maxpool`. Ref: PyTorch's `avg_pool2d`.

    >>> import oxiflux as flux
    >>> x = flux.reshape(flux.arange(6), (1, 6, 1))
    >>> flux.meanpool(x, (2,), pad=(1, 0), stride=2).flatten().tolist()
    [0.0, 1.5, 3.5]
    >>> flux.meanpool(x, (4,), ceil_mode=True).flatten().tolist()
    [1.5, 4.5]
    >>> flux.meanpool(x + 1, (2,), pad=1, count_include_pad=False).flatten().tolist()
    [1.0, 2.5, 4.5, 6.0]
    """
    windows = _windows("meanpool", window, stride, pad, dilation, ceil_mode)
    return _core.meanpool(x, *windows, count_include_pad)


@told
def lpnormpool(
    x: ArrayLike,
    p: float,
    window: Sequence[int],
    *,
    stride: Pad | None = None,
    pad: Pad | SamePad = 0,
    dilation: Pad = 1,
    ceil_mode: bool = False,
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
    windows = _windows("lpnormpool", window, stride, pad, dilation, ceil_mode)
    if p == math.inf:
        return _core.maxpool(_core.abs(x), *windows)
    unit = _unit(x, p)
    total = _core.sumpool(_power(x if unit == 1 else x / unit, p), *windows)
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

    window: Sizes
    stride: Sizes
    pad: Sizes
    # What files of earlier versions lack.
    dilation: Sizes = (1,)
    ceil_mode: bool = False

    def __init__(
        self,
        window: Sequence[int],
        *,
        stride: Pad | None = None,
        pad: Pad | SamePad = 0,
        dilation: Pad = 1,
        ceil_mode: bool = False,
    ) -> None:
        windows = _windows(type(self).__name__, window, stride, pad, dilation, ceil_mode)
        self.window, self.stride, self.pad, self.dilation, self.ceil_mode = windows

    def describe(self) -> str:
        """The layer on one line."""
        pad = f", pad={shown(self.pad)}" if any(self.pad) else ""
        stride = f", stride={shown(self.stride)}" if self.stride != self.window else ""
        dilation = f", dilation={shown(self.dilation)}" if max(self.dilation) > 1 else ""
        ceil_mode = ", ceil_mode=True" if self.ceil_mode else ""
        return f"{type(self).__name__}({self.window}{pad}{stride}{dilation}{ceil_mode}{self._more()})"

    def _more(self) -> str:
        """What else is printed."""
        return ""


class MaxPool(_Pool):
    """The largest element of each window of `(batch, *lengths, channels)`; its parameters are those of
    `maxpool`.

    >>> import oxiflux as flux
    >>> layer = flux.MaxPool((5, 5), pad=flux.SamePad())
    >>> layer
    MaxPool((5, 5), pad=2)
    >>> layer(flux.rand(2, 100, 100, 7)).shape
    (2, 20, 20, 7)
    >>> flux.MaxPool((3, 3), stride=2, ceil_mode=True)(flux.rand(2, 112, 112, 7)).shape
    (2, 56, 56, 7)
    """

    @named
    def __call__(self, x: ArrayLike) -> Tensor:
        return _core.maxpool(x, self.window, self.stride, self.pad, self.dilation, self.ceil_mode)


class MeanPool(_Pool):
    """The mean of each window of `(batch, *lengths, channels)`; its parameters are those of `meanpool`.

    >>> import oxiflux as flux
    >>> layer = flux.MeanPool((5,), stride=2)
    >>> layer
    MeanPool((5,), stride=2)
    >>> layer(flux.rand(2, 101, 7)).shape
    (2, 49, 7)
    """

    count_include_pad: bool = True

    def __init__(
        self,
        window: Sequence[int],
        *,
        stride: Pad | None = None,
        pad: Pad | SamePad = 0,
        dilation: Pad = 1,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(window, stride=stride, pad=pad, dilation=dilation, ceil_mode=ceil_mode)
        self.count_include_pad = count_include_pad

    @named
    def __call__(self, x: ArrayLike) -> Tensor:
        return _core.meanpool(
            x, self.window, self.stride, self.pad, self.dilation, self.ceil_mode, self.count_include_pad
        )

    def _more(self) -> str:
        return "" if self.count_include_pad else ", count_include_pad=False"


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
