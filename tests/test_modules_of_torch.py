"""Models that `load_torch(module)` makes of modules of PyTorch, here of look-alikes: what has the same attributes.

`tests/parity/torch_modules.py` compares with PyTorch's own.
"""

import functools
import types

import numpy as np
import pytest

import oxiflux as flux


def module(name, tensors=(), kids=(), **options):
    """What `load_torch` sees of a module: the name of its class, its options, its parts and its tensors."""
    made = type(name, (), {})()
    vars(made).update(options, **dict(tensors))
    made.named_children = lambda: list(dict(kids).items())

    def state_dict():
        found = {key: x for key, x in dict(tensors).items() if isinstance(x, np.ndarray)}
        for path, kid in dict(kids).items():
            found |= {f"{path}.{key}": x for key, x in kid.state_dict().items()}
        return found

    made.state_dict = state_dict
    return made


def numbers(*shape):
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape) / 10


def linear(size_in, size_out):
    tensors = {"weight": numbers(size_out, size_in), "bias": numbers(size_out)}
    return module("Linear", tensors, in_features=size_in, out_features=size_out)


def sequential(*modules, **named):
    return module("Sequential", kids=named or {str(i): part for i, part in enumerate(modules)})


CONV = {
    "in_channels": 4, "out_channels": 6, "kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0),
    "dilation": (1, 1), "groups": 2, "padding_mode": "zeros",
}  # fmt: skip
CONV_TENSORS = {"weight": numbers(6, 2, 3, 2), "bias": None}
NORM = {"num_features": 3, "eps": 0.1, "momentum": 0.2, "affine": False, "track_running_stats": True}
LAYER_NORM = {"normalized_shape": (3,), "eps": 0.1, "elementwise_affine": True}
RECURRENT = {
    "input_size": 2, "hidden_size": 3, "num_layers": 1, "bias": False, "batch_first": True, "bidirectional": False,
    "proj_size": 0, "nonlinearity": "relu",
}  # fmt: skip
POOL = {
    "kernel_size": 3,
    "stride": 2,
    "padding": 1,
    "dilation": 1,
    "ceil_mode": True,
    "return_indices": False,
}
MEAN_POOL = {
    "kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False,
    "divisor_override": None,
}  # fmt: skip


def recurrent(name, gates):
    tensors = {"weight_ih_l0": numbers(gates * 3, 2), "weight_hh_l0": numbers(gates * 3, 3)}
    return module(name, tensors, **RECURRENT)


