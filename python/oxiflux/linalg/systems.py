"""Linear systems: their solutions, determinants, inverses and ranks."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING, NamedTuple, SupportsIndex

import numpy as np

from .. import _core
from .._core import DTypeError, ShapeError, Tensor
from ..functions import result_type
from ..functions.numbers import wide
from ..hints import told
from .factors import factored

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = [
    "LstsqResult", "SlogdetResult", "det", "inv", "lstsq", "matrix_power", "matrix_rank", "pinv", "slogdet", "solve",
]  # fmt: skip


class SlogdetResult(NamedTuple):
    """What `slogdet` gives."""

    sign: Tensor
    logabsdet: Tensor


class LstsqResult(NamedTuple):
    """What `lstsq` gives."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


@told
def inv(x: ArrayLike, /) -> Tensor:
    """The inverses of square matrices `(.., n, n)`.

    A singular matrix raises ValueError. Gradient: `-Yᵀ g Yᵀ` with the inverse `Y`.

    >>> import oxiflux as flux
    >>> flux.linalg.inv([[2.0, 0.0], [0.0, 4.0]])
    Tensor([[0.5 , 0.  ],
            [0.  , 0.25]])
    """
    return _core.inv(x)


@told
def solve(a: ArrayLike, b: ArrayLike, /) -> Tensor:
    """The solutions `X` of `a X = b`.

    `a` has the shape `(.., n, n)`; `b` is a vector `(n,)` or has the shape `(.., n, k)`. Leading axes broadcast. A
    singular matrix raises ValueError. Gradients: `a⁻ᵀ g` by `b`, and minus that times `Xᵀ` by `a`, from the same
    factors of `a`.

    >>> import oxiflux as flux
    >>> flux.linalg.solve([[2.0, 0.0], [0.0, 4.0]], [1.0, 2.0])
    Tensor([0.5, 0.5])
    """
    return _core.solve(a, b)


@told
def det(x: ArrayLike, /) -> Tensor:
    """The determinants of square matrices `(.., n, n)`: shape `(..)`.

    The gradient is the matrix of cofactors, also where the matrix is singular; there it has no gradient itself, which
    raises ValueError.

    >>> import oxiflux as flux
    >>> flux.linalg.det([[2.0, 0.0], [0.0, 4.0]])
    Tensor(8.)
    """
    return _core.det(x)


@told
def slogdet(x: ArrayLike, /) -> SlogdetResult:
    """The sign of the determinants of square matrices `(.., n, n)`, and the logarithm of their sizes: shapes `(..)`.

    `sign * exp(logabsdet)` is the determinant, also where that is no number of the type; of a singular matrix they
    are 0 and minus infinity. The sign has no gradient, and that of the logarithm is `x⁻ᵀ`, for which a singular
    matrix raises ValueError.

    >>> import oxiflux as flux
    >>> flux.linalg.slogdet([[0.0, 1.0], [1.0, 0.0]])
    SlogdetResult(sign=Tensor(-1.), logabsdet=Tensor(0.))
    """
    return SlogdetResult(*_core.slogdet(x))


@told
def matrix_power(x: ArrayLike, n: SupportsIndex, /) -> Tensor:
    """Square matrices `(.., n, n)` multiplied with themselves `n` times; with a negative `n`, their inverses.

    `n = 0` gives the identity. A singular matrix raises ValueError where `n` is negative.

    >>> import oxiflux as flux
    >>> flux.linalg.matrix_power([[1.0, 1.0], [0.0, 1.0]], 5)
    Tensor([[1., 5.],
            [0., 1.]])
    """
    x, n = _core.asarray(x), index(n)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"matrix_power: expected square matrices on the last two axes, got shape {x.shape}")
    if n < 0:
        x, n = inv(x), -n
    if n == 0:
        return _core.broadcast_to(_core.eye(x.shape[-1], dtype=x.dtype), x.shape)
    power: Tensor | None = None
    while n:
        if n % 2:
            power = x if power is None else _core.matmul(power, x)
        n //= 2
        x = _core.matmul(x, x) if n else x
    assert power is not None  # n is not 0.
    return power


@told
def matrix_rank(x: ArrayLike, /, *, rtol: float | ArrayLike | None = None) -> Tensor:
    """How many singular values of matrices `(.., m, n)` are larger than `rtol` times the largest: int64 `(..)`.

    `rtol`, a number or one for each matrix, is by default `max(m, n)` times the spacing of the numbers of the type.

    >>> import oxiflux as flux
    >>> flux.linalg.matrix_rank([[1.0, 2.0], [2.0, 4.0]])
    Tensor(1)
    """
    x = _real("matrix_rank", x)
    values = factored("matrix_rank", _core.svdvals, _core.stop_gradient(wide(x)))
    return _core.count_nonzero(_counts(values, x, rtol), axis=-1)


