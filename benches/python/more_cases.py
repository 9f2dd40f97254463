"""Cases for which nobody has tuned anything: a plugin of `peers.py` with what each of them works on.

`more_torch.py` has them in PyTorch and `more_oxiflux.py` in this package, each as a user would write it.
"""

# ruff: noqa: F821
import itertools

import numpy as np


def dense(rng, *sizes):
    """Weights `(out, in)` and biases of dense layers one after another."""
    pairs = list(itertools.pairwise(sizes))
    return {
        **{f"w{i}": _f(rng, b, a, scale=(2 / a) ** 0.5) for i, (a, b) in enumerate(pairs)},
        **{f"b{i}": _f(rng, b, scale=0.01) for i, (_, b) in enumerate(pairs)},
    }


def flops(rows, *sizes):
    """Forward, and the gradients of all but the first input."""
    products = [a * b for a, b in itertools.pairwise(sizes)]
    return 2 * rows * (3 * sum(products) - products[0]) / 1e9


@case(
    "clip_adam",
    note="the norm of all gradients clipped, then Adam, 535 thousand parameters",
    mbytes=36 * 0.535,
)
def _():
    r, shapes = _rng(20), [(784, 512), (512,), (512, 256), (256,), (256, 10), (10,)]
    return dict(p=[_f(r, *s) for s in shapes], g=[_f(r, *s) for s in shapes])


for _n in (64, 128, 256, 512, 1024, 2048):
    case(f"matmul_{_n}", note=f"product of two matrices, {_n} x {_n}", gflop=2 * _n**3 / 1e9)(
        lambda n=_n: dict(a=_f(_rng(21), n, n), b=_f(_rng(22), n, n))
    )


@case(
    "experts",
    note="8 experts 128-256-128, the best 2 for each of 512 rows, Adam",
    gflop=2 * flops(512, 128, 256, 128),
)
def _():
    r = _rng(23)
    s = dict(x=_f(r, 512, 128), y=_f(r, 512, 128), gate=_f(r, 8, 128, scale=0.3))
    return s | {f"{k}_{i}": v for i in range(8) for k, v in dense(r, 128, 256, 128).items()}


@case(
    "siamese",
    note="256 pairs through 128-256-64, all distances, contrastive loss, Adam",
    gflop=2 * flops(256, 128, 256, 64),
)
def _():
    r = _rng(24)
    same = np.eye(256, dtype=np.float32)
    return dict(a=_f(r, 256, 128), b=_f(r, 256, 128), same=same, **dense(r, 128, 256, 64))


@case("vae", note="variational autoencoder 784-400-20-400-784, batch 128, new noise in each step, Adam",
      gflop=flops(128, 784, 400, 40) + flops(128, 20, 400, 784))  # fmt: skip
def _():
    r = _rng(25)
    s = dict(x=r.random((128, 784), dtype=np.float32), noise=_f(r, 128, 20))
    s |= {"enc_" + k: v for k, v in dense(r, 784, 400, 40).items()}
    return s | {"dec_" + k: v for k, v in dense(r, 20, 400, 784).items()}


@case("separable", note="depthwise 3 x 3 and 1 x 1 convolution 64 to 128 with BatchNorm and relu, 56 x 56, batch 8, SGD",
      gflop=3 * 2 * 8 * 56 * 56 * 64 * (9 + 128) / 1e9)  # fmt: skip
def _():
    r = _rng(26)
    s = dict(
        x=_f(r, 8, 64, 56, 56), depth=_f(r, 64, 1, 3, 3, scale=0.3), point=_f(r, 128, 64, 1, 1, scale=0.1)
    )
    return s | dict(
        g0=np.ones(64, "f4"), b0=np.zeros(64, "f4"), g1=np.ones(128, "f4"), b1=np.zeros(128, "f4")
    )


@case("masked_gru", note="GRU 64 to 128 on 32 sequences of 10 to 60 steps, their last states classified, Adam",
      gflop=2 * 35 * 32 * 3 * 128 * (2 * 64 + 3 * 128) / 1e9)  # fmt: skip
def _():
    r = _rng(27)
    s = dict(x=_f(r, 32, 60, 64), t=r.integers(0, 10, 32).astype("int64"), lengths=r.integers(10, 61, 32))
    s |= dict(wih=_f(r, 384, 64, scale=0.1), whh=_f(r, 384, 128, scale=0.08))
    return s | dict(bih=_f(r, 384, scale=0.05), bhh=_f(r, 384, scale=0.05), **dense(r, 128, 10))


@case("groupnorm", note="GroupNorm of 8 groups, silu and 3 x 3 convolution beside a shortcut, 64 channels, 32 x 32, batch 8, Adam",
      gflop=3 * 2 * 8 * 32 * 32 * 64 * 64 * 9 / 1e9)  # fmt: skip
