#!/usr/bin/env python3
"""Training-step benchmarks of CPU ML frameworks: one file, one registry of cases.

  peers.py run  [--backends torch,torch-tuned,torch-compile,jax] [--plugin FILE,FILE] [--cases all|a,b] [--threads 2]
                [--rounds 15] [--budget 0.04] [--json out.json] [--against BACKEND]
  peers.py list
  peers.py size [--backends ...]        import time (cold-ish, median of 7) and installed size

How it measures: every backend lives in its own process (two thread pools in one process spoil
each other), the parent drives them over pipes and interleaves them round by round, so drift of a
noisy machine hits all of them.  A round runs `inner` steps (calibrated to ~budget seconds).
Reported: median and inter-quartile range over rounds, in microseconds per step.
`threads=1` pins the worker to one CPU; `threads=0` leaves everything at the default.

How to add a backend (e.g. `oxiflux`): in a file of your own, given with --plugin (it sees the names of this one),
write one function per case, decorated
    @impl("mlp_b64", "oxiflux")
    def _(spec):           # spec: dict of numpy arrays/ints, see @case("mlp_b64")
        ...
        def step(): ...    # one full step; must have FINISHED on return; returns loss or None
        return step
`backend@variant` runs a backend under an environment variant (see ENVS), e.g. torch-tuned@keep.
--against oxiflux prints, per case, best peer / oxiflux (above 1: oxiflux is faster) and the geometric mean.
The parent compares the first loss of all backends of a case (rtol 2e-3) so that all do the same work.
Add a case: @case("name", gflop=..., mbytes=...) def _(): return {...numpy arrays...}
`gflop`: additions and multiplications of the products that a step cannot do without; `mbytes`: bytes that it must at least
read and write.  The backend `limit` (limits.py) takes as long as the machine must for them, and is no peer.
Under OXIFLUX_ISA=avx2 the peers are kept to AVX2 too (see ISAS).
"""

import argparse
import json
import math
import os
import signal
import statistics as st
import subprocess
import sys
import tempfile
import time

CASES = {}  # name -> (spec function, meta)
IMPLS = {}  # (case, backend) -> builder


def case(name, **meta):
    def deco(f):
        CASES[name] = (f, meta)
        return f

    return deco


def impl(names, backends):
    names = [names] if isinstance(names, str) else names
    backends = [backends] if isinstance(backends, str) else backends

    def deco(f):
        for n in names:
            for b in backends:
                IMPLS[n, b] = (f, b)
        return f

    return deco


def _np():
    import numpy as np

    return np


def _rng(seed=0):
    return _np().random.default_rng(seed)


def _f(rng, *s, scale=1.0):
    return (rng.standard_normal(s) * scale).astype("float32")


# ------------------------------------------------------------------ specs (numpy only)
@case("linreg", note="Dense(1,1), 6 samples, MSE, SGD: pure overhead")
def _():
    np = _np()
    x = np.arange(6, dtype="float32").reshape(6, 1)
    return dict(
        x=x,
        y=(4 * x + 2).astype("float32"),
        w=np.full((1, 1), 0.5, "float32"),
        b=np.zeros(1, "float32"),
        lr=1e-3,
    )


def _mlp(batch):
    r = _rng()
    s = dict(x=_f(r, batch, 784), t=r.integers(0, 10, batch).astype("int64"))
    for i, (a, b) in enumerate([(784, 512), (512, 256), (256, 10)]):
        s[f"w{i}"] = _f(r, b, a, scale=(2 / a) ** 0.5)
        s[f"b{i}"] = _f(r, b, scale=0.01)
    return s


for _b in (64, 128):
    # The first layer's input has no gradient.
    case(
        f"mlp_b{_b}",
        note="784-512-256-10 relu, CE, Adam",
        gflop=2 * _b * (2 * 784 * 512 + 3 * (512 * 256 + 256 * 10)) / 1e9,
    )(lambda b=_b: _mlp(b))


@case("mlp_tiny", note="10-32-32-1 relu, MSE, SGD, batch 32: what small-model users run")
def _():
    r = _rng(12)
    s = dict(x=_f(r, 32, 10), y=_f(r, 32, 1), lr=1e-3)
    for i, (a, b) in enumerate([(10, 32), (32, 32), (32, 1)]):
        s[f"w{i}"] = _f(r, b, a, scale=(2 / a) ** 0.5)
        s[f"b{i}"] = _f(r, b, scale=0.01)
    return s


@case(
    "lenet_b64",
    note="LeNet-5 on 28x28, relu, max pooling, cross-entropy, Adam, batch 64",
    gflop=2 * 64 * (2 * 784 * 25 * 6 + 3 * (100 * 150 * 16 + 400 * 120 + 120 * 84 + 840)) / 1e9,
)
def _():
    r = _rng(1)
    s = dict(x=_f(r, 64, 1, 28, 28), t=r.integers(0, 10, 64).astype("int64"))
    s.update(c0=_f(r, 6, 1, 5, 5, scale=0.2), c0b=_f(r, 6, scale=0.01))
    s.update(c1=_f(r, 16, 6, 5, 5, scale=0.1), c1b=_f(r, 16, scale=0.01))
    for i, (a, b) in enumerate([(400, 120), (120, 84), (84, 10)]):
        s[f"w{i}"], s[f"b{i}"] = _f(r, b, a, scale=(2 / a) ** 0.5), _f(r, b, scale=0.01)
    return s


def _conv():
    r, size = _rng(2), (16, 64, 56, 56)
    return dict(x=_f(r, *size), w=_f(r, 64, 64, 3, 3, scale=0.04), b=_f(r, 64, scale=0.01), g=_f(r, *size))


