"""Functions of PyTorch on numbers, vectors and matrices, by the names of its own samples, with the gradients for all
that has one.
"""

import torch
import torch.nn.functional as F  # noqa: N812 (as everyone writes it)
from torch_functions import numbers

LA = torch.linalg


def called(f, *inputs):
    """The value of `f`, a tensor or several, and the gradients by all inputs of a weighted sum of them."""

    def case():
        xs = [x.detach().clone().requires_grad_() for x in inputs]
        found = f(*xs)
        ys = list(found) if isinstance(found, (tuple, list)) else [found]
        weights = [numbers(*y.shape, seed=90 + i) for i, y in enumerate(ys)]
        total = sum((y * w).sum() for y, w in zip(ys, weights, strict=True) if y.requires_grad)
        grads = torch.autograd.grad(total, xs, create_graph=True)
        return {"inputs": inputs, "ys": ys, "weights": weights, "grads": grads}

    return case


def plus(x):
    return x.abs() + 0.2


def between(x):
    return 0.05 + 0.9 * x.sigmoid()


def positive(x):
    return x @ x.mT + 2 * torch.eye(x.shape[-1], dtype=x.dtype)


X, Y = numbers(3, 4, seed=1), numbers(3, 4, seed=2)
CUBE = numbers(2, 3, 4, seed=3)
SQUARE = numbers(2, 3, 3, seed=4)
HOLES = torch.where(numbers(3, 4, seed=5) > 0.8, torch.nan, X)
LABELS, SIGNS = torch.tensor([0, 2, 1]), torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)
IMAGE = numbers(1, 2, 5, 4, seed=6)
PLACES = torch.tensor([[0, 2, 2, 1], [1, 1, 0, 0]])

