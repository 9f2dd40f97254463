"""Modules of PyTorch compute what our layers do, once they have the state dict that `to_torch` gives.

It needs PyTorch and this package, and is run by hand: `PYTHONPATH=python python tests/parity/torch_back.py`. What is
compared without PyTorch stands in `test_load_torch.py`: that the state dicts are theirs to the bit.
"""

import numpy as np
import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

import oxiflux as flux

LAST = lambda x: torch.movedim(x, 1, -1) if x.ndim > 2 else x
FIRST = lambda x: torch.movedim(x, -1, 1) if x.ndim > 2 else x

# A layer, their module, the shape of an input, and whether it is an image, whose channels come first there.
ROWS = {
    "Dense": (flux.Dense(3, 4), nn.Linear(3, 4), (5, 3), False),
    "PReLU": (flux.PReLU(3), nn.PReLU(3), (5, 3), False),
    "Conv": (flux.Conv((3, 2), 4, 6, groups=2, flipped=False), nn.Conv2d(4, 6, (3, 2), groups=2), (2, 7, 8, 4), True),
    "Conv, flipped": (flux.Conv((3,), 4, 6, flipped=True), nn.Conv1d(4, 6, 3), (2, 7, 4), True),
    "ConvTranspose": (
        flux.ConvTranspose((3, 2), 4, 6, stride=2), nn.ConvTranspose2d(4, 6, (3, 2), stride=2), (2, 5, 6, 4), True,
    ),
    "BatchNorm": (flux.testmode(flux.BatchNorm(3)), nn.BatchNorm2d(3), (2, 4, 5, 3), True),
    "InstanceNorm": (flux.InstanceNorm(3, affine=True), nn.InstanceNorm2d(3, affine=True), (2, 4, 5, 3), True),
    "GroupNorm": (flux.GroupNorm(4, 2), nn.GroupNorm(2, 4), (2, 3, 5, 4), True),
    "LayerNorm": (flux.LayerNorm(3), nn.LayerNorm(3), (5, 3), False),
    "RMSNorm": (flux.RMSNorm(3, eps=1e-5), nn.RMSNorm(3, eps=1e-5), (5, 3), False),
    "WeightNorm": (flux.WeightNorm(flux.Dense(3, 4)), weight_norm(nn.Linear(3, 4)), (5, 3), False),
    "RNN": (flux.RNN(3, 4), nn.RNN(3, 4, batch_first=True), (2, 5, 3), False),
    "LSTM": (flux.LSTM(3, 4), nn.LSTM(3, 4, batch_first=True), (2, 5, 3), False),
    "GRU": (flux.GRU(3, 4), nn.GRU(3, 4, batch_first=True), (2, 5, 3), False),
    "GRU with both biases": (flux.GRU(3, 4, recurrent_bias=True), nn.GRU(3, 4, batch_first=True), (2, 5, 3), False),
    "LSTMCell": (flux.LSTMCell(3, 4), nn.LSTMCell(3, 4), (5, 3), False),
    "TransformerBlock": (
        flux.TransformerBlock(8, 2, hidden=12, activation=flux.gelu_erf),
        nn.TransformerEncoderLayer(8, 2, 12, activation="gelu", batch_first=True, norm_first=True), (3, 4, 8), False,
    ),
    "a network": (
        flux.Chain(flux.Conv((3, 3), 3, 8), flux.relu, flux.MaxPool((2, 2)), flux.flatten, flux.Dense(120, 4)),
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(120, 4)),
        (2, 8, 12, 3), True,
    ),
}  # fmt: skip


def first(y):
    return y[0] if isinstance(y, tuple) else y


def main():
    rng = np.random.default_rng(0)
    for name, (layer, module, shape, is_image) in ROWS.items():
        for _, t in flux._core.leaves(layer):
            flux._core.assign(t, t + flux.tensor(0.1 + 0.3 * rng.random(t.shape)))
        module.load_state_dict(flux.to_torch(layer))
        x = rng.standard_normal(shape).astype("f")
        theirs = module.eval()((FIRST if is_image else lambda x: x)(torch.tensor(x)))
        theirs = (LAST if is_image else lambda x: x)(first(theirs)).detach().numpy()
        apart = abs(first(layer(x)).numpy() - theirs).max() / max(1, abs(theirs).max())
        assert apart < 1e-5, f"{name}: {apart}"
        print(f"{name}: {apart:.1e} apart")  # noqa: T201


if __name__ == "__main__":
    main()
