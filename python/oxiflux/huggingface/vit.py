"""ViT: an image as a text of patches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import _core
from .._core import ShapeError, Tensor, gelu_erf, tanh
from ..init import truncated_normal
from ..layers import Conv, Dense, Dropout, Layer, LayerNorm, TransformerBlock

if TYPE_CHECKING:
    from ..typing import ArrayLike

__all__ = ["ViT"]


class ViT(Layer):
    """The vision transformer: images, `(batch, height, width, channels)`, become `(batch, 1 + patches, size)` features.

    An image of `image` by `image` pixels is cut into patches of `patch` by `patch`; the first features are those of a
    learnt word before them, which stand for the whole. `size` is the number of features, `depth` that of blocks and
    `nheads` that of heads; `hidden` is the width within a block, `4 * size` unless given. Other sizes of images raise
    ShapeError. `pooler` is a dense layer on the first features: `model.pooler(model(x)[:, 0])`; with `pooler=False` it
    is None. Parameters are made by `init`. Ref: Dosovitskiy et al., "An image is worth 16x16 words", 2021; `ViTModel`
    of transformers.

    >>> import oxiflux as flux
    >>> from oxiflux.huggingface import ViT
    >>> model = ViT(image=32, patch=8, size=16, depth=2, nheads=4)
    >>> model(flux.rand(2, 32, 32, 3)).shape
    (2, 17, 16)
    """

    patches: Conv
    first: Tensor
    places: Tensor
    dropout: Dropout
    blocks: list[TransformerBlock]
    norm: LayerNorm
    pooler: Dense | None

    def __init__(
        self,
        image: int = 224,
        patch: int = 16,
        size: int = 768,
        *,
        depth: int = 12,
        nheads: int = 12,
        channels: int = 3,
        hidden: int | None = None,
        activation: Callable[[Tensor], Tensor] = gelu_erf,
        eps: float = 1e-12,
        dropout_prob: float = 0.0,
        pooler: bool = True,
        init: Callable[..., Any] = truncated_normal(std=0.02),  # noqa: B008 (draws when it is called)
    ) -> None:
        if image % patch:
            raise ValueError(f"ViT: patches of {patch} do not divide an image of {image} by {image}")
        norm = partial(LayerNorm, eps=eps)
        self.patches = Conv((patch, patch), channels, size, stride=patch, init=init)
        self.first, self.places = init((1, 1, size)), init((1, 1 + (image // patch) ** 2, size))
        self.dropout = Dropout(dropout_prob)
        self.blocks = [
            TransformerBlock(
                size,
                nheads,
                hidden=hidden,
                activation=activation,
                norm=norm,
                dropout_prob=dropout_prob,
                init=init,
            )
            for _ in range(depth)
        ]
        self.norm = norm(size)
        self.pooler = Dense(size, size, tanh, init=init) if pooler else None

    def __call__(self, images: ArrayLike) -> Tensor:
        """The features of the whole and of each patch behind the last norm."""
        x = self.patches(images)
        count = x.shape[1] * x.shape[2]
        if x.shape[1] != x.shape[2] or count + 1 != self.places.shape[1]:
            raise ShapeError(
                f"ViT: expected {self.places.shape[1] - 1} patches, got {x.shape[1]} by {x.shape[2]}"
            )
        x = x.reshape((x.shape[0], count, x.shape[-1]))
        first = _core.broadcast_to(self.first, (x.shape[0], 1, x.shape[-1]))
        x = self.dropout(_core.concat([first, x], axis=1) + self.places)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)
