"""The layers, a file a family."""

from .base import Layer
from .bilinear import Bilinear
from .chain import Chain, activations
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
    "Dense",
    "Embedding",
    "EmbeddingBag",
    "GlobalMaxPool",
    "GlobalMeanPool",
    "Layer",
    "MaxPool",
    "Maxout",
    "MeanPool",
    "PairwiseFusion",
    "Parallel",
    "SamePad",
    "Scale",
    "SkipConnection",
    "activations",
    "flatten",
    "lpnormpool",
    "maxpool",
    "meanpool",
]
