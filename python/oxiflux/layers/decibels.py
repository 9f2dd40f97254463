"""Power in decibels, and back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .. import _core
from .._core import Tensor
from ..functions.numbers import floating
from ..hints import told

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = ["db_to_power", "power_to_db"]


@told
def power_to_db(
    s: ArrayLike, *, ref: float = 1.0, amin: float = 1e-10, top_db: float | None = 80.0
) -> Tensor:
    """Power in decibels: `10 * (log10(max(s, amin)) - log10(max(ref, amin)))`, and nothing lower than `top_db` below
    the largest of all of it; None leaves that out.

    ValueError unless `amin` is positive and `top_db` is not negative. Ref: NNlib.jl, `power_to_db`.

    >>> import oxiflux as flux
    >>> flux.power_to_db([1.0, 10.0, 0.0]).tolist(), flux.power_to_db([0.5, 2.0], ref=2.0).tolist()
    ([0.0, 10.0, -70.0], [-6.0206, 0.0])
    """
    if not amin > 0:
        raise ValueError(f"power_to_db: amin must be positive, got {amin}")
    if top_db is not None and not top_db >= 0:
        raise ValueError(f"power_to_db: top_db must not be negative, got {top_db}")
    power = floating(s)
    db = 10 * _core.log10(_core.maximum(power, amin)) - 10 * math.log10(max(ref, amin))
    return db if top_db is None or not db.size else _core.maximum(db, _core.max(db) - top_db)


@told
def db_to_power(db: ArrayLike, *, ref: float = 1.0) -> Tensor:
    """The power that is so many decibels above `ref`: `ref * 10 ** (db / 10)`, the inverse of `power_to_db`.

    Ref: NNlib.jl, `db_to_power`.

    >>> import oxiflux as flux
    >>> flux.db_to_power([0.0, 10.0, -20.0]).tolist()
    [1.0, 10.0, 0.01]
    """
    return ref * _core.pow(10.0, floating(db) / 10)
