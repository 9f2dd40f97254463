"""Functions that people reach for, by the names of PyTorch's samples: its values, and its gradients by every input."""

import numpy as np
import pytest

import oxiflux as flux
from parity.stored import listed, stored

CASES = stored("everyday")
LA = flux.linalg
PLACES, LABELS, SIGNS = [[0, 2, 2, 1], [1, 1, 0, 0]], [0, 2, 1], [1.0, -1.0, 1.0]


def last(f):
    """A function with channels last, of which PyTorch has them first."""
    return lambda x: flux.moveaxis(f(flux.moveaxis(x, 1, -1)), -1, 1)


def apart(x, heads):
    """The heads of features as an axis before the sequence, as PyTorch has them, or back."""
    return flux.moveaxis(x, 1, 2).reshape((*x.shape[:1], x.shape[2], heads * x.shape[3]))


def grouped(q, k, v):
    y = flux.dot_product_attention(
        apart(q, 4), apart(k, 2), apart(v, 2), nheads=4, kv_heads=2, causal=True, return_scores=False
    )
    return flux.moveaxis(y.reshape((1, 3, 4, 2)), 1, 2)


def weighted(x):
    options = {"weight": [0.5, 1, 2, 1], "ignore_index": 2, "label_smoothing": 0.1}
    return flux.logitcrossentropy(x, LABELS, **options)


OTHERS = {
    "polygamma": lambda x: flux.polygamma(2, x),
    "nn.functional.hardshrink": flux.hardshrink,
    "nn.functional.prelu": flux.prelu,
    "nn.functional.rms_norm": flux.rms_norm,
    "topk": lambda x: flux.topk(x, 2, axis=1).values,
    "cummax": lambda x: flux.cummax(x, axis=1).values,
    "cummin": lambda x: flux.cummin(x, axis=1).values,
    "logcumsumexp": lambda x: flux.logcumsumexp(x, 1),
    "quantile": lambda x: flux.quantile(x, 0.3, axis=1),
    "nanquantile": lambda x: flux.nanquantile(x, 0.3, axis=1),
    "nanmean": lambda x: flux.nanmean(x, axis=1),
    "nansum": lambda x: flux.nansum(x, axis=1),
    "nn.functional.cosine_similarity": flux.cosine_similarity,
    "nn.functional.pairwise_distance": flux.pairwise_distance,
    "index_add": lambda x, v: flux.index_add(x, [0, 2, 2], v, axis=1, alpha=2),
    "index_put": lambda x, v: x.at[[0, 2]].set(v),
    "scatter": lambda x, v: flux.scatter_along(x, [[0, 2, 1, 0]], v, axis=0),
    "scatter_add": lambda x, v: flux.scatter_along(x, PLACES, v, axis=0, op="+"),
    "scatter_reduce.amax": lambda x, v: flux.scatter_along(x, PLACES, v, axis=0, op="max"),
    "scatter_reduce.prod": lambda x, v: flux.scatter_along(x, PLACES, v, axis=0, op="*"),
    "masked_scatter": lambda x, v: flux.masked_scatter(x, x > 0, v),
    "diag_embed": lambda x: flux.diag_embed(x, offset=1, axis1=0, axis2=2),
    "diagonal": lambda x: flux.diagonal(x, offset=1, axis1=0, axis2=2),
    "linalg.qr": lambda x: [flux.square(p) for p in LA.qr(x)],
    "linalg.svd": lambda x: [flux.square(p) for p in LA.svd(x, full_matrices=False)],
    "linalg.eigh": lambda x: [flux.square(p) for p in LA.eigh(x)],
    "linalg.lstsq": lambda a, b: LA.lstsq(a, b).solution,
    "linalg.matrix_power": lambda x: LA.matrix_power(x, -3),
    "fft.rfft": lambda x: flux.fft.rfft(x, 6, 1, "ortho"),
    "fft.irfft": lambda x: flux.fft.irfft(x, 5),
    "fft.hfft": lambda x: flux.fft.hfft(x, 5),
    "fft.fftn": flux.fft.fftn,
    "nn.functional.cross_entropy": weighted,
    "nn.functional.nll_loss": lambda x: flux.nll_loss(x, LABELS),
    "nn.functional.triplet_margin_loss": lambda a, b, c: flux.triplet_margin_loss(a, b, c, swap=True, p=3),
    "nn.functional.cosine_embedding_loss": lambda a, b: flux.cosine_embedding_loss(a, b, SIGNS, margin=-0.5),
    "nn.functional.margin_ranking_loss": lambda a, b: flux.margin_ranking_loss(a, b, SIGNS, margin=0.5),
    "nn.functional.interpolate.bicubic": last(
        lambda x: flux.upsample_bicubic(x, size=(3, 7), align_corners=False)
    ),
    "nn.functional.interpolate.nearest": last(lambda x: flux.upsample_nearest(x, size=(3, 7))),
    "nn.functional.max_pool2d": last(
        lambda x: flux.maxpool(x, (2, 2), stride=2, pad=1, dilation=2, ceil_mode=True)
    ),
    "nn.functional.avg_pool2d": last(
        lambda x: flux.meanpool(x, (2, 2), stride=2, pad=1, ceil_mode=True, count_include_pad=False)
    ),
    "nn.functional.pixel_unshuffle": last(lambda x: flux.pixel_unshuffle(x[:, :4], 2)),
    "nn.functional.scaled_dot_product_attention": grouped,
}


def ours(name):
    """Our function for one of PyTorch's: that of the same name, unless it is another."""
    if name in OTHERS:
        return OTHERS[name]
    if name == "nn.functional.binary_cross_entropy_with_logits":
        return events
    if "_norm." in name:
        _, function, order = name.split(".", 2)
        order = order if order in ("fro", "nuc") else float(order)
        axis = {"axis": 1} if function == "vector_norm" else {}
        return lambda x: getattr(LA, function)(x, ord=order, **axis)
    return getattr(LA if name.startswith("linalg.") else flux, name.removeprefix("linalg."))


def events(x):
    other, target = listed(CASES["kron"]["inputs"])
    return flux.logitbinarycrossentropy(
        x, 0.05 + 0.9 * flux.sigmoid(flux.tensor(target)), pos_weight=abs(other[0]) + 0.2
    )


@pytest.mark.parametrize("name", CASES)
def test_a_function_and_its_gradients_are_those_of_pytorch(name):
    kept, f = CASES[name], ours(name)
    xs = [flux.tensor(x) for x in listed(kept["inputs"])]
    expected, weights = listed(kept["ys"]), listed(kept["weights"])

    def several(*xs):
        found = f(*xs)
        return list(found) if isinstance(found, (tuple, list)) else [found]

    for y, expect in zip(several(*xs), expected, strict=True):
        assert y.dtype == "float64"
        np.testing.assert_allclose(y.numpy(), expect, rtol=1e-9, atol=1e-11)
    grads = flux.gradient(
        lambda *xs: sum((y * w).sum() for y, w in zip(several(*xs), weights, strict=True)), *xs
    )
    for grad, expect in zip(grads, listed(kept["grads"]), strict=True):
        np.testing.assert_allclose(grad.numpy(), expect, rtol=1e-8, atol=1e-10)
