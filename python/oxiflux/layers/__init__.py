"""The layers, a file a family."""

from .attention import (
    MultiHeadAttention,
    dot_product_attention,
    dot_product_attention_scores,
    make_causal_mask,
)
from .base import Layer
from .chain import Chain, activations
from .conv import Conv, ConvTranspose, CrossCor, DepthwiseConv, conv, depthwiseconv
from .dense import Dense
from .flatten import flatten
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
from .window import SamePad

__all__ = [
    "AdaptiveMaxPool",
    "AdaptiveMeanPool",
    "Chain",
    "Conv",
    "ConvTranspose",
    "CrossCor",
    "Dense",
    "DepthwiseConv",
    "GlobalMaxPool",
    "GlobalMeanPool",
    "Layer",
    "MaxPool",
    "MeanPool",
    "MultiHeadAttention",
    "SamePad",
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
