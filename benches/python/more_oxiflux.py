"""The cases of `more_cases.py` in this package; a plugin of `peers.py`."""

# ruff: noqa: F821
import numpy as np

import oxiflux as flux


def training(loss, model, rule=None):
    """One step on `loss(model)`, which it returns."""
    state = flux.setup(rule or flux.Adam(1e-3), model)

    def step():
        value, grads = flux.withgradient(loss, model)
        flux.update(state, model, grads[0])
        return value

    return step


def with_input(loss, model, x, rule):
    """The same on `loss(model, x)`, whose gradient by `x` is computed too."""
    state = flux.setup(rule, model)

    def step():
        value, grads = flux.withgradient(loss, model, x)
        flux.update(state, model, grads[0])
        return value

    return step


def chain(spec, act, prefix="", suffix=""):
    """Dense layers one after another, with a function between them."""
    count = sum(
        k.startswith(prefix + "w") and k.endswith(suffix) and k[len(prefix) + 1].isdigit() for k in spec
    )
    layers = []
    for i in range(count):
        weight = np.ascontiguousarray(spec[f"{prefix}w{i}{suffix}"].T)
        layer = flux.Dense(weight, spec[f"{prefix}b{i}{suffix}"], act if i + 1 < count else flux.identity)
        layers.append(layer)
    return flux.Chain(*layers)


def images(a):
    """Channels last."""
    return flux.tensor(np.ascontiguousarray(a.transpose(0, 2, 3, 1)))


def filters(a):
    return flux.tensor(np.ascontiguousarray(a.transpose(2, 3, 1, 0)))


@impl("clip_adam", "oxiflux")
def _(spec):
    model, grads = ([flux.tensor(a) for a in spec[k]] for k in "pg")
    state = flux.setup(flux.OptimiserChain(flux.ClipNorm(1.0, whole=True), flux.Adam(1e-3)), model)
    return lambda: flux.update(state, model, grads) and None


@impl([f"matmul_{n}" for n in (64, 128, 256, 512, 1024, 2048)], "oxiflux")
def _(spec):
    a, b = flux.tensor(spec["a"]), flux.tensor(spec["b"])
    return lambda: (a @ b)[0, 0]


@impl("experts", "oxiflux")
def _(spec):
    x, y = flux.tensor(spec["x"]), flux.tensor(spec["y"])
    gate = flux.Dense(np.ascontiguousarray(spec["gate"].T), bias=False)
    experts = [chain(spec, flux.relu, suffix=f"_{i}") for i in range(8)]

    def loss(m):
        weights, chosen = flux.topk(flux.softmax(m["gate"](x)), 2)
        out = flux.zeros_like(x)
        for i, expert in enumerate(m["experts"]):
            rows, places = flux.nonzero(chosen == i)
            out = flux.index_add(out, rows, expert(x[rows]) * weights[rows, places][:, None])
        return flux.mse(out, y)

    return training(loss, {"gate": gate, "experts": experts})


@impl("siamese", "oxiflux")
def _(spec):
    a, b, other = flux.tensor(spec["a"]), flux.tensor(spec["b"]), flux.tensor(1 - spec["same"])

    def loss(m):
        return flux.siamese_contrastive_loss(flux.cdist(m(a), m(b)), other, margin=4)

    return training(loss, chain(spec, flux.relu))


@impl("vae", "oxiflux")
def _(spec):
    x, noises = flux.tensor(spec["x"]), [flux.tensor(spec["noise"])]

    def loss(m):
        mean, log_std = flux.split(m["encoder"](x), 2, axis=-1)
        noise = noises.pop() if noises else flux.randn(128, 20)
        out = m["decoder"](mean + flux.exp(log_std) * noise)
        rebuilt = flux.logitbinarycrossentropy(out, x, agg=flux.sum)
        return (rebuilt + (flux.exp(2 * log_std) + flux.square(mean) - 1 - 2 * log_std).sum() / 2) / len(x)

    return training(
        loss, {"encoder": chain(spec, flux.relu, "enc_"), "decoder": chain(spec, flux.relu, "dec_")}
    )


@impl("separable", "oxiflux")
def _(spec):
    depth = flux.Conv(filters(spec["depth"]), bias=False, pad=1, groups=64)
    point = flux.Conv(filters(spec["point"]), bias=False)
    model = flux.Chain(depth, flux.BatchNorm(64, flux.relu), point, flux.BatchNorm(128, flux.relu))
    flux.trainmode(model)
    loss = lambda m, x: flux.square(m(x)).mean()
    return with_input(loss, model, images(spec["x"]), flux.Descent(1e-3))


@impl("masked_gru", "oxiflux")
def _(spec):
    layer = flux.GRU(64, 128, bias=spec["bih"], recurrent_bias=spec["bhh"])
    layer.cell.weight_ih, layer.cell.weight_hh = spec["wih"].T, spec["whh"].T
    x, labels = flux.tensor(spec["x"]), flux.tensor(spec["t"])
    rows, last = np.arange(32), spec["lengths"] - 1

    def loss(m):
        return flux.logitcrossentropy(m[1](m[0](x)[rows, last]), labels)

    return training(loss, [layer, chain(spec, flux.relu)])


