"""Functions of tensors: what each option does, by NumPy."""

import numpy as np
from scipy import special

import oxiflux as flux
import references as ref
from options.rows import Pair, Row, With, numbers, others

X = numbers(3, 4, 2)
SQUARE = numbers(3, 3)


def same(name, *inputs, theirs=None, rtol=1e-6, **turned):
    """A function that NumPy has with the same options, or `theirs`."""
    theirs = theirs or getattr(np, name)
    return Row(lambda **o: getattr(flux, name)(*inputs, **o), lambda **o: theirs(*inputs, **o), turned, rtol)


REDUCED = {"axis": (0, 2), "keepdims": With(True, {"axis": 1})}
BITS = X > 0
BITS[:, 0] = True

REDUCTIONS = {
    name: same(name, X, rtol=1e-5, **REDUCED) for name in ("max", "mean", "min")
} | {
    name: same(name, 3 * X, rtol=1e-5, **REDUCED, dtype=Pair("int8", np.int8)) for name in ("prod", "sum")
} | {
    name: same(name, X, rtol=1e-5, **REDUCED, correction=1) for name in ("std", "var")
} | {
    "all": same("all", BITS, axis=(0, 1), keepdims=With(True, {"axis": 1})),
    "any": same("any", X > 0.8, **REDUCED),
    "count_nonzero": same("count_nonzero", BITS, **REDUCED),
    "argmax": same("argmax", X, axis=1, keepdims=With(True, {"axis": 1})),
    "argmin": same("argmin", X, axis=1, keepdims=With(True, {"axis": 1})),
    "logsumexp": same(
        "logsumexp", X, theirs=lambda x, **o: special.logsumexp(x, **o), axis=0, keepdims=True
    ),
    "softmax": same("softmax", X, theirs=lambda x, axis=-1: special.softmax(x, axis=axis), axis=0),
    "logsoftmax": same("logsoftmax", X, theirs=lambda x, axis=-1: special.log_softmax(x, axis=axis), axis=0),
    "normalise": same(
        "normalise", X, theirs=lambda x, axis=0, eps=1e-5: ref.normal(x, axis, eps), axis=1, eps=0.5, rtol=1e-5
    ),
    "glu": same(
        "glu", X, axis=1,
        theirs=lambda x, axis=-1: (lambda a, b: a * special.expit(b))(*np.split(x, 2, axis)),
    ),
    "cross": Row(
        lambda **o: flux.cross(SQUARE, others(3, 3), **o),
        lambda axis=-1: np.cross(SQUARE, others(3, 3), axis=axis),
        {"axis": -2},
    ),
    "vecdot": Row(
        lambda **o: flux.vecdot(SQUARE, others(3, 3), **o),
        lambda axis=-1: (SQUARE * others(3, 3)).sum(axis),
        {"axis": -2},
    ),
    "trace": same("trace", SQUARE, offset=1, dtype="int64"),
}  # fmt: skip


def top(x, k, axis, largest):
    """The values and their places; no two numbers are equal."""
    places = np.take(np.argsort(-x if largest else x, axis), range(k), axis)
    return [np.take_along_axis(x, places, axis), places]


def rescaled(x, axis=0, eps=1e-5):
    low, high = x.min(axis, keepdims=True), x.max(axis, keepdims=True)
    return (x - low) / (high - low + eps)


def ordered(f):
    """Sorting, also the other way round; no two numbers are equal."""

    def formula(x, axis=-1, descending=False):
        return np.flip(f(x, axis=axis), axis) if descending else f(x, axis=axis)

    return formula


def along(name):
    """A function whose axis only a vector may leave out; of a matrix, the last is compared to the first."""
    return Row(
        lambda axis=0, **o: getattr(flux, name)(3 * SQUARE, axis=axis, **o),
        lambda axis=0, **o: getattr(np, name)(3 * SQUARE, axis=axis, **o),
        {"axis": 1, "dtype": Pair("int8", np.int8), "include_initial": True},
        1e-5,
    )


