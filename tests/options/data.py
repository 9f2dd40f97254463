"""Data, labels, models as trees, and callbacks: what each option does."""

import math
from itertools import pairwise

import numpy as np

import oxiflux as flux
from options.layers import training_dropout
from options.rows import Row, With, numbers

DATA = np.arange(14.0).reshape(7, 2)
LABELS = ["a", "b", "b", "b", "b", "a", "b"]
OTHER_LABELS = ["a", "c", "c", "a", "b", "c", "c"]
MATRIX = numbers(3, 2)


def order(parts):
    """What is in the parts, and whether it is in another order than at first."""
    items = np.concatenate([np.asarray(part)[:, 0] for part in parts])
    return [np.sort(items), float((np.diff(items) < 0).any())]


def padded(x, n=4, val=0, axis=None):
    sides = [(0, n - x.shape[a] if axis in (None, a) else 0) for a in range(x.ndim)]
    return np.pad(x, sides, constant_values=val)


def chunks(n=None, size=2, axis=0):
    length = DATA.shape[axis]
    size = size if n is None else math.ceil(length / n)
    return [np.take(DATA, range(i, min(i + size, length)), axis) for i in range(0, length, size)]


def loader(collate=None, batchsize=1, partial=True, shuffle=False):
    """The batches; shuffled ones are told by what they have in common with those in order."""
    parts = [DATA[i : i + batchsize] for i in range(0, 7, batchsize)]
    parts = parts if partial else [part for part in parts if len(part) == batchsize]
    if shuffle:
        return [np.sort(DATA[:, 0]), 1.0]
    return [part if collate is None else collate(part) for part in parts]


def loaded(shuffle=False, **options):
    batches = list(flux.DataLoader(DATA, shuffle=shuffle, rng=flux.Generator(1), **options))
    return order(batches) if shuffle else batches


def split(shuffle=False, stratified=None):
    parts = flux.splitobs(DATA, 0.5, shuffle=shuffle, stratified=stratified, rng=flux.Generator(1))
    return order(parts) if shuffle else list(parts)


def split_formula(shuffle=False, stratified=None):
    if shuffle:
        return [DATA[:, 0], 1.0]
    if stratified is None:
        return [DATA[:4], DATA[4:]]  # round(3.5) is even
    first = [0, 1, 2]  # one of the two a, two of the five b
    return [DATA[first], np.delete(DATA, first, 0)]


def sampled(name, classes=None, shuffle=True, **options):
    """Which labels are there how often; `classes` are given, or the last part of the data."""
    found = getattr(flux, name)(
        (np.arange(7), LABELS), classes=classes, shuffle=shuffle, rng=flux.Generator(1), **options
    )
    y = [(classes or LABELS)[i] for i in np.asarray(found[0])]
    # Without a shuffle what is there at first comes first.
    start = np.asarray(found[0])[: min(7, len(y))]
    return [[y.count(label) for label in "abc"], float((np.diff(start) < 0).any())]


def oversampled(classes=None, fraction=1, shuffle=True):
    labels = classes or LABELS
    have = [labels.count(label) for label in "abc"]
    wanted = round(fraction * max(have))
    return [[max(n, wanted) if n else 0 for n in have], float(shuffle)]


def undersampled(classes=None, shuffle=True):
    labels = classes or LABELS
    have = [labels.count(label) for label in "abc"]
    return [[min(n for n in have if n) if n else 0 for n in have], float(shuffle)]


def minus_mean(x):
    return x - np.asarray(x).mean()


