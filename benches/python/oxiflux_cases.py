"""The cases of `peers.py` in oxiflux, each written as a user would write it; a plugin, which sees `impl` and `setup`."""

# ruff: noqa: F821
import numpy as np

import oxiflux as flux


@setup("oxiflux")
def _(threads):
    if threads:
        flux.set_num_threads(threads)


def perceptron(spec):
    """A chain of dense layers with relu between them, from weights that are (out, in)."""
    count = sum(name.startswith("w") for name in spec)
    layers = []
    for i in range(count):
        weight, bias = np.ascontiguousarray(spec[f"w{i}"].T), flux.tensor(spec[f"b{i}"])
        layer = flux.Dense(*weight.shape, flux.relu if i + 1 < count else flux.identity, bias=bias)
        layer.weight = flux.tensor(weight)
        layers.append(layer)
    return flux.Chain(*layers)


def training(loss, model, rule):
    """One step of gradient descent on `loss(model)`, which it returns."""
    state = flux.setup(rule, model)

    def step():
        value, grads = flux.withgradient(loss, model)
        flux.update(state, model, grads[0])
        return value

    return step


@impl("linreg", "oxiflux")
def _(spec):
    model = flux.Dense(1, 1, bias=flux.tensor(spec["b"]))
    model.weight = flux.tensor(spec["w"])
    x, y = flux.tensor(spec["x"]), flux.tensor(spec["y"])
    return training(lambda m: flux.mse(m(x), y), model, flux.Descent(spec["lr"]))


@impl("mlp_tiny", "oxiflux")
def _(spec):
    x, y = flux.tensor(spec["x"]), flux.tensor(spec["y"])
    return training(lambda m: flux.mse(m(x), y), perceptron(spec), flux.Descent(spec["lr"]))


@impl(["mlp_b64", "mlp_b128"], "oxiflux")
def _(spec):
    x, labels = flux.tensor(spec["x"]), flux.tensor(spec["t"])
    return training(lambda m: flux.logitcrossentropy(m(x), labels), perceptron(spec), flux.Adam(1e-3))


class Encoder(flux.Layer):
    """A layer of a transformer: attention and two dense layers, each beside a shortcut and after a normalisation."""

    def __init__(self, spec):
        size = spec["x"].shape[-1]
        self.norms = [flux.LayerNorm(size), flux.LayerNorm(size)]
        self.attention = flux.MultiHeadAttention(size, nheads=spec["heads"], bias=True)
        self.wide, self.narrow = flux.Dense(size, 4 * size, flux.gelu_erf), flux.Dense(4 * size, size)
        attention = self.attention
        parts = zip(np.split(spec["wqkv"], 3), np.split(spec["bqkv"], 3), strict=True)
        given = [*parts, *((spec["w" + name], spec["b" + name]) for name in ("o", "1", "2"))]
        layers = [
            attention.q_proj,
            attention.k_proj,
            attention.v_proj,
            attention.out_proj,
            self.wide,
            self.narrow,
        ]
        for layer, (weight, bias) in zip(layers, given, strict=True):
            layer.weight, layer.bias = np.ascontiguousarray(weight.T), bias

    def __call__(self, x):
        x = x + self.attention(self.norms[0](x))
        return x + self.narrow(self.wide(self.norms[1](x)))


def recurrent(layer, spec):
    """Training of a recurrent layer with PyTorch's parameters, on data whose first axis is the time."""
    layer.cell.weight_ih, layer.cell.weight_hh = spec["wih"].T, spec["whh"].T
    x = flux.tensor(np.ascontiguousarray(spec["x"].swapaxes(0, 1)))
    return training(lambda m: flux.square(m(x)).mean(), layer, flux.Adam(1e-3))


@impl("lstm", "oxiflux")
def _(spec):
    return recurrent(flux.LSTM(128, 128, bias=spec["bih"] + spec["bhh"]), spec)


@impl("gru", "oxiflux")
def _(spec):
    return recurrent(flux.GRU(128, 128, bias=spec["bih"], recurrent_bias=spec["bhh"]), spec)


@impl("encoder", "oxiflux")
def _(spec):
    x = flux.tensor(spec["x"])
    return training(lambda m: flux.square(m(x)).mean(), Encoder(spec), flux.Adam(1e-3))


def channels_last(a):
    """Images `(batch, channels, height, width)`, or filters `(out, in, height, width)`, in this package's order."""
    return flux.tensor(np.ascontiguousarray(a.transpose(0, 2, 3, 1)))


def filters(a):
    return flux.tensor(np.ascontiguousarray(a.transpose(2, 3, 1, 0)))