for _n, _note, _k in [
    ("fwd", "forward", 1),
    ("fwdbwd", "forward and the gradients of images, weight, bias", 3),
]:
    case(
        f"conv3x3_{_n}",
        note=f"64 to 64 channels, 3x3 same, 56x56, batch 16: {_note}",
        gflop=_k * 2 * 16 * 56 * 56 * 64 * 64 * 9 / 1e9,
    )(_conv)


def _rnn(gates):
    r, n = _rng(4), 128
    s = dict(x=_f(r, 50, 32, n))
    for name in ("ih", "hh"):
        s["w" + name] = _f(r, gates * n, n, scale=0.08)
    for name in ("ih", "hh"):
        s["b" + name] = _f(r, gates * n, scale=0.05)
    return s


for _o, _gates in (("lstm", 4), ("gru", 3)):
    case(
        _o,
        note="hidden 128, in 128, seq 50, batch 32, mean(h^2), fwd+bwd, Adam",
        gflop=(2 + 3) * 2 * 50 * 32 * 128 * _gates * 128 / 1e9,
    )(lambda gates=_gates: _rnn(gates))


@case(
    "encoder",
    note="transformer encoder layer d256 h4 ff1024 seq128 batch8, pre-norm, gelu, no dropout, fwd+bwd, Adam",
    gflop=3 * 2 * (1024 * 256 * (768 + 256 + 2048) + 2 * 8 * 4 * 128 * 128 * 64) / 1e9,
)
def _():
    np = _np()
    r, d = _rng(5), 256
    s = dict(x=_f(r, 8, 128, d), heads=4)
    for name, rows, cols, scale in [
        ("qkv", 3 * d, d, 0.05),
        ("o", d, d, 0.05),
        ("1", 4 * d, d, 0.05),
        ("2", d, 4 * d, 0.03),
    ]:
        s["w" + name], s["b" + name] = _f(r, rows, cols, scale=scale), _f(r, rows, scale=0.01)
    for i in (1, 2):
        s[f"g{i}"], s[f"h{i}"] = np.ones(d, "float32"), np.zeros(d, "float32")
    return s


@case(
    "ce_32k",
    note="softmax cross-entropy, batch 256 x vocab 32000, fwd + dlogits",
    mbytes=2 * 256 * 32000 * 4 / 1e6,
)
def _():
    r = _rng(6)
    return dict(x=_f(r, 256, 32000), t=r.integers(0, 32000, 256).astype("int64"))


@case("layernorm", note="4096 x 512, affine, fwd+bwd", mbytes=5 * 4096 * 512 * 4 / 1e6)
def _():
    np, r = _np(), _rng(7)
    return dict(x=_f(r, 4096, 512), g=np.ones(512, "float32"), b=np.zeros(512, "float32"), d=_f(r, 4096, 512))


@case(
    "resblock",
    note="ResNet-18 basic block, 64 channels, 56x56, batch 16, fwd+bwd, SGD",
    gflop=2 * 3 * 2 * 16 * 56 * 56 * 64 * 64 * 9 / 1e9,
)
def _():
    np, r = _np(), _rng(3)
    s = dict(x=_f(r, 16, 64, 56, 56))
    for i in (0, 1):
        s[f"c{i}"] = _f(r, 64, 64, 3, 3, scale=0.04)
        s[f"g{i}"], s[f"b{i}"] = np.ones(64, "float32"), np.zeros(64, "float32")
    return s


@case("batchnorm", note="32 x 64 x 28 x 28 train mode, fwd+bwd", mbytes=5 * 32 * 64 * 28 * 28 * 4 / 1e6)
def _():
    np, r = _np(), _rng(8)
    return dict(
        x=_f(r, 32, 64, 28, 28),
        g=np.ones(64, "float32"),
        b=np.zeros(64, "float32"),
        d=_f(r, 32, 64, 28, 28),
    )


EW = ("add", "relu", "exp", "tanh", "sigmoid", "gelu")
for _o in EW:
    case(f"ew_{_o}_1m", note=f"{_o} on 1M f32, forward, no grad", mbytes=8 * 2**20 / 1e6)(
        lambda: dict(x=_f(_rng(9), 1 << 20))
    )
case("ew_chain_1m", note="gelu(x)*sigmoid(x)+tanh(x)*exp(-x*x) summed, fwd+bwd on 1M f32")(
    lambda: dict(x=_f(_rng(9), 1 << 20))
)


@case("tiny_chain", note="100 adds of size-10 tensors with grad, fwd+bwd; divide by 200 for us per op")
def _():
    r = _rng(10)
    return dict(x=_f(r, 10), y=_f(r, 10))


@case("adam_10m", note="Adam step on 10M parameters (20 tensors of 500k)", mbytes=28 * 10e6 / 1e6)
def _():
    r = _rng(11)
    return dict(p=[_f(r, 500_000) for _ in range(20)], g=[_f(r, 500_000) for _ in range(20)])


@case("adam_small", note="Adam step on 50 tensors of 1000", mbytes=28 * 50e3 / 1e6)
def _():
    r = _rng(11)
    return dict(p=[_f(r, 1000) for _ in range(50)], g=[_f(r, 1000) for _ in range(50)])


# ------------------------------------------------------------------ torch
TB = ["torch", "torch-tuned", "torch-compile"]
_CUR = [None]  # backend name of this worker


def T(a):
    import torch

    return torch.from_numpy(_np().ascontiguousarray(a).copy())


def TP(a):
    return T(a).requires_grad_()


def t_adam(ps):
    import torch

    return torch.optim.Adam(ps, lr=1e-3, fused=True if _CUR[0] != "torch" else None)


def t_comp(f):
    import torch

    return torch.compile(f) if _CUR[0] == "torch-compile" else f


