"""Augmentation: batches of images changed at random, so that a model does not learn them by heart.

Each function takes images `(batch, height, width, channels)`, changes every image in its own way, and gives a tensor.
Random numbers come from `rng`, or else from the default generator, whose place checkpoints of `fit` keep. A loader
calls such functions for each batch through `mapobs(f, data, batched=True)`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _core
from ._core import Generator, ShapeError, Tensor
from .functions.axes import flag
from .hints import told
from .init import generator
from .layers import grid_sample, pad_reflect, pad_repeat, pad_zeros

if TYPE_CHECKING:
    from .typing import ArrayLike

__all__ = ["affine", "crop", "flip", "normalise"]

_PADDING = {"zeros": pad_zeros, "reflect": pad_reflect, "border": pad_repeat}


@told
def flip(x: ArrayLike, p: float = 0.5, *, vertical: bool = False, rng: Generator | None = None) -> Tensor:
    """Mirrors each image with probability `p`: left and right, or with `vertical` top and bottom.

    The dtype stays. Raises ShapeError unless there are 4 axes, ValueError for a `p` that is no probability.

    >>> import oxiflux as flux
    >>> x = flux.arange(4.0).reshape(1, 2, 2, 1)
    >>> flux.augment.flip(x, 1.0).flatten().tolist()
    [1.0, 0.0, 3.0, 2.0]
    """
    x = _images("flip", x)
    if not _is_number(p) or not 0 <= p <= 1:
        raise ValueError(f"flip: p must be a probability, got {p!r}")
    axis = 1 if flag("flip", "vertical", vertical) else 2
    turned = _draw(rng, len(x)) < p
    return _core.where(turned.reshape(-1, 1, 1, 1), _core.flip(x, axis=axis), x)


@told
def crop(
    x: ArrayLike,
    size: int | Sequence[int],
    *,
    pad: int = 0,
    padding_mode: str = "zeros",
    rng: Generator | None = None,
) -> Tensor:
    """Cuts a part of `size`, a height and a width, out of each image at a place of its own.

    Before that `pad` pixels are put on all four sides: zeros, or with `padding_mode` "reflect" or "border" what those
    paddings give. `crop(x, 32, pad=4)` moves images of 32 by 32 by up to 4 pixels. The dtype stays. A size beyond the
    padded image raises ShapeError.

    >>> import oxiflux as flux
    >>> x = flux.ones((5, 8, 8, 3))
    >>> flux.augment.crop(x, (6, 4)).shape, flux.augment.crop(x, 8, pad=2).shape
    ((5, 6, 4, 3), (5, 8, 8, 3))
    """
    x = _images("crop", x)
    is_pair = isinstance(size, (Sequence, np.ndarray)) and bool(np.ndim(size))
    both: tuple[Any, ...] = tuple(size) if is_pair else (size, size)  # type: ignore[arg-type]
    if len(both) != 2:
        raise ValueError(f"crop: size must be a number or a height and a width, got {size!r}")
    height, width = both
    for what, n, least in (("size", height, 1), ("size", width, 1), ("pad", pad, 0)):
        if not _is_whole(n) or n < least:
            raise ValueError(f"crop: {what} must be whole numbers of at least {least}, got {n!r}")
    if padding_mode not in _PADDING:
        raise ValueError(f"crop: padding_mode must be one of {', '.join(_PADDING)}, got {padding_mode!r}")
    if pad:
        x = _PADDING[padding_mode](x, pad, axis=(1, 2))
    n, rows, columns, channels = x.shape
    if height > rows or width > columns:
        raise ShapeError(
            f"crop: images of {rows} by {columns} with their padding have no part of {height} by {width}"
        )
    top = _below(rng, rows - height + 1, n)[:, None, None] + np.arange(height)[:, None]
    left = _below(rng, columns - width + 1, n)[:, None, None] + np.arange(width)
    places = (np.arange(n)[:, None, None] * rows + top) * columns + left
    return _core.take(_core.reshape(x, (n * rows * columns, channels)), places)


@told
def affine(
    x: ArrayLike,
    *,
    angle: float = 0.0,
    shift: float | Sequence[float] = 0.0,
    scale: float | Sequence[float] = 1.0,
    shear: float = 0.0,
    padding_mode: str = "zeros",
    rng: Generator | None = None,
) -> Tensor:
    """Turns, moves, scales and shears each image about its middle, by amounts of its own, through `grid_sample`.

    The angle, in radians, lies between `-angle` and `angle`, clockwise as images are printed; the shift is up to
    `shift` of the height and of the width, or one for each; the factor of the scale lies between 1 and `scale`, or
    between its two numbers; the rows slide by up to `shear` times their distance from the middle. What comes from
    outside is zero, or with `padding_mode="border"` the nearest pixel. Integers become float32. Raises ShapeError
    unless there are 4 axes, ValueError for amounts that cannot be.

    >>> import math, oxiflux as flux
    >>> x = flux.rand(5, 8, 8, 3)
    >>> flux.augment.affine(x, angle=math.pi / 12, shift=0.1, scale=(0.9, 1.1)).shape
    (5, 8, 8, 3)
    """
    x = _images("affine", x)
    if x.dtype.kind != "f":
        x = x.astype(_core.float32)
    across_by, down_by = _pair("shift", shift)[::-1]
    low, high = (1.0, _number("scale", scale)) if _is_number(scale) else _pair("scale", scale)
    if not low > 0 or not high > 0:
        raise ValueError(f"affine: scale must be above 0, got {scale!r}")
    n, height, width, _ = x.shape
    drawn = 2 * _draw(rng, 5, n) - 1
    turn = _number("angle", angle) * drawn[0]
    slide = _number("shear", shear) * drawn[1]
    factor = low + (high - low) * (drawn[2] + 1) / 2
    move = np.stack([across_by * width * drawn[3], down_by * height * drawn[4]])
    # Where each pixel of the result comes from, about the middle: the inverse of turn @ slide, over the factor.
    across, down = np.arange(width) - (width - 1) / 2, (np.arange(height) - (height - 1) / 2)[:, None]
    u, v = _each(move[0], across), _each(move[1], down)
    cos, sin = np.cos(turn)[:, None, None], np.sin(turn)[:, None, None]
    straight = -sin * u + cos * v
    from_left = (cos * u + sin * v - slide[:, None, None] * straight) / factor[:, None, None]
    from_top = straight / factor[:, None, None]
    grid = np.stack([_relative(from_left, width), _relative(from_top, height)], axis=-1)
    return grid_sample(
        x, grid.astype(np.float64 if x.dtype == _core.float64 else np.float32), padding_mode=padding_mode
    )


@told
def normalise(x: ArrayLike, mean: ArrayLike, std: ArrayLike) -> Tensor:
    """`(x - mean) / std`, a number for all channels or one for each. Images of uint8 are divided by 255 first.

    The result is floating: integers become float32. A `std` that is not above 0 raises ValueError, as many numbers as
    there are not channels ShapeError.

    >>> import numpy as np, oxiflux as flux
    >>> x = np.full((1, 1, 1, 3), 255, np.uint8)
    >>> flux.augment.normalise(x, [0.5, 0.0, 1.0], 0.5).flatten().tolist()
    [1.0, 2.0, 0.0]
    """
    x = _images("normalise", x)
    if x.dtype.kind != "f":
        x = x.astype(_core.float32) / (255.0 if x.dtype == _core.uint8 else 1.0)
    numbers = []
    for what, given in (("mean", mean), ("std", std)):
        number = _core.asarray(given).astype(x.dtype)
        if number.shape not in ((), (1,), x.shape[-1:]):
            raise ShapeError(
                f"normalise: {what} must be a number for each of {x.shape[-1]} channels, got shape {number.shape}"
            )
        numbers.append(number)
    if not bool(_core.all(numbers[1] > 0)):
        raise ValueError(f"normalise: std must be above 0, got {numbers[1].tolist()}")
    return (x - numbers[0]) / numbers[1]


def _is_number(x: Any) -> bool:
    return isinstance(x, (int, float, np.integer, np.floating)) and not isinstance(x, bool)


def _is_whole(x: Any) -> bool:
    return isinstance(x, (int, np.integer)) and not isinstance(x, bool)


def _images(caller: str, given: Any) -> Tensor:
    x = _core.asarray(given)
    if x.ndim != 4:
        more = "; x[None] is a batch of one, x[..., None] has one channel" if x.ndim in (2, 3) else ""
        raise ShapeError(
            f"{caller}: expected images (batch, height, width, channels), got shape {x.shape}{more}"
        )
    return x


def _draw(rng: Generator | None, *shape: int) -> np.ndarray[Any, Any]:
    """Random numbers from 0 to 1."""
    return np.asarray(generator(rng).rand(*shape, dtype=_core.float64).numpy())


def _below(rng: Generator | None, end: int, n: int) -> np.ndarray[Any, Any]:
    return np.asarray(generator(rng).randint(0, end, (n,)).numpy())


def _number(what: str, x: Any) -> float:
    if not _is_number(x) or not math.isfinite(x):
        raise ValueError(f"affine: {what} must be a finite number, got {x!r}")
    return float(x)


def _pair(what: str, x: Any) -> tuple[float, float]:
    both = tuple(x) if isinstance(x, (tuple, list, np.ndarray)) and np.ndim(x) else (x, x)
    if len(both) != 2:
        raise ValueError(f"affine: {what} must be a number or two, got {x!r}")
    return _number(what, both[0]), _number(what, both[1])


def _each(move: np.ndarray[Any, Any], places: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Places of pixels before each image was moved."""
    return np.asarray(places - move[:, None, None])


def _relative(places: np.ndarray[Any, Any], length: int) -> np.ndarray[Any, Any]:
    """Pixels from the middle as `grid_sample` counts: -1 and 1 are the middles of the first and the last."""
    return places * (2 / (length - 1)) if length > 1 else places * 2
