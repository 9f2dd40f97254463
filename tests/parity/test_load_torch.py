"""Models of PyTorch and ours give the same results once ours have loaded their parameters."""

import numpy as np
import pytest

import oxiflux as flux

torch = pytest.importorskip("torch")
nn = torch.nn


def channels_last(x):
    return np.moveaxis(x, 1, -1)


def randomised(module):
    """The module with every parameter and statistic of its own, so that none is at its default."""
    torch.manual_seed(3)
    with torch.no_grad():
        for name, x in [*module.named_parameters(), *module.named_buffers()]:
            if x.is_floating_point():
                x.copy_(torch.rand_like(x) + 0.5 if name.endswith("var") else torch.randn_like(x) * 0.5)
    return module.eval()


def close(ours, theirs):
    np.testing.assert_allclose(np.asarray(ours), theirs.detach().numpy(), rtol=2e-5, atol=2e-5)


LAYERS = {
    "Linear": (lambda: nn.Linear(3, 4), lambda: flux.Dense(3, 4), (5, 3)),
    "Linear without bias": (
        lambda: nn.Linear(3, 4, bias=False),
        lambda: flux.Dense(3, 4, bias=False),
        (5, 3),
    ),
    "LayerNorm": (lambda: nn.LayerNorm((4, 3)), lambda: flux.LayerNorm(4, 3), (5, 4, 3)),
    "LayerNorm of the last axis": (lambda: nn.LayerNorm(3), lambda: flux.LayerNorm(3), (5, 4, 3)),
    "LayerNorm without scale": (
        lambda: nn.LayerNorm(3, elementwise_affine=False),
        lambda: flux.LayerNorm(3, affine=False),
        (5, 4, 3),
    ),
    "Bilinear": (lambda: nn.Bilinear(3, 4, 2), lambda: flux.Bilinear((3, 4), 2), [(5, 3), (5, 4)]),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_gives_what_theirs_gives(name):
    theirs, ours, shapes = LAYERS[name]
    theirs, ours = randomised(theirs()), flux.testmode(ours())
    xs = [
        np.random.default_rng(1).standard_normal(s).astype("f")
        for s in ([shapes] if type(shapes) is tuple else shapes)
    ]
    flux.load_torch(ours, theirs.state_dict())
    close(ours(*xs), theirs(*map(torch.from_numpy, xs)))


RECURRENT = {
    "RNN": (lambda: nn.RNN(3, 4, batch_first=True), lambda: flux.RNN(3, 4)),
    "LSTM": (lambda: nn.LSTM(3, 4, batch_first=True), lambda: flux.LSTM(3, 4)),
    "LSTM without bias": (
        lambda: nn.LSTM(3, 4, batch_first=True, bias=False),
        lambda: flux.LSTM(3, 4, bias=False),
    ),
    "GRU": (lambda: nn.GRU(3, 4, batch_first=True), lambda: flux.GRU(3, 4, recurrent_bias=True)),
    "GRU without bias": (
        lambda: nn.GRU(3, 4, batch_first=True, bias=False),
        lambda: flux.GRU(3, 4, bias=False),
    ),
    "RNN with relu": (
        lambda: nn.RNN(3, 4, nonlinearity="relu", batch_first=True),
        lambda: flux.RNN(3, 4, flux.relu),
    ),
    "RNNCell": (lambda: nn.RNNCell(3, 4), lambda: flux.RNNCell(3, 4)),
    "LSTMCell": (lambda: nn.LSTMCell(3, 4), lambda: flux.LSTMCell(3, 4)),
    "GRUCell": (lambda: nn.GRUCell(3, 4), lambda: flux.GRUCell(3, 4, recurrent_bias=True)),
}


@pytest.mark.parametrize("name", RECURRENT)
def test_a_recurrent_layer_gives_what_theirs_gives(name):
    theirs, ours = RECURRENT[name]
    theirs, ours = randomised(theirs()), ours()
    x = np.random.default_rng(1).standard_normal((5, 3) if "Cell" in name else (2, 5, 3)).astype("f")
    flux.load_torch(ours, theirs.state_dict())
    y, result = ours(x), theirs(torch.from_numpy(x))
    # A cell of PyTorch gives the state, of which an LSTM has two parts, and a layer the last state beside the result.
    close(y[0] if "Cell" in name else y, result[0] if isinstance(result, tuple) else result)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_a_stack_of_recurrent_layers_gives_what_theirs_gives(name):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = getattr(nn, name)(3, 4, num_layers=3, batch_first=True)
            self.out = nn.Linear(4, 2)

        def forward(self, x):
            return self.out(self.rnn(x)[0])

    theirs, options = randomised(Net()), {"recurrent_bias": True} if name == "GRU" else {}
    layer = getattr(flux, name)
    ours = flux.Chain(*(layer(n, 4, **options) for n in (3, 4, 4)), flux.Dense(4, 2))
    flux.load_torch(ours, theirs.state_dict(), ["rnn", "rnn", "rnn", "out"])
    x = torch.randn(2, 5, 3)
    close(ours(x.numpy()), theirs(x))


def test_a_gru_without_a_bias_for_the_state_refuses_one():
    with pytest.raises(ValueError, match=r"GRU\(3 => 4\) has no bias for the state: recurrent_bias=True"):
        flux.load_torch(flux.GRU(3, 4), randomised(nn.GRU(3, 4)).state_dict())


IMAGES = {
    "Conv1d": (lambda: nn.Conv1d(2, 6, 3), lambda: flux.Conv((3,), 2, 6), (2, 2, 9)),
    "Conv2d": (
        lambda: nn.Conv2d(2, 6, (3, 2), stride=2, padding=1),
        lambda: flux.Conv((3, 2), 2, 6, stride=2, pad=1),
        (2, 2, 9, 8),
    ),
    "Conv2d in groups": (
        lambda: nn.Conv2d(4, 6, 3, groups=2),
        lambda: flux.Conv((3, 3), 4, 6, groups=2),
        (2, 4, 7, 8),
    ),
    "Conv2d turned round": (
        lambda: nn.Conv2d(4, 6, (3, 2), groups=2),
        lambda: flux.Conv((3, 2), 4, 6, groups=2, flipped=True),
        (2, 4, 7, 8),
    ),
    "Conv3d": (lambda: nn.Conv3d(2, 3, 2), lambda: flux.Conv((2, 2, 2), 2, 3), (2, 2, 4, 5, 3)),
    "ConvTranspose2d": (
        lambda: nn.ConvTranspose2d(4, 6, (3, 2), stride=2, padding=1, output_padding=1),
        lambda: flux.ConvTranspose((3, 2), 4, 6, stride=2, pad=1, outpad=1),
        (2, 4, 5, 6),
    ),
    "ConvTranspose2d in groups": (
        lambda: nn.ConvTranspose2d(4, 6, 3, groups=2),
        lambda: flux.ConvTranspose((3, 3), 4, 6, groups=2),
        (2, 4, 5, 6),
    ),
    "Conv2d, depthwise": (
        lambda: nn.Conv2d(4, 8, 3, groups=4, dilation=2, bias=False),
        lambda: flux.DepthwiseConv((3, 3), 4, 8, dilation=2, bias=False),
        (2, 4, 7, 8),
    ),
    "ConvTranspose1d": (
        lambda: nn.ConvTranspose1d(2, 6, 3),
        lambda: flux.ConvTranspose((3,), 2, 6),
        (2, 2, 9),
    ),
    "ConvTranspose3d": (
        lambda: nn.ConvTranspose3d(2, 3, 2, stride=2),
        lambda: flux.ConvTranspose((2, 2, 2), 2, 3, stride=2),
        (2, 2, 4, 5, 3),
    ),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(3), lambda: flux.BatchNorm(3), (2, 3, 7)),
    "BatchNorm3d without scale": (
        lambda: nn.BatchNorm3d(3, affine=False),
        lambda: flux.BatchNorm(3, affine=False),
        (2, 3, 4, 5, 2),
    ),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(3), lambda: flux.BatchNorm(3), (2, 3, 4, 5)),
    "InstanceNorm2d": (
        lambda: nn.InstanceNorm2d(3, affine=True, track_running_stats=True),
        lambda: flux.InstanceNorm(3, affine=True, track_stats=True),
        (2, 3, 4, 5),
    ),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), lambda: flux.GroupNorm(4, 2), (2, 4, 3, 5)),
}


