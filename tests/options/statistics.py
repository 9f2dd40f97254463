"""Statistics, distances and curves: what each option does, by NumPy and SciPy."""

import numpy as np
from scipy.spatial import distance

import oxiflux as flux
from options.rows import Row, With, numbers, others

X = numbers(3, 4, 2)
GAPS = np.where(np.arange(24).reshape(3, 4, 2) % 5 == 1, np.nan, X).astype(np.float32)
A, B = numbers(5, 3), others(4, 3)
COUNTED = np.array([0, 3, 3, 1])
WEIGHTS = np.array([0.5, 1.0, 2.0, 4.0], np.float32)


def same(name, *inputs, theirs=None, rtol=1e-5, **turned):
    """A function that NumPy has with the same options, or `theirs`."""
    theirs = theirs or getattr(np, name)
    return Row(lambda **o: getattr(flux, name)(*inputs, **o), lambda **o: theirs(*inputs, **o), turned, rtol)


REDUCED = {"axis": (0, 2), "keepdims": With(True, {"axis": 1})}
METHOD = {"method": "hazen"}

MISSING = {
    name: same(name, GAPS, **REDUCED) for name in ("nansum", "nanmean", "nanmax", "nanmin", "nanprod")
} | {name: same(name, GAPS, **REDUCED, correction=1) for name in ("nanvar", "nanstd")}

QUANTILES = {
    "median": same("median", X, **REDUCED),
    "nanmedian": same("nanmedian", GAPS, **REDUCED),
    "quantile": same("quantile", X, 0.3, **REDUCED, **METHOD),
    "percentile": same("percentile", X, 30, **REDUCED, **METHOD),
    "nanquantile": same("nanquantile", GAPS, 0.3, **REDUCED, **METHOD),
}

COUNTS = {
    "bincount": same("bincount", COUNTED, weights=WEIGHTS, minlength=6),
    "histogram": Row(
        lambda **o: list(flux.histogram(WEIGHTS, **o)),
        lambda **o: list(np.histogram(WEIGHTS, **o)),
        {"bins": [0.0, 1.0, 4.0], "range": (0.0, 2.0), "weights": WEIGHTS, "density": True},
    ),
}


def likeness(a, b, axis=-1, eps=1e-8):
    length = lambda x: np.maximum(np.sqrt((x**2).sum(axis)), eps)
    return (a * b).sum(axis) / (length(a) * length(b))


DISTANCES = {
    "cdist": same("cdist", A, B, theirs=lambda a, b, p=2.0: distance.cdist(a, b, "minkowski", p=p), p=3.0),
    "pairwise_distance": same(
        "pairwise_distance", A[:4], B,
        theirs=lambda a, b, p=2.0, eps=1e-6, axis=-1, keepdims=False: np.linalg.norm(
            a.astype(float) - b + eps, p, axis, keepdims
        ),
        p=1.0, eps=0.25, axis=0, keepdims=True,
    ),
    "cosine_similarity": same("cosine_similarity", A[:4], B, theirs=likeness, axis=0, eps=2.0),
}  # fmt: skip

VARIABLES = {
    "cov": same(
        "cov", A, theirs=lambda x, rowvar=True, correction=1: np.cov(x, rowvar=rowvar, ddof=correction),
        rowvar=False, correction=0,
    ),
    "corrcoef": same("corrcoef", A, rowvar=False),
    "trapezoid": Row(
        lambda x=None, **o: flux.trapezoid(X, x, **o),
        lambda x=None, **o: np.trapezoid(X, x, **o),
        {"x": With(np.array([0.0, 1.0, 3.0, 7.0]), {"axis": 1}), "dx": 0.5, "axis": 0},
        1e-5,
    ),
    "interp": same(
        "interp", np.array([-1.0, 0.3, 2.5], np.float32), np.array([0.0, 1.0, 2.0], np.float32), WEIGHTS[:3],
        left=7.0, right=9.0,
    ),
    "rms_norm": Row(
        lambda weight=None, **o: flux.rms_norm(X, weight, **o),
        lambda weight=None, axis=-1, eps=1e-6: (
            X / np.sqrt((X**2).mean(axis, keepdims=True) + eps) * (1 if weight is None else weight)
        ),
        {"weight": np.array([2.0, 3.0], np.float32), "axis": (0, 1), "eps": 0.5},
        1e-5,
    ),
    "logcumsumexp": Row(
        lambda axis=0: flux.logcumsumexp(A, axis=axis),
        lambda axis=0: np.log(np.cumsum(np.exp(A), axis)),
        {"axis": 1},
        1e-5,
    ),
}  # fmt: skip

ELEMENTS = {
    "nan_to_num": same(
        "nan_to_num", np.array([np.nan, np.inf, -np.inf, 1.0], np.float32), nan=3.0, posinf=5.0, neginf=-5.0
    ),
    "isclose": Row(
        lambda **o: flux.isclose([1.0, 2.0, np.nan], [1.0, 2.1, np.nan], **o),
        lambda **o: np.isclose([1.0, 2.0, np.nan], [1.0, 2.1, np.nan], **o),
        {"rtol": 0.1, "atol": 0.2, "equal_nan": True},
    ),
    "allclose": Row(
        lambda **o: [flux.allclose([1.0, 2.0], [1.0, 2.1], **o), flux.allclose([np.nan], [np.nan], **o)],
        lambda **o: [np.allclose([1.0, 2.0], [1.0, 2.1], **o), np.allclose([np.nan], [np.nan], **o)],
        {"rtol": 0.1, "atol": 0.2, "equal_nan": True},
    ),
    "hardshrink": same(
        "hardshrink", X, theirs=lambda x, lambd=0.5: np.where(abs(x) > lambd, x, 0), lambd=0.2
    ),
}  # fmt: skip

ROWS = MISSING | QUANTILES | COUNTS | DISTANCES | VARIABLES | ELEMENTS
