"""Images made larger or smaller: the nearest pixel, interpolation along each axis, and pixels out of channels."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .._core import ShapeError, Tensor
from ..functions.axes import flag
from ..hints import told
from .base import Layer, named
from .window import sizes

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = [
    "PixelShuffle", "Upsample", "pixel_shuffle", "pixel_unshuffle", "upsample_bicubic", "upsample_bilinear",
    "upsample_linear", "upsample_nearest", "upsample_trilinear",
]  # fmt: skip

Scale = float | Sequence[float] | None
Size = int | Sequence[int] | None
Matrix = Callable[[int, int, bool], tuple[np.ndarray, np.ndarray, np.ndarray]]


def _lengths(owner: str, x: Tensor, scale: Any, size: Any, dims: int | None = None) -> tuple[int, ...]:
    """The lengths of the result, from a factor or from themselves."""
    old = tuple(x.shape[1:-1])
    if not old or (dims is not None and len(old) != dims):
        expected = "*lengths" if dims is None else f"{dims} length{'s' * (dims > 1)}"
        raise ShapeError(f"{owner}: expected (batch, {expected}, channels), got shape {x.shape}")
    _check(owner, scale, size, len(old))
    if size is not None:
        new = sizes(owner, "size", size, len(old))
    else:
        factors = scale if isinstance(scale, (tuple, list)) else (scale,) * len(old)
        scaled = tuple(math.floor(f * n) for f, n in zip(factors, old, strict=True))
        new = sizes(owner, "what scale makes", scaled, len(old), least=0)
    if 0 in new or 0 in old:
        raise ShapeError(f"{owner}: shape {x.shape} cannot become images of {new}")
    _core.empty(
        (x.shape[0], *new, x.shape[-1]), x.dtype
    )  # refused here, before the places of its pixels are made
    return new


def _check(owner: str, scale: Any, size: Any, dims: int) -> None:
    """Raises ValueError unless one of them is given, with a number for each of `dims` lengths."""
    if (scale is None) == (size is None):
        raise ValueError(f"{owner}: give either scale or size")
    if size is not None:
        sizes(owner, "size", size, dims)
        return
    factors = scale if isinstance(scale, (tuple, list)) else (scale,) * dims
    is_number = (isinstance(f, (int, float, np.number)) and 0 < f < math.inf for f in factors)
    if len(factors) != dims or not all(is_number):
        raise ValueError(f"{owner}: scale must be a positive number or {dims} of them, got {scale!r}")


@told
def upsample_nearest(x: ArrayLike, scale: int | Sequence[int] | None = None, *, size: Size = None) -> Tensor:
    """Each pixel of `(batch, *lengths, channels)` repeated `scale` times along each length.

    `scale` is an integer for all lengths or one for each; other factors raise ValueError. `size`, instead, is the
    lengths of the result, whatever they are: element `i` of `m` is element `floor(i * n / m)` of `n`. Ref: NNlib's
    `upsample_nearest`; for other lengths than multiples PyTorch's `interpolate`.

    >>> import oxiflux as flux
    >>> flux.upsample_nearest([[[1], [2]]], 3).flatten().tolist()
    [1, 1, 1, 2, 2, 2]
    >>> flux.upsample_nearest([[[1], [2], [3]]], size=5).flatten().tolist()
    [1, 1, 2, 2, 3]
    """
    x = _core.asarray(x)
    new = _lengths("upsample_nearest", x, scale, size)
    old = tuple(x.shape[1:-1])
    if not (scale is None or _whole(scale)):
        raise ValueError(f"upsample_nearest: factors must be integers, got {old} to {new}; size takes any")
    places: Any = np.zeros(1, np.int64)
    for n, m in zip(old, new, strict=True):
        places = (places[:, None] * n + np.arange(m) * n // m).ravel()
    batch, channels = x.shape[0], x.shape[-1]
    pixels = _core.take(_core.reshape(x, (batch, math.prod(old), channels)), _core.table(places), axis=1)
    return _core.reshape(pixels, (batch, *new, channels))


def _whole(scale: Any) -> bool:
    return all(f == int(f) for f in (scale if isinstance(scale, (tuple, list)) else (scale,)))


@functools.lru_cache(64)
def _interpolation(n: int, m: int, align_corners: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The sparse matrix that makes `m` elements of `n` by linear interpolation."""
    if align_corners:
        at = np.arange(m) * ((n - 1) / (m - 1)) if m > 1 else np.zeros(1)
    else:
        at = np.maximum((np.arange(m) + 0.5) * (n / m) - 0.5, 0)
    low = np.minimum(at.astype(np.int64), n - 1)
    columns = np.stack([low, np.minimum(low + 1, n - 1)], axis=1)
    weights = np.stack([1 - (at - low), at - low], axis=1)
    return np.arange(0, 2 * m + 1, 2), columns.ravel(), weights.ravel()


