"""Tensors cut into parts along an axis."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import _core
from .._core import ShapeError, Tensor
from ..hints import told
from .axes import axis_of, integers, narrow

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = ["array_split", "split", "unflatten", "unstack"]


# More tensors than fit into the memory of any machine by now.
_MOST_PARTS = 2**34


@told
def unstack(x: ArrayLike, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """The tensors of which `stack` along this axis would make `x`.

    >>> import oxiflux as flux
    >>> flux.unstack([[1, 2], [3, 4]])
    (Tensor([1, 2]), Tensor([3, 4]))
    """
    x = _core.asarray(x)
    at = axis_of("unstack", axis, x.ndim)
    if x.shape[at] > _MOST_PARTS:
        raise MemoryError(f"unstack: {x.shape[at]} tensors are more than memory can hold")
    return tuple(x[(slice(None),) * at + (i,)] for i in range(x.shape[at]))


@told
def split(x: ArrayLike, sections: int | Sequence[int], /, axis: int = 0) -> tuple[Tensor, ...]:
    """The tensor cut along an axis: into equal sections, or at the given places.

    >>> import oxiflux as flux
    >>> [part.shape for part in flux.split(flux.zeros((2, 6)), 3, axis=1)]
    [(2, 2), (2, 2), (2, 2)]
    """
    x = _core.asarray(x)
    at = axis_of("split", axis, x.ndim)
    n = x.shape[at]
    if isinstance(sections, int):
        if sections < 1 or n % sections:
            raise ShapeError(
                f"split: axis {at} of shape {x.shape} does not split into {sections} equal parts"
            )
        sections = [n // sections * i for i in range(1, sections)]
    places = [0, *sections, n]
    return tuple(narrow(x, at, a, b) for a, b in itertools.pairwise(places))


@told
def array_split(x: ArrayLike, sections: int | Sequence[int], /, axis: int = 0) -> tuple[Tensor, ...]:
    """`split`, but into sections that need not be equal: of `n` elements the first `n % sections` have one more.

    >>> import oxiflux as flux
    >>> flux.array_split([1, 2, 3, 4, 5], 3)
    (Tensor([1, 2]), Tensor([3, 4]), Tensor([5]))
    """
    x = _core.asarray(x)
    n = x.shape[axis_of("array_split", axis, x.ndim)]
    if isinstance(sections, int):
        if sections < 1:
            raise ShapeError(f"array_split: {sections} is not a number of sections")
        short, longer = divmod(n, sections)
        sections = [short * i + min(i, longer) for i in range(1, sections)]
    return split(x, sections, axis)


@told
def unflatten(x: ArrayLike, axis: int, shape: Sequence[int], /) -> Tensor:
    """One axis made several, of this shape; -1 in it is what is left. The opposite of `flatten` along it.

    A shape that does not hold as many elements raises ShapeError.

    >>> import oxiflux as flux
    >>> flux.unflatten(flux.zeros((2, 12)), 1, (3, -1)).shape
    (2, 3, 4)
    """
    x = _core.asarray(x)
    at, lengths = axis_of("unflatten", axis, x.ndim), integers(shape)
    n, known = x.shape[at], math.prod(m for m in lengths if m != -1)
    wild = lengths.count(-1)
    if wild > 1 or any(m < -1 for m in lengths) or (n % known if wild and known else n != known or wild):
        raise ShapeError(f"unflatten: axis {axis} of shape {x.shape} is not of shape {tuple(lengths)}")
    lengths = [n // known if m == -1 else m for m in lengths]
    return _core.reshape(x, (*x.shape[:at], *lengths, *x.shape[at + 1 :]))