def _():
    r = _rng(28)
    s = dict(x=_f(r, 8, 64, 32, 32), w=_f(r, 64, 64, 3, 3, scale=0.04), b=_f(r, 64, scale=0.01))
    return s | dict(g=np.ones(64, "f4"), h=np.zeros(64, "f4"))


@case(
    "penalty",
    note="critic 64-256-256-1 with the penalty on the gradient of its input (second order), batch 128, Adam",
)
def _():
    r = _rng(29)
    return dict(real=_f(r, 128, 64), fake=_f(r, 128, 64), **dense(r, 64, 256, 256, 1))


@case(
    "kmeans",
    note="a step of k-means, 20,000 points of 32 numbers, 64 centres",
    gflop=2 * 20000 * 32 * 64 / 1e9,
)
def _():
    r = _rng(30)
    return dict(x=_f(r, 20000, 32), centres=_f(r, 64, 32))


@case("rotary", note="causal attention with rotary positions, 8 heads of 64, batch 2 of 256, Adam",
      gflop=3 * 2 * (512 * 512 * 512 * 4 + 2 * 2 * 8 * 256 * 128 * 64) / 1e9)  # fmt: skip
def _():
    r = _rng(31)
    return dict(x=_f(r, 2, 256, 512), **{f"w{k}": _f(r, 512, 512, scale=0.04) for k in "qkvo"})


@case(
    "focal",
    note="focal loss of 8 x 256 x 256 pixels, one in 50 of the rare class, with gradient",
    mbytes=12 * 8 * 65536 / 1e6,
)
def _():
    r = _rng(32)
    return dict(x=_f(r, 8, 256, 256), y=(r.random((8, 256, 256)) < 0.02).astype("f4"))


@case("ctc", note="log-softmax and CTC of 16 sequences of 100 steps, 32 classes, 20 labels, with gradient")
def _():
    r = _rng(33)
    return dict(x=_f(r, 16, 100, 32), y=r.integers(0, 31, (16, 20)).astype("int64"))


@case("ode", note="40 Euler steps of a field 2-64-64-2, batch 128, distance from data at the end, Adam",
      gflop=40 * 3 * 2 * 128 * (2 * 64 + 64 * 64 + 64 * 2) / 1e9)  # fmt: skip
def _():
    r = _rng(34)
    return dict(x=_f(r, 128, 2), y=_f(r, 128, 2), **dense(r, 2, 64, 64, 2))


@case(
    "ensemble",
    note="16 networks 10-64-64-1 as batched products, batch 64, Adam",
    gflop=16 * flops(64, 10, 64, 64, 1),
)
def _():
    r = _rng(35)
    parts = [dense(r, 10, 64, 64, 1) for _ in range(16)]
    return dict(x=_f(r, 64, 10), y=_f(r, 64, 1), **{k: np.stack([p[k] for p in parts]) for k in parts[0]})


@case("sampled", note="softmax over 1,000 sampled words of 50,000, width 128, batch 256, gradient descent",
      mbytes=12 * 50000 * 128 / 1e6)  # fmt: skip
def _():
    r = _rng(36)
    words = np.concatenate([r.integers(0, 50000, 256), r.integers(0, 50000, 1000)]).astype("int64")
    return dict(h=_f(r, 256, 128), table=_f(r, 50000, 128, scale=0.05), words=words, t=np.arange(256))


@case("series", note="conv1d of 8 to 32 channels, LSTM of 64, one number, batch 32 of 128 steps, Adam",
      gflop=2 * 32 * 128 * (2 * 5 * 8 * 32 + 3 * 256 * 96) / 1e9)  # fmt: skip
def _():
    r = _rng(37)
    s = dict(x=_f(r, 32, 8, 128), y=_f(r, 32, 1), conv=_f(r, 32, 8, 5, scale=0.2), cb=_f(r, 32, scale=0.01))
    s |= dict(wih=_f(r, 256, 32, scale=0.15), whh=_f(r, 256, 64, scale=0.1))
    return s | dict(bih=_f(r, 256, scale=0.05), bhh=_f(r, 256, scale=0.05), **dense(r, 64, 1))


@case("rbf", note="regression of 500 rows of 8 by 400 Gaussians, whose centres, widths and weights learn, SGD",
      gflop=2 * 3 * 500 * 400 * 8 / 1e9)  # fmt: skip
def _():
    r = _rng(40)
    s = dict(x=_f(r, 500, 8), y=_f(r, 500), centres=_f(r, 400, 8), widths=_f(r, 400, scale=0.1))
    return s | dict(weights=_f(r, 400, scale=0.1), lr=1e-2)


@case("pinn", note="a network 1-64-64-64-1 whose second derivative is that of a sine at 512 points, Adam",
      gflop=3 * flops(512, 1, 64, 64, 64, 1))  # fmt: skip
def _():
    r = _rng(41)
    x = np.linspace(0, 3, 512, dtype=np.float32)[:, None]
    return dict(x=x, wanted=-np.sin(x)) | dense(r, 1, 64, 64, 64, 1)