def t_train(loss_fn, opt):
    lf = t_comp(loss_fn)

    def step():
        opt.zero_grad(set_to_none=True)
        l = lf()
        l.backward()
        opt.step()
        return l.detach()

    return step


@impl("linreg", TB)
def _(s):
    import torch

    m = torch.nn.Linear(1, 1)
    m.weight.data = T(s["w"])
    m.bias.data = T(s["b"])
    x, y = T(s["x"]), T(s["y"])
    opt = torch.optim.SGD(m.parameters(), lr=s["lr"])
    return t_train(lambda: torch.nn.functional.mse_loss(m(x), y), opt)


@impl(["mlp_b64", "mlp_b128"], TB)
def _(s):
    import torch

    F = torch.nn.functional
    ls = [torch.nn.Linear(a, b) for a, b in ((784, 512), (512, 256), (256, 10))]
    for i, l in enumerate(ls):
        l.weight.data = T(s[f"w{i}"])
        l.bias.data = T(s[f"b{i}"])
    m = torch.nn.Sequential(ls[0], torch.nn.ReLU(), ls[1], torch.nn.ReLU(), ls[2])
    x, t = T(s["x"]), T(s["t"])
    return t_train(lambda: F.cross_entropy(m(x), t), t_adam(list(m.parameters())))


@impl("mlp_tiny", TB)
def _(s):
    import torch

    ls = [torch.nn.Linear(a, b) for a, b in ((10, 32), (32, 32), (32, 1))]
    for i, l in enumerate(ls):
        l.weight.data = T(s[f"w{i}"])
        l.bias.data = T(s[f"b{i}"])
    m = torch.nn.Sequential(ls[0], torch.nn.ReLU(), ls[1], torch.nn.ReLU(), ls[2])
    x, y = T(s["x"]), T(s["y"])
    return t_train(lambda: torch.nn.functional.mse_loss(m(x), y), torch.optim.SGD(m.parameters(), lr=s["lr"]))


@impl("lenet_b64", TB)
def _(s):
    import torch

    nn, F = torch.nn, torch.nn.functional
    c0, c1 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
    ls = [nn.Linear(a, b) for a, b in ((400, 120), (120, 84), (84, 10))]
    for layer, w, b in [
        (c0, "c0", "c0b"),
        (c1, "c1", "c1b"),
        *((l, f"w{i}", f"b{i}") for i, l in enumerate(ls)),
    ]:
        layer.weight.data, layer.bias.data = T(s[w]), T(s[b])
    pool = nn.MaxPool2d(2)
    m = nn.Sequential(c0, nn.ReLU(), pool, c1, nn.ReLU(), pool, nn.Flatten())
    m.extend([ls[0], nn.ReLU(), ls[1], nn.ReLU(), ls[2]])
    x, t = T(s["x"]), T(s["t"])
    return t_train(lambda: F.cross_entropy(m(x), t), t_adam(list(m.parameters())))


def t_images(a):
    """Images, or filters, in the order of memory that suits the backend."""
    import torch

    return T(a) if _CUR[0] == "torch" else T(a).to(memory_format=torch.channels_last)


@impl("conv3x3_fwd", TB)
def _(s):
    import torch

    x, w, b = t_images(s["x"]), t_images(s["w"]), T(s["b"])
    f = t_comp(lambda: torch.nn.functional.conv2d(x, w, b, padding=1))

    def step():
        with torch.no_grad():
            return f()[0, 0, 0, 0]

    return step


@impl("conv3x3_fwdbwd", TB)
def _(s):
    import torch

    x, w = t_images(s["x"]).requires_grad_(), t_images(s["w"]).requires_grad_()
    b, g = TP(s["b"]), t_images(s["g"])
    f = t_comp(lambda: torch.nn.functional.conv2d(x, w, b, padding=1))

    def step():
        y = f()
        torch.autograd.grad(y, (x, w, b), g)
        return y.detach()[0, 0, 0, 0]

    return step


def _t_rnn(name):
    def build(s):
        import torch

        size_in, hidden = s["wih"].shape[1], s["whh"].shape[1]
        m = getattr(torch.nn, name)(size_in, hidden)
        for part in ("ih", "hh"):
            getattr(m, f"weight_{part}_l0").data = T(s["w" + part])
            getattr(m, f"bias_{part}_l0").data = T(s["b" + part])
        x = T(s["x"])
        return t_train(lambda: m(x)[0].square().mean(), t_adam(list(m.parameters())))

    return build


impl("lstm", TB)(_t_rnn("LSTM"))
impl("gru", TB)(_t_rnn("GRU"))