def folds(k=5, shuffle=False, stratified=None):
    """Shuffled ones are told by what they have in common with those in order."""
    if shuffle:
        return [DATA[:, 0], 1.0]
    ends = np.cumsum([0] + [7 // k + (i < 7 % k) for i in range(k)])
    parts = [range(a, b) for a, b in pairwise(ends)]
    if stratified is not None:
        parts = [[0, 1, 4, 5], [2, 3, 6]]  # of four a and three b
    return [[np.delete(DATA, part, 0), DATA[part]] for part in parts]


def folded(shuffle=False, **options):
    pairs = [list(pair) for pair in flux.kfolds(DATA, shuffle=shuffle, rng=flux.Generator(1), **options)]
    return order([val for _, val in pairs]) if shuffle else pairs


def time_folds(k=5, gap=0, max_train_size=7):
    size = 7 // (k + 1)
    starts = [7 - (k - i) * size for i in range(k)]
    return [[DATA[: a - gap][-max_train_size:], DATA[a : a + size]] for a in starts]


def windows(stride=1):
    return [DATA[i : i + 3] for i in range(0, 5, stride)]


def points(make, formula, **turned):
    """Points without their noise."""
    return Row(
        lambda **o: np.concatenate([np.ravel(part) for part in make(noise=0.0, **o)]), formula, turned, 1e-5
    )


def moons(n=100, shuffle=True):
    """Only how many of each label there are, and whether they are in order."""
    return [n - n // 2, float(shuffle)]


def made_moons(n=100, shuffle=True, **options):
    _, y = flux.make_moons(n, shuffle=shuffle, rng=flux.Generator(1))
    return [y.sum(), float((np.diff(y) < 0).any())]


def spiral(n=97, a=6.5, theta=16.0, b=104.0):
    i = np.arange(n)
    arm = np.stack([np.sin(i * np.pi / theta), np.cos(i * np.pi / theta)], 1) * (a * (b - i) / b)[:, None]
    return np.concatenate([np.ravel([arm, -arm]), [1] * n, [0] * n])


def sine(n=50, start=0.0, stop=2 * np.pi):
    x = np.linspace(start, stop, n)
    return np.concatenate([x, np.sin(x)])


SAMPLES = {
    "batchseq": Row(
        lambda **o: flux.batchseq([[1, 2, 3], [4]], **o),
        lambda val=0: [np.array(x) for x in ([1, 4], [2, val], [3, val])],
        {"val": -1},
    ),
    "rpad_constant": Row(
        lambda **o: flux.rpad_constant(MATRIX, 4, **o), lambda **o: padded(MATRIX, **o), {"val": 3, "axis": 1}
    ),
    "chunk": Row(
        lambda **o: flux.chunk(DATA, **(o if {"n", "size"} & set(o) else {"size": 2} | o)),
        chunks,
        {"n": 2, "size": 3, "axis": With(1, {"size": 1})},
    ),
    "DataLoader": Row(
        loaded,
        loader,
        {
            "batchsize": 3, "shuffle": With(True, {"batchsize": 2}), "partial": With(False, {"batchsize": 3}),
            "collate": With(lambda items: np.stack(list(items)) * 2, {"batchsize": 2}),
        },
    ),
    "eachobs": Row(
        lambda batchsize=None: [np.asarray(x) for x in flux.eachobs(DATA, batchsize)],
        lambda batchsize=None: list(DATA) if batchsize is None else loader(batchsize=batchsize),
        {"batchsize": 3},
    ),
    "splitobs": Row(split, split_formula, {"shuffle": True, "stratified": LABELS}),
    "kfolds": Row(
        folded, folds, {"k": 3, "shuffle": True, "stratified": With(list("aaaabbb"), {"k": 2})}
    ),
    "timeseries_kfolds": Row(
        lambda **o: [list(pair) for pair in flux.timeseries_kfolds(DATA, **o)], time_folds,
        {"k": 3, "gap": 1, "max_train_size": 2},
    ),
    "slidingwindow": Row(lambda **o: list(flux.slidingwindow(DATA, 3, **o)), windows, {"stride": 2}),
    "obsview": Row(
        lambda **o: list(flux.obsview(DATA, **o)), lambda where=slice(None): list(DATA[where]), {"where": [2, 0]}
    ),
    "BatchView": Row(
        lambda **o: list(flux.BatchView(DATA, **o)), loader,
        {
            "batchsize": 3, "partial": With(False, {"batchsize": 3}),
            "collate": With(lambda items: np.stack(list(items)) * 2, {"batchsize": 2}),
        },
    ),
    "batch_sequence": Row(
        lambda **o: flux.batch_sequence([[1, 2, 3], [4]], **o),
        lambda pad=0: np.array([[1, 2, 3], [4, pad, pad]]),
        {"pad": -1},
    ),
    "make_moons": Row(made_moons, moons, {"n": 31, "shuffle": False}),
    "make_spiral": points(flux.make_spiral, spiral, n=80, a=2.0, theta=5.0, b=30.0),
    "make_sin": points(flux.make_sin, sine, n=90, start=-1.0, stop=1.0),
    "leavepout": Row(
        lambda **o: [list(pair) for pair in flux.leavepout(DATA, **o)], lambda p=1: folds(7 // p), {"p": 3}
    ),
    "oversample": Row(
        lambda **o: sampled("oversample", **o), oversampled,
        {"classes": OTHER_LABELS, "fraction": 0.6, "shuffle": False},
    ),
    "undersample": Row(
        lambda **o: sampled("undersample", **o), undersampled, {"classes": OTHER_LABELS, "shuffle": False}
    ),
    "randobs": Row(
        lambda **o: flux.randobs(np.full(5, 2.0), **o),
        lambda n=None: np.full(() if n is None else n, 2.0),
        {"n": 3},
    ),
    "getobs": Row(
        lambda **o: flux.getobs(DATA, **o), lambda where=slice(None): DATA[where], {"where": [2, 0]}
    ),
    "mapobs": Row(
        lambda **o: np.stack(list(flux.mapobs(minus_mean, DATA, **o)[0:3])),
        lambda batched=False: minus_mean(DATA[:3]) if batched else np.stack([minus_mean(x) for x in DATA[:3]]),
        {"batched": True},
    ),
    "onehot": Row(
        lambda default="b": flux.onehot("z" if default != "b" else "b", "abc", default=default),
        lambda default="b": np.eye(3)["abc".index(default)],
        {"default": "c"},
    ),
    "onehotbatch": Row(
        lambda default="b": flux.onehotbatch("az", "abc", default=default),
        lambda default="b": np.eye(3)[[0, "abc".index(default)]],
        {"default": "c"},
    ),
    "onecold": Row(
        lambda **o: np.array(flux.onecold([[0.1, 0.9], [0.8, 0.2]], **o)),
        lambda labels=(0, 1): np.array([labels[1], labels[0]]),
        {"labels": [5, 7]},
    ),
}  # fmt: skip


def in_mode(name, **options):
    """A dropout in the mode that is set, after a seed."""
    layer = getattr(flux, name)(flux.Dropout(0.4), **options)
    flux.seed(0)
    return layer(numbers(4, 3, 2))


def paused(**options):
    """A dropout while a gradient is not recorded."""
    found = []

    def loss(x):
        with flux.paused(*options.values()):
            flux.seed(0)
            found.append(flux.Dropout(0.4)(numbers(4, 3, 2)))
        return x.sum()

    flux.gradient(loss, flux.ones(1))
    return found[0]


def mapped(exclude=None):
    """Every tensor doubled, or what `exclude` stops at, instead, made three."""
    double = lambda x: x * 2 if isinstance(x, flux.Tensor) else 3.0
    tree = flux.fmap(double, {"a": flux.ones(2), "b": (flux.ones(1),)}, exclude=exclude)
    return [tree["a"], tree["b"] if isinstance(tree["b"], float) else tree["b"][0]]


def mapped_formula(exclude=None):
    return [np.ones(2), 3.0] if exclude else [np.full(2, 2.0), np.full(1, 2.0)]


def adjusted(eta=None, **hyper):
    state = flux.setup(flux.Momentum(0.1, 0.9), {"w": flux.ones(1)})
    flux.adjust(state, eta, **hyper)
    return [state["w"].rule.eta, state["w"].rule.rho]


MODELS = {
    "trainmode": Row(
        lambda **o: in_mode("trainmode", **o),
        lambda mode=True: training_dropout(0.4, active=mode),
        {"mode": False},
    ),
    "testmode": Row(
        lambda **o: in_mode("testmode", **o),
        lambda mode=True: training_dropout(0.4, active=not mode),
        {"mode": False},
    ),
    "paused": Row(
        paused,
        lambda variables=None: training_dropout(0.4, active=variables is not None),
        {"variables": [flux.ones(1)]},
    ),
    "fmap": Row(mapped, mapped_formula, {"exclude": lambda x: isinstance(x, tuple)}),
    "adjust": Row(adjusted, lambda eta=0.1, rho=0.9: [eta, rho], {"eta": 0.5, "rho": 0.25}),
    "trainables": Row(
        lambda path=False: [len(x) if path else 0 for x in flux.trainables(flux.Dense(2, 3), path=path)],
        lambda path=False: [2, 2] if path else [0, 0],
        {"path": True},
    ),
    "outputsize": Row(
        lambda padbatch=False: flux.outputsize(flux.Dense(5, 3), (7, 5), padbatch=padbatch),
        lambda padbatch=False: (1, 7, 3) if padbatch else (7, 3),
        {"padbatch": True},
    ),
    "Params": Row(
        lambda tensors=(): [len(flux.Params(tensors)), *flux.Params(tensors)],
        lambda tensors=(): [len(tensors), *map(np.asarray, tensors)],
        {"tensors": [flux.ones(2)]},
    ),
}  # fmt: skip

# Callbacks: whether each score of a row ends the training.

SCORES = [3.0, 2.0, 1.9, 2.5, 2.4, 2.3, 1.0, 0.99, 0.98]


def stops(name, **options):
    stop = getattr(flux, name)(lambda x: x, 2, **options)
    return [bool(stop(score)) for score in SCORES]


def no_better(distance=lambda best, score: best - score, init_score=math.inf, min_dist=0.0):
    best, times, found = init_score, 0, []
    for score in SCORES:
        gain = distance(best, score)
        best = score if gain >= 0 else best
        times = 0 if gain >= min_dist else times + 1
        found.append(times >= 2)
    return found


def flat(distance=lambda last, score: last - score, init_score=math.inf, min_dist=1e-6):
    last, times, found = init_score, 0, []
    for score in SCORES:
        times = times + 1 if abs(distance(last, score)) < min_dist else 0
        last = score
        found.append(times >= 2)
    return found


def rising(best, score):
    return score - best


CALLBACKS = {
    "early_stopping": Row(
        lambda **o: stops("early_stopping", **({"init_score": math.inf} | o)),
        no_better,
        {"distance": With(rising, {"init_score": 0.0}), "init_score": 1.5, "min_dist": 0.5},
    ),
    "plateau": Row(
        lambda **o: stops("plateau", **({"init_score": math.inf} | o)),
        flat,
        {
            "distance": With(lambda a, b: 0.0, {}), "init_score": With(3.0, {"min_dist": 1.5}), "min_dist": 0.15,
        },
    ),
}  # fmt: skip

ROWS = SAMPLES | MODELS | CALLBACKS
