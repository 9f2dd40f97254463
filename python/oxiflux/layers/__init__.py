"""The layers, a file a family."""

from .base import Layer
from .chain import Chain, activations
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
    "Dense",
    "GlobalMaxPool",
    "GlobalMeanPool",
    "Layer",
    "MaxPool",
    "MeanPool",
    "SamePad",
    "activations",
    "flatten",
    "lpnormpool",
    "maxpool",
    "meanpool",
]
