"""State dicts of PyTorch from our models: the way back of `load_torch`; tests/parity compares with PyTorch itself."""

import sys
import types

import numpy as np
import pytest

import oxiflux as flux
import zoo


def bits(model):
    return {path: (x.dtype, x.tolist()) for path, x in flux._core.leaves(model)}


def shapes(model, **options):
    return {name: x.shape for name, x in flux.to_torch(model, numpy=True, **options).items()}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("row", zoo.ROWS.values(), ids=zoo.ROWS)
def test_every_layer_goes_there_and_back_to_the_same_bits(row, dtype):
    layer = row.layer(dtype)
    other = row.make() if dtype == "float32" else flux.f64(row.make())
    theirs = flux.to_torch({"part": layer}, numpy=True)
    assert all(name.startswith("part.") for name in theirs)
    assert all(x.flags.c_contiguous and x.flags.writeable for x in theirs.values())
    flux.load_torch({"part": other}, theirs)
    assert bits(other) == bits(layer)


@pytest.mark.parametrize("name", [name for name, row in zoo.ROWS.items() if flux._core.leaves(row.make())])
def test_a_file_takes_every_layer_there_and_back(name, tmp_path):
    row, path = zoo.ROWS[name], tmp_path / "x.safetensors"
    layer, other = row.layer(), row.make()
    flux.save(path, flux.to_torch({"part": layer}, numpy=True))
    flux.load_torch({"part": other}, path)
    assert bits(other) == bits(layer)


@pytest.mark.parametrize("value", [-0.0, np.inf, np.nan, 1e-45])
@pytest.mark.parametrize("name", ["Dense", "LSTM", "GRU", "MultiHeadAttention", "Conv", "BatchNorm"])
def test_extreme_values_keep_their_bits(name, value):
    layer, other = zoo.ROWS[name].make(), zoo.ROWS[name].make()
    for _, t in flux._core.leaves(layer):
        flux._core.assign(t, flux.full(t.shape, value))
    flux.load_torch(other, flux.to_torch(layer, numpy=True))
    for (_, a), (_, b) in zip(flux._core.leaves(layer), flux._core.leaves(other), strict=True):
        assert a.numpy().tobytes() == b.numpy().tobytes()


# What PyTorch's own modules have, by its documentation.
THEIRS = {
    "Linear": (lambda: flux.Dense(2, 3), {"weight": (3, 2), "bias": (3,)}),
    "Linear without bias": (lambda: flux.Dense(2, 3, bias=False), {"weight": (3, 2)}),
    "Conv2d": (lambda: flux.Conv((3, 2), 4, 6, groups=2), {"weight": (6, 2, 3, 2), "bias": (6,)}),
    "ConvTranspose2d": (
        lambda: flux.ConvTranspose((3, 2), 4, 6, groups=2), {"weight": (4, 3, 3, 2), "bias": (6,)}
    ),
    "Bilinear": (lambda: flux.Bilinear((3, 4), 5), {"weight": (5, 3, 4), "bias": (5,)}),
    "BatchNorm2d": (
        lambda: flux.BatchNorm(3),
        {"weight": (3,), "bias": (3,), "running_mean": (3,), "running_var": (3,), "num_batches_tracked": ()},
    ),
    "InstanceNorm2d": (lambda: flux.InstanceNorm(3, affine=True), {"weight": (3,), "bias": (3,)}),
    "LSTM": (
        lambda: flux.LSTM(2, 3),
        {"weight_ih_l0": (12, 2), "weight_hh_l0": (12, 3), "bias_ih_l0": (12,), "bias_hh_l0": (12,)},
    ),
    "MultiheadAttention": (
        lambda: flux.MultiHeadAttention(4, nheads=2, bias=True),
        {"in_proj_weight": (12, 4), "in_proj_bias": (12,), "out_proj.weight": (4, 4), "out_proj.bias": (4,)},
    ),
    "MultiheadAttention of other keys": (
        lambda: flux.MultiHeadAttention(((4, 5, 6), 4, 4), nheads=2),
        {"q_proj_weight": (4, 4), "k_proj_weight": (4, 5), "v_proj_weight": (4, 6), "out_proj.weight": (4, 4)},
    ),
    "modules of shared heads": (
        lambda: flux.MultiHeadAttention(4, nheads=2, kv_heads=1),
        {f"{part}_proj.weight": (2 if part in "kv" else 4, 4) for part in ("q", "k", "v", "out")},
    ),
    "weight_norm": (
        lambda: flux.WeightNorm(flux.Dense(2, 3)),
        {"parametrizations.weight.original0": (3, 1), "parametrizations.weight.original1": (3, 2), "bias": (3,)},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "theirs"), THEIRS.values(), ids=THEIRS)
def test_names_and_shapes_are_those_of_the_module(make, theirs):
    assert shapes(make()) == theirs


def test_an_older_weight_norm_is_read():
    layer = flux.WeightNorm(flux.Dense(2, 3))
    theirs = {
        "weight_g": np.float32([[1], [2], [3]]),
        "weight_v": np.ones((3, 2), "f"),
        "bias": np.ones(3, "f"),
    }
    flux.load_torch(layer, theirs)
    assert np.array_equal(layer.g, [[1, 2, 3]]) and np.array_equal(layer.layer.weight, np.ones((2, 3)))


