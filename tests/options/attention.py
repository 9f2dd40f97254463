"""Attention: what each option does to the result and the scores."""

import numpy as np

import oxiflux as flux
import references as ref
from options.layers import called, identity
from options.rows import Pair, Row, With, numbers, others

QUERIES, KEYS, VALUES = numbers(2, 3, 4), numbers(2, 5, 4) * 2, numbers(2, 5, 6)
SCORE_BIAS = numbers(2, 2, 3, 5) * 3
MASK = numbers(2, 1, 3, 5) > -0.4


def fitting(kv_heads):
    """Keys and values whose heads are as wide as those of the queries with half as many."""
    return (KEYS, VALUES) if kv_heads is None else (KEYS[..., :2], VALUES[..., :3])


def attention(
    bias=None, fdrop=identity, mask=None, nheads=1, causal=False, return_scores=True, kv_heads=None
):  # fmt: skip
    if bias is not None:
        bias = bias[:, :nheads]
    keys, values = fitting(kv_heads)
    _, scores = ref.attention(QUERIES, keys, values, bias, mask, nheads, causal, kv_heads)
    scores = fdrop(scores)
    parts = np.split(ref.shared(values, nheads, kv_heads or nheads), nheads, axis=-1)
    y = np.concatenate([scores[:, h] @ part for h, part in enumerate(parts)], axis=-1)
    return (y, scores) if return_scores else y


def score_heads(x):
    return x.reshape(*x.shape[:-1], 2, -1)


SELF = numbers(2, 4, 8)