@functools.lru_cache(64)
def _cubic(n: int, m: int, align_corners: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The sparse matrix that makes `m` elements of `n` by cubic convolution; past the ends there are the ends."""
    if align_corners:
        at = np.arange(m) * ((n - 1) / (m - 1)) if m > 1 else np.zeros(1)
    else:
        at = (np.arange(m) + 0.5) * (n / m) - 0.5
    low = np.floor(at).astype(np.int64)
    near, far = (at - low)[:, None] + [0, -1], (at - low)[:, None] + [1, -2]
    near, far, a = np.abs(near), np.abs(far), -0.75
    inner = ((a + 2) * near - (a + 3)) * near**2 + 1
    outer = ((far - 5) * far + 8) * far * a - 4 * a
    weights = np.stack([outer[:, 0], inner[:, 0], inner[:, 1], outer[:, 1]], axis=1)
    columns = np.clip(low[:, None] + [-1, 0, 1, 2], 0, n - 1)
    return np.arange(0, 4 * m + 1, 4), columns.ravel(), weights.ravel()


def _upsample(
    owner: str,
    x: ArrayLike,
    scale: Scale,
    size: Size,
    align_corners: bool,
    dims: int | None,
    matrix: Matrix = _interpolation,
) -> Tensor:
    x = _core.asarray(x)
    dtype = x.dtype if x.dtype.kind == "f" else _core.float32
    lengths, align_corners = (
        _lengths(owner, x, scale, size, dims),
        flag(owner, "align_corners", align_corners),
    )
    if x.dtype.itemsize == 2:
        x = x.astype(_core.float32)  # to be rounded once, after the last axis
    for axis, m in enumerate(lengths, start=1):
        if m != x.shape[axis]:
            starts, columns, weights = map(_core.table, matrix(x.shape[axis], m, align_corners))
            x = _core.resample(x, starts, columns, weights, axis)
    return x if x.dtype == dtype else x.astype(dtype)


@told
def upsample_linear(
    x: ArrayLike, scale: Scale = None, *, size: Size = None, align_corners: bool = True
) -> Tensor:
    """`(batch, length, channels)` interpolated linearly to `floor(scale * length)` or `size` elements.

    With `align_corners` the first and last elements stay at the ends; without it they stand for intervals, of
    which the interpolation takes the middle. Integers become float32. Raises ShapeError for another number of
    axes, ValueError unless one of `scale` and `size` is given.

    >>> import oxiflux as flux
    >>> flux.upsample_linear([[[1.0], [3.0]]], size=5).flatten().tolist()
    [1.0, 1.5, 2.0, 2.5, 3.0]
    """
    return _upsample("upsample_linear", x, scale, size, align_corners, 1)


@told
def upsample_bilinear(
    x: ArrayLike, scale: Scale = None, *, size: Size = None, align_corners: bool = True
) -> Tensor:
    """`(batch, height, width, channels)` interpolated linearly along both lengths; see `upsample_linear`.

    `scale` and `size` are a number for both or a tuple of two.

    >>> import oxiflux as flux
    >>> flux.upsample_bilinear(flux.ones((2, 4, 5, 3)), (2, 1.5)).shape
    (2, 8, 7, 3)
    """
    return _upsample("upsample_bilinear", x, scale, size, align_corners, 2)


@told
def upsample_trilinear(
    x: ArrayLike, scale: Scale = None, *, size: Size = None, align_corners: bool = True
) -> Tensor:
    """`(batch, depth, height, width, channels)` interpolated linearly along its lengths; see `upsample_linear`.

    >>> import oxiflux as flux
    >>> flux.upsample_trilinear(flux.ones((2, 2, 4, 5, 3)), size=(2, 3, 4)).shape
    (2, 2, 3, 4, 3)
    """
    return _upsample("upsample_trilinear", x, scale, size, align_corners, 3)


@told
def upsample_bicubic(
    x: ArrayLike, scale: Scale = None, *, size: Size = None, align_corners: bool = True
) -> Tensor:
    """`(batch, height, width, channels)` interpolated by cubic polynomials along both lengths; `scale`, `size` and
    `align_corners` are those of `upsample_bilinear`.

    Each element is made of the four nearest ones along each length, and may lie above or below all of them; past the
    ends there are the ends. Ref: Keys, "Cubic convolution interpolation for digital image processing", 1981, with the
    parameter -0.75, as PyTorch's `interpolate` has it.

    >>> import oxiflux as flux
    >>> x = flux.tensor([0.0, 0.0, 1.0, 1.0]).reshape(1, 1, 4, 1)
    >>> flux.upsample_bicubic(x, size=(1, 7)).flatten().tolist()
    [0.0, -0.09375, 0.0, 0.5, 1.0, 1.09375, 1.0]
    """
    return _upsample("upsample_bicubic", x, scale, size, align_corners, 2, _cubic)


@told
def pixel_shuffle(x: ArrayLike, r: int) -> Tensor:
    """Channels made into pixels: `(batch, *lengths, r^n * channels)` becomes `(batch, *(r * lengths), channels)`.

    Channel `(c * r + i) * r + j` of a pixel becomes channel `c` of the pixel `(i, j)` of the square that takes
    its place. Raises ShapeError where the channels are not a multiple. Ref: Shi et al., "Real-time single image
    and video super-resolution", 2016.

    >>> import oxiflux as flux
    >>> flux.pixel_shuffle([[[1, 2], [3, 4]]], 2).flatten().tolist()
    [1, 2, 3, 4]
    """
    x = _core.asarray(x)
    (r,) = sizes("pixel_shuffle", "r", r, 1)
    lengths = tuple(x.shape[1:-1])
    n = len(lengths)
    if not n or x.shape[-1] % r**n:
        raise ShapeError(
            f"pixel_shuffle: expected (batch, *lengths, channels) with a multiple of {r}**{max(n, 1)} channels,"
            f" got shape {x.shape}"
        )
    batch, channels = x.shape[0], x.shape[-1] // r**n
    parts = _core.reshape(x, (batch, *lengths, channels, *[r] * n))
    order = [0, *(axis for i in range(n) for axis in (1 + i, n + 2 + i)), n + 1]
    return _core.reshape(_core.permute_dims(parts, order), (batch, *(r * k for k in lengths), channels))


@told
def pixel_unshuffle(x: ArrayLike, r: int) -> Tensor:
    """Pixels made into channels, the opposite of `pixel_shuffle`: `(batch, *(r * lengths), channels)` becomes
    `(batch, *lengths, channels * r^n)`.

    Raises ShapeError where the lengths are not multiples of `r`. Ref: `torch.nn.functional.pixel_unshuffle`.

    >>> import oxiflux as flux
    >>> flux.pixel_unshuffle([[[1], [2], [3], [4]]], 2).tolist()
    [[[1, 2], [3, 4]]]
    """
    x = _core.asarray(x)
    (r,) = sizes("pixel_unshuffle", "r", r, 1)
    lengths = tuple(x.shape[1:-1])
    n = len(lengths)
    if not n or any(length % r for length in lengths):
        raise ShapeError(
            f"pixel_unshuffle: expected (batch, *lengths, channels) with lengths that are multiples of {r},"
            f" got shape {x.shape}"
        )
    small, channels = tuple(length // r for length in lengths), x.shape[-1]
    parts = _core.reshape(x, (x.shape[0], *(k for length in small for k in (length, r)), channels))
    order = [0, *range(1, 2 * n, 2), 2 * n + 1, *range(2, 2 * n + 1, 2)]
    return _core.reshape(_core.permute_dims(parts, order), (x.shape[0], *small, channels * r**n))


_MODES = {"nearest": None, "linear": 1, "bilinear": 2, "trilinear": 3, "bicubic": 2}


class Upsample(Layer):
    """Images `(batch, *lengths, channels)` made larger by a factor `scale`, or to the lengths `size`.

    `mode` is "nearest", "linear", "bilinear", "trilinear" or "bicubic": `upsample_nearest` and so on. It and `scale`
    may be given by position: `Upsample(2, "bilinear")`, `Upsample("bilinear", scale=2)`.

    >>> import oxiflux as flux
    >>> layer = flux.Upsample(scale=(2, 3))
    >>> layer
    Upsample("nearest", scale=(2, 3))
    >>> layer(flux.ones((1, 2, 2, 1))).shape
    (1, 4, 6, 1)
    >>> flux.Upsample("bilinear", size=(4, 5))(flux.ones((1, 2, 2, 1))).shape
    (1, 4, 5, 1)
    """

    mode: str
    scale: Any
    size: Any
    align_corners: bool

    def __init__(
        self,
        *given: str | float | Sequence[float],
        mode: str = "nearest",
        scale: Scale = None,
        size: Size = None,
        align_corners: bool = True,
    ) -> None:
        for value in given:
            if isinstance(value, str):
                mode = value
            elif scale is None:
                scale = value
            else:
                raise TypeError(f"Upsample: scale is given twice, as {scale!r} and {value!r}")
        if mode not in _MODES:
            raise ValueError(f"Upsample: mode must be one of {', '.join(_MODES)}, got {mode!r}")
        wanted = scale if size is None else size
        _check("Upsample", scale, size, len(wanted) if isinstance(wanted, (tuple, list)) else 1)
        self.mode, self.align_corners = mode, align_corners
        self.scale = tuple(scale) if isinstance(scale, list) else scale
        self.size = tuple(size) if isinstance(size, list) else size

    @named
    def __call__(self, x: ArrayLike) -> Tensor:
        if self.mode == "nearest":
            return upsample_nearest(x, self.scale, size=self.size)
        owner = f"upsample_{self.mode}"
        matrix = _cubic if self.mode == "bicubic" else _interpolation
        return _upsample(owner, x, self.scale, self.size, self.align_corners, _MODES[self.mode], matrix)

    def describe(self) -> str:
        """The layer on one line."""
        given = f"scale={self.scale}" if self.size is None else f"size={self.size}"
        corners = "" if self.align_corners else ", align_corners=False"
        return f'Upsample("{self.mode}", {given}{corners})'


class PixelShuffle(Layer):
    """`pixel_shuffle(x, r)`: lengths times `r`, out of channels.

    >>> import oxiflux as flux
    >>> layer = flux.PixelShuffle(2)
    >>> layer
    PixelShuffle(2)
    >>> layer(flux.rand(1, 3, 5, 8)).shape
    (1, 6, 10, 2)
    """

    r: int

    def __init__(self, r: int) -> None:
        (self.r,) = sizes("PixelShuffle", "r", r, 1)

    @named
    def __call__(self, x: ArrayLike) -> Tensor:
        return pixel_shuffle(x, self.r)

    def describe(self) -> str:
        """The layer on one line."""
        return f"PixelShuffle({self.r})"
