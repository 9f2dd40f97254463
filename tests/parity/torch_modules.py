"""Models that `load_torch(module)` makes of modules of PyTorch compute what these do.

It needs PyTorch and this package, and is run by hand: `PYTHONPATH=python python tests/parity/torch_modules.py`.
"""

import numpy as np
import torch
from torch import nn
from torch_layers import randomised

import oxiflux as flux

# A module and the shape of an input, as theirs; the axis of the channels goes last for ours if there are three or more,
# but for sequences.
ROWS = {
    "a network": (
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 8, (3, 2), padding="same", groups=4), nn.GELU(), nn.AvgPool2d((1, 2), padding=(0, 1)),
            nn.Dropout(0.5), nn.Flatten(), nn.Linear(8 * 4 * 2, 6), nn.LeakyReLU(0.2), nn.Linear(6, 4), nn.Softmax(-1),
        ), (2, 3, 16, 12),
    ),
    "upwards": (
        lambda: nn.Sequential(
            nn.ConvTranspose2d(4, 6, 3, stride=2, output_padding=1), nn.InstanceNorm2d(6, affine=True), nn.SiLU(),
            nn.GroupNorm(2, 6), nn.ELU(0.5), nn.Conv2d(6, 8, 1), nn.PReLU(8), nn.PixelShuffle(2),
            nn.AdaptiveAvgPool2d(3),
        ), (2, 4, 5, 6),
    ),
    "a line": (lambda: nn.Sequential(nn.Conv1d(3, 4, 3, dilation=2), nn.Tanh(), nn.AdaptiveMaxPool1d(2)), (2, 3, 9)),
    "named": (
        lambda: nn.Sequential(
            nn.Sequential(nn.Linear(3, 4), nn.Mish()), nn.LayerNorm(4), nn.RMSNorm(4, eps=1e-5), nn.GELU("tanh"),
        ), (5, 3),
    ),
    "a transformer": (
        lambda: nn.Sequential(
            nn.Linear(3, 8), nn.TransformerEncoderLayer(8, 2, 12, batch_first=True),
            nn.TransformerEncoderLayer(8, 2, 12, activation="gelu", batch_first=True, norm_first=True),
        ), (2, 5, 3),
    ),
    "RNN": (lambda: nn.RNN(3, 4, nonlinearity="relu", batch_first=True), (2, 5, 3)),
    "LSTM": (lambda: nn.LSTM(3, 4, batch_first=True), (2, 5, 3)),
    "GRU": (lambda: nn.GRU(3, 4, batch_first=True), (2, 5, 3)),
}  # fmt: skip
SEQUENCES = ("a transformer", "RNN", "LSTM", "GRU")


def main():
    for name, (make, shape) in ROWS.items():
        module = randomised(make())
        x = torch.tensor(np.random.default_rng(0).standard_normal(shape).astype("f"))
        theirs = module(x)
        theirs = (theirs[0] if isinstance(theirs, tuple) else theirs).detach()
        turn = (lambda x: torch.movedim(x, 1, -1)) if name not in SEQUENCES else (lambda x: x)
        model = flux.testmode(flux.load_torch(module))
        ours = model(turn(x).numpy()).numpy()
        apart = abs(ours - turn(theirs).numpy()).max() / max(1, abs(theirs).max())
        assert apart < 2e-6, f"{name}: {apart}"
        again = make()
        again.load_state_dict(flux.to_torch(model))
        print(f"{name}: {apart:.1e} apart")  # noqa: T201


if __name__ == "__main__":
    main()
