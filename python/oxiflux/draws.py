"""Random numbers of given distributions, from the shared generator or one's own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index
from typing import TYPE_CHECKING, Any, SupportsIndex

from . import _core
from ._core import DTypeError, Generator, ShapeError, Tensor
from .functions import broadcast_arrays
from .functions.axes import flag
from .functions.numbers import floating
from .hints import told
from .init import generator

if TYPE_CHECKING:
    from .typing import ArrayLike

__all__ = ["bernoulli", "gumbel_softmax", "multinomial", "normal"]

Shape = int | Sequence[int]
_LARGEST = 1.7976931348623157e308


def _shape(x: Tensor, shape: Shape | None) -> tuple[int, ...]:
    """The shape that is asked for, to which parameters broadcast; theirs unless another is given."""
    if shape is None:
        return tuple(x.shape)
    if isinstance(shape, SupportsIndex):
        return (index(shape),)
    if len(shape) > 64:
        raise ValueError("shape: a tensor has at most 64 axes, got more")
    return tuple(index(n) for n in shape)


@told
def normal(
    mean: ArrayLike = 0.0,
    std: ArrayLike = 1.0,
    shape: Shape | None = None,
    *,
    dtype: Any = None,
    rng: Generator | None = None,
) -> Tensor:
    """Normal numbers of given means and standard deviations, which broadcast to `shape`, by default to each other.

    `mean + std * randn(shape)`, so that both have gradients. The dtype is theirs, float32 for integers, unless given. A
    negative `std` raises ValueError. Ref: `torch.normal`, `numpy.random.normal`.

    >>> import oxiflux as flux
    >>> flux.normal([0.0, 100.0], 0.1, rng=flux.Generator(1)).shape, flux.normal(shape=(2, 3)).shape
    ((2,), (2, 3))
    """
    mean, std = (floating(x) for x in _core._meet(mean, std))
    if _core.holds(_core.any(_core.less(std, 0.0))):
        raise ValueError(f"normal: a standard deviation is 0 or more, got {float(_core.min(std))}")
    dtype = _core.dtype(mean.dtype if dtype is None else dtype)
    if dtype.kind != "f":
        raise DTypeError(f"normal: {dtype} is not a floating type; randint draws integers")
    wanted = _shape(broadcast_arrays(mean, std)[0], shape)
    noise = generator(rng).randn(*wanted, dtype=dtype)
    return _core.astype(mean, dtype) + _core.astype(std, dtype) * noise


@told
def bernoulli(
    p: ArrayLike, shape: Shape | None = None, *, dtype: Any = None, rng: Generator | None = None
) -> Tensor:
    """1 with probability `p`, else 0, for each element; `p` broadcasts to `shape`, its own unless given.

    The dtype is that of `p`, float32 for integers, unless given. Probabilities that are not between 0 and 1 raise
    ValueError. There is no gradient. Ref: `torch.bernoulli`.

    >>> import oxiflux as flux
    >>> flux.bernoulli([0.0, 1.0, 1.0])
    Tensor([0., 1., 1.])
    """
    p = floating(p)
    _check_chances("bernoulli", p, 1.0)
    wanted = _shape(p, shape)
    # In float32 at least, whose steps are fine enough for any probability of a half type.
    fine = _core.float64 if p.dtype == _core.float64 else _core.float32
    drawn = _core.less(generator(rng).rand(*wanted, dtype=fine), _core.broadcast_to(p, wanted))
    return _core.astype(drawn, p.dtype if dtype is None else dtype)


def _check_chances(function: str, p: Tensor, most: float) -> None:
    p = _core.stop_gradient(p)
    fits = _core.logical_and(_core.greater_equal(p, 0.0), _core.less_equal(p, most))
    if not _core.holds(_core.all(fits)):
        bad = float(p[_core.logical_not(fits)][0])
        bound = "between 0 and 1" if most == 1.0 else "0 or more and finite"
        raise ValueError(f"{function}: probabilities are {bound}, got {bad:g}")


@told
def multinomial(
    p: ArrayLike, n: SupportsIndex, /, replacement: bool = False, *, rng: Generator | None = None
) -> Tensor:
    """`n` numbers drawn by the probabilities `p` along the last axis, as int64: of shape `(..., n)`.

    Probabilities, of which there may be several rows, need not sum to 1. Without `replacement` no number is drawn twice
    in a row, so that `n` of them must have a probability above 0. What can't be drawn raises ValueError. Ref:
    `torch.multinomial`; NumPy's function of this name counts how often each is drawn, `bincount` of this.

    Without replacement it takes the `n` largest of `p / e` with exponential numbers `e` (Efraimidis and Spirakis 2006).

    >>> import oxiflux as flux
    >>> flux.multinomial([0.0, 3.0, 0.0], 2, replacement=True)
    Tensor([1, 1])
    """
    p = _core.stop_gradient(floating(p))
    count, replacement = index(n), flag("multinomial", "replacement", replacement)
    if p.ndim == 0 or p.shape[-1] == 0:
        raise ShapeError(f"multinomial: expected probabilities along the last axis, got shape {p.shape}")
    if count < 0:
        raise ValueError(f"multinomial: {count} is not a number of draws")
    _check_chances("multinomial", p, _LARGEST)
    needed = able = 1 if replacement else count
    if p.size:
        able = int(_core.min(_core.any(p, -1) if replacement else _core.count_nonzero(p, -1)))
    if count and able < needed:
        raise ValueError(
            f"multinomial: {count} numbers of {able} that have a probability above 0 can't be drawn"
            f"{'' if replacement else '; replacement=True lets them be drawn again'}"
        )
    draw = generator(rng)
    if not replacement:
        p = _core.astype(p, _core.float64)
        exponential = -_core.log1p(-draw.rand(*p.shape, dtype=_core.float64))
        # What has no probability comes after all others, even where the exponential is 0.
        keys = _core.where(_core.greater(p, 0.0), _core.log(p) - _core.log(exponential), -math.inf)
        return _core.argfirst(keys, count, -1, True)
    ends = _core.cumulative_sum(p, -1, dtype=_core.float64)
    at = draw.rand(*p.shape[:-1], count, dtype=_core.float64) * ends[..., -1:]
    rows = [
        _core.searchsorted(row, x, side="right")
        for row, x in zip(_core.reshape(ends, (-1, p.shape[-1])), _core.reshape(at, (-1, count)), strict=True)
    ]
    return _core.reshape(_core.stack(rows), at.shape) if rows else _core.zeros(at.shape, dtype=_core.int64)


@told
def gumbel_softmax(
    x: ArrayLike, /, tau: float = 1.0, hard: bool = False, axis: int = -1, *, rng: Generator | None = None
) -> Tensor:
    """`softmax((x + g) / tau)` along an axis with Gumbel numbers `g`: nearly one category, drawn by `softmax(x)`.

    The lower the temperature `tau`, above 0, the nearer. With `hard=True` it is 1 for that category and 0 for the
    others, with the gradient of the soft one. Ref: Jang et al. 2017, Categorical reparameterization with
    Gumbel-softmax; `torch.nn.functional.gumbel_softmax`.

    >>> import oxiflux as flux
    >>> flux.gumbel_softmax([[0.0, 100.0, 0.0]], hard=True)
    Tensor([[0., 1., 0.]])
    """
    if not tau > 0:
        raise ValueError(f"gumbel_softmax: tau is above 0, got {tau}")
    x = floating(x)
    # Exponential numbers, of which none is 0.
    u = generator(rng).rand(*x.shape, dtype=_core.float64)
    gumbel = -_core.log(-_core.log1p(-_core.maximum(u, 2.0**-60)))
    soft = _core.softmax((x + _core.astype(gumbel, x.dtype)) / tau, axis)
    if not flag("gumbel_softmax", "hard", hard):
        return soft
    best = _core.argmax(soft, axis, keepdims=True)
    kind = _core.put_along_axis(_core.zeros_like(soft), best, _core.ones((), dtype=soft.dtype), axis)
    return kind + (soft - _core.stop_gradient(soft))