@told
def pinv(x: ArrayLike, /, *, rtol: float | ArrayLike | None = None) -> Tensor:
    """The Moore-Penrose inverses of matrices `(.., m, n)`: shape `(.., n, m)`.

    Singular values up to `rtol` times the largest count as 0; `rtol` is a number or one for each matrix, by default
    `max(m, n)` times the spacing of the numbers of the type. NaN and infinity raise ValueError. Gradient, for
    matrices of a rank that does not change: Golub and Pereyra 1973, The differentiation of pseudo-inverses.

    >>> import oxiflux as flux
    >>> flux.linalg.pinv([[2.0, 0.0], [0.0, 0.0]])
    Tensor([[0.5, 0. ],
            [0. , 0. ]])
    """
    x = _real("pinv", x)
    parts = factored("pinv", _core.svd, _core.stop_gradient(wide(x)), False)
    return _core.astype(_inverted(x, parts, rtol), x.dtype)


@told
def lstsq(a: ArrayLike, b: ArrayLike, /, rcond: float | None = None) -> LstsqResult:
    """The `X` for which `a X - b` is smallest, and of these the smallest: `pinv(a) b`.

    `a` has the shape `(.., m, n)`; `b` is a vector `(m,)` or has the shape `(.., m, k)`. Leading axes broadcast.
    Gives the `solution`, the sums of squares of `a X - b` in each column (`residuals`, empty unless `m > n` and all
    ranks are `n`), the int64 `rank` of each matrix, and their `singular_values`. Those up to `rcond` times the
    largest count as 0, by default `max(m, n)` times the spacing of the numbers of the type. NaN and infinity in `a`
    raise ValueError. The gradient is that of `pinv`. As `numpy.linalg.lstsq`, for batches too.

    >>> import oxiflux as flux
    >>> flux.linalg.lstsq([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]], [1.0, 3.0, 5.0]).solution.numpy().round(4)
    array([1., 2.], dtype=float32)
    """
    a, b = _core._meet(a, b)
    a, b = _real("lstsq", a), _real("lstsq", b, least=1)
    vector = b.ndim == 1
    m, n = a.shape[-2:]
    if b.shape[-1 if vector else -2] != m:
        raise ShapeError(
            f"lstsq: expected right-hand sides ({m},) or (.., {m}, k) for matrices of shape {a.shape}, "
            f"got shape {b.shape}"
        )
    left, right = wide(a), _core.expand_dims(wide(b), 1) if vector else wide(b)
    parts = factored("lstsq", _core.svd, left, False)
    x = _core.matmul(_inverted(a, parts, rcond), right)
    rank = _core.count_nonzero(_counts(_core.stop_gradient(parts[1]), a, rcond), axis=-1)
    if m > n and bool(_core.all(_core.equal(rank, n))):
        residuals = _core.sum(_core.square(_core.matmul(left, x) - right), axis=-2)
    else:
        residuals = _core.zeros((0,), dtype=x.dtype)
    if vector:
        x = _core.squeeze(x, -1)
    dtype = result_type(a, b)
    x, residuals, values = (_core.astype(t, dtype) for t in (x, residuals, parts[1]))
    return LstsqResult(x, residuals, rank, values)


def _real(function: str, x: ArrayLike, least: int = 2) -> Tensor:
    """A tensor of floats with so many axes at least."""
    x = _core.asarray(x)
    if x.dtype.kind != "f":
        raise DTypeError(
            f"{function}: expected a floating tensor, got {x.dtype}; use x.astype(float32) or float64"
        )
    if x.ndim < least:
        raise ShapeError(f"{function}: expected a matrix or a stack of matrices, got shape {x.shape}")
    return x


def _counts(values: Tensor, x: Tensor, rtol: float | ArrayLike | None) -> Tensor:
    """Which singular values of `x` are not taken for 0."""
    if rtol is None:
        name = str(x.dtype)
        eps = 2.0**-7 if name == "bfloat16" else float(np.finfo(name).eps)
        rtol = max(x.shape[-2:]) * eps
    if values.shape[-1] == 0:
        return _core.greater(values, 0)
    least = _core.expand_dims(_core.asarray(rtol), -1) * values[..., :1]
    return _core.greater(values, least)


def _inverted(x: Tensor, parts: tuple[Tensor, Tensor, Tensor], rtol: float | ArrayLike | None) -> Tensor:
    """The pseudo-inverse of `x` from its singular values and vectors, with its own gradient."""
    u, s, vh = (_core.stop_gradient(part) for part in parts)
    counts = _counts(s, x, rtol)
    inverse = _core.where(counts, 1 / _core.where(counts, s, 1), 0)
    y = _core.matmul(_core.matrix_transpose(vh) * inverse[..., None, :], _core.matrix_transpose(u))
    return _core.pinv_with(wide(x), y)
