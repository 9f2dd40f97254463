"""Element types: what they hold, and which an operation has."""

from __future__ import annotations

import functools
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np

from .. import _core
from .._core import DType
from ..hints import told

if TYPE_CHECKING:
    from .._core import _TensorLike as ArrayLike

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
def isdtype(dtype: DType, kind: DType | str | tuple[DType | str, ...], /) -> bool:
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


@told
def finfo(dtype: DType | ArrayLike | str, /) -> np.finfo | SimpleNamespace:
    """The limits of a floating type, as NumPy describes them.

    >>> import oxiflux as flux
    >>> float(flux.finfo(flux.float32).eps)
    1.1920928955078125e-07
    """
    name = _name(dtype)
    if name == "bfloat16":
        eps, top, low = 2.0**-7, (2 - 2.0**-7) * 2.0**127, 2.0**-126
        return SimpleNamespace(bits=16, dtype=name, eps=eps, max=top, min=-top, smallest_normal=low, tiny=low)
    return np.finfo(name)


@told
def iinfo(dtype: DType | ArrayLike | str, /) -> np.iinfo:
    """The limits of an integer type, as NumPy describes them.

    >>> import oxiflux as flux
    >>> flux.iinfo(flux.int8).max
    127
    """
    return np.iinfo(_name(dtype))
