"""Convolutions: windows that slide over images `(batch, *spatial, channels)` of 1 to 3 spatial dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, overload

import numpy as np

from .. import _core
from .._core import ShapeError, Tensor, identity
from ..functions.axes import flag
from ..hints import told
from ..init import glorot_uniform
from ..show import name_of
from .base import Layer, blame, check_activation, made, made_bias, shape_of, turned
from .given import given, given_bias, is_weight, require_size
from .unsized import Unsized
from .window import SamePad, Sizes, kernel, padding, shown, sizes

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = ["Conv", "ConvTranspose", "CrossCor", "DepthwiseConv", "conv", "depthwiseconv"]

Size = int | Sequence[int]
Activation = Callable[[Tensor], Tensor]


@told
def conv(
    x: ArrayLike,
    weight: ArrayLike,
    *,
    stride: Size = 1,
    pad: Size | SamePad = 0,
    dilation: Size = 1,
    groups: int = 1,
    flipped: bool = False,
) -> Tensor:
    """The cross-correlation of images `(batch, *spatial, in)` with a weight `(*window, in // groups, out)`:
    `y[n, i, o] = sum over k and c of x[n, i * stride + k * dilation - pad, c] * weight[k, c, o]`.

    With `flipped=True` the window is turned round in each spatial dimension: the convolution of mathematics,
    which is what NNlib computes by default. The result has the dtype of the weight. Raises ShapeError for
    images of another rank or number of channels, or smaller than the window, and ValueError for other options
    than `Conv` takes.

    >>> import oxiflux as flux
    >>> x = flux.tensor([1.0, 2, 3, 4]).reshape((1, 4, 1))
    >>> w = flux.tensor([1.0, 0, -1]).reshape((3, 1, 1))
    >>> flux.conv(x, w).tolist(), flux.conv(x, w, flipped=True, pad=1).shape
    ([[[-2.0], [-2.0]]], (1, 4, 1))
    """
    shape = shape_of(weight)
    dims = _dimensions("conv", shape)
    weight = _flip(weight, dims) if flag("conv", "flipped", flipped) else weight
    dilations = sizes("conv", "dilation", dilation, dims)
    return _core.conv(
        x,
        weight,
        None,
        None,
        stride=sizes("conv", "stride", stride, dims),
        pad=padding("conv", pad, shape[:dims], dilations),
        dilation=dilations,
        groups=sizes("conv", "groups", groups, 1)[0],
    )


@told
def depthwiseconv(
    x: ArrayLike,
    weight: ArrayLike,
    *,
    stride: Size = 1,
    pad: Size | SamePad = 0,
    dilation: Size = 1,
    flipped: bool = False,
) -> Tensor:
    """The cross-correlation of each channel of images `(batch, *spatial, in)` with filters of its own, of a
    weight `(*window, multiplier, in)`: output channel `c * multiplier + m` is channel `c` with filter `m`.

    Options and errors are those of `conv`.

    >>> import oxiflux as flux
    >>> flux.depthwiseconv(flux.rand(2, 5, 5, 3), flux.rand(3, 3, 2, 3)).shape
    (2, 3, 3, 6)
    """
    filters, groups = _of_channels("depthwiseconv", weight)
    flipped = flag("depthwiseconv", "flipped", flipped)
    if (channels := shape_of(x)[-1:]) != shape_of(weight)[-1:]:
        raise ShapeError(f"depthwiseconv: {shape_of(weight)[-1]} filters do not fit channels {channels}")
    return conv(x, filters, stride=stride, pad=pad, dilation=dilation, groups=groups, flipped=flipped)


class _Convolution(Layer):
    """What convolutions and transposed convolutions share."""

    weight: Tensor
    bias: Tensor | None
    activation: Activation
    stride: Sizes
    pad: Sizes
    dilation: Sizes
    groups: int
    flipped: bool

    open_at: ClassVar[int | None] = 1

    @overload
    def __init__(
        self,
        window: Sequence[int],
        size_in: int | None,
        size_out: int | Callable[[int], int],
        activation: Activation = ...,
        *,
        stride: Size = ...,
        pad: Size | SamePad = ...,
        dilation: Size = ...,
        groups: int = ...,
        bias: bool | ArrayLike = ...,
        flipped: bool = ...,
        init: Callable[[tuple[int, ...]], Any] = ...,
    ) -> None: ...
    @overload
    def __init__(
        self,
        window: ArrayLike,
        size_in: bool | ArrayLike = ...,
        size_out: Activation = ...,
        *,
        activation: Activation = ...,
        stride: Size = ...,
        pad: Size | SamePad = ...,
        dilation: Size = ...,
        groups: int = ...,
        bias: bool | ArrayLike = ...,
        flipped: bool = ...,
    ) -> None: ...
    def __init__(
        self,
        window: Any,
        size_in: Any = True,
        size_out: Any = True,
        activation: Activation = identity,
        *,
        stride: Size = 1,
        pad: Size | SamePad = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool | ArrayLike = True,
        flipped: bool = False,
        init: Callable[[tuple[int, ...]], Any] = glorot_uniform,
    ) -> None:
        name = type(self).__name__
        self.groups = sizes(name, "groups", groups, 1)[0]
        weight = None
        if is_weight(window, axes=2):
            weight, bias, activation = self._given(window, size_in, size_out, activation, bias, init)
            window = weight.shape[:-2]
            size_in, size_out = self._ends((self.groups * weight.shape[-2], weight.shape[-1]))
        require_size(name, size_in=size_in, size_out=size_out)
        window = kernel(name, window)
        size_in, size_out = sizes(name, "the number of channels", (size_in, size_out), 2, least=0)
        if size_in % self.groups or size_out % self.groups:
            raise ValueError(f"{name}: {groups} groups do not divide {size_in} and {size_out} channels")
        check_activation(name, activation)
        channels = self._ends((size_in, size_out))
        shape = (*window, channels[0] // self.groups, channels[1])
        shown = f"{name}({window}, {size_in} => {size_out})"
        self.weight = made(shown, init, shape) if weight is None else weight
        self.bias = made_bias(shown, self.weight, bias, size_out)
        self.activation = activation
        self.stride = sizes(name, "stride", stride, len(window))
        self.dilation = sizes(name, "dilation", dilation, len(window))
        self.pad = self._padding(pad, window)
        self.flipped = bool(flipped)

    def _given(
        self, weight: Any, second: Any, third: Any, activation: Activation, bias: Any, init: Any
    ) -> tuple[Tensor, Any, Activation]:
        """The weight, bias and activation that stand in the place of window and channels."""
        name = type(self).__name__
        bias = given_bias(name, second, bias, init, glorot_uniform)
        if third is not True and activation is not identity:
            raise TypeError(f"{name}: takes a weight, a bias and an activation, got {third!r} besides")
        weight = given(name, weight)
        _dimensions(name, weight.shape)
        return weight, bias, activation if third is True else third

    @staticmethod
    def _ends(channels: tuple[int, int]) -> tuple[int, int]:
        """The channels of input and output, as the last axes of the weight have them; and the reverse."""
        return channels

    def _padding(self, pad: Any, window: Sizes) -> Sizes:
        return padding(type(self).__name__, pad, window, self.dilation)

    def _call(self, run: Callable[..., Tensor], x: Any, **more: Any) -> Tensor:
        try:
            return run(
                x,
                _flip(self.weight, len(self.stride)) if self.flipped else self.weight,
                self.bias,
                self.activation,
                stride=self.stride,
                pad=self.pad,
                dilation=self.dilation,
                groups=self.groups,
                **more,
            )
        except Exception as error:
            weight = self.weight.shape
            if isinstance(error, ShapeError) and len(shape := getattr(x, "shape", ())) == len(weight):
                size_in, _ = self._ends((weight[-2] * self.groups, weight[-1]))
                error.args = (f"{error}{turned(shape, size_in)}",)
            blame(error, self.describe())
            raise

    def _options(self) -> dict[str, tuple[Sizes, int]]:
        """What is printed if it is not as usual, and how it usually is."""
        return {
            "pad": (self.pad, 0),
            "stride": (self.stride, 1),
            "dilation": (self.dilation, 1),
            "groups": ((self.groups,), 1),
        }

    def describe(self) -> str:
        """The layer on one line."""
        *window, of_group, last = self.weight.shape
        size_in, size_out = self._ends((of_group * self.groups, last))
        given = [
            f"{k}={shown(value)}" for k, (value, usual) in self._options().items() if set(value) != {usual}
        ]
        given += ["bias=False"] * (self.bias is None) + ["flipped=True"] * self.flipped
        activation = "" if self.activation is identity else f", {name_of(self.activation)}"
        options = f"; {', '.join(given)}" if given else ""
        return f"{type(self).__name__}({tuple(window)}, {size_in} => {size_out}{activation}{options})"


class Conv(_Convolution):
    """A window that slides over images: `activation(conv(x, weight) + bias)`, from `(batch, *spatial,
    size_in)` to `(batch, *spatial, size_out)`.

    `Conv(window, size_in, size_out, activation=identity, *, stride=1, pad=0, dilation=1, groups=1, bias=True,
    flipped=False, init=glorot_uniform)`, or of given arrays `Conv(weight, bias=True, activation=identity, *, stride=1,
    …)`. `window` is a tuple of 1 to 3 sizes, one for each spatial dimension.
    `stride`, `pad` and `dilation` are integers or tuples of them; `pad` may also have two for each dimension,
    before and after, or be `SamePad()`. With `groups`, that many groups of input channels go to as many groups
    of output channels. `weight` is `(*window, size_in // groups, size_out)`, made by `init`, and `bias` as in
    `Dense`. A `size_in` of None is left to `autosize`.

    The length of an output is `(n + before + after - dilation * (k - 1) - 1) // stride + 1`. As in every other
    Python library, this is a cross-correlation; `flipped=True` turns the window round, as Flux does. Raises
    ShapeError for an input of another rank or number of channels, or smaller than the window, and ValueError
    for options that are none.

    >>> import oxiflux as flux
    >>> layer = flux.Conv((5, 5), 3, 7, flux.relu, bias=False)
    >>> layer
    Conv((5, 5), 3 => 7, relu; bias=False)  # 525 parameters
    >>> layer(flux.rand(50, 100, 100, 3)).shape
    (50, 96, 96, 7)
    >>> flux.Conv((5, 5), 3, 7, stride=2, pad=flux.SamePad())(flux.rand(1, 100, 100, 3)).shape
    (1, 50, 50, 7)
    >>> flux.Conv(flux.ones((2, 1, 1)), [0.5])([[[1], [2], [3]]]).tolist()
    [[[3.5], [5.5]]]
    """

    def __call__(self, x: ArrayLike) -> Tensor:
        """`activation(conv(x, weight) + bias)`."""
        return self._call(_core.conv, x)


class CrossCor(Conv):
    """Flux's name for a convolution that does not turn its window round, which here is what `Conv` does.

    >>> import oxiflux as flux
    >>> flux.CrossCor((5, 5), 3, 6, flux.relu, bias=False)
    CrossCor((5, 5), 3 => 6, relu; bias=False)  # 450 parameters
    """


class ConvTranspose(_Convolution):
    """A convolution the other way: what `Conv` with these options does to shapes, this undoes.

    `ConvTranspose(window, size_in, size_out, activation=identity, *, outpad=0, …)` with the options of `Conv`, or
    `ConvTranspose(weight, bias=True, activation=identity, *, …)`, is `activation(y + bias)`, where `y` is the gradient
    for the input of a `Conv` from `size_out` to `size_in` channels whose result has the gradient `x`. `weight` is
    `(*window, size_out // groups, size_in)`.

    The length of an output is `(n - 1) * stride + dilation * (k - 1) + 1 - before - after + outpad`, with
    `outpad` smaller than the stride; `SamePad()` makes it `n * stride`. Errors are those of `Conv`. Ref:
    Zeiler et al., "Deconvolutional networks", 2010.

    >>> import oxiflux as flux
    >>> layer = flux.ConvTranspose((5, 5), 3, 7, flux.relu)
    >>> layer
    ConvTranspose((5, 5), 3 => 7, relu)  # 532 parameters
    >>> layer(flux.rand(2, 100, 100, 3)).shape
    (2, 104, 104, 7)
    >>> flux.ConvTranspose((5, 5), 3, 7, stride=2, outpad=1)(flux.rand(2, 100, 100, 3)).shape
    (2, 204, 204, 7)
    >>> flux.ConvTranspose(flux.ones((2, 1, 1)), stride=2)([[[1], [2]]]).tolist()
    [[[1.0], [1.0], [2.0], [2.0]]]
    """

    outpad: Sizes

    def __init__(
        self,
        window: Any,
        size_in: Any = True,
        size_out: Any = True,
        activation: Activation = identity,
        *,
        outpad: Size = 0,
        **options: Any,
    ) -> None:
        super().__init__(window, size_in, size_out, activation, **options)
        self.outpad = sizes("ConvTranspose", "outpad", outpad, len(self.stride), least=0)
        if any(more >= step for more, step in zip(self.outpad, self.stride, strict=True)):
            raise ValueError(f"ConvTranspose: outpad must be smaller than the stride, got {outpad}")

    def __call__(self, x: ArrayLike) -> Tensor:
        """`activation(y + bias)`."""
        return self._call(_core.conv_transpose, x, outpad=self.outpad)

    @staticmethod
    def _ends(channels: tuple[int, int]) -> tuple[int, int]:
        return channels[1], channels[0]

    def _padding(self, pad: Any, window: Sizes) -> Sizes:
        # What a window covers beyond its stride is what makes the output longer than `n * stride`.
        spread = zip(window, self.dilation, self.stride, strict=True)
        beyond = tuple(d * (k - 1) + 1 - step + 1 for k, d, step in spread)
        if isinstance(pad, SamePad) and min(beyond) < 1:
            raise ValueError(
                f"ConvTranspose: SamePad() needs strides within the window {window} as it is dilated"
            )
        return padding("ConvTranspose", pad, beyond)

    def _options(self) -> dict[str, tuple[Sizes, int]]:
        return super()._options() | {"outpad": (self.outpad, 0)}

    def products(self, inputs: list[tuple[int, ...]], _: Any) -> int:
        """The weight meets every place of the input."""
        return self.weight.size * math.prod(inputs[0][:-1])


@told
def DepthwiseConv(  # noqa: N802 (a layer by its name in Flux, where it is a function too)
    window: Any,
    size_in: Any = True,
    size_out: Any = True,
    activation: Activation = identity,
    *,
    stride: Size = 1,
    pad: Size | SamePad = 0,
    dilation: Size = 1,
    bias: bool | ArrayLike = True,
    flipped: bool = False,
    init: Callable[[tuple[int, ...]], Any] = glorot_uniform,
) -> Conv:
    """A `Conv` with as many groups as input channels: each has its own filters, `size_out // size_in` of
    them.

    `size_out` must be a multiple of `size_in`; the weight is `(*window, 1, size_out)`. Of given arrays it is
    `DepthwiseConv(weight, bias=True, activation=identity, *, …)` with the filters of each channel as `depthwiseconv`
    takes them, `(*window, multiplier, size_in)`. A `size_in` of None is left to `autosize`.

    >>> import oxiflux as flux
    >>> flux.DepthwiseConv((5, 5), 3, 6, flux.relu, bias=False)
    Conv((5, 5), 3 => 6, relu; groups=3, bias=False)  # 150 parameters
    >>> flux.DepthwiseConv(flux.rand(5, 5, 2, 3)).groups
    3
    """
    options: dict[str, Any] = {
        "stride": stride, "pad": pad, "dilation": dilation, "bias": bias, "flipped": flipped, "init": init,
    }  # fmt: skip
    if is_weight(window, axes=2):
        filters, groups = _of_channels("DepthwiseConv", given("DepthwiseConv", window))
        return Conv(filters, size_in, size_out, activation=activation, groups=groups, **options)
    if size_in is None:
        options |= {"window": window, "size_in": None, "size_out": size_out, "activation": activation}
        return Unsized(DepthwiseConv, 1, (), options)  # type: ignore[return-value]
    require_size("DepthwiseConv", size_in=size_in, size_out=size_out)
    return Conv(window, size_in, size_out, activation, groups=size_in, **options)


def _of_channels(owner: str, weight: Any) -> tuple[Any, int]:
    """The filters of each channel as the weight of a convolution, and how many groups that has."""
    shape = shape_of(weight)
    dims = _dimensions(owner, shape)
    swapped = _core.permute_dims(weight, (*range(dims), dims + 1, dims))
    filters = _core.reshape(swapped, (*shape[:dims], 1, shape[dims] * shape[dims + 1]))
    return filters, max(1, shape[dims + 1])


def _dimensions(owner: str, weight: tuple[int, ...]) -> int:
    """How many spatial dimensions a weight has."""
    dims = len(weight) - 2
    if not 1 <= dims <= 3 or not all(weight[:dims]):
        raise ShapeError(f"{owner}: the weight must be (*window, in, out) with 1 to 3 windows, got {weight}")
    return dims


def _flip(weight: Any, dims: int) -> Any:
    flip: Any = _core.flip if isinstance(weight, Tensor) else np.flip
    return flip(weight, axis=tuple(range(dims)))
