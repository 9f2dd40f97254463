"""Element types: what they hold, and which an operation has."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .. import _core
from .._core import DType, DTypeError
from ..hints import told

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = ["can_cast", "finfo", "iinfo", "isdtype", "result_type"]


@told
def result_type(*arrays_and_dtypes: ArrayLike | DType) -> DType:
    """The element type that an operation on these would have.

    >>> import oxiflux as flux
    >>> flux.result_type(flux.int8, flux.float32)
    oxiflux.float32
    """
    values = (_core.zeros((), x) if isinstance(x, DType) else x for x in arrays_and_dtypes)
    kinds = (_core.zeros((), x.dtype) for x in _core._meet(*values))
    return functools.reduce(lambda a, b: _core.where(True, a, b), kinds).dtype


@told
def can_cast(source: ArrayLike | DType | str, to: DType | str, /) -> bool:
    """Whether every value of one element type is a value of another, by NumPy's rules.

    >>> import oxiflux as flux
    >>> flux.can_cast(flux.int8, flux.int16), flux.can_cast(flux.float32, flux.int64)
    (True, False)
    """
    dtype, to = _core.dtype(_name(source)), _core.dtype(to)
    if to == _core.bfloat16:
        return dtype in (_core.bfloat16, _core.uint8, _core.int8, _core.bool_)
    # What holds all of bfloat16 holds all of float32: NumPy has no name for the former.
    return np.can_cast("float32" if dtype == _core.bfloat16 else str(dtype), str(to))


@told
def isdtype(dtype: DType, kind: DType | str | tuple[DType | str, ...]) -> bool:
    """Whether an element type is of a kind: "bool", "signed integer", "unsigned integer", "integral", "real floating",
    "numeric", or one of several.

    >>> import oxiflux as flux
    >>> flux.isdtype(flux.int8, "signed integer")
    True
    """
    kinds = {
        "bool": "b", "signed integer": "i", "unsigned integer": "u", "integral": "iu", "real floating": "f",
        "complex floating": "", "numeric": "iuf",
    }  # fmt: skip
    dtype = _core.dtype(dtype)
    if isinstance(kind, tuple):
        return any(isdtype(dtype, k) for k in kind)
    if isinstance(kind, str):
        if kind not in kinds:
            raise ValueError(f"isdtype: {kind!r} is not a kind of element type")
        return dtype.kind in kinds[kind]
    return bool(dtype == kind)


def _name(dtype: DType | ArrayLike | str) -> str:
    return str(
        _core.dtype(dtype) if isinstance(dtype, (DType, str, type, np.dtype)) else _core.asarray(dtype).dtype
    )


class FloatInfo(NamedTuple):
    """The limits of a floating type, in Python's numbers."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    smallest_subnormal: float
    resolution: float
    dtype: DType

    @property
    def tiny(self) -> float:
        """The same as `smallest_normal`."""
        return self.smallest_normal


class IntegerInfo(NamedTuple):
    """The limits of an integer type."""

    bits: int
    max: int
    min: int
    dtype: DType


@told
def finfo(dtype: DType | ArrayLike | str, /) -> FloatInfo:
    """The limits of a floating type, or of that of a tensor, as Python's floats: `bits`, the distance `eps` from 1 to
    the next number, `max`, `min`, `smallest_normal` (`tiny`), `smallest_subnormal`, and the `resolution` in decimals.

    >>> import oxiflux as flux
    >>> flux.finfo(flux.float32).eps
    1.1920928955078125e-07
    """
    own = _core.dtype(_name(dtype))
    if own == _core.bfloat16:
        top, low = (2 - 2.0**-7) * 2.0**127, 2.0**-126
        return FloatInfo(16, 2.0**-7, top, -top, low, low * 2.0**-7, 0.01, own)
    try:
        found = np.finfo(str(own))
    except ValueError:
        raise DTypeError(f"finfo: {own} is no floating type; iinfo has the limits of integers") from None
    ends = float(found.max), float(found.min)
    least = float(found.smallest_normal), float(found.smallest_subnormal)
    return FloatInfo(found.bits, float(found.eps), *ends, *least, float(found.resolution), own)


@told
def iinfo(dtype: DType | ArrayLike | str, /) -> IntegerInfo:
    """The limits of an integer type, or of that of a tensor: `bits`, `max` and `min`.

    >>> import oxiflux as flux
    >>> flux.iinfo(flux.int8).max
    127
    """
    own = _core.dtype(_name(dtype))
    try:
        found = np.iinfo(str(own))
    except ValueError:
        raise DTypeError(f"iinfo: {own} is no integer type; finfo has the limits of floats") from None
    return IntegerInfo(found.bits, int(found.max), int(found.min), own)