@pytest.mark.parametrize("name", IMAGES)
def test_a_layer_of_images_gives_what_theirs_gives(name):
    theirs, ours, shape = IMAGES[name]
    theirs, ours = randomised(theirs()), flux.testmode(ours())
    x = np.random.default_rng(1).standard_normal(shape).astype("f")
    flux.load_torch(ours, theirs.state_dict())
    result = theirs(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(ours(channels_last(x)), channels_last(result), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("kdim", [None, 5])
@pytest.mark.parametrize("bias", [True, False])
def test_attention_gives_what_theirs_gives(bias, kdim):
    theirs = randomised(nn.MultiheadAttention(8, 2, bias=bias, kdim=kdim, vdim=kdim, batch_first=True))
    width = kdim or 8
    ours = flux.MultiHeadAttention(((8, width, width), 8, 8), nheads=2, bias=bias)
    flux.load_torch(ours, theirs.state_dict())
    q, k = torch.randn(3, 4, 8), torch.randn(3, 6, width)
    close(ours(q.numpy(), k.numpy(), k.numpy()), theirs(q, k, k)[0])


@pytest.mark.parametrize("bag", [False, True])
def test_an_embedding_gives_what_theirs_gives(bag):
    theirs = randomised(nn.EmbeddingBag(9, 4, mode="mean") if bag else nn.Embedding(9, 4))
    ours = flux.EmbeddingBag(9, 4) if bag else flux.Embedding(9, 4)
    flux.load_torch(ours, theirs.state_dict())
    x = np.array([[1, 2, 8], [0, 0, 5]])
    close(ours(x), theirs(torch.from_numpy(x)))


def test_a_network_gives_what_theirs_gives(tmp_path):
    theirs = randomised(
        nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(8 * 3 * 5, 4)
        )
    )  # fmt: skip
    ours = flux.Chain(
        flux.Conv((3, 3), 3, 8), flux.BatchNorm(8, flux.relu), flux.MaxPool((2, 2)), flux.flatten,
        flux.Dense(8 * 3 * 5, 4)
    )  # fmt: skip
    flux.load_torch(ours, theirs.state_dict(), ["0", "1", "5"], flattened={"5": (8, 3, 5)})
    x = torch.randn(2, 3, 8, 12)
    close(flux.testmode(ours)(channels_last(x.numpy())), theirs(x))


def test_half_precision_of_theirs_is_read():
    theirs = nn.Linear(3, 4).bfloat16()
    ours = flux.load_torch(flux.Dense(3, 4), theirs.state_dict())
    assert np.array_equal(ours.weight, theirs.weight.detach().float().numpy().T)
