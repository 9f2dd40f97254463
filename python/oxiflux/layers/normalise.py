"""Normalisation: layers whose results have mean 0 and variance 1, then a scale and a bias that are learnt."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar
from warnings import warn

import numpy as np

from .. import _core
from .._core import ShapeError, Tensor, identity
from ..init import ones32, zeros32
from ..show import name_of
from .base import Layer, made, named, shape_of, turned
from .mode import Mode, ModeLayer, check_mode
from .unsized import EACH

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = ["BatchNorm", "GroupNorm", "InstanceNorm", "LayerNorm", "RMSNorm"]

Function = Callable[[Tensor], Tensor]


class LayerNorm(Layer):
    """`activation((x - mean) / sqrt(var + eps) * scale + bias)` with the mean and variance over the last axes.

    `size` is their size, one integer or more; `scale` and `bias` are of that shape, or None with `affine=False`.
    Other sizes raise ShapeError. Ref: Flux.jl, `LayerNorm`; Ba et al., "Layer normalization", 2016.

    >>> import oxiflux as flux
    >>> layer = flux.LayerNorm(3)
    >>> layer
    LayerNorm(3)        # 6 parameters
    >>> layer([[1.0, 2.0, 3.0]]).tolist()
    [[-1.2247, 0.0, 1.2247]]
    >>> flux.LayerNorm(4, 3, flux.relu, affine=False)(flux.rand(5, 4, 3)).shape
    (5, 4, 3)
    """

    open_at: ClassVar[int | None] = EACH

    size: tuple[int, ...]
    scale: Tensor | None
    bias: Tensor | None
    activation: Function
    eps: float

    def __init__(self, *size: Any, affine: bool = True, eps: float = 1e-5) -> None:
        self.size, self.activation = _sizes_of("LayerNorm", size)
        shown = f"LayerNorm({', '.join(map(str, self.size))})"
        self.scale = made(shown, ones32, self.size) if affine else None
        self.bias = made(shown, zeros32, self.size) if affine else None
        self.eps = _checked_eps(eps, self)

    @named
    def __call__(self, x: ArrayLike) -> Tensor:
        """The input with each element of the leading axes normalised."""
        shape, count = _fitting(x, self.size), len(self.size)
        y = _core.norm(x, self.scale, self.bias, len(shape) - count, count, 1, self.eps)[0]
        return self.activation(y)

    def products(self, _: Any, output: tuple[int, ...]) -> int:
        """One for each number, with its scale."""
        return 0 if self.scale is None else math.prod(output)

    def describe(self) -> str:
        """The layer on one line."""
        return f"LayerNorm({', '.join(map(str, self.size))}{_options(self.activation, self.scale)})"


class RMSNorm(Layer):
    """`activation(x / sqrt(mean(x^2) + eps) * scale)` with the mean over the last axes: what has a mean square of 1, as
    `LayerNorm` without its mean and its bias.

    `size` is the size of these axes, one integer or more; `scale` is of that shape, or None with `affine=False`. Other
    sizes raise ShapeError. Numbers of 16 bits are computed with in float32. Ref: Zhang and Sennrich, "Root mean square
    layer normalization", 2019; PyTorch's `RMSNorm`, whose `eps` is that of the dtype unless given.

    >>> import oxiflux as flux
    >>> layer = flux.RMSNorm(2)
    >>> layer
    RMSNorm(2)          # 2 parameters
    >>> layer([[1.0, 7.0]]).numpy().round(4)
    array([[0.2, 1.4]], dtype=float32)
    >>> flux.RMSNorm(4, 3, flux.relu, affine=False)(flux.rand(5, 4, 3)).shape
    (5, 4, 3)
    """

    open_at: ClassVar[int | None] = EACH

    size: tuple[int, ...]
    scale: Tensor | None
    activation: Function
    eps: float

    def __init__(self, *size: Any, affine: bool = True, eps: float = 1e-5) -> None:
        self.size, self.activation = _sizes_of("RMSNorm", size)
        shown = f"RMSNorm({', '.join(map(str, self.size))})"
        self.scale = made(shown, ones32, self.size) if affine else None
        self.eps = _checked_eps(eps, self)

    @named
    def __call__(self, x: ArrayLike) -> Tensor:
        """The input with each element of the leading axes normalised."""
        lead = len(_fitting(x, self.size)) - len(self.size)
        return self.activation(_core.rms_norm(x, self.scale, lead, self.eps))

    def products(self, _: Any, output: tuple[int, ...]) -> int:
        """One for each number, with its scale."""
        return 0 if self.scale is None else math.prod(output)

    def describe(self) -> str:
        """The layer on one line."""
        return f"RMSNorm({', '.join(map(str, self.size))}{_options(self.activation, self.scale)})"


class _ChannelNorm(ModeLayer):
    """What the layers have in common that scale and shift each channel, the elements of the last axis."""

    # In a model of 16 bits as well: statistics need more.
    in_float32: ClassVar[bool] = True
    open_at: ClassVar[int | None] = 0

    channels: int
    beta: Tensor | None
    gamma: Tensor | None
    activation: Function
    eps: float

    def _set(
        self, channels: int, activation: Function, affine: bool, eps: float, init_beta: Any, init_gamma: Any
    ) -> None:
        name = type(self).__name__
        if not _is_size(channels):
            raise ValueError(f"{name}: channels are a positive integer, got {channels!r}")
        if not callable(activation):
            raise TypeError(f"{name}: the activation must be a function, got {activation!r}")
        self.channels, self.activation = int(channels), activation
        shown = f"{name}({channels})"
        self.beta = _initial(shown, init_beta, self.channels) if affine else None
        self.gamma = _initial(shown, init_gamma, self.channels) if affine else None
        self.eps = eps

    def _shape_of(self, x: Any, least: int) -> tuple[int, ...]:
        """The shape of an input, which must have at least `least` axes."""
        shape = shape_of(x)
        if len(shape) < least or shape[-1] != self.channels:
            what = f"{self.channels} channel{'s' * (self.channels != 1)} on the last of at least {least} axes"
            raise ShapeError(f"expected {what}, got shape {shape}{turned(shape, self.channels)}")
        return shape

    def products(self, _: Any, output: tuple[int, ...]) -> int:
        """One for each number, with its scale."""
        return 0 if self.gamma is None else math.prod(output)

    def trainable(self) -> tuple[str, ...]:
        """The names of the parameters, as opposed to the running statistics."""
        return ("beta", "gamma")


class _TrackingNorm(_ChannelNorm):
    """A normalisation of each channel that may keep running statistics: over the batch, or for each of its
    elements, which is what `_lead` says.
    """

    mu: Tensor | None
    var: Tensor | None
    momentum: float
    _lead: int

    def _track(self, track_stats: bool, momentum: float) -> None:
        self.mu = zeros32(self.channels) if track_stats else None
        self.var = ones32(self.channels) if track_stats else None
        self.momentum = _checked_momentum(momentum, self)

    @named
    def __call__(self, x: ArrayLike) -> Tensor:
        """The normalised input; in training mode the running statistics, if any, take its own into account."""
        shape = self._shape_of(x, 2 + self._lead)
        count = math.prod(shape[self._lead : -1])
        active = self.is_active()
        if self.mu is not None and self.var is not None and not active:
            y = _core.norm_with(x, self.mu, self.var, self.gamma, self.beta, self.eps)
            return self.activation(_as_given(x, y))
        if active and count < 2 and (self.mu is not None or not self._lead):
            raise ValueError(f"training needs more than one value for each channel, got shape {shape}")
        y, mean, var = _core.norm(x, self.gamma, self.beta, self._lead, 1, self.channels, self.eps)
        y = self.activation(_as_given(x, y))
        if self.mu is not None and self.var is not None and mean.size:
            if self._lead:
                mean, var = mean.mean(axis=0), var.mean(axis=0)
            # The unbiased variance, as an estimate for data that is not in this batch.
            if not _core.track(self.mu, self.var, mean, var, self.momentum, count / (count - 1)):
                warn(
                    f"{self.describe()}: the mean or variance of a batch is not finite; "
                    "the running statistics stay as they were",
                    RuntimeWarning,
                    stacklevel=3,
                )
        return y

    def describe(self) -> str:
        """The layer on one line."""
        options = _options(self.activation, self.gamma, self.active)
        return f"{type(self).__name__}({self.channels}{options})"


class BatchNorm(_TrackingNorm):
    """`activation((x - mean) / sqrt(var + eps) * gamma + beta)` for each channel, the elements of the last axis.

    In training mode the mean and variance are those of the batch, over all axes but the last, and the running
    statistics `mu` and `var` move towards them by `momentum`, unless they would not be finite, which is a
    warning; in test mode the running statistics are used. The
    mode is that of the call: training within `gradient`; `active=True` or False, `trainmode` and `testmode` set it.
    `affine=False` leaves `gamma` and `beta` out, `track_stats=False` the running statistics. Another number of
    channels raises ShapeError, training with one value for each channel ValueError.
    Ref: Flux.jl, `BatchNorm`; Ioffe and Szegedy, "Batch normalization", 2015.

    >>> import oxiflux as flux
    >>> layer = flux.BatchNorm(3, flux.relu)
    >>> layer
    BatchNorm(3, relu)  # 6 parameters, plus 6 non-trainable
    >>> y = flux.trainmode(layer)(flux.rand(20, 28, 28, 3))
    >>> y.shape, bool(flux.all(layer.mu > 0))
    ((20, 28, 28, 3), True)
    """

    active: bool | None
    _lead = 0

    def __init__(
        self,
        channels: int,
        activation: Function = identity,
        *,
        affine: bool = True,
        track_stats: bool = True,
        active: Mode = None,
        eps: float = 1e-5,
        momentum: float = 0.1,
        init_beta: Callable[[int], Any] = zeros32,
        init_gamma: Callable[[int], Any] = ones32,
    ) -> None:
        self.active = check_mode(type(self).__name__, active)
        self._set(channels, activation, affine, eps, init_beta, init_gamma)
        self._track(track_stats, momentum)
        _checked_eps(eps, self)


class InstanceNorm(_TrackingNorm):
    """`activation((x - mean) / sqrt(var + eps) * gamma + beta)` with the mean and variance of each channel of each
    element of the batch: over all axes but the first and the last.

    The options are those of `BatchNorm`, but neither scale and bias nor running statistics are the default. Other
    channels or fewer than 3 axes raise ShapeError.
    Ref: Flux.jl, `InstanceNorm`; Ulyanov et al., "Instance normalization", 2016.

    >>> import oxiflux as flux
    >>> layer = flux.InstanceNorm(3)
    >>> y = layer(flux.rand(2, 8, 8, 3))
    >>> layer, y.shape, bool(flux.all(abs(y.mean(axis=(1, 2))) < 1e-5))
    (InstanceNorm(3, affine=False), (2, 8, 8, 3), True)
    """

    active: bool | None
    _lead = 1

    def __init__(
        self,
        channels: int,
        activation: Function = identity,
        *,
        affine: bool = False,
        track_stats: bool = False,
        active: Mode = None,
        eps: float = 1e-5,
        momentum: float = 0.1,
        init_beta: Callable[[int], Any] = zeros32,
        init_gamma: Callable[[int], Any] = ones32,
    ) -> None:
        self.active = check_mode(type(self).__name__, active)
        self._set(channels, activation, affine, eps, init_beta, init_gamma)
        self._track(track_stats, momentum)
        _checked_eps(eps, self)


class GroupNorm(_ChannelNorm):
    """`activation((x - mean) / sqrt(var + eps) * gamma + beta)` with the mean and variance of each of `groups`
    groups of neighbouring channels of each element of the batch.

    `gamma` and `beta` belong to the channels. There are no running statistics, so that `momentum`, which is taken as by
    the others and by Flux, has nothing to do. Groups that do not divide the channels raise ValueError, another
    number of channels ShapeError. Ref: Flux.jl, `GroupNorm`; Wu and He, "Group normalization", 2018.

    >>> import oxiflux as flux
    >>> layer = flux.GroupNorm(4, 2)
    >>> y = layer(flux.rand(2, 8, 8, 4))
    >>> layer, y.shape, abs(y[0, :, :, :2].mean().item()) < 1e-5
    (GroupNorm(4, 2)     # 8 parameters, (2, 8, 8, 4), True)
    """

    active: bool | None
    groups: int
    momentum: float

    def __init__(
        self,
        channels: int,
        groups: int,
        activation: Function = identity,
        *,
        affine: bool = True,
        active: Mode = None,
        eps: float = 1e-5,
        momentum: float = 0.1,
        init_beta: Callable[[int], Any] = zeros32,
        init_gamma: Callable[[int], Any] = ones32,
    ) -> None:
        self.active = check_mode(type(self).__name__, active)
        self._set(channels, activation, affine, eps, init_beta, init_gamma)
        if not _is_size(groups) or channels % groups:
            raise ValueError(f"GroupNorm: {groups!r} groups do not divide {channels} channels")
        self.groups = int(groups)
        self.momentum = _checked_momentum(momentum, self)
        _checked_eps(eps, self)

    @named
    def __call__(self, x: ArrayLike) -> Tensor:
        """The normalised input."""
        self._shape_of(x, 2)
        y = _core.norm(x, self.gamma, self.beta, 1, 1, self.groups, self.eps)[0]
        return self.activation(_as_given(x, y))

    def describe(self) -> str:
        """The layer on one line."""
        options = _options(self.activation, self.gamma, self.active)
        return f"GroupNorm({self.channels}, {self.groups}{options})"


def _sizes_of(layer: str, given: tuple[Any, ...]) -> tuple[tuple[int, ...], Function]:
    """The sizes of the last axes, and the activation after them, if there is one."""
    activation: Function = given[-1] if given and callable(given[-1]) else identity
    numbers = given[:-1] if given and callable(given[-1]) else given
    if len(numbers) == 1 and isinstance(numbers[0], (tuple, list)):
        numbers = tuple(numbers[0])
    if not numbers or not all(map(_is_size, numbers)):
        raise ValueError(f"{layer}: sizes are positive integers, got {given}")
    return tuple(map(int, numbers)), activation


def _fitting(x: Any, size: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an input, whose last axes must have these sizes."""
    shape, count = shape_of(x), len(size)
    if shape[-count:] != size:
        what = "axis" if count == 1 else "axes"
        expected = size[0] if count == 1 else size
        raise ShapeError(f"expected {expected} on the last {what}, got shape {shape}")
    return shape


def _as_given(x: Any, y: Tensor) -> Tensor:
    """The result in the dtype of an input of 16 bits, though the parameters have more."""
    return y.astype(x.dtype) if type(x) is Tensor and x.dtype.itemsize == 2 != y.dtype.itemsize else y


def _options(activation: Function, scale: Tensor | None, active: bool | None = None) -> str:
    """What is printed after the sizes."""
    shown = "" if activation is identity else f", {name_of(activation)}"
    shown += ", affine=False" if scale is None else ""
    return shown if active is None else f"{shown}, active={active}"


def _is_size(n: Any) -> bool:
    return isinstance(n, (int, np.integer)) and not isinstance(n, bool) and int(n) > 0


def _checked_eps(eps: float, layer: Layer) -> float:
    if not isinstance(eps, (int, float, np.number)):
        raise TypeError(f"{layer.describe()}: eps must be a number, got {eps!r}")
    if not eps >= 0:
        raise ValueError(f"{layer.describe()}: eps must not be negative, got {eps}")
    return eps


def _checked_momentum(momentum: float, layer: Layer) -> float:
    if not isinstance(momentum, (int, float, np.number)):
        raise TypeError(f"{layer.describe()}: the momentum must be a number, got {momentum!r}")
    if not 0 <= momentum <= 1:
        raise ValueError(f"{layer.describe()}: the momentum must be from 0 to 1, got {momentum}")
    return momentum


def _initial(layer: str, init: Callable[[int], Any], channels: int) -> Tensor:
    return made(layer, lambda shape: _core.tensor(init(*shape), _core.float32), (channels,))