def test_names_can_be_listed():
    model = flux.Chain(flux.Dense(2, 3, flux.relu), flux.Dense(3, 1, bias=False))
    expected = {"fc.weight": (3, 2), "fc.bias": (3,), "out.weight": (1, 3)}
    assert shapes(model, names=["fc", "out"]) == expected
    with pytest.raises(ValueError, match=r"to_torch: 1 names are too few; the next would be for 1"):
        flux.to_torch(model, ["fc"])
    with pytest.raises(ValueError, match=r"to_torch: 3 names for 2 layers"):
        flux.to_torch(model, ["fc", "out", "more"])
    with pytest.raises(ValueError, match=r"to_torch: two tensors of the model would be called fc\.weight"):
        flux.to_torch(model, ["fc", "fc"])


def test_a_recurrent_module_of_several_layers_is_numbered():
    model = flux.Chain(flux.GRU(3, 4), flux.GRU(4, 4), flux.Dense(4, 1))
    names = list(flux.to_torch(model, ["rnn", "rnn", "out"], numpy=True))
    kinds = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    assert names[:8] == [f"rnn.{kind}_l{k}" for k in range(2) for kind in kinds]


def convolutional():
    return flux.Chain(flux.Conv((1, 1), 2, 3), flux.relu, flux.flatten, flux.Dense(48, 5))


def test_a_dense_behind_a_flatten_is_written_channels_first():
    model, x = convolutional(), np.random.default_rng(0).standard_normal((2, 4, 4, 2)).astype("f")
    theirs = flux.to_torch(model, numpy=True)
    y = np.einsum("nhwc,oc->nohw", x, theirs["0.weight"][:, :, 0, 0]) + theirs["0.bias"][:, None, None]
    y = np.maximum(y, 0).reshape(2, 48) @ theirs["3.weight"].T + theirs["3.bias"]
    np.testing.assert_allclose(model(x), y, rtol=1e-5, atol=1e-5)
    own = {"head": model[-1]}
    plain = flux.to_torch(own, numpy=True)["head.weight"]
    assert np.array_equal(plain, model[-1].weight.numpy().T) and not np.array_equal(plain, theirs["3.weight"])
    said = flux.to_torch(own, flattened={"head": (3, 4, 4)}, numpy=True)
    assert np.array_equal(said["head.weight"], theirs["3.weight"])


@pytest.mark.parametrize("norm", [lambda layer: layer, flux.WeightNorm])
def test_a_dense_behind_a_flatten_goes_there_and_back(norm):
    def make():
        model = convolutional()
        return flux.Chain(*model[:-1], norm(model[-1]))

    model, other = make(), make()
    theirs = flux.to_torch(model, numpy=True)
    flux.load_torch(other, theirs)
    assert bits(other) == bits(model)
    weight = next(x for name, x in theirs.items() if name.startswith("3.") and x.shape == (5, 48))
    dense = other[-1].layer if norm is flux.WeightNorm else other[-1]
    assert not np.array_equal(weight, dense.weight.numpy().T)


def test_where_the_order_cannot_be_seen_it_must_be_said():
    class Own(flux.Layer):
        def __init__(self):
            self.conv, self.fc = flux.Conv((1, 1), 2, 3), flux.Dense(48, 5)

    with pytest.raises(
        ValueError, match=r"to_torch: fc reads 48 features.*flattened={'fc': \(channels, height"
    ):
        flux.to_torch(Own())
    with pytest.raises(ValueError, match=r"to_torch: fc does not read \(5, 5\) values"):
        flux.to_torch(Own(), flattened={"fc": (5, 5)})
    with pytest.raises(ValueError, match=r"to_torch: no layer takes head of `flattened`"):
        flux.to_torch(Own(), flattened={"head": (3, 4, 4)})


def test_a_layer_at_two_places_is_written_at_both_and_read_from_either():
    def make():
        dense = flux.Dense(2, 2)
        return flux.Chain(dense, flux.relu, dense)

    model, other = make(), make()
    theirs = flux.to_torch(model, numpy=True)
    assert set(theirs) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    assert not np.shares_memory(theirs["0.weight"], theirs["2.weight"])
    flux.load_torch(other, theirs)
    assert bits(other) == bits(model)
    flux.load_torch(make(), {name: x for name, x in theirs.items() if name[0] == "0"})
    with pytest.raises(ValueError, match="are one tensor in the model and differ in the source"):
        flux.load_torch(other, theirs | {"2.bias": np.ones(2, "f")})
    assert bits(other) == bits(model)


def test_what_is_given_is_a_copy():
    model = flux.Dense(2, 3)
    theirs = flux.to_torch(model, numpy=True)
    theirs["bias"] += 1
    assert not model.bias.numpy().any()


