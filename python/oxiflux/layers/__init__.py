"""The layers, a file a family."""

from .attention import (
    MultiHeadAttention,
    dot_product_attention,
    dot_product_attention_scores,
    make_causal_mask,
)
from .base import Layer
from .bilinear import Bilinear
from .chain import Chain, activations
from .conv import Conv, ConvTranspose, CrossCor, DepthwiseConv, conv, depthwiseconv
from .dense import Dense
from .embedding import Embedding, EmbeddingBag
from .flatten import flatten
from .parallel import Maxout, PairwiseFusion, Parallel, SkipConnection
from .pool import (
    AdaptiveMaxPool,
    AdaptiveMeanPool,
    GlobalMaxPool,
    GlobalMeanPool,
    MaxPool,
    MeanPool,
    lpnormpool,
    maxpool,
    meanpool,
)
from .scale import Scale
from .window import SamePad

__all__ = [
    "AdaptiveMaxPool",
    "AdaptiveMeanPool",
    "Bilinear",
    "Chain",
    "Conv",
    "ConvTranspose",
    "CrossCor",
    "Dense",
    "DepthwiseConv",
    "Embedding",
    "EmbeddingBag",
    "GlobalMaxPool",
    "GlobalMeanPool",
    "Layer",
    "MaxPool",
    "Maxout",
    "MeanPool",
    "MultiHeadAttention",
    "PairwiseFusion",
    "Parallel",
    "SamePad",
    "Scale",
    "SkipConnection",
    "activations",
    "conv",
    "depthwiseconv",
    "dot_product_attention",
    "dot_product_attention_scores",
    "flatten",
    "lpnormpool",
    "make_causal_mask",
    "maxpool",
    "meanpool",
]