@impl("encoder", TB)
def _(s):
    import torch

    d, heads = s["x"].shape[-1], s["heads"]
    m = torch.nn.TransformerEncoderLayer(
        d, heads, 4 * d, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    attention = m.self_attn
    attention.in_proj_weight.data, attention.in_proj_bias.data = T(s["wqkv"]), T(s["bqkv"])
    for layer, name in ((attention.out_proj, "o"), (m.linear1, "1"), (m.linear2, "2")):
        layer.weight.data, layer.bias.data = T(s["w" + name]), T(s["b" + name])
    x = T(s["x"])
    return t_train(lambda: m(x).square().mean(), t_adam(list(m.parameters())))


@impl("ce_32k", TB)
def _(s):
    import torch

    F = torch.nn.functional
    x, t = TP(s["x"]), T(s["t"])
    f = t_comp(lambda: F.cross_entropy(x, t))

    def step():
        l = f()
        torch.autograd.grad(l, x)
        return l.detach()

    return step


@impl("layernorm", TB)
def _(s):
    import torch

    F = torch.nn.functional
    x, g, b, d = TP(s["x"]), TP(s["g"]), TP(s["b"]), T(s["d"])
    f = t_comp(lambda: F.layer_norm(x, (512,), g, b))

    def step():
        y = f()
        torch.autograd.grad(y, (x, g, b), d)
        return y.detach()[0, 0]

    return step


def _cl(t):
    """Channels last, for the tuned backends."""
    import torch

    return t.to(memory_format=torch.channels_last) if _CUR[0] != "torch" else t


@impl("resblock", TB)
def _(s):
    import torch

    F = torch.nn.functional
    x = _cl(T(s["x"])).requires_grad_()
    w0, w1 = (_cl(T(s[k])).requires_grad_() for k in ("c0", "c1"))
    g0, b0, g1, b1 = (TP(s[k]) for k in ("g0", "b0", "g1", "b1"))
    opt = torch.optim.SGD([w0, g0, b0, w1, g1, b1], lr=1e-3)

    def loss():
        h = F.relu(F.batch_norm(F.conv2d(x, w0, padding=1), None, None, g0, b0, True))
        h = F.relu(F.batch_norm(F.conv2d(h, w1, padding=1), None, None, g1, b1, True) + x)
        return (h * h).mean()

    train = t_train(loss, opt)

    def step():
        x.grad = None
        return train()

    return step


@impl("batchnorm", TB)
def _(s):
    import torch

    F = torch.nn.functional
    x, g, b, d = _cl(T(s["x"])).requires_grad_(), TP(s["g"]), TP(s["b"]), _cl(T(s["d"]))
    f = t_comp(lambda: F.batch_norm(x, None, None, g, b, True))

    def step():
        y = f()
        torch.autograd.grad(y, (x, g, b), d)
        return y.detach()[0, 0, 0, 0]

    return step


def _t_ew(op):
    def build(s):
        import torch

        F = torch.nn.functional
        x = T(s["x"])
        fn = dict(
            add=lambda: x + 1.0,
            relu=lambda: torch.relu(x),
            exp=lambda: torch.exp(x),
            tanh=lambda: torch.tanh(x),
            sigmoid=lambda: torch.sigmoid(x),
            gelu=lambda: F.gelu(x),
        )[op]
        f = t_comp(fn)

        def step():
            with torch.no_grad():
                return f()[0]

        return step

    return build


for _o in EW:
    impl(f"ew_{_o}_1m", TB)(_t_ew(_o))


@impl("ew_chain_1m", TB)
def _(s):
    import torch

    F = torch.nn.functional
    x = TP(s["x"])
    f = t_comp(lambda: (F.gelu(x) * torch.sigmoid(x) + torch.tanh(x) * torch.exp(-x * x)).sum())

    def step():
        l = f()
        torch.autograd.grad(l, x)
        return l.detach()

    return step


@impl("tiny_chain", TB)
def _(s):
    import torch

    x, y = TP(s["x"]), T(s["y"])

    def loss():
        h = x
        for _ in range(100):
            h = h + y
        return h.sum()

    f = t_comp(loss)

    def step():
        l = f()
        torch.autograd.grad(l, x)
        return l.detach()

    return step


@impl(["adam_10m", "adam_small"], ["torch", "torch-tuned"])
def _(s):

    ps = [TP(a) for a in s["p"]]
    for p, g in zip(ps, s["g"]):
        p.grad = T(g)
    opt = t_adam(ps)

    def step():
        opt.step()

    return step


# ------------------------------------------------------------------ jax
def J(a):
    import jax.numpy as jnp

    return jnp.asarray(a)


def j_adam(ps):
    import jax
    import jax.numpy as jnp

    z = jax.tree.map(jnp.zeros_like, ps)
    return (jnp.zeros((), "int32"), z, jax.tree.map(jnp.zeros_like, ps))


def j_adam_apply(ps, gs, o, lr=1e-3, b1=0.9, b2=0.999, eps=1e-8):
    import jax
    import jax.numpy as jnp

    n, m, v = o
    n = n + 1
    f = n.astype("float32")
    m = jax.tree.map(lambda a, g: b1 * a + (1 - b1) * g, m, gs)
    v = jax.tree.map(lambda a, g: b2 * a + (1 - b2) * g * g, v, gs)
    c1, c2 = 1 - b1**f, 1 - b2**f
    return jax.tree.map(lambda p, a, b: p - lr * (a / c1) / (jnp.sqrt(b / c2) + eps), ps, m, v), (n, m, v)


def j_train(loss, ps, data, opt="adam", lr=1e-3):
    import jax

    def step_(ps, o, data):
        l, g = jax.value_and_grad(loss)(ps, data)
        if opt == "sgd":
            return l, jax.tree.map(lambda p, d: p - lr * d, ps, g), o
        ps, o = j_adam_apply(ps, g, o)
        return l, ps, o

    f = jax.jit(step_, donate_argnums=(0, 1))
    S = [ps, j_adam(ps) if opt == "adam" else ()]

    def step():
        l, S[0], S[1] = f(S[0], S[1], data)
        jax.block_until_ready((l, S))
        return l

    return step


def j_ce(z, t):
    import jax
    import jax.numpy as jnp

    lse = jax.nn.logsumexp(z, axis=-1)
    return (lse - jnp.take_along_axis(z, t[:, None], 1)[:, 0]).mean()


def j_lin(x, w, b):
    return x @ w.T + b


@impl("linreg", "jax")
def _(s):
    return j_train(
        lambda p, d: ((j_lin(d[0], *p) - d[1]) ** 2).mean(),
        (J(s["w"]), J(s["b"])),
        (J(s["x"]), J(s["y"])),
        "sgd",
        s["lr"],
    )


@impl(["mlp_b64", "mlp_b128"], "jax")
def _(s):
    import jax

    def loss(p, d):
        h = d[0]
        for i, (w, b) in enumerate(p):
            h = j_lin(h, w, b)
            if i < 2:
                h = jax.nn.relu(h)
        return j_ce(h, d[1])

    return j_train(
        loss, [(J(s[f"w{i}"]), J(s[f"b{i}"])) for i in range(3)], (J(s["x"]), J(s["t"].astype("int32")))
    )


@impl("mlp_tiny", "jax")
def _(s):
    import jax

    def loss(p, d):
        h = d[0]
        for i, (w, b) in enumerate(p):
            h = j_lin(h, w, b)
            if i < 2:
                h = jax.nn.relu(h)
        return ((h - d[1]) ** 2).mean()

    return j_train(
        loss, [(J(s[f"w{i}"]), J(s[f"b{i}"])) for i in range(3)], (J(s["x"]), J(s["y"])), "sgd", s["lr"]
    )


def j_ln(x, g, b):
    import jax

    mean = x.mean(-1, keepdims=True)
    var = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(var + 1e-5) * g + b


def j_conv(x, w, pad):
    import jax

    return jax.lax.conv_general_dilated(x, w, (1, 1), pad, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def j_pool(x):
    import jax

    return jax.lax.reduce_window(x, -_np().inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def channels_last(s):
    """Images and filters of a spec with the channels last, the others as they are."""
    return {
        k: a.transpose((2, 3, 1, 0) if k[0] in "cw" else (0, 2, 3, 1)) if _np().ndim(a) == 4 else a
        for k, a in s.items()
    }


@impl("lenet_b64", "jax")
def _(s):
    import jax

    w0 = s["w0"].reshape(120, 16, 5, 5).transpose(0, 2, 3, 1).reshape(120, 400)
    s = {k: J(a) for k, a in channels_last(dict(s, w0=w0)).items()}

    def loss(p, d):
        x, t = d
        h = j_pool(jax.nn.relu(j_conv(x, p["c0"], "SAME") + p["c0b"]))
        h = j_pool(jax.nn.relu(j_conv(h, p["c1"], "VALID") + p["c1b"])).reshape(64, -1)
        h = jax.nn.relu(j_lin(jax.nn.relu(j_lin(h, p["w0"], p["b0"])), p["w1"], p["b1"]))
        return j_ce(j_lin(h, p["w2"], p["b2"]), t)

    return j_train(loss, {k: v for k, v in s.items() if k not in "xt"}, (s["x"], s["t"].astype("int32")))


@impl("conv3x3_fwd", "jax")
def _(s):
    import jax

    s = {k: J(a) for k, a in channels_last(s).items()}
    f = jax.jit(lambda x, w, b: j_conv(x, w, "SAME") + b)

    def step():
        return f(s["x"], s["w"], s["b"]).block_until_ready()[0, 0, 0, 0]

    return step


@impl("conv3x3_fwdbwd", "jax")
def _(s):
    import jax

    s = {k: J(a) for k, a in channels_last(s).items()}

    @jax.jit
    def f(x, w, b, g):
        y, vjp = jax.vjp(lambda x, w, b: j_conv(x, w, "SAME") + b, x, w, b)
        return y[0, 0, 0, 0], y, vjp(g)

    def step():
        return jax.block_until_ready(f(s["x"], s["w"], s["b"], s["g"]))[0]

    return step


def _j_rnn(cell, states):
    """A layer of a cell, which takes what the products of input and state are and gives the new states."""

    def build(s):
        import jax
        import jax.numpy as jnp

        def loss(p, x):
            wih, whh, bih, bhh = p
            w = whh.T

            def step(state, a):
                state = cell(a, state[0] @ w + bhh, *state)
                return state, state[0]

            zeros = jnp.zeros((x.shape[1], w.shape[0]))
            return jnp.square(jax.lax.scan(step, (zeros,) * states, x @ wih.T + bih)[1]).mean()

        return j_train(loss, [J(s[k]) for k in ("wih", "whh", "bih", "bhh")], J(s["x"]))

    return build


def _j_lstm(a, b, h, c):
    import jax
    import jax.numpy as jnp

    i, f, g, o = jnp.split(a + b, 4, -1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def _j_gru(a, b, h):
    import jax
    import jax.numpy as jnp

    (xr, xz, xn), (hr, hz, hn) = jnp.split(a, 3, -1), jnp.split(b, 3, -1)
    r, z = jax.nn.sigmoid(xr + hr), jax.nn.sigmoid(xz + hz)
    return ((1 - z) * jnp.tanh(xn + r * hn) + z * h,)


impl("lstm", "jax")(_j_rnn(_j_lstm, 2))
impl("gru", "jax")(_j_rnn(_j_gru, 1))


@impl("encoder", "jax")
def _(s):
    import jax
    import jax.numpy as jnp

    heads = s["heads"]

    def loss(p, x):
        b, n, d = x.shape
        qkv = j_lin(j_ln(x, p["g1"], p["h1"]), p["wqkv"], p["bqkv"]).reshape(b, n, 3, heads, d // heads)
        q, k, v = qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]
        a = jax.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", q, k) * (d // heads) ** -0.5, axis=-1)
        x = x + j_lin(jnp.einsum("bhqk,bkhd->bqhd", a, v).reshape(b, n, d), p["wo"], p["bo"])
        h = j_lin(j_ln(x, p["g2"], p["h2"]), p["w1"], p["b1"])
        x = x + j_lin(jax.nn.gelu(h, approximate=False), p["w2"], p["b2"])
        return jnp.square(x).mean()

    return j_train(loss, {k: J(v) for k, v in s.items() if k not in ("x", "heads")}, J(s["x"]))


@impl("ce_32k", "jax")
def _(s):
    import jax

    x, t = J(s["x"]), J(s["t"].astype("int32"))
    f = jax.jit(jax.value_and_grad(j_ce))

    def step():
        return jax.block_until_ready(f(x, t))[0]

    return step


def _j_norm(axes, layout):
    """A normalisation over axes, forward and backward."""

    def build(s):
        import jax

        x, d, g, b = layout(s["x"]), layout(s["d"]), J(s["g"]), J(s["b"])

        def norm(x, g, b):
            m = x.mean(axes, keepdims=True)
            v = ((x - m) ** 2).mean(axes, keepdims=True)
            return (x - m) * jax.lax.rsqrt(v + 1e-5) * g + b

        @jax.jit
        def f(x, g, b, d):
            y, vjp = jax.vjp(norm, x, g, b)
            return y.reshape(-1)[0], y, vjp(d)

        return lambda: jax.block_until_ready(f(x, g, b, d))[0]

    return build


impl("layernorm", "jax")(_j_norm((1,), lambda a: J(a)))


@impl("resblock", "jax")
def _(s):
    import jax

    x = J(s["x"].transpose(0, 2, 3, 1))

    def bn(x, g, b):
        mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
        return (x - mean) * (g * jax.lax.rsqrt(var + 1e-5)) + b

    def loss(p, x):
        h = jax.nn.relu(bn(j_conv(x, p["c0"], "SAME"), p["g0"], p["b0"]))
        h = jax.nn.relu(bn(j_conv(h, p["c1"], "SAME"), p["g1"], p["b1"]) + x)
        return (h * h).mean()

    def train(p, x):
        value, (g, gx) = jax.value_and_grad(loss, argnums=(0, 1))(p, x)
        return value, {k: p[k] - 1e-3 * g[k] for k in p}, gx

    filters = {k: J(s[k].transpose(2, 3, 1, 0)) for k in ("c0", "c1")}
    state = {**filters, **{k: J(s[k]) for k in ("g0", "b0", "g1", "b1")}}
    f = jax.jit(train, donate_argnums=0)

    def step():
        nonlocal state
        value, state, gx = f(state, x)
        jax.block_until_ready((state, gx))
        return value

    return step


impl("batchnorm", "jax")(_j_norm((0, 1, 2), lambda a: J(a.transpose(0, 2, 3, 1))))


def _j_ew(op):
    def build(s):
        import jax
        import jax.numpy as jnp

        x = J(s["x"])
        f = jax.jit(
            dict(
                add=lambda x: x + 1.0,
                relu=jax.nn.relu,
                exp=jnp.exp,
                tanh=jnp.tanh,
                sigmoid=jax.nn.sigmoid,
                gelu=lambda x: jax.nn.gelu(x, approximate=False),
            )[op]
        )

        def step():
            y = f(x).block_until_ready()
            return y[0] if step.first else None

        step.first = True
        return step

    return build


for _o in EW:
    impl(f"ew_{_o}_1m", "jax")(_j_ew(_o))


@impl("ew_chain_1m", "jax")
def _(s):
    import jax
    import jax.numpy as jnp

    x = J(s["x"])
    f = jax.jit(
        jax.value_and_grad(
            lambda x: (
                jax.nn.gelu(x, approximate=False) * jax.nn.sigmoid(x) + jnp.tanh(x) * jnp.exp(-x * x)
            ).sum()
        )
    )

    def step():
        return jax.block_until_ready(f(x))[0]

    return step


def _j_tiny(jit):
    def build(s):
        import jax

        x, y = J(s["x"]), J(s["y"])

        def loss(x, y):
            h = x
            for _ in range(100):
                h = h + y
            return h.sum()

        f = jax.value_and_grad(loss)
        f = jax.jit(f) if jit else f

        def step():
            return jax.block_until_ready(f(x, y))[0]

        return step

    return build


impl("tiny_chain", "jax")(_j_tiny(True))
impl("tiny_chain", "jax-eager")(_j_tiny(False))


@impl(["adam_10m", "adam_small"], "jax")
def _(s):
    import jax

    ps = [J(a) for a in s["p"]]
    gs = [J(a) for a in s["g"]]
    f = jax.jit(j_adam_apply, donate_argnums=(0, 2))
    S = [ps, j_adam(ps)]

    def step():
        S[0], S[1] = f(S[0], gs, S[1])
        jax.block_until_ready(S)

    return step


# ------------------------------------------------------------------ numpy by hand: the floor for tiny models
@impl("mlp_tiny", "numpy")
def _(s):
    np = _np()
    x, y, lr = s["x"], s["y"], np.float32(s["lr"])
    w = [s[f"w{i}"].T.copy() for i in range(3)]
    b = [s[f"b{i}"].copy() for i in range(3)]

    def step():
        h0 = np.maximum(x @ w[0] + b[0], 0)
        h1 = np.maximum(h0 @ w[1] + b[1], 0)
        e = h1 @ w[2] + b[2] - y
        g = e * np.float32(2 / e.size)
        d1 = (g @ w[2].T) * (h1 > 0)
        d0 = (d1 @ w[1].T) * (h0 > 0)
        for i, (h, d) in enumerate(((x, d0), (h0, d1), (h1, g))):
            w[i] -= lr * (h.T @ d)
            b[i] -= lr * d.sum(0)
        return (e * e).mean()

    return step


# ------------------------------------------------------------------ worker / driver
BACKENDS = ["torch", "torch-tuned", "torch-compile", "jax", "jax-eager", "numpy", "oxiflux", "limit"]
SETUP = {}  # backend -> function called once in the worker


def setup(*names):
    def deco(f):
        for n in names:
            SETUP[n] = f
        return f

    return deco


@setup("torch", "torch-tuned", "torch-compile")
def _(threads):
    import torch

    if threads:
        torch.set_num_threads(threads)


@setup("jax", "jax-eager")
def _(threads):
    os.environ.setdefault("JAX_PLATFORMS", "cpu")


def load_plugin(paths):
    """Runs files that register further cases or backends; they see the names of this one, and may lie beside it."""
    for path in filter(None, (paths or "").split(",")):
        if not os.path.exists(path):
            path = os.path.join(os.path.dirname(os.path.abspath(__file__)), path + ".py")
        exec(compile(open(path).read(), path, "exec"), dict(globals(), __name__="plugin", __file__=path))


def worker(backend, threads):
    load_plugin(os.environ.get("PEERS_PLUGIN"))
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if threads == 1:
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})
    _CUR[0] = backend
    SETUP.get(backend, lambda t: None)(threads)
    step = None
    inner = 1
    say = lambda **k: (out.write(json.dumps(k) + "\n"), out.flush())
    say(ok=True)
    for line in sys.stdin:
        m = json.loads(line)
        try:
            if m["do"] == "prep":
                step = None
                spec = CASES[m["case"]][0]()
                b, _ = IMPLS[m["case"], backend]
                step = b(spec)
                t = time.perf_counter()
                l = step()
                first = time.perf_counter() - t
                l = None if l is None else float(l)
                if hasattr(step, "first"):
                    step.first = False
                for _ in range(3):
                    step()
                ts = []
                t_end = time.perf_counter() + 0.15
                while time.perf_counter() < t_end or len(ts) < 3:
                    t = time.perf_counter()
                    step()
                    ts.append(time.perf_counter() - t)
                inner = max(1, int(m["budget"] / st.median(ts)))
                say(ok=True, loss=l, first=first, inner=inner)
            elif m["do"] == "run":
                t = time.perf_counter()
                for _ in range(inner):
                    step()
                say(ok=True, t=(time.perf_counter() - t) / inner)
            elif m["do"] == "quit":
                break
        except Exception as e:
            import traceback

            traceback.print_exc()
            say(ok=False, err=f"{type(e).__name__}: {e}"[:300])


# environment variants: `torch-tuned@keep` is torch-tuned with these variables in its process
ENVS = dict(
    keep=dict(
        MALLOC_MMAP_THRESHOLD_="8589934592", MALLOC_TRIM_THRESHOLD_="8589934592", MALLOC_TOP_PAD_="268435456"
    ),  # malloc never gives memory back: what a caching allocator would gain
    thp=dict(GLIBC_TUNABLES="glibc.malloc.hugetlb=1"),
    keepthp=dict(
        GLIBC_TUNABLES="glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=8589934592:glibc.malloc.trim_threshold=8589934592:glibc.malloc.top_pad=268435456"
    ),
    eigen1=dict(XLA_FLAGS="--xla_cpu_multi_thread_eigen=false"),
)

# what keeps the peers to the instructions that OXIFLUX_ISA names
ISAS = dict(
    avx2=dict(
        ONEDNN_MAX_CPU_ISA="AVX2",
        MKL_ENABLE_INSTRUCTIONS="AVX2",
        ATEN_CPU_CAPABILITY="avx2",
        # YNNPACK, with which XLA multiplies, asks the processor alone: its products are left to Eigen.
        XLA_FLAGS="--xla_cpu_max_isa=AVX2 --xla_cpu_experimental_ynn_fusion_type=",
        OPENBLAS_CORETYPE="Haswell",
        NPY_DISABLE_CPU_FEATURES="X86_V4",
    )
)


class W:
    def __init__(s, backend, threads):
        base, _, env = backend.partition("@")
        s.p = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), "worker", base, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=open(os.path.join(tempfile.gettempdir(), f"peers_{backend}.err"), "w"),
            text=True,
            env={
                **os.environ,
                **({"OPENBLAS_NUM_THREADS": str(threads)} if threads else {}),
                **ISAS.get(os.environ.get("OXIFLUX_ISA"), {}),
                **(ENVS[env] if env else {}),
            },
        )
        s.backend = backend
        json.loads(s.p.stdout.readline())

    def ask(s, **k):
        # OpenBLAS's threads look for work long after their last: they are stopped while others are measured.
        restless = s.backend == "numpy"
        if restless:
            s.p.send_signal(signal.SIGCONT)
        s.p.stdin.write(json.dumps(k) + "\n")
        s.p.stdin.flush()
        l = s.p.stdout.readline()
        if restless and k["do"] != "quit":
            s.p.send_signal(signal.SIGSTOP)
        return json.loads(l) if l else dict(ok=False, err="worker died")