def test_the_kind_of_the_arrays_is_asked_for(monkeypatch):
    class Of(np.ndarray):
        def to(self, dtype):
            return ("as", dtype)

    torch = types.ModuleType("torch")
    torch.from_numpy, torch.bfloat16 = lambda x: x.view(Of), "bfloat16"
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert type(flux.to_torch(flux.Dense(2, 3))["weight"]) is Of
    assert type(flux.to_torch(flux.Dense(2, 3), numpy=False)["weight"]) is Of
    assert type(flux.to_torch(flux.Dense(2, 3), numpy=True)["weight"]) is np.ndarray
    assert flux.to_torch(flux.bf16(flux.Dense(2, 3)))["weight"] == ("as", "bfloat16")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError):
        flux.to_torch(flux.Dense(2, 3), numpy=False)
    monkeypatch.delitem(sys.modules, "torch")
    assert type(flux.to_torch(flux.Dense(2, 3))["weight"]) is np.ndarray


@pytest.mark.parametrize(("half", "theirs"), [(flux.f16, "float16"), (flux.bf16, "float32")])
def test_half_precision_keeps_its_numbers(half, theirs):
    layer, other = half(flux.Dense(2, 3)), half(flux.Dense(2, 3))
    state = flux.to_torch(layer, numpy=True)
    assert {x.dtype for x in state.values()} == {np.dtype(theirs)}
    flux.load_torch(other, state)
    assert bits(other) == bits(layer)


def test_a_gradient_is_not_lost_silently():
    with pytest.raises(ValueError, match="a gradient is being taken through this tensor"):
        flux.gradient(lambda m: flux.to_torch(m, numpy=True)["bias"].sum(), flux.Dense(2, 3))


def test_a_layout_that_is_not_known_is_an_error():
    for function in (
        lambda **o: flux.to_torch(flux.Dense(2, 3), **o),
        lambda **o: flux.load_torch([], {}, **o),
    ):
        with pytest.raises(
            ValueError, match=r"_torch: layout is one of 'bert', 'gpt2', 'vit', got 'roberta'"
        ):
            function(layout="roberta")


def test_a_model_that_holds_itself_is_an_error():
    cycle = [flux.Dense(1, 1)]
    cycle.append(cycle)
    with pytest.raises(ValueError, match="itself"):
        flux.to_torch(cycle)


def test_a_block_may_have_any_norm():
    class Own(flux.Layer):
        def __init__(self, size):
            self.parts, self.offset = [flux.relu, flux.LayerNorm(size)], flux.ones(size)

    block, other = (flux.TransformerBlock(4, 2, norm=Own) for _ in range(2))
    theirs = flux.to_torch(block, numpy=True)
    assert {"norm1.parts.1.weight", "norm1.offset", "self_attn.in_proj_weight"} < set(theirs)
    flux.load_torch(other, theirs)
    assert bits(other) == bits(block)
    plain = flux.TransformerBlock(4, 2, norm=lambda size: flux.tanh)
    assert not any(name.startswith("norm") for name in flux.to_torch(plain))


@pytest.mark.parametrize("names", ["fc", b"fc", 5, [1], flux.Dense])
def test_names_that_are_none_are_an_error(names):
    for call in (
        lambda: flux.to_torch(flux.Dense(1, 1), names),
        lambda: flux.load_torch(flux.Dense(1, 1), {}, names),
    ):
        with pytest.raises(TypeError, match="_torch: names is a list of the names of modules, got"):
            call()


def test_options_of_a_wrong_kind_are_named():
    with pytest.raises(TypeError, match="to_torch: flattened is a dict of shapes by names, got 5"):
        flux.to_torch(flux.Dense(1, 1), flattened=5)
    with pytest.raises(ValueError, match=r"layout is one of .* got \['bert'\]"):
        flux.to_torch(flux.Dense(1, 1), layout=["bert"])
    with pytest.raises(TypeError, match="load_torch: a state dict has texts as names, got 1"):
        flux.load_torch(flux.Dense(1, 1), {1: np.ones(1)})


def test_integers_and_truths_of_a_layer_go_with_it():
    class Own(flux.Layer):
        def __init__(self, n):
            self.scale, self.places, self.mask = flux.ones(2), flux.tensor([n, 2]), flux.tensor([True, n > 1])

    theirs = flux.to_torch(Own(1), numpy=True)
    assert {name: x.dtype for name, x in theirs.items()} == {"scale": "f4", "places": "i8", "mask": "?"}
    other = flux.load_torch(Own(3), theirs)
    assert other.places.tolist() == [1, 2] and other.mask.tolist() == [True, False]


def test_parts_within_parts_that_repeat_come_to_an_end():
    model = [flux.Dense(1, 1)]
    for _ in range(40):
        model = [model, model]
    with pytest.raises(ValueError, match="to_torch: parts of the model are met again at over 10000 places"):
        flux.to_torch(model)


def test_a_tensor_alone_has_no_name():
    with pytest.raises(ValueError, match="a tensor alone has no name"):
        flux.to_torch(flux.ones(3))
    assert flux.to_torch(flux.ones(3), ["w"], numpy=True)["w"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("model", [None, 3, [], flux.relu, flux.Chain(), {"a": np.ones(3)}])
def test_what_has_no_parameters_gives_an_empty_dict(model):
    assert flux.to_torch(model) == {}
