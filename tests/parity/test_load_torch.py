"""Models of PyTorch and ours give the same results and gradients once ours have loaded their parameters."""

import numpy as np
import pytest

import oxiflux as flux
from parity.stored import listed, stored

THEMES = ("layers", "recurrent", "images", "attention", "blocks", "embeddings", "stacks", "halves")
STORED = {theme: stored(theme) for theme in THEMES}

LAYERS = {
    "Linear": lambda: flux.Dense(3, 4),
    "Linear without bias": lambda: flux.Dense(3, 4, bias=False),
    "LayerNorm": lambda: flux.LayerNorm(4, 3),
    "LayerNorm of the last axis": lambda: flux.LayerNorm(3),
    "LayerNorm with a large eps": lambda: flux.LayerNorm(3, eps=0.1),
    "LayerNorm without scale": lambda: flux.LayerNorm(3, affine=False),
    "Bilinear": lambda: flux.Bilinear((3, 4), 2),
}
RECURRENT = {
    "RNN": lambda: flux.RNN(3, 4),
    "RNN with relu": lambda: flux.RNN(3, 4, flux.relu),
    "LSTM": lambda: flux.LSTM(3, 4),
    "LSTM without bias": lambda: flux.LSTM(3, 4, bias=False),
    "GRU": lambda: flux.GRU(3, 4, recurrent_bias=True),
    "GRU without bias": lambda: flux.GRU(3, 4, bias=False),
    "RNNCell": lambda: flux.RNNCell(3, 4),
    "LSTMCell": lambda: flux.LSTMCell(3, 4),
    "GRUCell": lambda: flux.GRUCell(3, 4, recurrent_bias=True),
}
NETWORK_NAMES = {"names": ["0", "1", "5"], "flattened": {"5": (8, 3, 5)}}
IMAGES = {
    "Conv1d": lambda: flux.Conv((3,), 2, 6),
    "Conv2d": lambda: flux.Conv((3, 2), 2, 6, stride=2, pad=1),
    "Conv2d, dilated": lambda: flux.Conv((3, 2), 2, 6, dilation=(2, 3), pad=2),
    "Conv2d in groups": lambda: flux.Conv((3, 3), 4, 6, groups=2),
    "Conv2d turned round": lambda: flux.Conv((3, 2), 4, 6, groups=2, flipped=True),
    "Conv2d, depthwise": lambda: flux.DepthwiseConv((3, 3), 4, 8, dilation=2, bias=False),
    "Conv3d": lambda: flux.Conv((2, 2, 2), 2, 3),
    "ConvTranspose1d": lambda: flux.ConvTranspose((3,), 2, 6),
    "ConvTranspose2d": lambda: flux.ConvTranspose((3, 2), 4, 6, stride=2, pad=1, outpad=1),
    "ConvTranspose2d, dilated": lambda: flux.ConvTranspose(
        (3, 2), 4, 6, stride=2, pad=(2, 1), dilation=(2, 3)
    ),
    "ConvTranspose2d in groups": lambda: flux.ConvTranspose((3, 3), 4, 6, groups=2),
    "ConvTranspose3d": lambda: flux.ConvTranspose((2, 2, 2), 2, 3, stride=2),
    "BatchNorm1d": lambda: flux.BatchNorm(3),
    "BatchNorm2d": lambda: flux.BatchNorm(3),
    "BatchNorm3d without scale": lambda: flux.BatchNorm(3, affine=False),
    "InstanceNorm2d": lambda: flux.InstanceNorm(3, affine=True, track_stats=True),
    "GroupNorm": lambda: flux.GroupNorm(4, 2),
    "GroupNorm with a large eps": lambda: flux.GroupNorm(4, 2, eps=0.1),
    "BatchNorm2d in training": lambda: flux.BatchNorm(3, momentum=0.3),
    "BatchNorm2d in training with a large eps": lambda: flux.BatchNorm(3, eps=0.1),
    "InstanceNorm2d in training": lambda: flux.InstanceNorm(3, affine=True, track_stats=True),
    "a network": lambda: flux.Chain(
        flux.Conv((3, 3), 3, 8), flux.BatchNorm(8, flux.relu), flux.MaxPool((2, 2)), flux.flatten,
        flux.Dense(8 * 3 * 5, 4),
    ),
}  # fmt: skip
ATTENTION = {
    f"{'with' if bias else 'without'} bias, {width} features": lambda bias=bias, width=width: (
        flux.MultiHeadAttention(((8, width, width), 8, 8), nheads=2, bias=bias)
    )
    for bias in (True, False)
    for width in (8, 5)
}
BLOCKS = {
    "PReLU": lambda: flux.PReLU(3),
    "RMSNorm": lambda: flux.RMSNorm(3, eps=1e-5),
    "weight_norm of Linear": lambda: flux.WeightNorm(flux.Dense(3, 4)),
    "weight_norm of Conv1d": lambda: flux.WeightNorm(flux.Conv((2,), 3, 4)),
    **{
        f"TransformerEncoderLayer, norms {'first' if first else 'last'}": lambda first=first: (
            flux.TransformerBlock(8, 2, hidden=12, activation=flux.gelu_erf, prenorm=first)
        )
        for first in (True, False)
    },
}
EMBEDDINGS = {
    "Embedding": lambda: flux.Embedding(9, 4),
    "EmbeddingBag, mean": lambda: flux.EmbeddingBag(9, 4),
    "EmbeddingBag, sum": lambda: flux.EmbeddingBag(9, 4, flux.sum),
    "EmbeddingBag, max": lambda: flux.EmbeddingBag(9, 4, flux.max),
}