MODULES = {
    "Linear": (linear(2, 3), flux.Dense(2, 3)),
    "Conv2d": (module("Conv2d", CONV_TENSORS, **CONV), flux.Conv(
        (3, 2), 4, 6, stride=(2, 1), pad=(1, 0), groups=2, bias=False)),
    "Conv2d, same": (module("Conv2d", CONV_TENSORS, **CONV | {"padding": "same", "stride": (1, 1)}), flux.Conv(
        (3, 2), 4, 6, pad=(1, 1, 0, 1), groups=2, bias=False)),
    "Conv2d, valid": (module("Conv2d", CONV_TENSORS, **CONV | {"padding": "valid"}), flux.Conv(
        (3, 2), 4, 6, stride=(2, 1), groups=2, bias=False)),
    "ConvTranspose2d": (module(
        "ConvTranspose2d", {"weight": numbers(4, 3, 3, 2), "bias": None}, **CONV | {"output_padding": (1, 0)}),
        flux.ConvTranspose((3, 2), 4, 6, stride=(2, 1), pad=(1, 0), outpad=(1, 0), groups=2, bias=False)),
    "BatchNorm2d": (module("BatchNorm2d", {"running_mean": numbers(3), "running_var": numbers(3)}, **NORM),
        flux.BatchNorm(3, affine=False, eps=0.1, momentum=0.2)),
    "InstanceNorm1d": (module("InstanceNorm1d", **NORM | {"track_running_stats": False}),
        flux.InstanceNorm(3, affine=False, eps=0.1, momentum=0.2)),
    "LayerNorm": (module("LayerNorm", {"weight": numbers(3), "bias": numbers(3)}, **LAYER_NORM),
        flux.LayerNorm(3, eps=0.1)),
    "RMSNorm": (module("RMSNorm", {"weight": numbers(3)}, **LAYER_NORM), flux.RMSNorm(3, eps=0.1)),
    "GroupNorm": (module("GroupNorm", num_channels=4, num_groups=2, eps=0.1, affine=False),
        flux.GroupNorm(4, 2, affine=False, eps=0.1)),
    "MaxPool1d": (module("MaxPool1d", **POOL), flux.MaxPool((3,), stride=2, pad=1, ceil_mode=True)),
    "AvgPool2d": (module("AvgPool2d", **MEAN_POOL),
        flux.MeanPool((3, 3), stride=2, pad=1, ceil_mode=True, count_include_pad=False)),
    "AdaptiveAvgPool2d": (module("AdaptiveAvgPool2d", output_size=(2, 3)), flux.AdaptiveMeanPool((2, 3))),
    "AdaptiveMaxPool3d": (module("AdaptiveMaxPool3d", output_size=2), flux.AdaptiveMaxPool((2, 2, 2))),
    "Dropout": (module("Dropout", p=0.3), flux.Dropout(0.3)),
    "Embedding": (module("Embedding", {"weight": numbers(5, 2)}, num_embeddings=5, embedding_dim=2, padding_idx=1),
        flux.Embedding(5, 2, padding_idx=1)),
    "EmbeddingBag": (module("EmbeddingBag", {"weight": numbers(5, 2)}, num_embeddings=5, embedding_dim=2, mode="max"),
        flux.EmbeddingBag(5, 2, flux.max)),
    "PReLU": (module("PReLU", {"weight": numbers(3)}, num_parameters=3), flux.PReLU(3)),
    "PixelShuffle": (module("PixelShuffle", upscale_factor=3), flux.PixelShuffle(3)),
    "RNN": (recurrent("RNN", 1), flux.RNN(2, 3, flux.relu, bias=False)),
    "LSTM": (recurrent("LSTM", 4), flux.LSTM(2, 3, bias=False)),
    "GRU": (recurrent("GRU", 3), flux.GRU(2, 3, bias=False)),
}  # fmt: skip
FUNCTIONS = {
    "ReLU": flux.relu, "ReLU6": flux.relu6, "SELU": flux.selu, "SiLU": flux.swish, "Mish": flux.mish,
    "Sigmoid": flux.sigmoid, "Tanh": flux.tanh, "Hardswish": flux.hardswish, "Hardsigmoid": flux.hardsigmoid,
    "Identity": flux.identity,
}  # fmt: skip


@pytest.mark.parametrize(("theirs", "ours"), MODULES.values(), ids=MODULES)
def test_a_module_becomes_the_layer_with_its_options_and_numbers(theirs, ours):
    found = flux.load_torch(theirs)
    flux.load_torch(ours, source=theirs)
    assert repr(found) == repr(ours) and found.__class__ is ours.__class__
    plain = lambda layer: {k: v for k, v in vars(layer).items() if isinstance(v, (int, float, tuple, str))}
    assert plain(found) == plain(ours)
    for (path, a), (_, b) in zip(flux._core.leaves(found), flux._core.leaves(ours), strict=True):
        assert np.array_equal(a, b), path


@pytest.mark.parametrize(("name", "function"), FUNCTIONS.items(), ids=FUNCTIONS)
def test_an_activation_becomes_the_function(name, function):
    assert flux.load_torch(sequential(linear(2, 3), module(name)))[1] is function


def test_options_of_activations_are_kept():
    model = flux.load_torch(
        sequential(
            module("LeakyReLU", negative_slope=0.3), module("ELU", alpha=0.5), module("GELU", approximate="none"),
            module("GELU", approximate="tanh"), module("Softmax", dim=-1), module("Flatten", start_dim=1, end_dim=-1),
            linear(2, 2),
        )
    )  # fmt: skip
    assert isinstance(model[0], functools.partial) and model[0].keywords == {"a": 0.3}
    assert model[1](flux.tensor([-1.0])).item() == pytest.approx(0.5 * (np.exp(-1) - 1))
    assert list(model[2:6]) == [
        flux.gelu_erf, flux.gelu_tanh, flux.softmax, flux.flatten,
    ]  # fmt: skip


