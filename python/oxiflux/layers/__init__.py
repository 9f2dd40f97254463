"""The layers, a file a family."""

from .attention import (
    MultiHeadAttention,
    dot_product_attention,
    dot_product_attention_scores,
    make_causal_mask,
)
from .audio import hamming_window, hann_window, istft, melscale_filterbanks, spectrogram, stft
from .base import Layer
from .bilinear import Bilinear
from .cells import GRUCell, GRUv3Cell, LSTMCell, RNNCell, initialstates
from .chain import Chain, activations
from .conv import Conv, ConvTranspose, CrossCor, DepthwiseConv, conv, depthwiseconv
from .decibels import db_to_power, power_to_db
from .dense import Dense
from .dropout import AlphaDropout, Dropout, dropout
from .embedding import Embedding, EmbeddingBag
from .flatten import flatten
from .gather import batched_mul, batched_vec, fold, gather, scatter, unfold
from .grid import grid_sample, imrotate
from .mode import testmode, trainmode
from .normalise import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, RMSNorm
from .padding import pad_circular, pad_constant, pad_reflect, pad_repeat, pad_symmetric, pad_zeros
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
from .positions import RotaryEncoding, SinusoidalEncoding, rotary_encoding, sinusoidal_encoding
from .prelu import PReLU
from .recurrent import GRU, LSTM, RNN, GRUv3, Recurrence
from .scale import Scale
from .transformer import TransformerBlock
from .upsample import (
    PixelShuffle,
    Upsample,
    pixel_shuffle,
    pixel_unshuffle,
    upsample_bicubic,
    upsample_bilinear,
    upsample_linear,
    upsample_nearest,
    upsample_trilinear,
)
from .weightnorm import WeightNorm, remove_weight_norms
from .window import SamePad

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
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
    "GRUCell",
    "GRUv3",
    "GRUv3Cell",
    "GlobalMaxPool",
    "GlobalMeanPool",
    "GroupNorm",
    "InstanceNorm",
    "LSTMCell",
    "Layer",
    "LayerNorm",
    "MaxPool",
    "Maxout",
    "MeanPool",
    "MultiHeadAttention",
    "PReLU",
    "PairwiseFusion",
    "Parallel",
    "PixelShuffle",
    "RMSNorm",
    "RNNCell",
    "Recurrence",
    "RotaryEncoding",
    "SamePad",
    "Scale",
    "SinusoidalEncoding",
    "SkipConnection",
    "TransformerBlock",
    "Upsample",
    "WeightNorm",
    "activations",
    "batched_mul",
    "batched_vec",
    "conv",
    "db_to_power",
    "depthwiseconv",
    "dot_product_attention",
    "dot_product_attention_scores",
    "dropout",
    "flatten",
    "fold",
    "gather",
    "grid_sample",
    "hamming_window",
    "hann_window",
    "imrotate",
    "initialstates",
    "istft",
    "lpnormpool",
    "make_causal_mask",
    "maxpool",
    "meanpool",
    "melscale_filterbanks",
    "pad_circular",
    "pad_constant",
    "pad_reflect",
    "pad_repeat",
    "pad_symmetric",
    "pad_zeros",
    "pixel_shuffle",
    "pixel_unshuffle",
    "power_to_db",
    "remove_weight_norms",
    "rotary_encoding",
    "scatter",
    "sinusoidal_encoding",
    "spectrogram",
    "stft",
    "testmode",
    "trainmode",
    "unfold",
    "upsample_bicubic",
    "upsample_bilinear",
    "upsample_linear",
    "upsample_nearest",
    "upsample_trilinear",
]
