"""What the array API standard asks of a namespace beside functions: constants, and what it says of itself."""

from __future__ import annotations

from math import e, inf, nan, pi

from . import _core
from ._core import DType
from .functions import isdtype

__all__ = ["__array_api_version__", "__array_namespace_info__", "e", "inf", "nan", "newaxis", "pi"]

__array_api_version__ = "2025.12"
# Each only adds to the one before it, but for what has become a tuple.
VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12", __array_api_version__)

newaxis = None


class NamespaceInfo:
    """What there is in a namespace: what it can do, devices and element types."""

    def capabilities(self) -> dict[str, bool | int]:
        """What the standard leaves open to a library."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> str:
        """The device of a new tensor."""
        return "cpu"

    def default_dtypes(self, *, device: str | None = None) -> dict[str, DType]:
        """The element types of new tensors, by the kind of their elements. There is none of complex numbers."""
        _on_cpu("default_dtypes", device)
        return {"real floating": _core.float32, "integral": _core.int64, "indexing": _core.int64}

    def devices(self) -> tuple[str, ...]:
        """All devices."""
        return ("cpu",)

    def dtypes(
        self, *, device: str | None = None, kind: str | tuple[str, ...] | None = None
    ) -> dict[str, DType]:
        """The element types of a kind by their names, or all; those of the standard, of which complex64 and complex128
        are missing, while float16 and bfloat16 are here beyond it.
        """
        _on_cpu("dtypes", device)
        integers = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
        every = {name: _core.dtype(name) for name in ("bool", *integers, "float32", "float64")}
        return {name: dtype for name, dtype in every.items() if kind is None or isdtype(dtype, kind)}


def _on_cpu(function: str, device: str | None) -> None:
    if device not in (None, "cpu"):
        raise ValueError(
            f'{function}: device must be "cpu" or None, for tensors are nowhere else, got {device!r}'
        )


def __array_namespace_info__() -> NamespaceInfo:  # noqa: N807
    """What this namespace says of itself: `capabilities()`, `default_device()`, `default_dtypes()`, `devices()` and
    `dtypes()`.

    >>> import oxiflux as flux
    >>> flux.__array_namespace_info__().dtypes(kind="real floating")
    {'float32': oxiflux.float32, 'float64': oxiflux.float64}
    """
    return NamespaceInfo()
