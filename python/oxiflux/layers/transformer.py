"""The block that transformers are made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from .. import _core
from .._core import ShapeError, Tensor, gelu, identity
from ..init import glorot_uniform
from ..show import name_of
from .attention import MultiHeadAttention
from .base import Layer, check_activation, check_sizes, named_any, shape_of
from .dense import Dense
from .dropout import Dropout
from .normalise import LayerNorm

if TYPE_CHECKING:
    from ..typing import ArrayLike

    Input = ArrayLike

__all__ = ["TransformerBlock"]


class TransformerBlock(Layer):
    """Self-attention, then two dense layers for each element, both with a skip connection and a normalisation:
    `x = x + attention(norm1(x))`, `x = x + dense2(activation(dense1(norm2(x))))`.

    `size` is the number of features, `hidden` that between the dense layers, four times as many unless given. With
    `prenorm=False` the norms come after the sums: `norm1(x + attention(x))`, as in the first transformer and by default
    in PyTorch. `norm` makes them: `RMSNorm`, or any function of the size. `dropout_prob` is that of the scores and of
    what is added, `bias` of all dense layers; `nheads`, `kv_heads`, `positions` and `init` are those of
    `MultiHeadAttention`. With `causal` no element sees a later one.

    Called with `(…, length, size)`; `mask` and `bias` are those of `dot_product_attention`. Other sizes raise
    ShapeError. Ref: Vaswani et al., "Attention is all you need", 2017; Xiong et al., "On layer normalization in the
    transformer architecture", 2020.

    >>> import oxiflux as flux
    >>> block = flux.TransformerBlock(64, nheads=8, causal=True)
    >>> block
    TransformerBlock(64; nheads=8, hidden=256, causal=True)  # 49_984 parameters
    >>> block(flux.rand(2, 10, 64)).shape
    (2, 10, 64)
    >>> positions = flux.RotaryEncoding(8)
    >>> model = flux.Chain(
    ...     flux.Embedding(1000, 64),
    ...     *[flux.TransformerBlock(64, norm=flux.RMSNorm, positions=positions, causal=True) for _ in range(3)],
    ...     flux.RMSNorm(64),
    ...     flux.Dense(64, 1000),
    ... )
    >>> model([[1, 2, 3]]).shape
    (1, 3, 1000)
    """

    open_at: ClassVar[int | None] = 0

    attention: MultiHeadAttention
    norm1: Callable[[Tensor], Tensor]
    norm2: Callable[[Tensor], Tensor]
    dense1: Dense
    dense2: Dense
    dropout: Dropout
    prenorm: bool
    causal: bool

    def __init__(
        self,
        size: int,
        nheads: int = 8,
        *,
        hidden: int | None = None,
        activation: Callable[[Tensor], Tensor] = gelu,
        prenorm: bool = True,
        norm: Callable[[int], Any] = LayerNorm,
        dropout_prob: float = 0.0,
        causal: bool = False,
        bias: bool = True,
        kv_heads: int | None = None,
        positions: Callable[[Tensor], Tensor] | None = None,
        init: Callable[[tuple[int, int]], Any] = glorot_uniform,
    ) -> None:
        check_sizes("TransformerBlock", size, 4 * size if hidden is None else hidden)
        check_activation("TransformerBlock", activation)
        hidden, bias = 4 * size if hidden is None else hidden, bool(bias)
        self.attention = MultiHeadAttention(
            size, nheads=nheads, bias=bias, init=init, dropout_prob=dropout_prob, kv_heads=kv_heads,
            positions=positions,
        )  # fmt: skip
        self.norm1, self.norm2 = norm(size), norm(size)
        self.dense1 = Dense(size, hidden, activation, bias=bias, init=init)
        self.dense2 = Dense(hidden, size, bias=bias, init=init)
        self.dropout = Dropout(dropout_prob)
        self.prenorm, self.causal = prenorm, causal

    @named_any
    def __call__(self, x: Input, *, mask: Input | None = None, bias: Input | None = None) -> Tensor:
        """The sequence after attention and the dense layers."""
        shape, size = shape_of(x), self.dense1.weight.shape[0]
        if len(shape) < 2 or shape[-1] != size:
            raise ShapeError(f"expected (…, length, {size}), got shape {shape}")
        drop = self.dropout if self.dropout.p else identity

        def attend(x: Input) -> Tensor:
            return drop(self.attention(x, mask=mask, bias=bias, causal=self.causal))

        def think(x: Tensor) -> Tensor:
            return drop(self.dense2(drop(self.dense1(x))))

        if self.prenorm:
            y = attend(self.norm1(_core.asarray(x))) + x
            return y + think(self.norm2(y))
        y = self.norm1(attend(x) + x)
        return self.norm2(y + think(y))

    def products(self, inputs: list[tuple[int, ...]], output: tuple[int, ...]) -> int:
        """Those of its parts."""
        dense = math.prod(output[:-1]) * (self.dense1.weight.size + self.dense2.weight.size)
        norms: int = sum(
            norm.products(inputs, output) for norm in (self.norm1, self.norm2) if hasattr(norm, "products")
        )
        return self.attention.products(inputs, output) + dense + norms

    def describe(self) -> str:
        """The layer on one line."""
        size, hidden = self.dense1.weight.shape
        of_attention = self.attention.describe().partition("; ")[2].removesuffix(")")
        nheads, *others = of_attention.replace(", bias=True", "").split(", ")
        parts = [nheads, f"hidden={hidden}", *others]
        if self.dense1.activation is not gelu:
            parts.append(f"activation={name_of(self.dense1.activation)}")
        if not self.prenorm:
            parts.append("prenorm=False")
        if type(self.norm1) is not LayerNorm:
            parts.append(f"norm={type(self.norm1).__name__}")
        if self.causal:
            parts.append("causal=True")
        if self.dense1.bias is None:
            parts.append("bias=False")
        return f"TransformerBlock({size}; {', '.join(parts)})"