EVERYDAY = {
    **{name: called(getattr(torch, name), X) for name in ("exp2", "erf", "erfc", "sinc", "nan_to_num")},
    **{name: called(getattr(torch, name), plus(X)) for name in ("rsqrt", "lgamma", "digamma")},
    **{name: called(getattr(torch, name), between(X)) for name in ("erfinv", "logit")},
    **{
        name: called(getattr(torch, name), X, Y)
        for name in ("fmod", "fmin", "fmax", "hypot", "cdist", "kron")
    },
    "polygamma": called(lambda x: torch.polygamma(2, x), plus(X)),
    "xlogy": called(torch.xlogy, X, plus(Y)),
    "lerp": called(torch.lerp, X, Y, between(X)),
    "nn.functional.hardshrink": called(F.hardshrink, X),
    "nn.functional.prelu": called(F.prelu, X, numbers(4, seed=7)),
    "nn.functional.rms_norm": called(lambda x, w: F.rms_norm(x, (4,), w, 1e-6), X, numbers(4, seed=8)),
    "topk": called(lambda x: torch.topk(x, 2, 1).values, CUBE),
    "cummax": called(lambda x: torch.cummax(x, 1).values, CUBE),
    "cummin": called(lambda x: torch.cummin(x, 1).values, CUBE),
    "logcumsumexp": called(lambda x: torch.logcumsumexp(x, 1), CUBE),
    "quantile": called(lambda x: torch.quantile(x, 0.3, 1), CUBE),
    "nanquantile": called(lambda x: torch.nanquantile(x, 0.3, 1), HOLES),
    "nanmean": called(lambda x: torch.nanmean(x, 1), HOLES),
    "nansum": called(lambda x: torch.nansum(x, 1), HOLES),
    "cov": called(torch.cov, X),
    "corrcoef": called(torch.corrcoef, X),
    "trapezoid": called(torch.trapezoid, X, Y),
    "nn.functional.cosine_similarity": called(lambda a, b: F.cosine_similarity(a, b, -1), X, Y),
    "nn.functional.pairwise_distance": called(F.pairwise_distance, X, Y),
    "index_add": called(lambda x, v: x.index_add(1, torch.tensor([0, 2, 2]), v, alpha=2), X, X[:, :3]),
    "index_put": called(lambda x, v: x.index_put((torch.tensor([0, 2]),), v), X, Y[:2]),
    "scatter": called(lambda x, v: x.scatter(0, torch.tensor([[0, 2, 1, 0]]), v), X, Y[:1]),
    "scatter_add": called(lambda x, v: x.scatter_add(0, PLACES, v), X, Y[:2]),
    "scatter_reduce.amax": called(lambda x, v: x.scatter_reduce(0, PLACES, v, "amax"), X, Y[:2]),
    "scatter_reduce.prod": called(lambda x, v: x.scatter_reduce(0, PLACES, v, "prod"), X, Y[:2]),
    "masked_scatter": called(lambda x, v: x.masked_scatter(x > 0, v), X, Y),
    "diag_embed": called(lambda x: torch.diag_embed(x, 1, 0, 2), X),
    "diagonal": called(lambda x: torch.diagonal(x, 1, 0, 2), CUBE),
    "linalg.cross": called(LA.cross, X[:, :3], Y[:, :3]),
    "linalg.inv": called(LA.inv, SQUARE),
    "linalg.solve": called(LA.solve, SQUARE, CUBE),
    "linalg.det": called(LA.det, SQUARE),
    "linalg.slogdet": called(LA.slogdet, SQUARE),
    "linalg.cholesky": called(lambda x: LA.cholesky((x + x.mT) / 2), positive(SQUARE)),
    "linalg.qr": called(lambda x: [p.square() for p in LA.qr(x)], CUBE.mT),
    "linalg.svd": called(lambda x: [p.square() for p in LA.svd(x, full_matrices=False)], CUBE),
    "linalg.svdvals": called(LA.svdvals, CUBE),
    "linalg.eigh": called(lambda x: [p.square() for p in LA.eigh((x + x.mT) / 2)], positive(SQUARE)),
    "linalg.eigvalsh": called(lambda x: LA.eigvalsh((x + x.mT) / 2), positive(SQUARE)),
    "linalg.pinv": called(LA.pinv, CUBE),
    "linalg.lstsq": called(lambda a, b: LA.lstsq(a, b).solution, CUBE.mT, CUBE.mT),
    "linalg.matrix_power": called(lambda x: LA.matrix_power(x, -3), SQUARE),
    **{
        f"linalg.matrix_norm.{ord}": called(lambda x, o=ord: LA.matrix_norm(x, o), CUBE)
        for ord in ("fro", "nuc", 1, -2)
    },
    **{
        f"linalg.vector_norm.{ord}": called(lambda x, o=ord: LA.vector_norm(x, o, 1), CUBE)
        for ord in (0.5, 1, 3, -1)
    },
    "fft.rfft": called(lambda x: torch.view_as_real(torch.fft.rfft(x, 6, 1, "ortho")), CUBE),
    "fft.irfft": called(lambda x: torch.fft.irfft(torch.view_as_complex(x), 5), numbers(3, 3, 2, seed=9)),
    "fft.hfft": called(lambda x: torch.fft.hfft(torch.view_as_complex(x), 5), numbers(3, 3, 2, seed=9)),
    "fft.fftn": called(
        lambda x: torch.view_as_real(torch.fft.fftn(torch.view_as_complex(x))), numbers(3, 4, 2, seed=9)
    ),
    "nn.functional.cross_entropy": called(
        lambda x: F.cross_entropy(
            x, LABELS, torch.tensor([0.5, 1, 2, 1], dtype=x.dtype), ignore_index=2, label_smoothing=0.1
        ),
        X,
    ),
    "nn.functional.nll_loss": called(lambda x: F.nll_loss(x, LABELS), X),
    "nn.functional.binary_cross_entropy_with_logits": called(
        lambda x: F.binary_cross_entropy_with_logits(x, between(Y), pos_weight=plus(X[0])), X
    ),
    "nn.functional.triplet_margin_loss": called(
        lambda a, b, c: F.triplet_margin_loss(a, b, c, swap=True, p=3), X, Y, X.flip(1)
    ),
    "nn.functional.cosine_embedding_loss": called(
        lambda a, b: F.cosine_embedding_loss(a, b, SIGNS, margin=-0.5), X, Y
    ),
    "nn.functional.margin_ranking_loss": called(
        lambda a, b: F.margin_ranking_loss(a, b, SIGNS, margin=0.5), X[:, 0], Y[:, 0]
    ),
    "nn.functional.interpolate.bicubic": called(
        lambda x: F.interpolate(x, size=(3, 7), mode="bicubic"), IMAGE
    ),
    "nn.functional.interpolate.nearest": called(lambda x: F.interpolate(x, size=(3, 7)), IMAGE),
    "nn.functional.max_pool2d": called(lambda x: F.max_pool2d(x, 2, 2, 1, dilation=2, ceil_mode=True), IMAGE),
    "nn.functional.avg_pool2d": called(
        lambda x: F.avg_pool2d(x, 2, 2, 1, ceil_mode=True, count_include_pad=False), IMAGE
    ),
    "nn.functional.pixel_unshuffle": called(lambda x: F.pixel_unshuffle(x[:, :, :4], 2), IMAGE),
    "nn.functional.scaled_dot_product_attention": called(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True),
        numbers(1, 4, 3, 2, seed=10),
        numbers(1, 2, 3, 2, seed=11),
        numbers(1, 2, 3, 2, seed=12),
    ),
}

THEMES = {"everyday": EVERYDAY}