def run(a):
    cases = (
        list(CASES)
        if a.cases == "all"
        else [
            c
            for k in a.cases.split(",")
            for c in CASES
            if c == k or (k.endswith("*") and c.startswith(k[:-1]))
        ]
    )
    ws = {b: W(b, a.threads) for b in a.backends.split(",")}
    res = {}
    for c in cases:
        live = []
        row = {}
        for b, w in ws.items():
            if (c, b.partition("@")[0]) not in IMPLS:
                continue
            r = w.ask(do="prep", case=c, budget=a.budget)
            if not r["ok"]:
                print(f"  {c} {b} FAILED {r['err']}", flush=True)
                row[b] = dict(err=r["err"])
                continue
            live.append(b)
            row[b] = dict(loss=r["loss"], first_s=r["first"], inner=r["inner"], ts=[])
        for i in range(a.rounds):
            for b in live if i % 2 == 0 else live[::-1]:
                time.sleep(0.008)
                r = ws[b].ask(do="run")
                row[b]["ts"].append(r.get("t", float("nan")))
        ls = [row[b]["loss"] for b in live if row[b]["loss"] is not None]
        ok = all(abs(x - ls[0]) <= 2e-3 * max(1e-3, abs(ls[0])) for x in ls)
        cells = []
        for b in live:
            t = sorted(row[b]["ts"])
            n = len(t)
            q = lambda f: t[min(n - 1, int(f * n))]
            row[b].update(med=st.median(t), q1=q(0.25), q3=q(0.75))
            del row[b]["ts"]
            cells.append(
                f"{b} {row[b]['med'] * 1e6:9.1f} [{row[b]['q1'] * 1e6:.1f}-{row[b]['q3'] * 1e6:.1f}]"
            )
        gain = ""
        peers = [b for b in live if b not in (a.against, "oxiflux-compiled", "limit")]
        if a.against in live and peers:
            best = min(peers, key=lambda b: row[b]["med"])
            row["ratio"] = row[best]["med"] / row[a.against]["med"]
            gain = f"   {row['ratio']:.2f}x of {best}"
        if a.against in live and "limit" in live:
            row["share"] = row["limit"]["med"] / row[a.against]["med"]
            gain += f", {row['share']:.2f} of the limit"
        print(f"{c:15s} " + " | ".join(cells) + gain + ("" if ok else f"   LOSS DIFFERS {ls}"), flush=True)
        row["same_loss"] = ok
        res[c] = row
        if a.json:
            save(a, res)
    gains = [row["ratio"] for row in res.values() if "ratio" in row]
    if gains:
        print(
            f"{a.against}: {sum(g > 1 for g in gains)} of {len(gains)} cases ahead of the best peer, geometric mean {math.exp(sum(map(math.log, gains)) / len(gains)):.2f}x"
        )
    for w in ws.values():
        try:
            w.ask(do="quit")
        except Exception:
            pass


