"""Products of matrices."""

from __future__ import annotations

from typing import Any

from ... import _core
from ..._core import Tensor
from ..table import plain, traced
from ..trace import INPUT, Trace, Value
from .images import rows


@traced("MatMul")
def matmul(trace: Trace, a: Value, b: Value) -> Value:
    a, b = trace.plain(a), _laid(trace, b)
    if a.dtype.kind != "f":
        return trace.run(_whole, a, b)  # type: ignore[no-any-return]
    if b.ndim == 2 and a.ndim >= 2 and b.level < INPUT and a.dtype == b.dtype:
        return trace.run(_core.dense, a, b, None, None)  # type: ignore[no-any-return]
    return trace.run(_core.matmul, a, b)  # type: ignore[no-any-return]


def _laid(trace: Trace, x: Value) -> Value:
    """A weight that was transposed, in the order of memory that a product reads."""
    if x.level < INPUT and x.order is not None:
        return trace.run(rows, x, x.order)  # type: ignore[no-any-return]
    return trace.plain(x)


def _whole(a: Tensor, b: Tensor) -> Tensor:
    """A product of integers."""
    import numpy as np

    return _core.tensor(np.matmul(a.numpy(), b.numpy()))


@traced("Gemm")
def gemm(
    trace: Trace,
    a: Value,
    b: Value,
    c: Value | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
    broadcast: int = 1,
) -> Value:
    if transA:
        a = a.with_order((1, 0) if a.order is None else (a.order[1], a.order[0]))
    if transB:
        b = b.with_order((1, 0) if b.order is None else (b.order[1], b.order[0]))
    a, b = trace.plain(a), _laid(trace, b)
    if a.dtype.kind != "f":
        return trace.run(_gemm, a, b, c and trace.plain(c), alpha=alpha, beta=beta)  # type: ignore[no-any-return]
    if alpha == 1.0 and b.level < INPUT and a.dtype == b.dtype:
        if (
            c is not None
            and beta == 1.0
            and c.level < INPUT
            and c.held.size == b.shape[1]
            and c.ndim
            and c.shape[-1] == b.shape[1]
        ):
            flat = c if c.ndim == 1 else trace.run(_core.reshape, trace.plain(c), (b.shape[1],))
            return trace.run(_core.dense, a, b, flat, None)  # type: ignore[no-any-return]
        if c is None:
            return trace.run(_core.dense, a, b, None, None)  # type: ignore[no-any-return]
    return trace.run(_gemm, a, b, c and trace.plain(c), alpha=alpha, beta=beta)  # type: ignore[no-any-return]


def _gemm(a: Tensor, b: Tensor, c: Tensor | None, alpha: float, beta: float) -> Tensor:
    if a.dtype.kind != "f":
        y = _whole(a, b)
        y = y if alpha == 1.0 else (y.astype(_core.float64) * alpha).astype(a.dtype)
        if c is None:
            return y
        return y + (c if beta == 1.0 else (c.astype(_core.float64) * beta).astype(a.dtype))
    y = _core.matmul(a, b)
    y = y if alpha == 1.0 else y * alpha
    if c is None or not beta:
        return y
    return y + (c if beta == 1.0 else c * beta)


@plain("Einsum")
def einsum(*values: Tensor, equation: str) -> Tensor:
    from ...einsum import einsum

    return einsum(equation.replace(" ", ""), *values)


@plain("Det")
def det(x: Tensor) -> Tensor:
    return _core.det(x)


@plain("Trilu", host=(1,))
def trilu(x: Tensor, k: Any = None, *, upper: int = 1) -> Tensor:
    import numpy as np

    shift = 0 if k is None else int(k)
    kept = np.triu if upper else np.tril
    mask = kept(np.ones(x.shape[-2:], np.bool_), shift)
    return _core.where(mask, x, _core.zeros((), x.dtype))