@impl("lenet_b64", "oxiflux")
def _(spec):
    # Features are flattened channels last.
    first = spec["w0"].reshape(120, 16, 5, 5).transpose(0, 2, 3, 1).reshape(120, 400)
    model = flux.Chain(
        flux.Conv(filters(spec["c0"]), spec["c0b"], flux.relu, pad=flux.SamePad()),
        flux.MaxPool((2, 2)),
        flux.Conv(filters(spec["c1"]), spec["c1b"], flux.relu),
        flux.MaxPool((2, 2)),
        flux.flatten,
        *perceptron({"w0": first, **{k: spec[k] for k in ("w1", "w2", "b0", "b1", "b2")}}),
    )
    x, labels = channels_last(spec["x"]), flux.tensor(spec["t"])
    return training(lambda m: flux.logitcrossentropy(m(x), labels), model, flux.Adam(1e-3))


@impl("conv3x3_fwd", "oxiflux")
def _(spec):
    layer = flux.Conv(filters(spec["w"]), spec["b"], pad=1)
    x = channels_last(spec["x"])

    def step():
        return layer(x)[0, 0, 0, 0]

    return step


@impl("conv3x3_fwdbwd", "oxiflux")
def _(spec):
    x, g = channels_last(spec["x"]), channels_last(spec["g"])
    layer = flux.Conv(filters(spec["w"]), spec["b"], pad=1)

    def step():
        y, back = flux.pullback(lambda m, x: m(x), layer, x)
        back(g)
        return y[0, 0, 0, 0]

    return step


class ResidualBlock(flux.Layer):
    """Two convolutions beside a shortcut, each before a normalisation."""

    def __init__(self, spec):
        self.convs = [flux.Conv(filters(spec[f"c{i}"]), bias=False, pad=1) for i in (0, 1)]
        self.norms = [flux.BatchNorm(64, flux.relu), flux.BatchNorm(64)]

    def __call__(self, x):
        h = self.norms[0](self.convs[0](x))
        return flux.relu(self.norms[1](self.convs[1](h)) + x)


@impl("resblock", "oxiflux")
def _(spec):
    x, model, rule = channels_last(spec["x"]), ResidualBlock(spec), flux.Descent(1e-3)
    state = flux.setup(rule, model)

    def step():
        value, grads = flux.withgradient(lambda m, x: flux.square(m(x)).mean(), model, x)
        flux.update(state, model, grads[0])
        return value

    return step


@impl("ce_32k", "oxiflux")
def _(spec):
    x, labels = flux.tensor(spec["x"]), flux.tensor(spec["t"])

    def step():
        return flux.withgradient(lambda x: flux.logitcrossentropy(x, labels), x)[0]

    return step


def normalising(make, layout):
    """Forward and backward of a layer, for a given gradient of its result."""

    def build(spec):
        layer = make(spec["g"].size)
        x, d = (flux.tensor(np.ascontiguousarray(layout(spec[k]))) for k in "xd")

        def step():
            y, back = flux.pullback(lambda m, x: m(x), layer, x)
            back(d)
            return y.reshape(-1)[0]

        return step

    return build


impl("layernorm", "oxiflux")(normalising(flux.LayerNorm, lambda a: a))
impl("batchnorm", "oxiflux")(normalising(flux.BatchNorm, lambda a: a.transpose(0, 2, 3, 1)))


@impl(["adam_10m", "adam_small"], "oxiflux")
def _(spec):
    model = [flux.tensor(p) for p in spec["p"]]
    grads = [flux.tensor(g) for g in spec["g"]]
    state = flux.setup(flux.Adam(1e-3), model)

    def step():
        flux.update(state, model, grads)

    return step


@impl("tiny_chain", "oxiflux")
def _(spec):
    x, y = flux.tensor(spec["x"]), flux.tensor(spec["y"])

    def loss(x):
        for _ in range(100):
            x = x + y
        return x.sum()

    def step():
        return flux.withgradient(loss, x)[0]

    return step


def elementwise(operation):
    def build(spec):
        x = flux.tensor(spec["x"])

        def step():
            return operation(x)[0]

        return step

    return build


impl("ew_add_1m", "oxiflux")(elementwise(lambda x: x + 1.0))
impl("ew_relu_1m", "oxiflux")(elementwise(flux.relu))
impl("ew_exp_1m", "oxiflux")(elementwise(flux.exp))
impl("ew_tanh_1m", "oxiflux")(elementwise(flux.tanh))
impl("ew_sigmoid_1m", "oxiflux")(elementwise(flux.sigmoid))
impl("ew_gelu_1m", "oxiflux")(elementwise(flux.gelu_erf))


@impl("ew_chain_1m", "oxiflux")
def _(spec):
    x = flux.tensor(spec["x"])

    def loss(x):
        return (flux.gelu_erf(x) * flux.sigmoid(x) + flux.tanh(x) * flux.exp(-x * x)).sum()

    def step():
        return flux.withgradient(loss, x)[0]

    return step
