"""Tensors turned over and turned round, with NumPy's names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import _core
from .._core import ShapeError, Tensor
from ..hints import told
from .axes import axis_of, integers
from .movement import swapaxes

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = ["fliplr", "flipud", "rot90"]


@told
def rot90(x: ArrayLike, /, k: int = 1, axes: Sequence[int] = (0, 1)) -> Tensor:
    """`x` turned by `k` quarters in the plane of two axes, from the first towards the second.

    >>> import oxiflux as flux
    >>> flux.rot90([[1, 2], [3, 4]])
    Tensor([[2, 4],
            [1, 3]])
    """
    x = _core.asarray(x)
    plane = [axis_of("rot90", a, x.ndim) for a in integers(axes)]
    if len(plane) != 2 or plane[0] == plane[1]:
        raise ValueError(f"rot90: a plane has two axes, got {tuple(axes)}")
    first, second = plane
    if k % 4 == 2:
        return _core.flip(x, (first, second))
    if k % 4 == 1:
        return swapaxes(_core.flip(x, second), first, second)
    return _core.flip(swapaxes(x, first, second), second) if k % 4 else x


@told
def fliplr(x: ArrayLike, /) -> Tensor:
    """The second axis the other way round: the columns of a matrix.

    >>> import oxiflux as flux
    >>> flux.fliplr([[1, 2], [3, 4]])
    Tensor([[2, 1],
            [4, 3]])
    """
    x = _core.asarray(x)
    if x.ndim < 2:
        raise ShapeError(f"fliplr: shape {x.shape} has fewer than two axes")
    return _core.flip(x, 1)


@told
def flipud(x: ArrayLike, /) -> Tensor:
    """The first axis the other way round: the rows of a matrix.

    >>> import oxiflux as flux
    >>> flux.flipud([[1, 2], [3, 4]])
    Tensor([[3, 4],
            [1, 2]])
    """
    x = _core.asarray(x)
    if x.ndim < 1:
        raise ShapeError("flipud: a number has no axis to flip")
    return _core.flip(x, 0)
