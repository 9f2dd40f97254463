"""Where in a sequence an element stands: waves that are added to it, or angles by which it is turned."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .. import _core
from .._core import ShapeError, Tensor
from ..functions.axes import flag
from ..functions.numbers import floating
from ..hints import told
from .base import Layer, named_any, shape_of
from .window import sizes

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = ["RotaryEncoding", "SinusoidalEncoding", "rotary_encoding", "sinusoidal_encoding"]


@told
def sinusoidal_encoding(length: int, features: int, *, base: float = 10_000.0, offset: int = 0) -> Tensor:
    """Waves that tell places apart, `(length, features)`: `sin(t / base^(2 i / features))` is feature `2 i` of place
    `t`, and feature `2 i + 1` the cosine of the same.

    The places are those from `offset` on. `SinusoidalEncoding` is the layer that adds them. Sizes that are no integers,
    and a base that is not positive, raise ValueError. Ref: Vaswani et al., "Attention is all you need", 2017.

    >>> import oxiflux as flux
    >>> flux.sinusoidal_encoding(3, 4).numpy().round(3)
    array([[ 0.   ,  1.   ,  0.   ,  1.   ],
           [ 0.841,  0.54 ,  0.01 ,  1.   ],
           [ 0.909, -0.416,  0.02 ,  1.   ]], dtype=float32)
    """
    length, features, offset = _checked(
        "sinusoidal_encoding", base, length=length, features=features, offset=offset
    )
    return _waves(length, features, float(base), offset).astype(_core.float32)


class SinusoidalEncoding(Layer):
    """`x + sinusoidal_encoding(length, size)` for `x` of shape `(…, length, size)`.

    Called with `offset`, the first element stands at that place. Another number of features raises ShapeError. There is
    nothing to learn; an `Embedding` of places is the encoding that is learnt.

    >>> import oxiflux as flux
    >>> layer = flux.SinusoidalEncoding(4)
    >>> layer
    SinusoidalEncoding(4)
    >>> layer(flux.zeros((2, 3, 4)))[1].tolist()[0]
    [0.0, 1.0, 0.0, 1.0]
    >>> bool(flux.all(layer(flux.zeros((1, 4)), offset=2) == layer(flux.zeros((3, 4)))[2]))
    True
    """

    open_at: ClassVar[int | None] = 0

    size: int
    base: float

    def __init__(self, size: int, base: float = 10_000.0) -> None:
        (self.size,) = _checked("SinusoidalEncoding", base, size=size)
        self.base = float(base)

    @named_any
    def __call__(self, x: ArrayLike, offset: int = 0) -> Tensor:
        """`x` with the waves of its places."""
        shape = _sequence(x, self.size)
        x = _core.asarray(x)
        dtype = x.dtype if x.dtype.kind == "f" else _core.float32
        (offset,) = sizes("SinusoidalEncoding", "offset", offset, 1, least=0)
        waves: Tensor = _table(shape[-2], self.size, self.base, offset, str(dtype))
        return x + waves

    def describe(self) -> str:
        """The layer on one line."""
        return f"SinusoidalEncoding({self.size}{_shown(self.base)})"


@told
def rotary_encoding(
    x: ArrayLike,
    width: int | None = None,
    *,
    base: float = 10_000.0,
    offset: int = 0,
    interleaved: bool = False,
) -> Tensor:
    """Pairs of features turned by their place: pair `i` of place `t`, `(a, b)`, becomes `(a cos(w) - b sin(w),
    b cos(w) + a sin(w))` with `w = t / base^(2 i / width)`.

    `x` is `(…, length, features)`, whose features are heads of `width` next to one another, one head unless given. Its
    pairs are features `i` and `i + width / 2` of a head, or with `interleaved` features `2 i` and `2 i + 1`. The places
    begin at `offset`. The product of two such vectors knows the distance of their places alone: queries and keys
    are turned, values are not. A width that is odd or does not divide the features raises ShapeError. Ref: Su et
    al., "RoFormer", 2021.

    >>> import oxiflux as flux
    >>> flux.rotary_encoding([[1.0, 0.0], [1.0, 0.0]]).numpy().round(3)
    array([[1.   , 0.   ],
           [0.54 , 0.841]], dtype=float32)
    >>> q, k = flux.rotary_encoding(flux.ones((9, 8))), flux.rotary_encoding(flux.ones((9, 8)))
    >>> abs((q[7] @ k[5] - q[2] @ k[0]).item()) < 1e-5
    True
    """
    shape = shape_of(x)
    features = shape[-1] if shape else 0
    (width,) = (features,) if width is None else sizes("rotary_encoding", "width", width, 1)
    if len(shape) < 2 or not width or width % 2 or features % width:
        raise ShapeError(
            "rotary_encoding: expected (…, length, features) with features that are heads of an even width, got shape"
            f" {shape} and width {width}"
        )
    (offset,) = _checked("rotary_encoding", base, offset=offset)
    pairs = flag("rotary_encoding", "interleaved", interleaved)
    return _turned(_core.asarray(x), width, float(base), offset, pairs)


class RotaryEncoding(Layer):
    """`rotary_encoding(x, width)` as a layer, such as the `positions` of a `MultiHeadAttention` whose heads have that
    width.

    Called with `offset`, the first element stands at that place.

    >>> import oxiflux as flux
    >>> layer = flux.RotaryEncoding(8)
    >>> layer
    RotaryEncoding(8)
    >>> layer(flux.rand(2, 5, 32)).shape
    (2, 5, 32)
    >>> flux.MultiHeadAttention(32, nheads=4, positions=layer)(flux.rand(2, 5, 32)).shape
    (2, 5, 32)
    """

    open_at: ClassVar[int | None] = 0

    width: int
    base: float
    interleaved: bool

    def __init__(self, width: int, base: float = 10_000.0, *, interleaved: bool = False) -> None:
        (self.width,) = _checked("RotaryEncoding", base, width=width)
        if self.width % 2:
            raise ValueError(f"RotaryEncoding: the width must be even, got {width}")
        self.base, self.interleaved = float(base), interleaved

    @named_any
    def __call__(self, x: ArrayLike, offset: int = 0) -> Tensor:
        """`x` with the pairs of its features turned."""
        shape = shape_of(x)
        if len(shape) < 2 or shape[-1] % self.width:
            raise ShapeError(
                f"expected (…, length, features) with features that are a multiple of {self.width}, got shape {shape}"
            )
        (offset,) = sizes("RotaryEncoding", "offset", offset, 1, least=0)
        return _turned(_core.asarray(x), self.width, self.base, offset, self.interleaved)

    def describe(self) -> str:
        """The layer on one line."""
        interleaved = ", interleaved=True" if self.interleaved else ""
        return f"RotaryEncoding({self.width}{_shown(self.base)}{interleaved})"


def _turned(x: Tensor, width: int, base: float, offset: int, interleaved: bool) -> Tensor:
    x = floating(x)
    *batch, length, features = x.shape
    cos, sin = _angles(length, width, base, offset, str(x.dtype))
    if interleaved:
        pairs = x.reshape((*batch, length, features // width, width // 2, 2))
        a, b = pairs[..., 0], pairs[..., 1]
        turned = _core.stack([a * cos - b * sin, b * cos + a * sin], axis=-1)
    else:
        halves = x.reshape((*batch, length, features // width, 2, width // 2))
        a, b = halves[..., 0, :], halves[..., 1, :]
        turned = _core.concat([a * cos - b * sin, b * cos + a * sin], axis=-1)
    return turned.reshape(x.shape)


def _speeds(count: int, size: int, base: float) -> Tensor:
    """How fast the angles of features grow from place to place."""
    return _core.table(base ** (-2.0 * np.arange(count) / size))


def _waves(length: int, features: int, base: float, offset: int) -> Tensor:
    """Sine and cosine in turn, in float64."""
    angles = _places(offset, length)[:, None] * _speeds((features + 1) // 2, features, base)
    waves = _core.stack([_core.sin(angles), _core.cos(angles)], axis=-1)
    return _core.reshape(waves, (length, 2 * angles.shape[1]))[:, :features]


def _places(offset: int, length: int) -> Tensor:
    return _core.arange(offset, offset + length, dtype=_core.float64)


def _remembered(f: Callable[..., Any]) -> Callable[..., Any]:
    """The last few results of a function. While operations are written down it does its own, which belong to them."""
    remembered = functools.lru_cache(8)(f)

    @functools.wraps(f)
    def call(*args: Any) -> Any:
        return f(*args) if _core.is_written() else remembered(*args)

    return call


@_remembered
def _table(length: int, features: int, base: float, offset: int, dtype: str) -> Tensor:
    return _waves(length, features, base, offset).astype(dtype)


@_remembered
def _angles(length: int, width: int, base: float, offset: int, dtype: str) -> tuple[Tensor, Tensor]:
    """Cosines and sines, `(length, 1, width / 2)`."""
    angles = _places(offset, length)[:, None, None] * _speeds(width // 2, width, base)
    return _core.cos(angles).astype(dtype), _core.sin(angles).astype(dtype)


def _sequence(x: Any, size: int) -> tuple[int, ...]:
    """The shape of a sequence of vectors of this size."""
    shape = shape_of(x)
    if len(shape) < 2 or shape[-1] != size:
        raise ShapeError(f"expected (…, length, {size}), got shape {shape}")
    return shape


def _checked(owner: str, base: float, **numbers: Any) -> list[int]:
    """The numbers as integers, of which an offset and a length may be 0."""
    if not 0 < base < np.inf:
        raise ValueError(f"{owner}: base must be positive, got {base!r}")
    return [
        sizes(owner, name, n, 1, least=0 if name in ("offset", "length") else 1)[0]
        for name, n in numbers.items()
    ]


def _shown(base: float) -> str:
    return "" if base == 10_000 else f", base={base:g}"