@impl("groupnorm", "oxiflux")
def _(spec):
    model = flux.Chain(flux.GroupNorm(64, 8, flux.swish), flux.Conv(filters(spec["w"]), spec["b"], pad=1))
    loss = lambda m, x: flux.square(x + m(x)).mean()
    return with_input(loss, model, images(spec["x"]), flux.Adam(1e-3))


@impl("penalty", "oxiflux")
def _(spec):
    real, fake = flux.tensor(spec["real"]), flux.tensor(spec["fake"])

    def loss(m):
        (slope,) = flux.gradient(lambda x: m(x).sum(), (real + fake) / 2)
        penalty = flux.square(flux.sqrt(flux.square(slope).sum(axis=1) + 1e-12) - 1).mean()
        return m(fake).mean() - m(real).mean() + 10 * penalty

    return training(loss, chain(spec, flux.tanh))


@impl("kmeans", "oxiflux")
def _(spec):
    x, centres = flux.tensor(spec["x"]), flux.tensor(spec["centres"])

    def step():
        nearest = flux.argmin(flux.cdist(x, centres), axis=1)
        sums = flux.index_add(flux.zeros((64, 32)), nearest, x)
        return (sums / flux.maximum(flux.bincount(nearest, minlength=64), 1)[:, None])[0, 0]

    return step


@impl("rotary", "oxiflux")
def _(spec):
    layer = flux.MultiHeadAttention(512, nheads=8, positions=flux.RotaryEncoding(64))
    for name, part in zip("qkvo", (layer.q_proj, layer.k_proj, layer.v_proj, layer.out_proj), strict=True):
        part.weight = np.ascontiguousarray(spec["w" + name].T)
    x = flux.tensor(spec["x"])
    return training(lambda m: flux.square(m(x, causal=True)).mean(), layer)


@impl("focal", "oxiflux")
def _(spec):
    x, y = flux.tensor(spec["x"]), flux.tensor(spec["y"])

    def loss(x):
        ce = flux.logitbinarycrossentropy(x, y, agg=flux.identity)
        p = flux.sigmoid(x)
        wrong = y * (1 - p) + (1 - y) * p
        return ((0.25 * y + 0.75 * (1 - y)) * flux.square(wrong) * ce).mean()

    return lambda: flux.withgradient(loss, x)[0]


@impl("ctc", "oxiflux")
def _(spec):
    x, y = flux.tensor(spec["x"]), flux.tensor(spec["y"])
    return lambda: flux.withgradient(lambda x: flux.ctc_loss(x, y), x)[0]


@impl("ode", "oxiflux")
def _(spec):
    x, y = flux.tensor(spec["x"]), flux.tensor(spec["y"])

    def loss(m):
        h = x
        for _ in range(40):
            h = h + 0.025 * m(h)
        return flux.mse(h, y)

    return training(loss, chain(spec, flux.tanh))


@impl("ensemble", "oxiflux")
def _(spec):
    x, y = flux.tensor(spec["x"]), flux.tensor(spec["y"])
    model = [
        [flux.tensor(np.ascontiguousarray(spec[f"w{i}"].swapaxes(1, 2))), flux.tensor(spec[f"b{i}"][:, None])]
        for i in range(3)
    ]

    def loss(m):
        h = x
        for i, (weight, bias) in enumerate(m):
            h = h @ weight + bias
            h = flux.relu(h) if i < 2 else h
        return flux.square(h - y).mean()

    return training(loss, model)


@impl("sampled", "oxiflux")
def _(spec):
    h, words, labels = (flux.tensor(spec[k]) for k in ("h", "words", "t"))
    loss = lambda m: flux.logitcrossentropy(h @ m["table"][words].T, labels)
    return training(loss, {"table": flux.tensor(spec["table"])}, flux.Descent(0.1))


@impl("series", "oxiflux")
def _(spec):
    conv = flux.Conv(
        flux.tensor(np.ascontiguousarray(spec["conv"].transpose(2, 1, 0))), spec["cb"], flux.relu, pad=2
    )
    layer = flux.LSTM(32, 64, bias=spec["bih"] + spec["bhh"])
    layer.cell.weight_ih, layer.cell.weight_hh = spec["wih"].T, spec["whh"].T
    x, y = flux.tensor(np.ascontiguousarray(spec["x"].swapaxes(1, 2))), flux.tensor(spec["y"])
    model = flux.Chain(conv, layer, lambda h: h[:, -1], *chain(spec, flux.relu))
    return training(lambda m: flux.mse(m(x), y), model)


@impl("rbf", "oxiflux")
def _(spec):
    x, y = flux.tensor(spec["x"]), flux.tensor(spec["y"])
    model = {k: flux.tensor(spec[k]) for k in ("centres", "widths", "weights")}

    def loss(m):
        squares = flux.square(x[:, None] - m["centres"]).sum(axis=-1)
        return flux.mse((flux.exp(-flux.exp(m["widths"]) * squares) * m["weights"]).sum(axis=-1), y)

    return training(loss, model, flux.Descent(spec["lr"]))


@impl("pinn", "oxiflux")
def _(spec):
    x, wanted, model = flux.tensor(spec["x"]), flux.tensor(spec["wanted"]), chain(spec, flux.tanh)

    def loss(m):
        def slope(x):
            return flux.gradient(lambda x: m(x).sum(), x)[0]

        return flux.mse(flux.gradient(lambda x: slope(x).sum(), x)[0], wanted)

    return training(loss, model)
