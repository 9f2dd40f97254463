"""GPT-2: which word comes next."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import _core
from .._core import ShapeError, Tensor, gelu_tanh
from ..init import truncated_normal
from ..layers import Dropout, Embedding, Layer, LayerNorm, TransformerBlock

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = ["GPT2"]


class GPT2(Layer):
    """The decoder GPT-2: the numbers of words, `(batch, length)`, become logits of what follows each,
    `(batch, length, vocabulary)`.

    `vocabulary` is how many words there are, `size` the number of features, `depth` that of blocks and `nheads` that of
    heads; `hidden` is the width within a block, `4 * size` unless given. Texts are of up to `places` words; longer ones
    raise ShapeError. The head is the table of words; `features` gives what it sees. Parameters are made by `init`. Ref:
    Radford et al., "Language models are unsupervised multitask learners", 2019; `GPT2LMHeadModel` of transformers.

    >>> import oxiflux as flux
    >>> from oxiflux.huggingface import GPT2
    >>> model = GPT2(vocabulary=100, size=16, depth=2, nheads=4, places=32)
    >>> model([[5, 3, 8]]).shape, model.features([[5, 3, 8]]).shape
    ((1, 3, 100), (1, 3, 16))
    """

    words: Embedding
    places: Tensor
    dropout: Dropout
    blocks: list[TransformerBlock]
    norm: LayerNorm

    def __init__(
        self,
        vocabulary: int = 50257,
        size: int = 768,
        *,
        depth: int = 12,
        nheads: int = 12,
        hidden: int | None = None,
        places: int = 1024,
        activation: Callable[[Tensor], Tensor] = gelu_tanh,
        eps: float = 1e-5,
        dropout_prob: float = 0.0,
        init: Callable[..., Any] = truncated_normal(std=0.02),  # noqa: B008 (draws when it is called)
    ) -> None:
        norm = partial(LayerNorm, eps=eps)
        self.words, self.places = Embedding(vocabulary, size, init=init), init((places, size))
        self.dropout = Dropout(dropout_prob)
        self.blocks = [
            TransformerBlock(
                size, nheads, hidden=hidden, activation=activation, norm=norm, dropout_prob=dropout_prob, causal=True,
                init=init,
            )
            for _ in range(depth)
        ]  # fmt: skip
        self.norm = norm(size)

    def features(self, words: ArrayLike) -> Tensor:
        """The features of each word behind the last block, `(batch, length, size)`."""
        words = _core.asarray(words)
        length = words.shape[-1] if words.ndim else 0
        if words.ndim != 2 or length > len(self.places):
            raise ShapeError(
                f"GPT2: expected (batch, up to {len(self.places)}) words, got shape {words.shape}"
            )
        x = self.dropout(self.words(words) + self.places[:length])
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def __call__(self, words: ArrayLike) -> Tensor:
        """The logits of what follows each word."""
        return self.features(words) @ self.words.weight.T
