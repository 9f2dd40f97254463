"""Tensors cut into parts along an axis."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import _core
from .._core import ShapeError, Tensor
from ..hints import told
from .axes import axis_of, narrow

if TYPE_CHECKING:
    from .._core import _TensorLike as ArrayLike

__all__ = ["split", "unstack"]


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
