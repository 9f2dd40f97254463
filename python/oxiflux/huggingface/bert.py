"""BERT: every word of a text in the light of all others."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import _core
from .._core import ShapeError, Tensor, gelu_erf, tanh
from ..init import truncated_normal
from ..layers import Dense, Dropout, Embedding, Layer, LayerNorm, TransformerBlock

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = ["Bert"]


class Bert(Layer):
    """The encoder BERT: the numbers of words, `(batch, length)`, become features, `(batch, length, size)`.

    `vocabulary` is how many words there are, `size` the number of features, `depth` that of blocks and `nheads` that of
    heads; `hidden` is the width within a block, `4 * size` unless given. Texts are of up to `places` words, each of one
    of so many `kinds`, 0 unless `kinds` is given in the call, which tells two texts in one apart. `mask`,
    `(batch, length)`, is True for words and False for padding. Longer texts raise ShapeError.

    `pooler` is a dense layer that sums a text up from the features of its first word: `model.pooler(model(x)[:, 0])`;
    with `pooler=False` it is None. Parameters are made by `init`. Ref: Devlin et al., "BERT", 2019; `BertModel` of
    transformers.

    >>> import oxiflux as flux
    >>> from oxiflux.huggingface import Bert
    >>> model = Bert(vocabulary=100, size=16, depth=2, nheads=4)
    >>> model([[5, 3, 8], [2, 9, 0]], mask=[[True, True, True], [True, True, False]]).shape
    (2, 3, 16)
    """

    words: Embedding
    kinds: Embedding
    places: Tensor
    norm: LayerNorm
    dropout: Dropout
    blocks: list[TransformerBlock]
    pooler: Dense | None

    def __init__(
        self,
        vocabulary: int = 30522,
        size: int = 768,
        *,
        depth: int = 12,
        nheads: int = 12,
        hidden: int | None = None,
        places: int = 512,
        kinds: int = 2,
        activation: Callable[[Tensor], Tensor] = gelu_erf,
        eps: float = 1e-12,
        dropout_prob: float = 0.0,
        pooler: bool = True,
        init: Callable[..., Any] = truncated_normal(std=0.02),  # noqa: B008 (draws when it is called)
    ) -> None:
        norm = partial(LayerNorm, eps=eps)
        self.words, self.kinds = Embedding(vocabulary, size, init=init), Embedding(kinds, size, init=init)
        self.places = init((places, size))
        self.norm, self.dropout = norm(size), Dropout(dropout_prob)
        self.blocks = [
            TransformerBlock(
                size, nheads, hidden=hidden, activation=activation, prenorm=False, norm=norm,
                dropout_prob=dropout_prob, init=init,
            )
            for _ in range(depth)
        ]  # fmt: skip
        self.pooler = Dense(size, size, tanh, init=init) if pooler else None

    def __call__(
        self,
        words: ArrayLike,
        kinds: ArrayLike | None = None,
        *,
        mask: ArrayLike | None = None,
    ) -> Tensor:
        """The features of each word behind the last block."""
        words = _core.asarray(words)
        length = words.shape[-1] if words.ndim else 0
        if words.ndim != 2 or length > len(self.places):
            raise ShapeError(
                f"Bert: expected (batch, up to {len(self.places)}) words, got shape {words.shape}"
            )
        x = self.words(words) + self.places[:length] + self.kinds(0 * words if kinds is None else kinds)
        x = self.dropout(self.norm(x))
        if mask is not None:
            mask = _core.asarray(mask)
            if mask.shape != words.shape:
                raise ShapeError(
                    f"Bert: the mask must have the shape of the words, {words.shape}, got {mask.shape}"
                )
            mask = mask.astype("bool")[:, None, None, :]
        for block in self.blocks:
            x = block(x, mask=mask)
        return x