SEARCHED = np.array([1.0, 2.0, 2.0, 3.0], np.float32)

SHAPES = {
    "argsort": same("argsort", X, theirs=ordered(np.argsort), axis=1, descending=True),
    "sort": same("sort", X, theirs=ordered(np.sort), axis=1, descending=True),
    "searchsorted": same(
        "searchsorted", SEARCHED, np.array([2.0, 3.0], np.float32), side="right", sorter=np.array([3, 0, 1, 2])
    ),
    "concat": Row(lambda **o: flux.concat([X, X], **o), lambda **o: np.concatenate([X, X], **o), {"axis": 2}),
    "stack": Row(lambda **o: flux.stack([X, X], **o), lambda **o: np.stack([X, X], **o), {"axis": 2}),
    "expand_dims": Row(
        lambda axis=0: flux.expand_dims(X, axis=axis), lambda axis=0: np.expand_dims(X, axis), {"axis": 2}
    ),
    "flip": same("flip", X, axis=1),
    "repeat": same("repeat", X, 2, axis=1),
    "roll": same("roll", X, 2, axis=1),
    "split": same("split", numbers(4, 4), 2, axis=1),
    "squeeze": same("squeeze", numbers(1, 3, 1), axis=0),
    "unstack": same("unstack", X, theirs=lambda x, axis=0: list(np.moveaxis(x, axis, 0)), axis=1),
    "take": same("take", X, np.array([1, 0, 1]), theirs=lambda x, i, axis=0: np.take(x, i, axis), axis=1),
    "take_along_axis": same(
        "take_along_axis", SQUARE, np.array([[0, 2, 1]] * 3),
        theirs=lambda x, i, axis=-1: np.take_along_axis(x, i, axis), axis=0,
    ),
    "cumulative_sum": along("cumulative_sum"),
    "cumulative_prod": along("cumulative_prod"),
    "reshape": Row(
        lambda **o: flux.reshape(X, **({"shape": (24,)} | o)),
        lambda shape=(24,): X.reshape(shape),
        {"shape": (4, -1)},
    ),
    "astype": Row(
        lambda **o: flux.astype(3 * X, **({"dtype": "float32"} | o)),
        lambda dtype=np.float32: (3 * X).astype(dtype),
        {"dtype": Pair("int8", np.int8)},
    ),
    "permute_dims": Row(
        lambda **o: flux.permute_dims(X, **({"axes": (2, 1, 0)} | o)),
        lambda axes=(2, 1, 0): np.transpose(X, axes),
        {"axes": (1, 0, 2)},
    ),
    "diagonal": same(
        "diagonal", X, theirs=lambda x, offset=0, axis1=-2, axis2=-1: np.diagonal(x, offset, axis1, axis2),
        offset=1, axis1=0, axis2=0,
    ),
    "diff": same("diff", X, axis=0, n=With(2, {"axis": 1}), prepend=others(3, 4, 1), append=others(3, 4, 2)),
    "isin": same("isin", X, X[0], invert=True),
    "topk": Row(
        lambda **o: list(flux.topk(X, 2, **o)),
        lambda axis=-1, largest=True: top(X, 2, axis, largest),
        {"axis": 0, "largest": False},
    ),
    "rescale": same("rescale", X, theirs=rescaled, axis=1, eps=0.5, rtol=1e-5),
    "tril": same("tril", SQUARE, k=1),
    "triu": same("triu", SQUARE, k=1),
    "clip": same("clip", X, theirs=lambda x, min=-9, max=9: np.clip(x, min, max), min=-0.3, max=0.2),
    "meshgrid": same("meshgrid", numbers(3), numbers(2), indexing="ij"),
    "tensordot": same("tensordot", SQUARE, SQUARE, axes=1, rtol=1e-5),
    "power": Row(
        lambda exponent=2: flux.power(abs(X), exponent), lambda exponent=2: abs(X) ** exponent, {"exponent": 0.5}
    ),
}  # fmt: skip

