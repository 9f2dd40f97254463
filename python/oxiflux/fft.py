"""Discrete Fourier transforms, `flux.fft`: names and meanings are those of the array API standard and of NumPy.

There are no complex numbers: a complex array of shape `(…, n)` is a tensor of **pairs** `(…, n, 2)`, whose last axis
has the real and the imaginary parts. `pairs(real, imag)` makes them, `unstack(y, axis=-1)` takes them apart; in NumPy
they are `y.numpy().view("complex64")[..., 0]`. `stft` and `istft` have them as well. An `axis` counts the axes of the
complex array, so that it is the same for reals and for their spectrum: -1 is the last before that of the pairs.

Transforms of float64 are of float64, all others of float32, which for the types of 16 bits is rounded once. Each
transform is linear, so that gradients of any order are transforms too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import index
from typing import TYPE_CHECKING, Literal, SupportsIndex

import numpy as np

from . import _core
from ._core import ShapeError, Tensor
from .functions import broadcast_arrays, roll
from .functions.axes import flag
from .functions.numbers import floating
from .hints import told

if TYPE_CHECKING:
    from .typing import ArrayLike, DTypeLike

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifft2", "ifftn", "ifftshift", "ihfft", "irfft",
    "irfft2", "irfftn", "pairs", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip

Norm = Literal["backward", "ortho", "forward"]
_SWAPPED: dict[str, Norm] = {"backward": "forward", "ortho": "ortho", "forward": "backward"}


@told
def pairs(real: ArrayLike, imag: ArrayLike = 0.0, /) -> Tensor:
    """Complex numbers `(…)` as pairs `(…, 2)`, of their real and imaginary parts, which broadcast.

    >>> import oxiflux as flux
    >>> flux.fft.pairs([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    Tensor([[1., 4.],
            [2., 5.],
            [3., 6.]])
    """
    return _core.stack(broadcast_arrays(real, imag), axis=-1)


@told
def fft(x: ArrayLike, /, n: int | None = None, axis: int = -1, norm: Norm = "backward") -> Tensor:
    """The Fourier transform of pairs `(…, m, 2)` along an axis: `n` pairs in its place.

    `y[k] = sum over j of x[j] * exp(-2 pi i j k / n)`. What is longer than `n` is cut off, what is shorter is continued
    with zeros; `n` is the length of the axis unless given. `norm` says where the factors are: "backward" has `1 / n`
    in the inverse, "forward" has it here, and "ortho" has `1 / sqrt(n)` in both. Raises ShapeError for reals and
    ValueError for no points. Ref: Cooley and Tukey, "An algorithm for the machine calculation of complex Fourier
    series", 1965.

    >>> import oxiflux as flux
    >>> flux.fft.fft(flux.fft.pairs([1.0, 0.0, -1.0, 0.0]))
    Tensor([[0., 0.],
            [2., 0.],
            [0., 0.],
            [2., 0.]])
    """
    return _core.fft(x, n, axis, norm)


@told
def ifft(x: ArrayLike, /, n: int | None = None, axis: int = -1, norm: Norm = "backward") -> Tensor:
    """The inverse of `fft`: `y[j] = (sum over k of x[k] * exp(2 pi i j k / n)) / n`.

    >>> import oxiflux as flux
    >>> flux.fft.ifft([[0.0, 0.0], [2.0, 0.0], [0.0, 0.0], [2.0, 0.0]])[:, 0]
    Tensor([ 1.,  0., -1.,  0.])
    """
    return _core.ifft(x, n, axis, norm)


@told
def rfft(x: ArrayLike, /, n: int | None = None, axis: int = -1, norm: Norm = "backward") -> Tensor:
    """The Fourier transform of reals `(…, m)` along an axis: `n // 2 + 1` pairs in its place, `(…, n // 2 + 1, 2)`.

    They are the first of `fft`'s, of which the others are the mirror images. The rest is that of `fft`.

    >>> import oxiflux as flux
    >>> flux.fft.rfft([1.0, 2.0, 3.0, 4.0])
    Tensor([[10.,  0.],
            [-2.,  2.],
            [-2.,  0.]])
    """
    return _core.rfft(x, n, axis, norm)


@told
def irfft(x: ArrayLike, /, n: int | None = None, axis: int = -1, norm: Norm = "backward") -> Tensor:
    """The inverse of `rfft`: `n` reals of pairs `(…, m, 2)`, by default `2 (m - 1)`.

    An odd number must be given. The imaginary part of the first frequency is not looked at, nor that of the last one if
    `n` is even.

    >>> import oxiflux as flux
    >>> y = flux.fft.rfft([1.0, 2.0, 3.0, 4.0, 6.0])
    >>> flux.fft.irfft(y, n=5).numpy().round(4).tolist()
    [1.0, 2.0, 3.0, 4.0, 6.0]
    """
    return _core.irfft(x, n, axis, norm)


def _swapped(owner: str, norm: str) -> Norm:
    if norm not in _SWAPPED:
        raise ValueError(f'{owner}: norm is "backward", "ortho" or "forward", not {norm!r}')
    return _SWAPPED[norm]


def _conjugate(x: Tensor) -> Tensor:
    return x * _core.tensor([1, -1]).astype(x.dtype)


@told
def hfft(x: ArrayLike, /, n: int | None = None, axis: int = -1, norm: Norm = "backward") -> Tensor:
    """The Fourier transform of pairs that are their own mirror image, which is real: `n` reals of half of them.

    >>> import oxiflux as flux
    >>> flux.fft.hfft(flux.fft.pairs([1.0, 2.0, 3.0]))
    Tensor([ 8., -2.,  0., -2.])
    """
    return _core.irfft(_conjugate(_pairs("hfft", x)), n, axis, _swapped("hfft", norm))


@told
def ihfft(x: ArrayLike, /, n: int | None = None, axis: int = -1, norm: Norm = "backward") -> Tensor:
    """The inverse of `hfft`: `n // 2 + 1` pairs of `n` reals.

    >>> import oxiflux as flux
    >>> flux.fft.ihfft([8.0, -2.0, 0.0, -2.0])[:, 0]
    Tensor([1., 2., 3.])
    """
    return _conjugate(_core.rfft(x, n, axis, _swapped("ihfft", norm)))


def _pairs(owner: str, x: ArrayLike) -> Tensor:
    x = _core.asarray(x)
    if x.ndim < 2 or x.shape[-1] != 2:
        raise ShapeError(
            f"{owner}: expected pairs (…, n, 2) of a real and an imaginary part, got shape {x.shape};"
            " fft.pairs(x) makes them of reals"
        )
    return floating(x)


def _axes(
    owner: str, ndim: int, s: Sequence[int] | None, axes: Sequence[int] | None
) -> list[tuple[int, int | None]]:
    """The axes and the lengths on them, of which -1 stands for that of the input."""
    if axes is None:
        axes = range(ndim) if s is None else range(ndim - len(s), ndim)
    wanted = [a + ndim if a < 0 else a for a in axes]
    if not wanted or not all(0 <= a < ndim for a in wanted) or len({*wanted}) != len(wanted):
        raise IndexError(f"{owner}: {tuple(axes)} are not different axes of {ndim} dimensions")
    lengths: Sequence[int | None] = [None] * len(wanted) if s is None else [None if n == -1 else n for n in s]
    if len(lengths) != len(wanted):
        raise ValueError(f"{owner}: {len(lengths)} lengths for {len(wanted)} axes")
    return list(zip(wanted, lengths, strict=True))


def _along(
    transform: Callable[..., Tensor], x: Tensor, where: list[tuple[int, int | None]], norm: Norm
) -> Tensor:
    """The transform along each of the axes, the last first."""
    for axis, n in reversed(where):
        x = transform(x, n, axis, norm)
    return x


@told
def fftn(
    x: ArrayLike,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: Norm = "backward",
) -> Tensor:
    """`fft` of pairs `(…, 2)` along several axes, of the lengths `s`: the last `len(s)` of them, or without `s` all.

    >>> import oxiflux as flux
    >>> flux.fft.fftn(flux.ones((2, 3, 4, 2)), s=(8, 8)).shape
    (2, 8, 8, 2)
    """
    x = _pairs("fftn", x)
    return _along(_core.fft, x, _axes("fftn", x.ndim - 1, s, axes), norm)


@told
def ifftn(
    x: ArrayLike,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: Norm = "backward",
) -> Tensor:
    """The inverse of `fftn`.

    >>> import oxiflux as flux
    >>> flux.fft.ifftn(flux.fft.fftn(flux.ones((3, 4, 2)))).numpy().round(4).max()
    np.float32(1.0)
    """
    x = _pairs("ifftn", x)
    return _along(_core.ifft, x, _axes("ifftn", x.ndim - 1, s, axes), norm)


@told
def rfftn(
    x: ArrayLike,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: Norm = "backward",
) -> Tensor:
    """`rfft` of reals along the last of several axes, then `fft` along the others; see `fftn`.

    >>> import oxiflux as flux
    >>> flux.fft.rfftn(flux.ones((3, 4))).shape
    (3, 3, 2)
    """
    x = _core.asarray(x)
    *others, (axis, n) = _axes("rfftn", x.ndim, s, axes)
    return _along(_core.fft, _core.rfft(x, n, axis, norm), others, norm)


@told
def irfftn(
    x: ArrayLike,
    /,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: Norm = "backward",
) -> Tensor:
    """The inverse of `rfftn`: reals of pairs. Without `s` the last axis has an even length, `2 (m - 1)`.

    >>> import oxiflux as flux
    >>> flux.fft.irfftn(flux.fft.rfftn(flux.ones((3, 5))), s=(3, 5)).shape
    (3, 5)
    """
    x = _pairs("irfftn", x)
    *others, (axis, n) = _axes("irfftn", x.ndim - 1, s, axes)
    return _core.irfft(_along(_core.ifft, x, others, norm), n, axis, norm)


@told
def fft2(
    x: ArrayLike, /, s: Sequence[int] | None = None, axes: Sequence[int] = (-2, -1), norm: Norm = "backward"
) -> Tensor:
    """`fftn` along two axes: pairs `(…, height, width, 2)`.

    >>> import oxiflux as flux
    >>> flux.fft.fft2(flux.ones((5, 3, 4, 2)))[0, 0, 0]
    Tensor([12., 12.])
    """
    return fftn(x, s, axes, norm)


@told
def ifft2(
    x: ArrayLike, /, s: Sequence[int] | None = None, axes: Sequence[int] = (-2, -1), norm: Norm = "backward"
) -> Tensor:
    """The inverse of `fft2`.

    >>> import oxiflux as flux
    >>> flux.fft.ifft2(flux.ones((5, 3, 4, 2))).shape
    (5, 3, 4, 2)
    """
    return ifftn(x, s, axes, norm)


@told
def rfft2(
    x: ArrayLike, /, s: Sequence[int] | None = None, axes: Sequence[int] = (-2, -1), norm: Norm = "backward"
) -> Tensor:
    """`rfftn` along two axes: of reals `(…, height, width)` pairs `(…, height, width // 2 + 1, 2)`.

    >>> import oxiflux as flux
    >>> flux.fft.rfft2(flux.ones((5, 3, 4))).shape
    (5, 3, 3, 2)
    """
    return rfftn(x, s, axes, norm)


@told
def irfft2(
    x: ArrayLike, /, s: Sequence[int] | None = None, axes: Sequence[int] = (-2, -1), norm: Norm = "backward"
) -> Tensor:
    """The inverse of `rfft2`: reals `(…, height, width)`; see `irfftn`.

    >>> import oxiflux as flux
    >>> flux.fft.irfft2(flux.fft.rfft2(flux.ones((5, 3, 4)))).shape
    (5, 3, 4)
    """
    return irfftn(x, s, axes, norm)


def _points(owner: str, n: int, d: float) -> int:
    if index(n) < 1:
        raise ValueError(f"{owner}: the transform has at least 1 point, not {n}")
    if not d:
        raise ValueError(f"{owner}: d, the distance of the samples, is not 0")
    return index(n)


@told
def fftfreq(
    n: int, /, *, d: float = 1.0, dtype: DTypeLike | None = None, device: str | None = None
) -> Tensor:
    """The frequency of each of the `n` pairs of `fft`, for samples that are `d` apart: `[0, 1, …, -2, -1] / (n d)`.

    >>> import oxiflux as flux
    >>> flux.fft.fftfreq(4)
    Tensor([ 0.  ,  0.25, -0.5 , -0.25])
    """
    n = _points("fftfreq", n, d)
    places = np.arange(n)
    frequencies = np.where(places < (n + 1) // 2, places, places - n) / (n * d)
    return _core.asarray(_core.table(frequencies), dtype or _core.float32, device=device)


@told
def rfftfreq(
    n: int, /, *, d: float = 1.0, dtype: DTypeLike | None = None, device: str | None = None
) -> Tensor:
    """The frequency of each of the `n // 2 + 1` pairs of `rfft`, for samples that are `d` apart.

    >>> import oxiflux as flux
    >>> flux.fft.rfftfreq(4)
    Tensor([0.  , 0.25, 0.5 ])
    """
    n = _points("rfftfreq", n, d)
    return _core.asarray(_core.table(np.arange(n // 2 + 1) / (n * d)), dtype or _core.float32, device=device)


def _shifted(owner: str, x: ArrayLike, axes: int | Sequence[int] | None, pairs: bool, sign: int) -> Tensor:
    x = _core.asarray(x)
    ndim = _pairs(owner, x).ndim - 1 if flag(owner, "pairs", pairs) else x.ndim
    several = range(ndim) if axes is None else [axes] if isinstance(axes, SupportsIndex) else axes
    wanted = [a for a, _ in _axes(owner, ndim, None, list(several))] if ndim else []
    return roll(x, [sign * (x.shape[a] // 2) for a in wanted], wanted)


@told
def fftshift(x: ArrayLike, /, *, axes: int | Sequence[int] | None = None, pairs: bool = False) -> Tensor:
    """The axes rolled by half, so that the frequency 0 is in the middle: all axes, or those that are named.

    Of a spectrum say `pairs=True`: then the last axis, that of the pairs, is left as it is and not counted.

    >>> import oxiflux as flux
    >>> flux.fft.fftshift(flux.fft.fftfreq(4))
    Tensor([-0.5 , -0.25,  0.  ,  0.25])
    """
    return _shifted("fftshift", x, axes, pairs, 1)


@told
def ifftshift(x: ArrayLike, /, *, axes: int | Sequence[int] | None = None, pairs: bool = False) -> Tensor:
    """The inverse of `fftshift`, which differs from it where an axis is odd.

    >>> import oxiflux as flux
    >>> flux.fft.ifftshift(flux.fft.fftshift([1, 2, 3]))
    Tensor([1, 2, 3])
    """
    return _shifted("ifftshift", x, axes, pairs, -1)