def stack(name):
    layer, options = getattr(flux, name), {"recurrent_bias": True} if name == "GRU" else {}
    return flux.Chain(*(layer(n, 4, **options) for n in (3, 4, 4)), flux.Dense(4, 2))


STACKS = {name: lambda name=name: stack(name) for name in ("RNN", "LSTM", "GRU")}
STACK_NAMES = {"names": ["rnn", "rnn", "rnn", "out"]}

OURS = {
    "layers": LAYERS, "recurrent": RECURRENT, "images": IMAGES, "attention": ATTENTION, "blocks": BLOCKS,
    "embeddings": EMBEDDINGS, "stacks": STACKS,
}  # fmt: skip
CASES = [(theme, name) for theme, cases in OURS.items() for name in cases]
OPTIONS = {
    "stacks": lambda _: STACK_NAMES,
    "images": lambda name: NETWORK_NAMES if name == "a network" else {},
}

each_case = pytest.mark.parametrize(("theme", "name"), CASES, ids=[f"{t}: {n}" for t, n in CASES])


def channels_last(x):
    return np.moveaxis(x, 1, -1) if x.ndim > 2 else x


def close(ours, theirs, tolerance=2e-6):
    theirs = np.asarray(theirs)
    scale = max(1.0, abs(theirs).max(initial=0))
    np.testing.assert_allclose(np.asarray(ours), theirs, rtol=tolerance, atol=tolerance * scale)


class Case:
    """A stored case: our layer with its parameters, its inputs, and what PyTorch gave."""

    def __init__(self, theme, name):
        self.kept, self.make = STORED[theme][name], OURS[theme][name]
        self.options = OPTIONS.get(theme, lambda _: {})(name)
        self.turn = channels_last if theme == "images" or "Conv" in name else lambda x: x
        self.training = "training" in name
        self.layer = self.loaded(self.kept.get("state", {}))
        self.inputs = [self.turn(x) for x in listed(self.kept["inputs"])]
        self.y, self.weights = self.turn(self.kept["y"]), self.turn(self.kept["weights"])

    def loaded(self, state):
        """Our layer with a state dict of theirs."""
        mode = flux.trainmode if self.training else flux.testmode
        return flux.load_torch(mode(self.make()), state, **self.options)

    def run(self, layer, *inputs):
        """The result that counts; a cell gives it twice."""
        y = layer(*inputs)
        return y[0] if isinstance(y, tuple) else y

    def as_state(self, grads):
        """Gradients of theirs as a state dict, in which one bias stands for the sum of two."""
        two = [p for p in flux.modules(self.layer) if getattr(p, "bias_hh", None) is not None]
        state = {key: x for key, x in self.kept.get("state", {}).items() if key not in grads}
        for key, g in grads.items():
            state[key] = g if two or "bias_hh" not in key else np.zeros_like(g)
        return state