ACTIVATIONS = {
    "celu": same(
        "celu", X, theirs=lambda x, alpha=1: np.where(x > 0, x, alpha * np.expm1(x / alpha)), alpha=0.3
    ),
    "elu": same("elu", X, theirs=lambda x, alpha=1: np.where(x > 0, x, alpha * np.expm1(x)), alpha=0.3),
    "leakyrelu": same("leakyrelu", X, theirs=lambda x, a=0.01: np.where(x > 0, x, a * x), a=0.3),
    "softshrink": same(
        "softshrink", X, theirs=lambda x, lambd=0.5: np.sign(x) * np.maximum(abs(x) - lambd, 0), lambd=0.2
    ),
    "thresholdrelu": same("thresholdrelu", X, theirs=lambda x, theta=1: np.where(x > theta, x, 0), theta=0.2),
    "trelu": same("trelu", X, theirs=lambda x, theta=1: np.where(x > theta, x, 0), theta=0.2),
    "rrelu": Row(
        # The lowest and the highest slope that many draws find.
        lambda **o: (lambda y: np.round([y.min(), y.max()], 2))(flux.rrelu(-flux.ones(20_000), **o).numpy()),
        lambda lo=1 / 8, hi=1 / 3: np.round([-hi, -lo], 2),
        {"lo": -0.5, "hi": 0.75},
        0.011,
    ),
}

# What makes tensors; a dtype shows in what is rounded to it.


def created(name, *args, theirs=None, **turned):
    theirs = theirs or getattr(np, name)
    return Row(
        lambda **o: (lambda t: [t, t.dtype.itemsize])(getattr(flux, name)(*args, **o)),
        lambda dtype=np.float32, **o: (lambda a: [a, a.itemsize])(
            np.asarray(theirs(*args, **o)).astype(dtype)
        ),
        turned,
    )


I8 = {"dtype": Pair("int8", np.int8)}
F64 = {"dtype": Pair("float64", np.float64)}

CREATION = {
    "arange": created(
        "arange", 5.0, theirs=lambda a, stop=None, step=1: np.arange(*((a,) if stop is None else (a, stop)), step)
        if stop is not None else np.arange(0, a, step), stop=9.0, step=2.0, **I8,
    ),
    "asarray": created("asarray", [1.5, 2.5], **I8),
    "tensor": created("tensor", [1.0, 2.5], theirs=np.array, **F64),
    "eye": Row(
        lambda n_cols=None, **o: (lambda t: [t, t.dtype.itemsize])(flux.eye(3, n_cols, **o)),
        lambda n_cols=None, k=0, dtype=np.float32: [np.eye(3, n_cols, k), np.dtype(dtype).itemsize],
        {"n_cols": 4, "k": 1, **I8},
    ),
    "full": created("full", (2,), 3.0, **I8),
    "full_like": created("full_like", X, 3.0, **I8),
    "ones": created("ones", (2,), **I8),
    "ones_like": created("ones_like", X, **I8),
    "zeros": created("zeros", (2,), **I8),
    "zeros_like": created("zeros_like", X, **I8),
    "empty": Row(
        lambda **o: flux.empty((2,), **o).dtype.itemsize, lambda dtype=np.float32: np.dtype(dtype).itemsize, I8
    ),
    "empty_like": Row(
        lambda **o: flux.empty_like(X, **o).dtype.itemsize, lambda dtype=np.float32: np.dtype(dtype).itemsize, I8
    ),
    "linspace": created("linspace", 0.0, 3.0, 4, endpoint=False, **F64),
    "one_hot": created(
        "one_hot", [1, 0], 3, theirs=lambda i, n: np.eye(n)[i], dtype=Pair("float64", np.float64)
    ),
}  # fmt: skip
CREATION["one_hot"] = Row(
    lambda **o: (lambda t: [t, t.dtype.itemsize])(flux.one_hot([1, 0], 3, **o)),
    lambda dtype=np.bool_: [np.eye(3)[[1, 0]], np.dtype(dtype).itemsize],
    {"dtype": Pair("float64", np.float64)},
)


ROWS = REDUCTIONS | SHAPES | ACTIVATIONS | CREATION