def test_a_sequence_of_modules_becomes_a_chain_that_computes_the_same():
    theirs = sequential(linear(2, 3), module("ReLU"), sequential(first=linear(3, 3), second=linear(3, 1)))
    model = flux.load_torch(theirs)
    assert [type(part).__name__ for part in model[2]] == ["Dense", "Dense"]
    x = numbers(4, 2)
    state = theirs.state_dict()
    y = np.maximum(x @ state["0.weight"].T + state["0.bias"], 0)
    for name in ("2.first", "2.second"):
        y = y @ state[f"{name}.weight"].T + state[f"{name}.bias"]
    np.testing.assert_allclose(model(x), y, rtol=1e-5)
    assert set(flux.to_torch(model, numpy=True)) == set(state)


def test_a_module_at_two_places_stays_one_layer():
    shared = linear(2, 2)
    model = flux.load_torch(sequential(shared, module("ReLU"), shared))
    assert model[0] is model[2]


def test_a_layer_of_an_encoder_becomes_a_block():
    projected = module("Linear", in_features=4, out_features=6, bias=True)
    attention = module("MultiheadAttention", num_heads=2, batch_first=True)
    tensors = {
        "self_attn.in_proj_weight": numbers(12, 4), "self_attn.in_proj_bias": numbers(12),
        "self_attn.out_proj.weight": numbers(4, 4), "self_attn.out_proj.bias": numbers(4),
        "linear1.weight": numbers(6, 4), "linear1.bias": numbers(6), "linear2.weight": numbers(4, 6),
        "linear2.bias": numbers(4), **{f"norm{i}.{k}": numbers(4) for i in (1, 2) for k in ("weight", "bias")},
    }  # fmt: skip
    options = {
        "self_attn": attention, "linear1": projected, "norm_first": False, "norm1": types.SimpleNamespace(eps=0.1),
        "dropout": types.SimpleNamespace(p=0.2), "activation": types.SimpleNamespace(__name__="gelu"),
    }  # fmt: skip
    block = flux.load_torch(module("TransformerEncoderLayer", tensors, **options))
    expected = flux.TransformerBlock(
        4, 2, hidden=6, prenorm=False, dropout_prob=0.2, activation=flux.gelu_erf,
        norm=lambda n: flux.LayerNorm(n, eps=0.1),
    )  # fmt: skip
    assert repr(block) == repr(expected) and block.norm2.eps == 0.1
    options["activation"] = types.SimpleNamespace(__name__="tanh")
    with pytest.raises(
        ValueError, match=r"the TransformerEncoderLayer has activation=tanh, which is not offered"
    ):
        flux.load_torch(module("TransformerEncoderLayer", tensors, **options))


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        (
            module("Net"),
            r"no layer is known for the Net; write a model of layers and give load_torch\(model, module\)",
        ),
        (sequential(linear(2, 2), sequential(a=module("Own"))), r"no layer is known for the Own at 1\.a"),
        (
            module("LSTM", **RECURRENT | {"bidirectional": True}),
            "the LSTM has bidirectional=True, which is not offered",
        ),
        (module("GRU", **RECURRENT | {"num_layers": 2}), "num_layers=2"),
        (module("RNN", **RECURRENT | {"batch_first": False}), "batch_first=False"),
        (module("Conv2d", CONV_TENSORS, **CONV | {"padding_mode": "reflect"}), "padding_mode='reflect'"),
        (module("LayerNorm", **LAYER_NORM | {"normalized_shape": (3, 4)}), r"normalized_shape=\(3, 4\)"),
        (module("BatchNorm1d", **NORM | {"momentum": None}), "momentum=None"),
        (module("InstanceNorm1d", **NORM | {"momentum": None}), "momentum=None"),
        (module("Softmax", dim=1), "the Softmax has dim=1, which is not offered"),
        (module("Flatten", start_dim=0, end_dim=-1), "start_dim=0"),
        (module("MaxPool2d", **POOL | {"return_indices": True}), "return_indices=True"),
        (module("AdaptiveAvgPool2d", output_size=(None, 3)), r"output_size=\(None, 3\)"),
    ],
)
def test_what_no_layer_stands_for_is_named(theirs, message):
    with pytest.raises(ValueError, match=f"load_torch: .*{message}"):
        flux.load_torch(theirs)


@pytest.mark.parametrize("thing", [flux.Dense(2, 3), {"weight": numbers(3, 2)}, None, 3])
def test_a_model_alone_is_an_error(thing):
    with pytest.raises(
        TypeError, match="expected a model and a source, or a module of PyTorch alone, got only a"
    ):
        flux.load_torch(thing)
