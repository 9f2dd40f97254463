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
from .dropout import AlphaDropout, Dropout, dropout
from .embedding import Embedding, EmbeddingBag
from .flatten import flatten
from .mode import testmode, trainmode
from .normalise import BatchNorm, GroupNorm, InstanceNorm, LayerNorm
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
from .weightnorm import WeightNorm, remove_weight_norms
from .window import SamePad

__all__ = [
    "AdaptiveMaxPool",
    "AdaptiveMeanPool",
    "AlphaDropout",
    "BatchNorm",
    "Bilinear",
    "Chain",
    "Conv",
    "ConvTranspose",
    "CrossCor",
    "Dense",
    "DepthwiseConv",
    "Dropout",
    "Embedding",
    "EmbeddingBag",
    "GlobalMaxPool",
    "GlobalMeanPool",
    "GroupNorm",
    "InstanceNorm",
    "Layer",
    "LayerNorm",
    "MaxPool",
    "Maxout",
    "MeanPool",
    "MultiHeadAttention",
    "PairwiseFusion",
    "Parallel",
    "SamePad",
    "Scale",
    "SkipConnection",
    "WeightNorm",
    "activations",
    "conv",
    "depthwiseconv",
    "dot_product_attention",
    "dot_product_attention_scores",
    "dropout",
    "flatten",
    "lpnormpool",
    "make_causal_mask",
    "maxpool",
    "meanpool",
    "remove_weight_norms",
    "testmode",
    "trainmode",
]
