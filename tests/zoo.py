"""Every layer, a row each: how it is made, what it takes and refuses, what it prints and computes, in NumPy."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

import oxiflux as flux
import references as ref


@dataclass
class Row:
    """`takes` has the shapes of the inputs without the batch, `of` what they are made of; `computes` gets the
    arrays of the layer as attributes, then the inputs, and `trains` the same in training mode, if that differs;
    `refuses` has the shapes, with the batch, that are an error in the place of the first input.
    """

    make: Callable[[], Any]
    takes: tuple[tuple[int, ...], ...]
    prints: str
    computes: Callable[..., Any]
    trains: Callable[..., Any] | None = None
    of: str = "numbers"
    refuses: list[tuple[int, ...]] = field(kw_only=True)

    def layer(self, dtype="float32"):
        """A layer none of whose parameters is all zero or one; running statistics are as if it had trained."""
        layer, rng = self.make(), np.random.default_rng(0)
        for _, t in flux._core.leaves(layer):
            flux._core.assign(t, t + flux.tensor(0.1 + 0.3 * rng.random(t.shape)))
        return flux.f64(layer) if dtype == "float64" else layer

    def inputs(self, batch, dtype="float32"):
        rng = np.random.default_rng(1)
        return tuple(self._input((batch, *shape), dtype, rng) for shape in self.takes)

    def _input(self, shape, dtype, rng):
        if self.of == "labels":
            return rng.integers(0, 7, shape)
        # Distinct numbers that are not near one another or zero: maxima and kinks stay clear of differences.
        n = math.prod(shape)
        return (rng.permutation(np.arange(n) - n // 2 + 0.5).reshape(shape) * (5 / max(1, n))).astype(dtype)


def arrays(x):
    """A layer with arrays in the place of its tensors; a bias that it does not have is zero."""
    if isinstance(x, flux.Tensor):
        return x.numpy().astype(np.float64)
    if isinstance(x, (list, tuple)):
        return [arrays(part) for part in x]
    if isinstance(x, dict):
        return {key: arrays(part) for key, part in x.items()}
    if isinstance(x, flux.Layer):
        return SimpleNamespace(
            **{"bias": 0.0, "bias_hh": 0.0} | {key: arrays(v) for key, v in vars(x).items() if v is not None}
        )
    return x


def relu(x):
    return np.maximum(x, 0)


def dense(p, x):
    return x @ p.weight + p.bias


def conv(p, x):
    w = p.weight[::-1, ::-1] if p.flipped else p.weight
    return relu(ref.correlation(x, w, p.stride, p.pad, p.dilation, p.groups) + p.bias)


def upconv(p, x):
    return np.tanh(ref.transposed(x, p.weight, p.stride, p.pad, p.dilation, p.outpad, p.groups) + p.bias)


def pool(f, fill):
    return lambda p, x: ref.pooled(x, f, fill, p.window, p.stride, p.pad, p.dilation, p.ceil_mode)


def adaptive(f):
    def computes(p, x):
        window, stride = ref.adaptive(x.shape[1:-1], p.size)
        return ref.pooled(x, f, 0, window, stride, (0,) * (2 * len(window)))

    return computes


def over_time(step, states=1):
    """A recurrent layer that starts from zeros and returns its last state."""

    def computes(p, x):
        zeros = np.zeros((len(x), p.cell.weight_hh.shape[0]))
        y, last = ref.sequence(step, p.cell, x, *[zeros] * states)
        return (y, *last)

    return computes


def one_step(step):
    """A cell that is given its states, of which the first new one is the output too."""

    def computes(p, x, *states):
        new = step(p, x, *states)
        return (new[0], *new)

    return computes


def heads(p, q, k, v):
    q, k, v = (dense(part, x) for part, x in [(p.q_proj, q), (p.k_proj, k), (p.v_proj, v)])
    return dense(p.out_proj, ref.attention(q, k, v, nheads=p.nheads)[0])


def block(p, x):
    """A transformer block whose norms come first, with a causal attention."""
    normal = lambda norm, x: ref.normal(x, -1) * norm.scale + norm.bias
    attention, y = p.attention, normal(p.norm1, x)
    q, k, v = (dense(part, y) for part in (attention.q_proj, attention.k_proj, attention.v_proj))
    x = x + dense(attention.out_proj, ref.attention(q, k, v, nheads=attention.nheads, causal=True)[0])
    return x + dense(p.dense2, np.tanh(dense(p.dense1, normal(p.norm2, x))))


def running(p, x):
    return relu((x - p.mu) / np.sqrt(p.var + p.eps) * p.gamma + p.beta)


def dropped(p, x, lowest=0.0):
    """The input where ones of its shape are not dropped with the same seed; all rows draw after `seed(0)`."""
    flux.seed(0)
    kept = flux.dropout(flux.ones(x.shape), p.p).numpy() > 0
    return np.where(kept, x, lowest)


def alpha_dropped(p, x):
    """Scaled and shifted so that mean 0 and variance 1 stay: those of what is dropped with probability `p`."""
    lowest = -1.0507009873554805 * 1.6732632423543772
    mean, square = p.p * lowest, (1 - p.p) + p.p * lowest**2
    return (dropped(p, x, lowest) - mean) / np.sqrt(square - mean**2)


def fused(p, x, y):
    first = dense(p.layers[0], x)
    return first, dense(p.layers[1], first + y)


def weight_norm(p, x):
    v = p.layer.weight
    return x @ (p.g * v / np.linalg.norm(v, axis=0, keepdims=True)) + p.layer.bias


class WithPair(flux.Layer):
    """An LSTM cell whose state comes as two arguments."""

    def __init__(self):
        self.cell = flux.LSTMCell(2, 3)

    def __call__(self, x, h, c):
        return self.cell(x, (h, c))


ROWS = {
    # Basic
    "Dense": Row(
        lambda: flux.Dense(5, 3, flux.tanh), ((5,),),
        "Dense(5 => 3, tanh)  # 18 parameters",
        lambda p, x: np.tanh(dense(p, x)),
        refuses=[(3, 4), (3, 0), ()],
    ),
    "Bilinear": Row(
        lambda: flux.Bilinear((3, 4), 5, flux.tanh), ((3,), (4,)),
        "Bilinear((3, 4) => 5, tanh)  # 65 parameters",
        lambda p, x, y: np.tanh(np.einsum("bi,ijk,bj->bk", x, p.weight, y) + p.bias),
        refuses=[(3, 4), ()],
    ),
    "Scale": Row(
        lambda: flux.Scale(2, 3, flux.tanh), ((2, 3),),
        "Scale(2, 3, tanh)  # 12 parameters",
        lambda p, x: np.tanh(p.scale * x + p.bias),
        refuses=[(3, 2, 4), (3, 3, 3)],
    ),
    "PReLU": Row(
        lambda: flux.PReLU(3), ((5, 3),),
        "PReLU(3)  # 3 parameters",
        lambda p, x: np.where(x > 0, x, p.slope * x),
        refuses=[(5, 4), (5, 1), ()],
    ),
    "Embedding": Row(
        lambda: flux.Embedding(7, 3), ((5,),),
        "Embedding(7 => 3)  # 21 parameters",
        lambda p, x: p.weight[x], of="labels",
        refuses=[],
    ),
    "EmbeddingBag": Row(
        lambda: flux.EmbeddingBag(7, 3), ((5,),),
        "EmbeddingBag(7 => 3)  # 21 parameters",
        lambda p, x: p.weight[x].mean(-2), of="labels",
        refuses=[(3, 0), ()],
    ),
    # Containers
    "Chain": Row(
        lambda: flux.Chain(flux.Dense(3, 5, flux.tanh), flux.Dense(5, 2)), ((3,),),
        "Chain( Dense(3 => 5, tanh), # 20 parameters Dense(5 => 2), # 12 parameters ) "
        "# Total: 4 arrays, 32 parameters, 128 bytes.",
        lambda p, x: dense(p.layers[1], np.tanh(dense(p.layers[0], x))),
        refuses=[(3, 4), ()],
    ),
    "Maxout": Row(
        lambda: flux.Maxout(lambda: flux.Dense(3, 2), 2), ((3,),),
        "Maxout( Dense(3 => 2), # 8 parameters Dense(3 => 2), # 8 parameters ) "
        "# Total: 4 arrays, 16 parameters, 64 bytes.",
        lambda p, x: np.maximum(*(dense(layer, x) for layer in p.layers)),
        refuses=[(3, 4), ()],
    ),
    "SkipConnection": Row(
        lambda: flux.SkipConnection(flux.Dense(3, 3), flux.add), ((3,),),
        "SkipConnection( Dense(3 => 3), # 12 parameters add, )",
        lambda p, x: dense(p.layers, x) + x,
        refuses=[(3, 4), ()],
    ),
    "Parallel": Row(
        lambda: flux.Parallel(flux.multiply, left=flux.Dense(3, 2), right=flux.Dense(4, 2)), ((3,), (4,)),
        "Parallel( multiply, left = Dense(3 => 2), # 8 parameters right = Dense(4 => 2), # 10 parameters ) "
        "# Total: 4 arrays, 18 parameters, 72 bytes.",
        lambda p, x, y: dense(p.layers["left"], x) * dense(p.layers["right"], y),
        refuses=[(3, 4), ()],
    ),
    "PairwiseFusion": Row(
        lambda: flux.PairwiseFusion(flux.add, flux.Dense(3, 4), flux.Dense(4, 2)), ((3,), (4,)),
        "PairwiseFusion( add, Dense(3 => 4), # 16 parameters Dense(4 => 2), # 10 parameters ) "
        "# Total: 4 arrays, 26 parameters, 104 bytes.",
        fused,
        refuses=[(3, 4), ()],
    ),
    # Convolution
    "Conv": Row(
        lambda: flux.Conv((3, 2), 4, 6, flux.relu, stride=2, pad=(1, 0, 0, 1), groups=2, flipped=True),
        ((5, 7, 4),),
        "Conv((3, 2), 4 => 6, relu; pad=(1, 0, 0, 1), stride=2, groups=2, flipped=True)  # 78 parameters",
        conv,
        refuses=[(5, 7, 4), (3, 5, 7, 3), (3, 1, 7, 4), (3, 5, 0, 4), (3, 5, 7, 2, 4), ()],
    ),
    "CrossCor": Row(
        lambda: flux.CrossCor((3,), 2, 3, flux.relu, dilation=2, bias=False), ((7, 2),),
        "CrossCor((3,), 2 => 3, relu; dilation=2, bias=False)  # 18 parameters",
        conv,
        refuses=[(7, 2), (3, 4, 2), (3, 7, 3)],
    ),
    "ConvTranspose": Row(
        lambda: flux.ConvTranspose((2, 3), 4, 2, flux.tanh, stride=2, pad=1, outpad=(1, 0), groups=2),
        ((3, 3, 4),),
        "ConvTranspose((2, 3), 4 => 2, tanh; pad=1, stride=2, groups=2, outpad=(1, 0))  # 26 parameters",
        upconv,
        refuses=[(3, 3, 4), (3, 3, 3, 5), (3, 0, 3, 4)],
    ),
    # Pooling
    "MaxPool": Row(
        lambda: flux.MaxPool((3, 2), stride=2, pad=1), ((5, 7, 3),),
        "MaxPool((3, 2), pad=1, stride=2)",
        pool(np.max, -np.inf),
        refuses=[(5, 7, 3), (3, 0, 7, 3), (3, 5, 7)],
    ),
    "MeanPool": Row(
        lambda: flux.MeanPool((2,), pad=(1, 0), stride=3, dilation=2, ceil_mode=True, count_include_pad=False),
        ((7, 3),),
        "MeanPool((2,), pad=(1, 0), stride=3, dilation=2, ceil_mode=True, count_include_pad=False)",
        pool(np.nanmean, np.nan),
        refuses=[(7, 3), (3, 1, 3), (3, 7, 3, 1)],
    ),
    "AdaptiveMaxPool": Row(
        lambda: flux.AdaptiveMaxPool((2, 3)), ((5, 7, 3),), "AdaptiveMaxPool((2, 3))", adaptive(np.max),
        refuses=[(5, 7, 3), (3, 1, 7, 3), (3, 5, 2, 3)],
    ),
    "AdaptiveMeanPool": Row(
        lambda: flux.AdaptiveMeanPool((2, 3)), ((5, 7, 3),), "AdaptiveMeanPool((2, 3))", adaptive(np.mean),
        refuses=[(5, 7, 3), (3, 1, 7, 3), (3, 5, 2, 3)],
    ),
    "GlobalMaxPool": Row(
        flux.GlobalMaxPool, ((5, 7, 3),), "GlobalMaxPool()", lambda p, x: x.max((1, 2), keepdims=True),
        refuses=[(5, 3), (3, 0, 3), ()],
    ),
    "GlobalMeanPool": Row(
        flux.GlobalMeanPool, ((5, 7, 3),), "GlobalMeanPool()", lambda p, x: x.mean((1, 2), keepdims=True),
        refuses=[(5, 3), (3, 0, 3), ()],
    ),
    # Recurrence
    "RNNCell": Row(
        lambda: flux.RNNCell(2, 3), ((2,), (3,)), "RNNCell(2 => 3, tanh)  # 18 parameters", one_step(ref.rnn),
        refuses=[(3, 3), (3, 1, 2), ()],
    ),
    "LSTMCell": Row(
        WithPair, ((2,), (3,), (3,)),
        "WithPair( cell = LSTMCell(2 => 3), # 72 parameters )  # Total: 3 arrays, 72 parameters, 288 bytes.",
        lambda p, *x: one_step(ref.lstm)(p.cell, *x),
        refuses=[(3, 3), (3, 1, 2), ()],
    ),
    "GRUCell": Row(
        lambda: flux.GRUCell(2, 3, recurrent_bias=True), ((2,), (3,)),
        "GRUCell(2 => 3; recurrent_bias=True)  # 63 parameters",
        one_step(ref.gru),
        refuses=[(3, 3), (3, 1, 2), ()],
    ),
    "GRUv3Cell": Row(
        lambda: flux.GRUv3Cell(2, 3), ((2,), (3,)), "GRUv3Cell(2 => 3)  # 54 parameters", one_step(ref.gruv3),
        refuses=[(3, 3), (3, 1, 2), ()],
    ),
    "RNN": Row(
        lambda: flux.RNN(2, 3, return_state=True), ((5, 2),),
        "RNN(2 => 3, tanh)  # 18 parameters",
        over_time(ref.rnn),
        refuses=[(3, 5, 3), (3, 0, 2), (2,), (1, 3, 5, 2)],
    ),
    "LSTM": Row(
        lambda: flux.LSTM(2, 3, return_state=True), ((5, 2),),
        "LSTM(2 => 3)  # 72 parameters",
        over_time(ref.lstm, states=2),
        refuses=[(3, 5, 3), (3, 0, 2), (2,), (1, 3, 5, 2)],
    ),
    "GRU": Row(
        lambda: flux.GRU(2, 3, return_state=True), ((5, 2),), "GRU(2 => 3)  # 54 parameters", over_time(ref.gru),
        refuses=[(3, 5, 3), (3, 0, 2), (2,), (1, 3, 5, 2)],
    ),
    "GRUv3": Row(
        lambda: flux.GRUv3(2, 3, return_state=True), ((5, 2),),
        "GRUv3(2 => 3)  # 54 parameters",
        over_time(ref.gruv3),
        refuses=[(3, 5, 3), (3, 0, 2), (2,), (1, 3, 5, 2)],
    ),
    "Recurrence": Row(
        lambda: flux.Recurrence(flux.RNNCell(2, 3), return_state=True), ((5, 2),),
        "Recurrence( RNNCell(2 => 3, tanh), # 18 parameters ) # Total: 3 arrays, 18 parameters, 72 bytes.",
        over_time(ref.rnn),
        refuses=[(3, 5, 3), (3, 0, 2), (2,), (1, 3, 5, 2)],
    ),
    # Normalisation
    "BatchNorm": Row(
        lambda: flux.BatchNorm(3, flux.relu), ((4, 5, 3),),
        "BatchNorm(3, relu)  # 6 parameters, plus 6 non-trainable",
        running,
        trains=lambda p, x: relu(ref.normal(x, (0, 1, 2)) * p.gamma + p.beta),
        refuses=[(3, 4), (3,), ()],
    ),
    "LayerNorm": Row(
        lambda: flux.LayerNorm(5, 3), ((2, 5, 3),),
        "LayerNorm(5, 3)  # 30 parameters",
        lambda p, x: ref.normal(x, (2, 3)) * p.scale + p.bias,
        refuses=[(3, 2, 5, 4), (3, 2, 15), (3,), ()],
    ),
    "RMSNorm": Row(
        lambda: flux.RMSNorm(5, 3, flux.tanh), ((2, 5, 3),),
        "RMSNorm(5, 3, tanh)  # 15 parameters",
        lambda p, x: np.tanh(ref.root_mean_square(x, (2, 3)) * p.scale),
        refuses=[(3, 2, 5, 4), (3, 2, 15), (3,), ()],
    ),
    "InstanceNorm": Row(
        lambda: flux.InstanceNorm(3, affine=True), ((4, 5, 3),),
        "InstanceNorm(3)  # 6 parameters",
        lambda p, x: ref.normal(x, (1, 2)) * p.gamma + p.beta,
        refuses=[(3, 4, 2), (3, 3), ()],
    ),
    "GroupNorm": Row(
        lambda: flux.GroupNorm(6, 2), ((3, 5, 6),),
        "GroupNorm(6, 2)  # 12 parameters",
        lambda p, x: ref.grouped(x, 2) * p.gamma + p.beta,
        refuses=[(3, 4), (6,), ()],
    ),
    "WeightNorm": Row(
        lambda: flux.WeightNorm(flux.Dense(3, 2)), ((3,),),
        "WeightNorm( Dense(3 => 2), # 8 parameters float32 tensor (1, 2), # 2 parameters 'weight', 0, ) "
        "# Total: 3 arrays, 10 parameters, 40 bytes.",
        weight_norm,
        refuses=[(3, 4), ()],
    ),
    "Dropout": Row(
        lambda: flux.Dropout(0.4), ((5, 3),),
        "Dropout(0.4)",
        lambda p, x: x,
        trains=lambda p, x: dropped(p, x) / 0.6,
        refuses=[],
    ),
    "AlphaDropout": Row(
        lambda: flux.AlphaDropout(0.4), ((5, 3),), "AlphaDropout(0.4)", lambda p, x: x, trains=alpha_dropped,
        refuses=[],
    ),
    # Attention
    "MultiHeadAttention": Row(
        lambda: flux.MultiHeadAttention(((6, 4, 5), (4, 6), 3), nheads=2, bias=True),
        ((3, 6), (7, 4), (7, 5)),
        "MultiHeadAttention((6, 4, 5) => (4, 6) => 3; nheads=2, bias=True)  # 105 parameters",
        heads,
        refuses=[(3, 3, 5), ()],
    ),
    "TransformerBlock": Row(
        lambda: flux.TransformerBlock(6, 2, hidden=5, activation=flux.tanh, causal=True), ((4, 6),),
        "TransformerBlock(6; nheads=2, hidden=5, activation=tanh, causal=True)  # 263 parameters",
        block,
        refuses=[(3, 4, 5), (6,), ()],
    ),
    # Places
    "SinusoidalEncoding": Row(
        lambda: flux.SinusoidalEncoding(5), ((4, 5),),
        "SinusoidalEncoding(5)",
        lambda p, x: x + ref.waves(4, 5),
        refuses=[(3, 4, 6), (5,), ()],
    ),
    "RotaryEncoding": Row(
        lambda: flux.RotaryEncoding(4), ((3, 8),),
        "RotaryEncoding(4)",
        lambda p, x: ref.turned(x, 4),
        refuses=[(3, 4, 6), (8,), ()],
    ),
    # Resampling
    "Upsample": Row(
        lambda: flux.Upsample("bilinear", size=(5, 7)), ((3, 4, 2),),
        'Upsample("bilinear", size=(5, 7))',
        lambda p, x: ref.interpolated(x, (5, 7)),
        refuses=[(3, 4, 2), (3, 0, 4, 2), (3, 2, 3, 4, 2)],
    ),
    "PixelShuffle": Row(
        lambda: flux.PixelShuffle(3), ((5, 6),), "PixelShuffle(3)", lambda p, x: ref.shuffled(x, 3),
        refuses=[(3, 5, 7), (3, 6), ()],
    ),
}  # fmt: skip