def multi_head(
    nheads=8, bias=False, init=numbers, p=0.0, k=None, v=None, score_bias=None, mask=None, causal=False,
    return_scores=False, kv_heads=None, positions=None,
):  # fmt: skip
    """Self-attention of eight features unless keys and values are given; with a dropout that is known."""
    w = init(8, 8).astype(np.float64)
    w_kv = w if kv_heads is None else init(8, 8 * kv_heads // nheads).astype(np.float64)
    shift = 0 if bias is False else bias
    k = SELF if k is None else k
    q, k, v = SELF @ w + shift, k @ w_kv + shift, (k if v is None else v) @ w_kv + shift
    if positions is not None:
        q, k = positions(q), positions(k)
    _, scores = ref.attention(q, k, v, score_bias, mask, nheads, causal, kv_heads)
    v = ref.shared(v, nheads, kv_heads or nheads)
    if p:
        flux.seed(0)
        scores = scores * flux.dropout(flux.ones(scores.shape), p).numpy()
    y = np.concatenate([scores[:, h] @ part for h, part in enumerate(np.split(v, nheads, -1))], axis=-1)
    return (y @ w + shift, scores) if return_scores else y @ w + shift


def made_attention(bias=False, **options):
    """A layer with biases that are not zero, in training mode, after a seed."""
    layer = flux.MultiHeadAttention(8, bias=bias is not False, **({"init": numbers} | options))
    for part in (layer.q_proj, layer.k_proj, layer.v_proj, layer.out_proj):
        if part.bias is not None:
            flux._core.assign(part.bias, part.bias + 0.5)
    flux.seed(0)
    return flux.trainmode(layer)


ATTENTION = {
    "MultiHeadAttention": Row(
        lambda **o: made_attention(**o)(SELF),
        lambda dropout_prob=0.0, **o: multi_head(p=dropout_prob, **o),
        {
            "nheads": 2, "bias": Pair(True, 0.5), "init": others, "dropout_prob": 0.3,
            "kv_heads": With(2, {"nheads": 4}),
            "positions": Pair(flux.RotaryEncoding(8), lambda x: ref.turned(x, 8)),
        },
        1e-5,
    ),
    "MultiHeadAttention.__call__": called(
        lambda: made_attention(nheads=2),
        (SELF,),
        lambda bias=None, **o: multi_head(nheads=2, score_bias=bias, **o),
        k=numbers(2, 3, 8), v=others(2, 4, 8), bias=numbers(2, 2, 4, 4) * 3, mask=numbers(2, 1, 4, 4) > -0.4,
        causal=True, return_scores=True,
    ),
    "dot_product_attention": Row(
        lambda bias=None, nheads=1, kv_heads=None, **o: flux.dot_product_attention(
            QUERIES, *fitting(kv_heads), None if bias is None else bias[:, :nheads],
            nheads=nheads, kv_heads=kv_heads, **o,
        ),
        attention,
        {
            "bias": SCORE_BIAS, "fdrop": lambda x: x * 0.5, "mask": MASK, "nheads": 2, "causal": True,
            "return_scores": False, "kv_heads": With(1, {"nheads": 2}),
        },
        1e-5,
    ),
    "dot_product_attention_scores": Row(
        lambda **o: flux.dot_product_attention_scores(score_heads(QUERIES), score_heads(KEYS), **o),
        lambda fdrop=identity, **o: fdrop(ref.attention(QUERIES, KEYS, KEYS, nheads=2, **o)[1]),
        {"bias": SCORE_BIAS, "fdrop": lambda x: x * 0.5, "mask": MASK},
        1e-5,
    ),
    "make_causal_mask": Row(
        lambda **o: flux.make_causal_mask(flux.zeros((2, 3, 5)), **o),
        lambda axis=-2: np.tri((2, 3, 5)[axis]),
        {"axis": -1},
    ),
}  # fmt: skip


# Transformers, and places


def made_block(**options):
    """A block whose norms and biases are not those of a fresh one, in training mode, after a seed."""
    block = flux.TransformerBlock(8, **({"nheads": 2, "init": numbers, "activation": flux.tanh} | options))
    for _, t in flux._core.leaves(block):
        if t.ndim == 1:
            flux._core.assign(t, t + numbers(t.size))
    flux.seed(0)
    return flux.trainmode(block)


def block_of(
    nheads=2, hidden=32, activation=np.tanh, prenorm=True, norm=None, dropout_prob=0, causal=False, bias=True,
    kv_heads=None, positions=None, init=numbers, mask=None, score_bias=None,
):  # fmt: skip
    shift = lambda n: numbers(n) if bias else 0
    if norm is None:
        normal = lambda x: ref.normal(x, -1) * (1 + numbers(8)) + numbers(8)
    else:
        normal = lambda x: ref.root_mean_square(x, -1) * (1 + numbers(8))
    drop = lambda x: x * flux.dropout(flux.ones(x.shape), dropout_prob).numpy() if dropout_prob else x
    narrow = 8 * (kv_heads or nheads) // nheads

    def attend(x):
        q, k, v = x @ init(8, 8) + shift(8), *(x @ init(8, narrow) + shift(narrow) for _ in range(2))
        q, k = (q, k) if positions is None else (positions(q), positions(k))
        _, scores = ref.attention(q, k, v, score_bias, mask, nheads, causal, kv_heads)
        scores, parts = drop(scores), np.split(ref.shared(v, nheads, kv_heads or nheads), nheads, -1)
        y = np.concatenate([scores[:, h] @ part for h, part in enumerate(parts)], axis=-1)
        return drop(y @ init(8, 8) + shift(8))

    def think(x):
        y = drop(activation(x @ init(8, hidden) + shift(hidden)))
        return drop(y @ init(hidden, 8) + shift(8))

    flux.seed(0)
    x = SELF.astype(np.float64)
    if prenorm:
        x = x + attend(normal(x))
        return x + think(normal(x))
    x = normal(x + attend(x))
    return normal(x + think(x))


PLACES = {
    "TransformerBlock": Row(
        lambda **o: made_block(**o)(SELF),
        block_of,
        {
            "nheads": 4, "hidden": 5, "activation": Pair(flux.sin, np.sin), "prenorm": False,
            "norm": flux.RMSNorm, "dropout_prob": 0.3, "causal": True, "bias": False, "kv_heads": 1,
            "positions": Pair(flux.RotaryEncoding(4), lambda x: ref.turned(x, 4)), "init": others,
        },
        1e-5,
    ),
    "TransformerBlock.__call__": called(
        made_block,
        (SELF,),
        lambda bias=None, **o: block_of(score_bias=bias, **o),
        mask=numbers(2, 1, 4, 4) > -0.4, bias=numbers(2, 2, 4, 4) * 3,
    ),
    "sinusoidal_encoding": Row(
        lambda **o: flux.sinusoidal_encoding(4, 5, **o),
        lambda **o: ref.waves(4, 5, **o),
        {"base": 10.0, "offset": 3},
        1e-5,
    ),
    "SinusoidalEncoding": Row(
        lambda **o: flux.SinusoidalEncoding(8, **o)(SELF),
        lambda **o: SELF + ref.waves(4, 8, **o),
        {"base": 10.0},
        1e-5,
    ),
    "SinusoidalEncoding.__call__": called(
        lambda: flux.SinusoidalEncoding(8), (SELF,), lambda **o: SELF + ref.waves(4, 8, **o), offset=3
    ),
    "rotary_encoding": Row(
        lambda **o: flux.rotary_encoding(SELF, **o),
        lambda width=8, **o: ref.turned(SELF, width, **o),
        {"width": 2, "base": 10.0, "offset": 3, "interleaved": True},
        1e-5,
    ),
    "RotaryEncoding": Row(
        lambda **o: flux.RotaryEncoding(4, **o)(SELF),
        lambda **o: ref.turned(SELF, 4, **o),
        {"base": 10.0, "interleaved": True},
        1e-5,
    ),
    "RotaryEncoding.__call__": called(
        lambda: flux.RotaryEncoding(4), (SELF,), lambda **o: ref.turned(SELF, 4, **o), offset=3
    ),
}  # fmt: skip


ROWS = ATTENTION | PLACES
