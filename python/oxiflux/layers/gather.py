"""Elements by number: gathered, scattered, and the windows of images laid out as rows."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .._core import DTypeError, ShapeError, Tensor
from ..functions.axes import flag
from ..hints import told
from .padding import pad_zeros
from .window import Sizes, kernel, padding, sizes

if TYPE_CHECKING:
    from ..typing import ArrayLike
    from .window import SamePad

__all__ = ["batched_mul", "batched_vec", "fold", "gather", "scatter", "unfold"]

_NAMES: dict[Any, str] = {
    _core.add: "+", _core.subtract: "-", _core.multiply: "*", _core.divide: "/", _core.max: "max",
    _core.maximum: "max", _core.min: "min", _core.minimum: "min", _core.mean: "mean",
}  # fmt: skip


def _type_of(index: Any) -> Any:
    """The type that a person sees in it: numbers of Python are no float32."""
    return index.dtype if isinstance(index, Tensor) else np.asarray(index).dtype


def _indices(owner: str, idx: Any) -> list[Tensor]:
    """The indices of each axis that they name, all of one shape."""
    parts = list(idx) if isinstance(idx, tuple) else [idx]
    arrays = [_core.asarray(i) for i in parts]
    arrays = [a if a.size else _core.zeros(a.shape, _core.int64) for a in arrays]
    if not arrays or any(a.dtype.kind not in "iu" for a in arrays):
        raise DTypeError(
            f"{owner}: indices are integers, got {', '.join(str(_type_of(i)) for i in parts) or '()'}"
        )
    if any(a.shape != arrays[0].shape for a in arrays):
        raise ShapeError(f"{owner}: indices have different shapes {', '.join(str(a.shape) for a in arrays)}")
    return arrays


@told
def gather(src: ArrayLike, idx: ArrayLike | tuple[ArrayLike, ...]) -> Tensor:
    """`dst[k] = src[idx[k]]`: rows of `src` by number, of shape `(*idx.shape, *src.shape[1:])`.

    A tuple of integer arrays names the places along as many axes. An index out of range raises IndexError.

    >>> import oxiflux as flux
    >>> flux.gather([1, 20, 300, 4000], [1, 3, 1])
    Tensor([  20, 4000,   20])
    >>> flux.gather([[1, 2, 3], [4, 5, 6]], ([0, 1], [2, 0]))
    Tensor([3, 4])
    """
    src, arrays = _core.asarray(src), _indices("gather", idx)
    if len(arrays) > src.ndim:
        raise IndexError(f"gather: {len(arrays)} indices are too many for shape {src.shape}")
    try:
        return src[tuple(arrays)]
    except IndexError as error:
        raise IndexError(str(error).replace("index", "gather", 1)) from None


@told
def scatter(
    op: str | Callable[..., Any],
    src: ArrayLike,
    idx: ArrayLike | tuple[ArrayLike, ...],
    *,
    init: float | None = None,
    dstsize: Sequence[int] | None = None,
) -> Tensor:
    """`dst[idx[k]] = op(dst[idx[k]], src[k])`: the opposite of `gather`, where rows with one number meet in `op`.

    `src` has shape `(*idx.shape, *rest)`, the result `(max(idx) + 1, *rest)` or `dstsize`. `op` is "+", "-",
    "*", "/", "max", "min" or "mean", or the function of that name such as `flux.add`. Places where nothing goes
    hold `init`, or else what the operation starts from: 0, 1, or the lowest or highest value. A tuple of
    integer arrays names places along as many axes. Integers are folded in 64 bits. Of equals, "max" and "min"
    give each the whole gradient. Raises IndexError for an index that is negative or outside of `dstsize`.

    >>> import oxiflux as flux
    >>> flux.scatter("+", [10, 100, 1000], [2, 0, 2])
    Tensor([ 100,    0, 1010])
    >>> flux.scatter(flux.mean, [[1.0, 2.0], [3.0, 4.0]], [0, 0], dstsize=(2, 2))
    Tensor([[2., 3.],
            [0., 0.]])
    """
    name = op if isinstance(op, str) else _NAMES.get(op, "")
    if name not in _NAMES.values():
        raise ValueError(f"scatter: op must be one of {', '.join(sorted(set(_NAMES.values())))}, got {op!r}")
    src, arrays = _core.asarray(src), _indices("scatter", idx)
    shape = arrays[0].shape
    if src.shape[: len(shape)] != shape:
        raise ShapeError(f"scatter: indices of shape {shape} do not fit a source of shape {src.shape}")
    rest = tuple(src.shape[len(shape) :])
    most = lambda a: int(_core.max(a)) + 1 if a.size else 0
    size = tuple(map(most, arrays)) + rest if dstsize is None else tuple(dstsize)
    if len(size) != len(arrays) + len(rest) or size[len(arrays) :] != rest:
        raise ShapeError(f"scatter: dstsize must be {len(arrays)} lengths and {rest}, got {size}")
    for a, n in zip(arrays, size, strict=False):
        if a.size and not (n > 0 and _core.are_below(a, n)):
            ends = f"from {int(_core.min(a))} to {int(_core.max(a))}"
            raise IndexError(f"scatter: indices {ends} are out of range for length {n}")
    lengths = size[: len(arrays)]
    flat = _core.zeros(shape, _core.int64)
    for a, n in zip(arrays, lengths, strict=True):
        flat = flat * n + a.astype(_core.int64)
    y = _scattered(name, src, flat, math.prod(lengths))
    y = _core.reshape(y, size)
    return y if init is None else _combined(name, init, y)


def _scattered(name: str, src: Tensor, flat: Tensor, n: int) -> Tensor:
    """The source folded into `n` places."""
    if name == "-":
        return -_core.scatter(src, flat, n)
    if name == "/":
        return 1 / _core.scatter(src, flat, n, "*")
    if name == "mean":
        count = _core.maximum(_core.counts(_core.reshape(flat, (flat.size,)), n), 1)
        return _core.scatter(src, flat, n) / count.reshape(n, *[1] * (src.ndim - flat.ndim))
    return _core.scatter(src, flat, n, name)


def _combined(name: str, init: float, y: Tensor) -> Tensor:
    """The places with what they started from."""
    if name in ("max", "min"):
        return _core.maximum(y, init) if name == "max" else _core.minimum(y, init)
    return y * init if name in ("*", "/") else y + init


@told
def batched_mul(a: ArrayLike, b: ArrayLike) -> Tensor:
    """The matrix product of each pair of a batch: `(n, i, j)` and `(n, j, k)` give `(n, i, k)`.

    A batch of one is multiplied with all of the other. Raises ShapeError for other shapes.

    >>> import oxiflux as flux
    >>> flux.batched_mul(flux.ones((5, 2, 3)), flux.ones((1, 3, 4))).shape
    (5, 2, 4)
    """
    a, b = _core._meet(a, b)
    if a.ndim == b.ndim == 3:
        try:
            return _core.matmul(a, b)
        except ShapeError:
            pass
    raise ShapeError(f"batched_mul: expected two batches of matrices that fit, got {a.shape} and {b.shape}")


@told
def batched_vec(a: ArrayLike, b: ArrayLike) -> Tensor:
    """The product of each matrix of a batch with a vector: `(n, i, j)` and `(n, j)` give `(n, i)`; a single vector
    `(j,)` is that of all.

    A batch of one goes with all of the other. Raises ShapeError for other shapes. Ref: NNlib.jl, `batched_vec`.

    >>> import oxiflux as flux
    >>> flux.batched_vec(flux.ones((5, 2, 3)), flux.ones((5, 3))).shape, flux.batched_vec([[[1, 2]]], [3, 4]).tolist()
    ((5, 2), [[11]])
    """
    a, b = _core._meet(a, b)
    if a.ndim == 3 and b.ndim in (1, 2):
        try:
            return _core.squeeze(_core.matmul(a, _core.expand_dims(b, -1)), axis=-1)
        except ShapeError:
            pass
    raise ShapeError(
        f"batched_vec: expected a batch of matrices and vectors that fit, got {a.shape} and {b.shape}"
    )


@functools.lru_cache(64)
def _places(lengths: Sizes, window: Sizes, stride: Sizes, dilation: Sizes, flipped: bool) -> np.ndarray:
    """For each window over an image of these lengths, the places of its pixels: an array `(windows, pixels)`."""
    places: Any = np.zeros((1, 1), np.int64)
    for n, w, s, d in zip(lengths, window, stride, dilation, strict=True):
        within = np.arange(w) * d
        axis = np.arange(0, n - (w - 1) * d, s)[:, None] + (within if flipped else within[::-1])
        places = places[:, None, :, None] * n + axis[None, :, None, :]
        places = places.reshape(math.prod(places.shape[:2]), -1)
    return np.asarray(places)


def _sliding(owner: str, lengths: Sizes, window: Any, stride: Any, pad: Any, dilation: Any) -> Any:
    """The parameters in their normal forms, and the padded lengths."""
    window = kernel(owner, window)
    if len(lengths) != len(window):
        raise ShapeError(
            f"{owner}: a window {window} needs (batch, *lengths, channels) with as many lengths, got {lengths}"
        )
    stride = sizes(owner, "stride", stride, len(window))
    dilation = sizes(owner, "dilation", dilation, len(window))
    pad = padding(owner, pad, window, dilation)
    padded = tuple(n + b + a for n, b, a in zip(lengths, pad[::2], pad[1::2], strict=True))
    if any((w - 1) * d >= n for n, w, d in zip(padded, window, dilation, strict=True)):
        raise ShapeError(f"{owner}: the window {window} is larger than the padded lengths {padded}")
    return padded, window, stride, dilation, pad


@told
def unfold(
    x: ArrayLike,
    window: Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    pad: int | Sequence[int] | SamePad = 0,
    dilation: int | Sequence[int] = 1,
    flipped: bool = True,
) -> Tensor:
    """The windows of images `(batch, *lengths, channels)` as rows: `(batch, windows, prod(window) * channels)`.

    A convolution without bias is `unfold(x, window) @ weight.reshape(-1, out)`, with the same parameters.
    `flipped=False` turns each window around. Raises ShapeError for a window that does not fit.

    >>> import oxiflux as flux
    >>> x = flux.tensor([100, 2, 3, 40, 5, 6, 700]).reshape(1, 7, 1)
    >>> flux.unfold(x, (3,), pad=1, stride=2)[0]
    Tensor([[  0, 100,   2],
            [  2,   3,  40],
            [ 40,   5,   6],
            [  6, 700,   0]])
    """
    x = _core.asarray(x)
    lengths, window, stride, dilation, sides = _sliding(
        "unfold", x.shape[1:-1], window, stride, pad, dilation
    )
    if any(sides):
        x = pad_zeros(x, sides, axis=range(1, x.ndim - 1))
    batch, channels = x.shape[0], x.shape[-1]
    places = _core.table(_places(lengths, window, stride, dilation, flag("unfold", "flipped", flipped)))
    rows = _core.take(_core.reshape(x, (batch, math.prod(lengths), channels)), places, axis=1)
    return _core.reshape(rows, (batch, len(places), places.shape[1] * channels))


@told
def fold(
    y: ArrayLike,
    shape: Sequence[int],
    window: Sequence[int],
    *,
    stride: int | Sequence[int] = 1,
    pad: int | Sequence[int] | SamePad = 0,
    dilation: int | Sequence[int] = 1,
    flipped: bool = True,
) -> Tensor:
    """The adjoint of `unfold`: windows added up to images of `shape`, `(batch, *lengths, channels)`.

    Where windows overlap, `fold(unfold(x))` is a multiple of `x`: that of `fold(unfold(ones_like(x)))`. Raises
    ShapeError for a `y` that `unfold` would not make of that shape.

    >>> import oxiflux as flux
    >>> flux.fold(flux.unfold(flux.ones((1, 4, 1)), (2,)), (1, 4, 1), (2,)).flatten().tolist()
    [1.0, 2.0, 2.0, 1.0]
    """
    y, shape = _core.asarray(y), sizes("fold", "the shape", tuple(shape), len(shape), least=0)
    lengths, window, stride, dilation, sides = _sliding("fold", shape[1:-1], window, stride, pad, dilation)
    places = _core.table(_places(lengths, window, stride, dilation, flag("fold", "flipped", flipped)))
    batch, channels = shape[0], shape[-1]
    if y.shape != (batch, len(places), places.shape[1] * channels):
        expected = (batch, len(places), places.shape[1] * channels)
        raise ShapeError(f"fold: images of shape {shape} have windows of shape {expected}, got {y.shape}")
    rows = _core.reshape(y, (batch, *places.shape, channels))
    x = _core.reshape(_core.scatter(rows, places, math.prod(lengths), axis=1), (batch, *lengths, channels))
    inside = (slice(b, b + n) for b, n in zip(sides[::2], shape[1:-1], strict=True))
    return x[(slice(None), *inside)] if any(sides) else x
