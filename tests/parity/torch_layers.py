"""Layers of PyTorch: parameters, inputs, results, and the gradients of a weighted sum of the results."""

import numpy as np
import torch
from torch import nn


def randomised(module, seed=3):
    """The module with every parameter and statistic of its own, so that none is at its default."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, x in [*module.named_parameters(), *module.named_buffers()]:
            if x.is_floating_point():
                x.copy_(torch.rand_like(x) + 0.5 if name.endswith("var") else torch.randn_like(x) * 0.5)
    return module.eval()


def results(y):
    """The tensors of a result, of which a recurrent layer has several."""
    return [t for part in y for t in results(part)] if isinstance(y, tuple) else [y]


def ran(make, *shapes, train=False, first=lambda y: y, labels=None):
    """A module with its inputs, its results, and the gradients of `sum(result * weights)`."""

    def case():
        module = randomised(make())
        module.train(train)
        state = {key: x.detach().clone() for key, x in module.state_dict().items() if x.is_floating_point()}
        rng = np.random.default_rng(1)
        inputs = [torch.tensor(rng.standard_normal(s).astype("f"), requires_grad=True) for s in shapes]
        if labels is not None:
            inputs = [torch.tensor(labels)]
        y = first(module(*inputs))
        weights = torch.tensor(rng.standard_normal(y.shape).astype("f"))
        (y * weights).sum().backward()
        grads = {key: p.grad for key, p in module.named_parameters()}
        after = {key: x for key, x in module.state_dict().items() if x.is_floating_point()} if train else {}
        return {
            "state": state, "inputs": [x.detach() for x in inputs], "y": y, "weights": weights, "grads": grads,
            "input_grads": [x.grad for x in inputs if x.grad is not None], "after": after,
        }  # fmt: skip

    return case


class Stack(nn.Module):
    """Recurrent layers, and a linear one behind them."""

    def __init__(self, name):
        super().__init__()
        self.rnn = getattr(nn, name)(3, 4, num_layers=3, batch_first=True)
        self.out = nn.Linear(4, 2)

    def forward(self, x):
        return self.out(self.rnn(x)[0])


def network():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * 3 * 5, 4),
    )


PLAIN = {
    "Linear": ran(lambda: nn.Linear(3, 4), (5, 3)),
    "Linear without bias": ran(lambda: nn.Linear(3, 4, bias=False), (5, 3)),
    "LayerNorm": ran(lambda: nn.LayerNorm((4, 3)), (5, 4, 3)),
    "LayerNorm of the last axis": ran(lambda: nn.LayerNorm(3), (5, 4, 3)),
    "LayerNorm with a large eps": ran(lambda: nn.LayerNorm(3, eps=0.1), (5, 4, 3)),
    "LayerNorm without scale": ran(lambda: nn.LayerNorm(3, elementwise_affine=False), (5, 4, 3)),
    "Bilinear": ran(lambda: nn.Bilinear(3, 4, 2), (5, 3), (5, 4)),
}

# A cell of PyTorch gives the state, of which an LSTM has two parts, and a layer the last state beside the result.
OUTPUT = {"first": lambda y: y[0]}
RECURRENT = {
    "RNN": ran(lambda: nn.RNN(3, 4, batch_first=True), (2, 5, 3), **OUTPUT),
    "RNN with relu": ran(lambda: nn.RNN(3, 4, nonlinearity="relu", batch_first=True), (2, 5, 3), **OUTPUT),
    "LSTM": ran(lambda: nn.LSTM(3, 4, batch_first=True), (2, 5, 3), **OUTPUT),
    "LSTM without bias": ran(lambda: nn.LSTM(3, 4, batch_first=True, bias=False), (2, 5, 3), **OUTPUT),
    "GRU": ran(lambda: nn.GRU(3, 4, batch_first=True), (2, 5, 3), **OUTPUT),
    "GRU without bias": ran(lambda: nn.GRU(3, 4, batch_first=True, bias=False), (2, 5, 3), **OUTPUT),
    "RNNCell": ran(lambda: nn.RNNCell(3, 4), (5, 3)),
    "LSTMCell": ran(lambda: nn.LSTMCell(3, 4), (5, 3), **OUTPUT),
    "GRUCell": ran(lambda: nn.GRUCell(3, 4), (5, 3)),
}

STACKS = {name: ran(lambda name=name: Stack(name), (2, 5, 3)) for name in ("RNN", "LSTM", "GRU")}

IMAGES = {
    "Conv1d": ran(lambda: nn.Conv1d(2, 6, 3), (2, 2, 9)),
    "Conv2d": ran(lambda: nn.Conv2d(2, 6, (3, 2), stride=2, padding=1), (2, 2, 9, 8)),
    "Conv2d, dilated": ran(lambda: nn.Conv2d(2, 6, (3, 2), dilation=(2, 3), padding=2), (2, 2, 9, 8)),
    "Conv2d in groups": ran(lambda: nn.Conv2d(4, 6, 3, groups=2), (2, 4, 7, 8)),
    "Conv2d turned round": ran(lambda: nn.Conv2d(4, 6, (3, 2), groups=2), (2, 4, 7, 8)),
    "Conv2d, depthwise": ran(lambda: nn.Conv2d(4, 8, 3, groups=4, dilation=2, bias=False), (2, 4, 7, 8)),
    "Conv3d": ran(lambda: nn.Conv3d(2, 3, 2), (2, 2, 4, 5, 3)),
    "ConvTranspose1d": ran(lambda: nn.ConvTranspose1d(2, 6, 3), (2, 2, 9)),
    "ConvTranspose2d": ran(
        lambda: nn.ConvTranspose2d(4, 6, (3, 2), stride=2, padding=1, output_padding=1), (2, 4, 5, 6)
    ),
    "ConvTranspose2d, dilated": ran(
        lambda: nn.ConvTranspose2d(4, 6, (3, 2), stride=2, padding=(2, 1), dilation=(2, 3)), (2, 4, 5, 6)
    ),
    "ConvTranspose2d in groups": ran(lambda: nn.ConvTranspose2d(4, 6, 3, groups=2), (2, 4, 5, 6)),
    "ConvTranspose3d": ran(lambda: nn.ConvTranspose3d(2, 3, 2, stride=2), (2, 2, 4, 5, 3)),
    "BatchNorm1d": ran(lambda: nn.BatchNorm1d(3), (2, 3, 7)),
    "BatchNorm2d": ran(lambda: nn.BatchNorm2d(3), (2, 3, 4, 5)),
    "BatchNorm3d without scale": ran(lambda: nn.BatchNorm3d(3, affine=False), (2, 3, 4, 5, 2)),
    "InstanceNorm2d": ran(lambda: nn.InstanceNorm2d(3, affine=True, track_running_stats=True), (2, 3, 4, 5)),
    "GroupNorm": ran(lambda: nn.GroupNorm(2, 4), (2, 4, 3, 5)),
    "GroupNorm with a large eps": ran(lambda: nn.GroupNorm(2, 4, eps=0.1), (2, 4, 3, 5)),
    "BatchNorm2d in training": ran(lambda: nn.BatchNorm2d(3, momentum=0.3), (2, 3, 4, 5), train=True),
    "BatchNorm2d in training with a large eps": ran(
        lambda: nn.BatchNorm2d(3, eps=0.1), (2, 3, 4, 5), train=True
    ),
    "InstanceNorm2d in training": ran(
        lambda: nn.InstanceNorm2d(3, affine=True, track_running_stats=True), (2, 3, 4, 5), train=True
    ),
    "a network": ran(network, (2, 3, 8, 12)),
}

ATTENTION = {
    f"{'with' if bias else 'without'} bias, {width} features": ran(
        lambda bias=bias, width=width: nn.MultiheadAttention(
            8, 2, bias=bias, kdim=width, vdim=width, batch_first=True
        ),
        (3, 4, 8), (3, 6, width), (3, 6, width), **OUTPUT,
    )
    for bias in (True, False)
    for width in (8, 5)
}  # fmt: skip

LABELS = np.array([[1, 2, 8], [0, 0, 5]])
EMBEDDINGS = {
    "Embedding": ran(lambda: nn.Embedding(9, 4), labels=LABELS),
    **{
        f"EmbeddingBag, {mode}": ran(lambda mode=mode: nn.EmbeddingBag(9, 4, mode=mode), labels=LABELS)
        for mode in ("mean", "sum", "max")
    },
}


def sequence(name, batch):
    """A recurrent layer with states, all of whose results and gradients count."""

    def case():
        torch.manual_seed(1)
        layer = getattr(nn, name)(7, 19, batch_first=True)
        random = np.random.default_rng(2).normal
        x = random(size=(batch, 13, 7)).astype("float32")
        states = [random(size=(batch, 19)).astype("float32") for _ in range(1 + (name == "LSTM"))]
        tx, *ts = (torch.tensor(a, requires_grad=True) for a in (x, *states))
        y, end = layer(tx, tuple(s[None] for s in ts) if len(ts) == 2 else ts[0][None])
        ends = end if isinstance(end, tuple) else (end,)
        loss = (y**2).mean() + sum(s.square().sum() for s in ends)
        loss.backward()
        parameters = {key.removesuffix("_l0"): p for key, p in layer.named_parameters()}
        return {
            "parameters": parameters, "x": x, "states": states, "y": y, "loss": loss, "dx": tx.grad,
            "dstates": [t.grad for t in ts], "grads": {key: p.grad for key, p in parameters.items()},
        }  # fmt: skip

    return case


SEQUENCES = {f"{name}, batch of {n}": sequence(name, n) for name in ("RNN", "LSTM", "GRU") for n in (1, 9)}


def halves():
    layer = randomised(nn.Linear(3, 4)).bfloat16()
    return {
        "bits": {key: x.detach().view(torch.uint16) for key, x in layer.state_dict().items()},
        "values": {key: x.detach().float() for key, x in layer.state_dict().items()},
    }


def weight_normed(module):
    return nn.utils.parametrizations.weight_norm(module)


BLOCKS = {
    "PReLU": ran(lambda: nn.PReLU(3), (5, 3)),
    "RMSNorm": ran(lambda: nn.RMSNorm(3, eps=1e-5), (5, 4, 3)),
    "weight_norm of Linear": ran(lambda: weight_normed(nn.Linear(3, 4)), (5, 3)),
    "weight_norm of Conv1d": ran(lambda: weight_normed(nn.Conv1d(3, 4, 2)), (5, 3, 6)),
    **{
        f"TransformerEncoderLayer, norms {'first' if first else 'last'}": ran(
            lambda first=first: nn.TransformerEncoderLayer(
                8, 2, 12, activation="gelu", batch_first=True, norm_first=first
            ),
            (3, 4, 8),
        )
        for first in (True, False)
    },
}

THEMES = {
    "layers": PLAIN, "recurrent": RECURRENT, "stacks": STACKS, "images": IMAGES, "attention": ATTENTION,
    "blocks": BLOCKS, "embeddings": EMBEDDINGS, "sequences": SEQUENCES, "halves": {"Linear": halves},
}  # fmt: skip
