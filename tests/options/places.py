"""Elements in places, diagonals, parts of tensors and draws: what each option does, by NumPy."""

import numpy as np

import oxiflux as flux
from options.rows import Pair, Row, numbers, others

X = numbers(3, 4)
CUBE = numbers(2, 3, 4)
SQUARE = numbers(3, 3)
INDICES = np.array([[0, 2, 1, 2], [1, 1, 0, 0], [2, 0, 0, 1]])
VALUES = others(3, 4)


def same(name, *inputs, theirs=None, rtol=1e-6, **turned):
    """A function that NumPy has with the same options, or `theirs`."""
    theirs = theirs or getattr(np, name)
    return Row(lambda **o: getattr(flux, name)(*inputs, **o), lambda **o: theirs(*inputs, **o), turned, rtol)


def scattered(x, indices, values, axis=-1, op="set"):
    y = x.copy()
    for place in np.ndindex(indices.shape):
        at = list(place)
        at[axis] = indices[place]
        at = tuple(at)
        y[at] = values[place] if op == "set" else y[at] + values[place]
    return y


def added(x, indices, values, axis=0, alpha=1):
    y = np.moveaxis(x.copy(), axis, 0)
    for i, slice_ in zip(indices, np.moveaxis(values, axis, 0), strict=True):
        y[i] += alpha * slice_
    return np.moveaxis(y, 0, axis)


def embedded(x, offset=0, axis1=-2, axis2=-1):
    made = np.stack([np.diag(row, offset) for row in x.reshape(-1, x.shape[-1])])
    made = made.reshape(*x.shape[:-1], *made.shape[1:])
    return np.moveaxis(made, (-2, -1), (axis1, axis2))


def running(pick):
    """The extreme up to each place and its last place; no two numbers are equal."""

    def formula(x, axis=0):
        best = pick.accumulate(x, axis)
        own = np.expand_dims(np.arange(x.shape[axis]), 1 - axis)
        return [best, np.maximum.accumulate(np.where(x == best, own, 0), axis)]

    return formula


PLACES = {
    "scatter_along": same(
        "scatter_along", SQUARE, INDICES[:, :3], VALUES[:, :3], theirs=scattered, op="+", axis=0
    ),
    "index_add": same(
        "index_add", SQUARE, np.array([1, 0, 1]), VALUES[:, :3], theirs=added, alpha=0.5, axis=1
    ),
    "cummax": Row(
        lambda axis=0: list(flux.cummax(X, axis=axis)), lambda axis=0: running(np.maximum)(X, axis), {"axis": 1}
    ),
    "cummin": Row(
        lambda axis=0: list(flux.cummin(X, axis=axis)), lambda axis=0: running(np.minimum)(X, axis), {"axis": 1}
    ),
    "rot90": same("rot90", CUBE, k=2, axes=(1, 2)),
    "array_split": same("array_split", CUBE, 2, axis=1),
    "diag": same("diag", X, k=1),
    "diag_embed": same("diag_embed", X, theirs=embedded, offset=-1, axis1=0, axis2=0),
    "tril_indices": Row(
        lambda **o: list(flux.tril_indices(3, **o)), lambda **o: list(np.tril_indices(3, **o)), {"k": 1, "m": 2}
    ),
    "triu_indices": Row(
        lambda **o: list(flux.triu_indices(3, **o)), lambda **o: list(np.triu_indices(3, **o)), {"k": 1, "m": 2}
    ),
}  # fmt: skip

# What draws: what many draws have in common.


def moments(t):
    a = t.numpy().astype(np.float64)
    return [np.round(a.mean() * 5) / 5, np.round(a.std() * 5) / 5, t.dtype.itemsize, t.size]


DRAWS = {
    "normal": Row(
        lambda shape=(100_000,), rng=None, **o: moments(
            flux.normal(shape=shape, rng=flux.Generator(1), **o)
        ),
        lambda mean=0.0, std=1.0, shape=(100_000,), dtype=np.float32: [
            mean, std, np.dtype(dtype).itemsize, int(np.prod(shape)),
        ],
        {"mean": 3.0, "std": 2.0, "shape": (300, 1000), "dtype": Pair("float64", np.float64)},
    ),
    "bernoulli": Row(
        lambda shape=(100_000,), **o: moments(flux.bernoulli(0.2, shape=shape, rng=flux.Generator(1), **o)),
        lambda shape=(100_000,), dtype=np.float32: [0.2, 0.4, np.dtype(dtype).itemsize, int(np.prod(shape))],
        {"shape": (300, 1000), "dtype": Pair("int8", np.int8)},
    ),
    "multinomial": Row(
        lambda **o: sorted(flux.multinomial([1.0, 1e-30], 2, rng=flux.Generator(3), **o).tolist()),
        lambda replacement=False: [0, 0] if replacement else [0, 1],
        {"replacement": True},
    ),
    "gumbel_softmax": Row(
        lambda axis=-1, tau=1.0, hard=False: (
            lambda y: [y.numpy().sum(axis), np.round(y.numpy().max(axis).mean()), np.unique(y.numpy()).size == 2]
        )(flux.gumbel_softmax(np.zeros((300, 400)), tau=tau, hard=hard, axis=axis, rng=flux.Generator(1))),
        lambda axis=-1, tau=1.0, hard=False: [
            np.ones(400 if axis == 0 else 300), 1.0 if hard or tau < 0.1 else 0.0, hard,
        ],
        {"tau": 0.01, "hard": True, "axis": 0},
        1e-5,
    ),
}  # fmt: skip

ROWS = PLACES | DRAWS