def test_every_stored_case_is_compared():
    for theme, cases in OURS.items():
        assert set(cases) == set(STORED[theme])


@each_case
def test_a_layer_gives_what_theirs_gives(theme, name):
    case = Case(theme, name)
    close(case.run(case.layer, *case.inputs), case.y)


@each_case
def test_the_gradients_are_theirs(theme, name):
    case = Case(theme, name)
    loss = lambda layer, *inputs: (case.run(layer, *inputs) * case.weights).sum()
    inputs = [x if x.dtype.kind in "iu" else flux.tensor(x) for x in case.inputs]
    grads, *input_grads = flux.gradient(loss, case.layer, *inputs)
    expected = case.loaded(case.as_state(case.kept.get("grads", {})))
    for (path, g), t in zip(flux.trainables(grads, path=True), flux.trainables(expected), strict=True):
        assert g.shape == t.shape, path
        close(g, t.numpy(), 1e-5)
    for g, t in zip(input_grads, listed(case.kept.get("input_grads", {})), strict=False):
        close(g, case.turn(t), 1e-5)


@each_case
def test_the_way_back_gives_their_state_dict_to_the_bit(theme, name):
    """With the forward results above, this says that their module computes what ours does."""
    case = Case(theme, name)
    theirs, back = case.kept.get("state", {}), flux.to_torch(case.layer, numpy=True, **case.options)
    counts = {key: back.pop(key) for key in list(back) if key.endswith("num_batches_tracked")}
    assert all(x == 0 and x.dtype == np.int64 for x in counts.values())
    again = case.loaded(back)
    for (path, a), (_, b) in zip(flux._core.leaves(case.layer), flux._core.leaves(again), strict=True):
        assert a.numpy().tobytes() == b.numpy().tobytes(), path
    assert set(back) == set(theirs)
    is_summed = not any(getattr(part, "bias_hh", None) is not None for part in flux.modules(case.layer))
    for key, x in back.items():
        assert x.flags.c_contiguous and x.flags.writeable and x.shape == theirs[key].shape, key
        if is_summed and "bias_hh" in key:
            assert not x.any()
        elif not (is_summed and "bias_ih" in key):
            assert x.tobytes() == theirs[key].tobytes(), key


@pytest.mark.parametrize("name", [name for name in IMAGES if "training" in name])
def test_the_statistics_after_a_batch_are_theirs(name):
    case = Case("images", name)
    case.run(case.layer, *case.inputs)
    close(case.layer.mu, case.kept["after"]["running_mean"])
    close(case.layer.var, case.kept["after"]["running_var"])


def test_a_gru_without_a_bias_for_the_state_refuses_one():
    with pytest.raises(ValueError, match=r"GRU\(3 => 4\) has no bias for the state: recurrent_bias=True"):
        flux.load_torch(flux.GRU(3, 4), STORED["recurrent"]["GRU"]["state"])


class Half:
    """What `load_torch` sees of a tensor of PyTorch in bfloat16, of which NumPy has none."""

    def __init__(self, bits):
        self.bits = bits

    def detach(self):
        return self

    cpu = detach

    def is_floating_point(self):
        return True

    def element_size(self):
        return 2

    def float(self):
        return (self.bits.astype(np.uint32) << 16).view(np.float32)

    def __array__(self, *_, **__):
        raise TypeError("Got unsupported ScalarType BFloat16")


def test_half_precision_of_theirs_is_read():
    kept = STORED["halves"]["Linear"]
    layer = flux.load_torch(flux.Dense(3, 4), {key: Half(bits) for key, bits in kept["bits"].items()})
    np.testing.assert_array_equal(layer.weight, kept["values"]["weight"].T)
    np.testing.assert_array_equal(layer.bias, kept["values"]["bias"])


def test_tensors_of_pytorch_are_read_where_it_is_installed():
    torch = pytest.importorskip("torch")
    for theirs in (torch.nn.Linear(3, 4), torch.nn.Linear(3, 4).bfloat16()):
        layer = flux.load_torch(flux.Dense(3, 4), theirs.state_dict())
        np.testing.assert_array_equal(layer.weight, theirs.weight.detach().float().numpy().T)
