"""Dot-product attention and the layer of it with several heads."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, overload

import numpy as np

from .. import _core
from .._core import ShapeError, Tensor, identity
from ..functions import tril
from ..functions.axes import flag
from ..hints import told
from ..init import glorot_uniform
from ..show import describe
from .base import Layer, named_any, shape_of
from .dense import Dense
from .dropout import Dropout

if TYPE_CHECKING:
    from ..typing import ArrayLike

    Input = ArrayLike
    Drop = Callable[[Tensor], Tensor]

__all__ = [
    "MultiHeadAttention",
    "dot_product_attention",
    "dot_product_attention_scores",
    "make_causal_mask",
]


@told
def make_causal_mask(x: Input, *, axis: int = -2) -> Tensor:
    """The mask with which no element of a sequence sees a later one: `(n, n)`, true where `key <= query`, for
    the length `n` of an axis of `x`.

    `dot_product_attention(…, causal=True)` does the same without a mask. Ref: NNlib's `make_causal_mask`.

    >>> import oxiflux as flux
    >>> flux.make_causal_mask(flux.zeros((8, 3, 5))).tolist()
    [[True, False, False], [True, True, False], [True, True, True]]
    """
    shape = shape_of(x)
    if not -len(shape) <= axis < len(shape):
        raise IndexError(f"make_causal_mask: axis {axis} is out of range for shape {shape}")
    return tril(_core.ones((shape[axis], shape[axis]), dtype=_core.bool_))


@overload
def dot_product_attention(
    q: Input, k: Input, v: Input, bias: Input | None = ..., *, fdrop: Drop = ..., mask: Input | None = ...,
    nheads: int = ..., kv_heads: int | None = ..., causal: bool = ..., return_scores: Literal[True] = ...,
) -> tuple[Tensor, Tensor]: ...  # fmt: skip
@overload
def dot_product_attention(
    q: Input, k: Input, v: Input, bias: Input | None = ..., *, fdrop: Drop = ..., mask: Input | None = ...,
    nheads: int = ..., kv_heads: int | None = ..., causal: bool = ..., return_scores: bool,
) -> Tensor | tuple[Tensor, Tensor]: ...  # fmt: skip
@told
def dot_product_attention(
    q: Input,
    k: Input,
    v: Input,
    bias: Input | None = None,
    *,
    fdrop: Drop = identity,
    mask: Input | None = None,
    nheads: int = 1,
    kv_heads: int | None = None,
    causal: bool = False,
    return_scores: bool = True,
) -> Tensor | tuple[Tensor, Tensor]:
    """`softmax(q kᵀ / √features + bias) v` for each of `nheads` equal parts of the features.

    `q` is `(…, queries, features)`, `k` `(…, keys, features)`, `v` `(…, keys, values)`, where `…` are any
    axes of batches. Returns the result, `(…, queries, values)`, and the scores, which are the softmax:
    `(…, nheads, queries, keys)`. With `return_scores=False` it returns the result alone, and the scores are
    never whole in memory: faster, and memory grows with the length and not with its square.

    Keys and values may have fewer heads, `kv_heads`, which divide those of the queries: neighbouring heads of queries
    share one, `nheads / kv_heads` of them. Nothing is copied for that.

    `bias` and `mask` broadcast to the shape of the scores. `bias` is added before the softmax. `mask` is
    boolean, True keeps; one of keys that are padding, `(batch, keys)`, is given as `mask[:, None, None, :]`.
    `causal=True` hides the keys behind a query's own place. A query that sees no key gives zeros, in scores
    and result. `fdrop` is applied to the scores. Sizes that do not fit raise ShapeError, a mask that is not
    boolean DTypeError.

    Ref: NNlib's `dot_product_attention`; Vaswani et al., Attention is all you need, 2017; for shared heads Ainslie et
    al., GQA, 2023; for the way it is computed Dao et al., FlashAttention, 2022.

    >>> import oxiflux as flux
    >>> q, k, v = flux.rand(2, 20, 10), flux.rand(2, 30, 10), flux.rand(2, 30, 20)
    >>> y, scores = flux.dot_product_attention(q, k, v, nheads=5)
    >>> y.shape, scores.shape
    ((2, 20, 20), (2, 5, 20, 30))
    >>> k, v = flux.rand(2, 30, 2), flux.rand(2, 30, 4)
    >>> flux.dot_product_attention(q, k, v, nheads=5, kv_heads=1, return_scores=False).shape
    (2, 20, 20)
    """
    return_scores = flag("dot_product_attention", "return_scores", return_scores)
    heads = (nheads, nheads if kv_heads is None else kv_heads)
    if fdrop is identity and not return_scores:
        return _core.attention(q, k, v, bias, mask, heads, causal)
    scores = fdrop(_core.attention_scores(q, k, bias, mask, heads, causal))
    y = _core.attention_apply(scores, v, heads[1])
    return (y, scores) if return_scores else y


@told
def dot_product_attention_scores(
    q: Input,
    k: Input,
    bias: Input | None = None,
    *,
    fdrop: Drop = identity,
    mask: Input | None = None,
) -> Tensor:
    """The scores of `dot_product_attention` for heads that are apart: `q` is `(…, queries, nheads, width)`,
    `k` `(…, keys, nheads, width)`, the scores are `(…, nheads, queries, keys)`. Keys may have fewer heads, which
    divide those of the queries, as with `kv_heads`.

    Ref: NNlib's `dot_product_attention_scores`.

    >>> import oxiflux as flux
    >>> q, k = flux.rand(2, 20, 5, 4), flux.rand(2, 30, 5, 4)
    >>> flux.dot_product_attention_scores(q, k).shape
    (2, 5, 20, 30)
    """
    q, k = _core.asarray(q), _core.asarray(k)
    if (
        min(q.ndim, k.ndim) < 3
        or q.shape[-1] != k.shape[-1]
        or q.shape[-2] % max(1, k.shape[-2])
        or (k.shape[-2] == 0 != q.shape[-2])
    ):
        raise ShapeError(
            f"dot_product_attention_scores: queries {q.shape} and keys {k.shape} differ in their last two axes, "
            "heads and features"
        )
    nheads, kv_heads = q.shape[-2], k.shape[-2]
    q, k = (x.reshape((*x.shape[:-2], x.shape[-2] * x.shape[-1])) for x in (q, k))
    return fdrop(_core.attention_scores(q, k, bias, mask, (nheads, kv_heads)))


class MultiHeadAttention(Layer):
    """Attention of several heads between four dense layers: `out_proj(attention(q_proj(q), k_proj(k),
    v_proj(v)))`.

    `dims` is the number of features everywhere; or `(in, qkv, out)`, where `in` may be `(q, k, v)` and `qkv`
    may be `(qk, v)`. The parts that attention sees are divided among `nheads`. `bias` and `init` are those of
    the dense layers. `attn_drop` is a `Dropout` of the scores with probability `dropout_prob`; while it drops
    any, the scores are whole in memory.

    With `kv_heads`, which divides `nheads`, keys and values have so many heads, each of which neighbouring heads of
    queries share, and the projections of keys and values are as much smaller. `positions` is applied to the queries and
    keys behind their projections, such as a `RotaryEncoding` of the width of a head.

    Called with queries `(…, queries, features)`, keys and values `(…, keys, features)`; without values they
    are the keys, without keys the queries. `bias`, `mask` and `causal` are those of `dot_product_attention`.
    Unlike Flux's layer it returns the result alone; with `return_scores=True` the result and the scores,
    `(…, nheads, queries, keys)`.

    Ref: Vaswani et al., Attention is all you need, 2017.

    >>> import oxiflux as flux
    >>> mha = flux.MultiHeadAttention(64, nheads=8)
    >>> mha
    MultiHeadAttention(64; nheads=8)  # 16_384 parameters
    >>> q, k = flux.rand(32, 10, 64), flux.rand(32, 20, 64)
    >>> mha(q, causal=True).shape
    (32, 10, 64)
    >>> flux.MultiHeadAttention(64, nheads=8, kv_heads=2, positions=flux.RotaryEncoding(8))
    MultiHeadAttention(64; nheads=8, kv_heads=2, positions=RotaryEncoding(8))  # 10_240 parameters
    >>> y, scores = mha(q, k, return_scores=True)
    >>> y.shape, scores.shape
    ((32, 10, 64), (32, 8, 10, 20))
    """

    open_at: ClassVar[int | None] = 0

    nheads: int
    # What files of earlier versions lack.
    kv_heads: int | None = None
    positions: Callable[[Tensor], Tensor] | None = None
    q_proj: Dense
    k_proj: Dense
    v_proj: Dense
    attn_drop: Dropout
    out_proj: Dense

    def __init__(
        self,
        dims: int | tuple[int | tuple[int, int, int], int | tuple[int, int], int] | None,
        *,
        nheads: int = 8,
        bias: bool = False,
        init: Callable[[tuple[int, int]], Any] = glorot_uniform,
        dropout_prob: float = 0.0,
        kv_heads: int | None = None,
        positions: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        (q_in, k_in, v_in), (qk, v), out = _sizes(dims)
        if not _is_size(nheads) or nheads < 1:
            raise ValueError(f"MultiHeadAttention: nheads is a positive integer, got {nheads!r}")
        if qk % nheads or v % nheads:
            raise ValueError(f"MultiHeadAttention: {qk} and {v} features do not divide into {nheads} heads")
        if kv_heads is not None and (not _is_size(kv_heads) or kv_heads < 1 or nheads % kv_heads):
            raise ValueError(f"MultiHeadAttention: kv_heads must divide {nheads} heads, got {kv_heads!r}")
        if positions is not None and not callable(positions):
            raise TypeError(f"MultiHeadAttention: positions must be a function or layer, got {positions!r}")
        self.nheads, self.kv_heads, self.positions = nheads, kv_heads, positions
        sharing = nheads // (kv_heads or nheads)
        self.q_proj = Dense(q_in, qk, bias=bias, init=init)
        self.k_proj = Dense(k_in, qk // sharing, bias=bias, init=init)
        self.v_proj = Dense(v_in, v // sharing, bias=bias, init=init)
        self.attn_drop = Dropout(dropout_prob)
        self.out_proj = Dense(v, out, bias=bias, init=init)

    @overload
    def __call__(
        self, q: Input, k: Input | None = ..., v: Input | None = ..., bias: Input | None = ..., *,
        mask: Input | None = ..., causal: bool = ..., return_scores: Literal[False] = ...,
    ) -> Tensor: ...  # fmt: skip
    @overload
    def __call__(
        self, q: Input, k: Input | None = ..., v: Input | None = ..., bias: Input | None = ..., *,
        mask: Input | None = ..., causal: bool = ..., return_scores: bool,
    ) -> Tensor | tuple[Tensor, Tensor]: ...  # fmt: skip
    @named_any
    def __call__(
        self,
        q: Input,
        k: Input | None = None,
        v: Input | None = None,
        bias: Input | None = None,
        *,
        mask: Input | None = None,
        causal: bool = False,
        return_scores: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """The result, or with `return_scores` the result and the scores."""
        k = q if k is None else k
        v = k if v is None else v
        drop, positions = self.attn_drop, self.positions
        q, k, v = self.q_proj(q), self.k_proj(k), self.v_proj(v)
        found = dot_product_attention(
            q if positions is None else positions(q),
            k if positions is None else positions(k),
            v,
            bias,
            fdrop=drop if drop.p > 0 and drop.is_active() else identity,
            mask=mask,
            nheads=self.nheads,
            kv_heads=self.kv_heads,
            causal=causal,
            return_scores=return_scores,
        )
        if isinstance(found, tuple):
            return self.out_proj(found[0]), found[1]
        return self.out_proj(found)

    def products(self, inputs: list[tuple[int, ...]], _: Any) -> int:
        """Those of the projections, the scores, and the values with the scores."""
        queries, keys = inputs[0], inputs[1] if len(inputs) > 1 else inputs[0]
        count, others = math.prod(queries[:-1]), math.prod(keys[:-1])
        projections = count * (self.q_proj.weight.size + self.out_proj.weight.size)
        projections += others * (self.k_proj.weight.size + self.v_proj.weight.size)
        return projections + count * keys[-2] * (self.q_proj.weight.shape[1] + self.out_proj.weight.shape[0])

    def describe(self) -> str:
        """The layer on one line."""
        (q, qk), (k, _), (v, _) = (p.weight.shape for p in (self.q_proj, self.k_proj, self.v_proj))
        values, out = self.out_proj.weight.shape
        inputs = q if q == k == v else (q, k, v)
        inner = qk if qk == values else (qk, values)
        dims = f"{inputs}" if inputs == inner == out else f"{inputs} => {inner} => {out}"
        bias = ", bias=True" if self.q_proj.bias is not None else ""
        drop = f", dropout_prob={self.attn_drop.p}" if self.attn_drop.p > 0 else ""
        shared = f", kv_heads={self.kv_heads}" if self.kv_heads is not None else ""
        places = f", positions={describe(self.positions)}" if self.positions is not None else ""
        return f"MultiHeadAttention({dims}; nheads={self.nheads}{shared}{bias}{drop}{places})"


def _is_size(n: Any) -> bool:
    return isinstance(n, (int, np.integer)) and not isinstance(n, bool) and int(n) >= 0


def _sizes(dims: Any) -> tuple[tuple[int, int, int], tuple[int, int], int]:
    """The features of the inputs, of what attention sees, and of the result."""
    inputs, inner, out = dims if isinstance(dims, tuple) and len(dims) == 3 else (dims, dims, dims)
    inputs = inputs if isinstance(inputs, tuple) else (inputs,) * 3
    inner = inner if isinstance(inner, tuple) else (inner,) * 2
    if len(inputs) != 3 or len(inner) != 2 or not all(map(_is_size, (*inputs, *inner, out))):
        raise ValueError(
            "MultiHeadAttention: dims is a number of features, or (in, qkv, out) where in may be (q, k, v) and "
            f"qkv may be (qk, v), got {dims!r}"
        )
    return inputs, inner, out