def save(a, res):
    """Writes what has been measured so far, with the machine and the versions."""
    import report

    said = dict(machine=report.machine(a.threads), versions=report.versions("torch", "jax", "numpy"))
    if a.keep and os.path.exists(a.json):
        res = json.load(open(a.json))["res"] | res
    res = {c: res[c] for c in CASES if c in res}
    meta = {c: CASES[c][1] for c in res}
    with open(a.json, "w") as f:
        json.dump(dict(threads=a.threads, rounds=a.rounds, **said, res=res, meta=meta), f, indent=1)
        f.write("\n")


def size(a):
    mods = dict(
        torch=["torch"],
        jax=["jax", "jaxlib", "ml_dtypes", "opt_einsum", "scipy", "numpy"],
        numpy=["numpy"],
        oxiflux=["oxiflux"],
    )
    for b, stmt in (
        ("numpy", "import numpy"),
        ("torch", "import torch"),
        ("torch+nn use", "import torch; torch.nn.Linear(1,1)(torch.ones(1,1)).sum().backward()"),
        ("torch._dynamo", "import torch, torch._dynamo"),
        ("jax", "import jax"),
        ("jax+first op", "import jax, jax.numpy as jnp; jnp.ones(1).block_until_ready()"),
        (
            "jax+first jit grad",
            "import jax, jax.numpy as jnp; jax.jit(jax.grad(lambda x:(x*x).sum()))(jnp.ones(3)).block_until_ready()",
        ),
        ("oxiflux", "import oxiflux"),
    ):
        ts = []
        rss = None
        for _ in range(7):
            t = time.perf_counter()
            r = subprocess.run(
                [
                    sys.executable,
                    "-c",
                    stmt
                    + "\nimport resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss//1024)",
                ],
                capture_output=True,
                text=True,
            )
            ts.append(time.perf_counter() - t)
            if r.returncode:
                break
            rss = r.stdout.strip()
        if r.returncode:
            continue
        print(
            f"import {b:20s} median {st.median(ts) * 1e3:7.0f} ms  (min {min(ts) * 1e3:.0f}, max {max(ts) * 1e3:.0f})  max RSS {rss} MiB"
        )
    import sysconfig

    sp = sysconfig.get_paths()["purelib"]
    for d in sorted(os.listdir(sp)):
        p = os.path.join(sp, d)
        if os.path.isdir(p) and not d.endswith(".dist-info"):
            n = sum(os.lstat(os.path.join(r, f)).st_blocks * 512 for r, _, fs in os.walk(p) for f in fs)
            if n > 1e6:
                print(f"size {d:20s} {n / 1e6:8.1f} MB")


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        worker(sys.argv[2], int(sys.argv[3]))
        sys.exit()
    ap = argparse.ArgumentParser()
    ap.add_argument("cmd", choices=["run", "list", "size"])
    ap.add_argument("--backends", default="torch,torch-tuned,torch-compile,jax")
    ap.add_argument("--cases", default="all")
    ap.add_argument("--threads", type=int, default=0)
    ap.add_argument("--rounds", type=int, default=15)
    ap.add_argument("--budget", type=float, default=0.04)
    ap.add_argument("--json")
    ap.add_argument("--keep", action="store_true", help="other cases stay in the file")
    ap.add_argument("--plugin")
    ap.add_argument("--against")
    a = ap.parse_args()
    if a.plugin:
        os.environ["PEERS_PLUGIN"] = a.plugin
        load_plugin(a.plugin)
    if a.cmd == "list":
        for c, (_, m) in CASES.items():
            print(f"{c:16s} {','.join(b for b in BACKENDS if (c, b) in IMPLS):50s} {m.get('note', '')}")
    elif a.cmd == "size":
        size(a)
    else:
        run(a)
