"""What layers whose windows slide over an image share: the normal forms of stride, dilation and padding.

`owner` is what an error names, `dims` the number of spatial dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["SamePad"]

Sizes = tuple[int, ...]
MOST = 2**48
"""The largest of all lengths, steps and pads: more than any memory has."""


@dataclass(frozen=True)
class SamePad:
    """As `pad` of a layer: as much as makes the output as large as the input, or with a stride `s` the input
    of size `n` an output of `ceil(n / s)`.

    Where the whole is odd, the larger half goes before. Ref: Dumoulin and Visin, "A guide to convolution
    arithmetic for deep learning", 2016.

    >>> import oxiflux as flux
    >>> from oxiflux.layers.window import padding
    >>> padding("Conv", flux.SamePad(), (5, 2))
    (2, 2, 1, 0)
    """

    def __init__(self) -> None:
        """It has no options."""


def sizes(owner: str, name: str, value: Any, dims: int, *, least: int = 1) -> Sizes:
    """An integer for all dimensions, or one for each, as a tuple of `dims` integers of at least `least`.

    >>> sizes("Conv", "stride", 2, 3)
    (2, 2, 2)
    """
    numbers = tuple(value) if isinstance(value, (tuple, list)) else (value,) * dims
    if len(numbers) != dims:
        raise ValueError(f"{owner}: {name} must be an integer or {dims} of them, got {value!r}")
    return _integers(owner, name, value, numbers, least)


def kernel(owner: str, value: Any, name: str = "the window") -> Sizes:
    """The size of a window, or what else the name says: one to three positive integers.

    >>> kernel("MaxPool", (2, 2))
    (2, 2)
    """
    if not isinstance(value, (tuple, list)) or not 1 <= len(value) <= 3:
        raise ValueError(f"{owner}: {name} must be a tuple of 1 to 3 integers, got {value!r}")
    return _integers(owner, name, value, tuple(value), 1)


def padding(owner: str, pad: Any, window: Sizes, dilation: Sizes | None = None) -> Sizes:
    """`(before, after)` of each dimension, one pair after the other, of an integer, one for each dimension,
    one for each side of each dimension, or a SamePad.

    >>> padding("Conv", 1, (3, 3)), padding("Conv", (1, 2), (3, 3)), padding("Conv", (1, 0, 2, 0), (3, 3))
    ((1, 1, 1, 1), (1, 1, 2, 2), (1, 0, 2, 0))
    """
    dims = len(window)
    if isinstance(pad, SamePad):
        excess = [(n - 1) * d for n, d in zip(window, dilation or (1,) * dims, strict=True)]
        return tuple(half for n in excess for half in (n - n // 2, n // 2))
    numbers = tuple(pad) if isinstance(pad, (tuple, list)) else (pad,) * dims
    if len(numbers) == dims:
        numbers = tuple(n for n in numbers for _ in range(2))
    if len(numbers) != 2 * dims:
        raise ValueError(
            f"{owner}: pad must be an integer, {dims} or {2 * dims} of them, or SamePad(), got {pad!r}"
        )
    return _integers(owner, "pad", pad, numbers, 0)


def shown(value: Sizes) -> str:
    """Sizes as a layer prints them: one number where all are equal.

    >>> shown((2, 2)), shown((1, 0))
    ('2', '(1, 0)')
    """
    return str(value[0]) if len(set(value)) == 1 else str(value)


def _integers(owner: str, name: str, given: Any, numbers: tuple[Any, ...], least: int) -> Sizes:
    for n in numbers:
        if not isinstance(n, (int, np.integer)) or isinstance(n, bool) or n < least:
            raise ValueError(f"{owner}: {name} must be made of integers of at least {least}, got {given!r}")
        if n > MOST:
            raise MemoryError(f"{owner}: {name} is more than memory can hold, {given!r}")
    return tuple(int(n) for n in numbers)
