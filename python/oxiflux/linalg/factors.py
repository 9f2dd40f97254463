"""Matrices as products of simpler ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from .. import _core
from .._core import Tensor
from ..functions.axes import flag
from ..hints import told

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = [
    "EighResult", "QRResult", "SVDResult", "cholesky", "eigh", "eigvalsh", "qr", "svd", "svdvals",
]  # fmt: skip


def factored(caller: str, f: Callable[..., Any], /, *args: Any) -> Any:
    """What a factorisation of the core gives; its errors begin with the function that was called."""
    try:
        return f(*args)
    except (TypeError, ValueError) as error:
        own, _, text = str(error).partition(": ")
        if own.isidentifier():
            error.args = (f"{caller}: {text}",)
        raise


class EighResult(NamedTuple):
    """What `eigh` gives."""

    eigenvalues: Tensor
    eigenvectors: Tensor


class QRResult(NamedTuple):
    """What `qr` gives."""

    Q: Tensor
    R: Tensor


class SVDResult(NamedTuple):
    """What `svd` gives."""

    U: Tensor
    S: Tensor
    Vh: Tensor


@told
def cholesky(x: ArrayLike, /, *, upper: bool = False) -> Tensor:
    """The lower triangular `L` with `x = L Lᵀ`, or with `upper=True` the upper triangular `U` with `x = Uᵀ U`.

    `x` has the shape `(.., n, n)`, and so has the result. Of `x`, which should be symmetric, the mean with its
    transpose is taken, so that the gradient is symmetric too. A matrix that is not positive definite, or has NaN,
    raises ValueError. Gradient: Murray 2016, Differentiation of the Cholesky decomposition.

    >>> import oxiflux as flux
    >>> flux.linalg.cholesky([[4.0, 2.0], [2.0, 5.0]])
    Tensor([[2., 0.],
            [1., 2.]])
    """
    lower = _core.cholesky(x)
    return _core.matrix_transpose(lower) if flag("cholesky", "upper", upper) else lower


@told
def qr(x: ArrayLike, /, *, mode: Literal["reduced", "complete"] = "reduced") -> QRResult:
    """`Q` with orthonormal columns and the upper triangular `R` with `x = Q R`.

    For `x` of shape `(.., m, n)` and `k = min(m, n)` they have the shapes `(.., m, k)` and `(.., k, n)`, or with
    `mode="complete"` `(.., m, m)` and `(.., m, n)`. NaN and infinity give NaN. Gradients need linearly independent
    columns (the first `m` of them, if there are more than rows), and those columns of `Q` that "complete" adds have
    none: both raise ValueError. Gradient: Walter and Lehmann 2010, Algorithmic differentiation of linear algebra
    functions.

    >>> import oxiflux as flux
    >>> q, r = flux.linalg.qr([[3.0, 1.0], [4.0, 2.0]])
    >>> (q @ r).numpy().round(4)
    array([[3., 1.],
           [4., 2.]], dtype=float32)
    """
    if mode not in ("reduced", "complete"):
        raise ValueError(f'qr: mode is "reduced" or "complete", not {mode!r}')
    return QRResult(*_core.qr(x, mode == "complete"))


@told
def svd(x: ArrayLike, /, *, full_matrices: bool = True) -> SVDResult:
    """`U`, `S` and `Vh` with `x = U diag(S) Vh`: orthonormal columns and rows, and the singular values, largest first.

    For `x` of shape `(.., m, n)` and `k = min(m, n)` they have the shapes `(.., m, m)`, `(.., k)` and `(.., n, n)`, or
    with `full_matrices=False` `(.., m, k)`, `(.., k)` and `(.., k, n)`. NaN and infinity raise ValueError.

    Signs of vectors are not determined, so a gradient is that of a function which does not depend on them. Gradients
    by vectors raise ValueError where two singular values are equal, where one of them is 0 and the matrix is not
    square, and for the vectors that `full_matrices=True` adds; that by the values is always there. Gradient:
    Townsend 2016, Differentiating the singular value decomposition.

    >>> import oxiflux as flux
    >>> flux.linalg.svd([[3.0, 0.0], [0.0, 4.0]]).S
    Tensor([4., 3.])
    """
    return SVDResult(*_core.svd(x, full_matrices))


@told
def svdvals(x: ArrayLike, /) -> Tensor:
    """The singular values of matrices `(.., m, n)`, largest first: shape `(.., min(m, n))`.

    NaN and infinity raise ValueError. The gradient is `U diag(g) Vh`; that of the gradient raises ValueError where two
    values are equal.

    >>> import oxiflux as flux
    >>> flux.linalg.svdvals([[3.0, 0.0], [0.0, 4.0]])
    Tensor([4., 3.])
    """
    values: Tensor = factored("svdvals", _core.svdvals, x)
    return values


@told
def eigh(x: ArrayLike, /) -> EighResult:
    """Eigenvalues, smallest first, and eigenvectors of symmetric matrices: `x = V diag(w) Vᵀ`.

    For `x` of shape `(.., n, n)` they have the shapes `(.., n)` and `(.., n, n)`; eigenvectors are columns. Of `x`,
    which should be symmetric, the mean with its transpose is taken, so that the gradient is symmetric too. NaN and
    infinity raise ValueError.

    Signs of eigenvectors are not determined, so a gradient is that of a function which does not depend on them. A
    gradient by eigenvectors raises ValueError where two eigenvalues are equal; that by eigenvalues is always there.
    Gradient: Giles 2008, Collected matrix derivative results for forward and reverse mode algorithmic differentiation.

    >>> import oxiflux as flux
    >>> flux.linalg.eigh([[2.0, 0.0], [0.0, 1.0]]).eigenvalues
    Tensor([1., 2.])
    """
    return EighResult(*_core.eigh(x))


@told
def eigvalsh(x: ArrayLike, /) -> Tensor:
    """The eigenvalues of symmetric matrices `(.., n, n)`, smallest first: shape `(.., n)`.

    As for `eigh`, the mean of `x` with its transpose is taken, and NaN and infinity raise ValueError. The gradient is
    `V diag(g) Vᵀ`; that of the gradient raises ValueError where two eigenvalues are equal.

    >>> import oxiflux as flux
    >>> flux.linalg.eigvalsh([[2.0, 1.0], [1.0, 2.0]]).numpy().round(4)
    array([1., 3.], dtype=float32)
    """
    values: Tensor = factored("eigvalsh", _core.eigvalsh, x)
    return values
