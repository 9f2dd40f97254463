"""Attention: what each option does to the result and the scores."""

import numpy as np

import oxiflux as flux
import references as ref
from options.layers import called, identity
from options.rows import Pair, Row, numbers, others

QUERIES, KEYS, VALUES = numbers(2, 3, 4), numbers(2, 5, 4) * 2, numbers(2, 5, 6)
SCORE_BIAS = numbers(2, 2, 3, 5) * 3
MASK = numbers(2, 1, 3, 5) > -0.4


def attention(bias=None, fdrop=identity, mask=None, nheads=1, causal=False, return_scores=True):
    if bias is not None:
        bias = bias[:, :nheads]
    _, scores = ref.attention(QUERIES, KEYS, VALUES, bias, mask, nheads, causal)
    scores = fdrop(scores)
    parts = np.split(VALUES, nheads, axis=-1)
    y = np.concatenate([scores[:, h] @ part for h, part in enumerate(parts)], axis=-1)
    return (y, scores) if return_scores else y


def score_heads(x):
    return x.reshape(*x.shape[:-1], 2, -1)


SELF = numbers(2, 4, 8)


def multi_head(
    nheads=8, bias=False, init=numbers, p=0.0, k=None, v=None, score_bias=None, mask=None, causal=False,
    return_scores=False,
):  # fmt: skip
    """Self-attention of eight features unless keys and values are given; with a dropout that is known."""
    w = init(8, 8).astype(np.float64)
    shift = 0 if bias is False else bias
    k = SELF if k is None else k
    q, k, v = (x @ w + shift for x in (SELF, k, k if v is None else v))
    _, scores = ref.attention(q, k, v, score_bias, mask, nheads, causal)
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
        {"nheads": 2, "bias": Pair(True, 0.5), "init": others, "dropout_prob": 0.3},
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
        lambda bias=None, nheads=1, **o: flux.dot_product_attention(
            QUERIES, KEYS, VALUES, None if bias is None else bias[:, :nheads], nheads=nheads, **o
        ),
        attention,
        {
            "bias": SCORE_BIAS, "fdrop": lambda x: x * 0.5, "mask": MASK, "nheads": 2, "causal": True,
            "return_scores": False,
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


ROWS = ATTENTION
