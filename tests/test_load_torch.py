"""State dicts of PyTorch, as arrays: where everything goes; tests/parity compares with PyTorch itself."""

import numpy as np
import pytest

import oxiflux as flux


def numbers(*shape):
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape) + 1


def linear(size_in, size_out, name=""):
    return {f"{name}weight": numbers(size_out, size_in), f"{name}bias": -numbers(size_out)}


def test_dense_takes_the_transposed_weight():
    layer = flux.load_torch(flux.Dense(3, 2), linear(3, 2))
    assert np.array_equal(layer.weight, numbers(2, 3).T) and np.array_equal(layer.bias, -numbers(2))


def test_names_are_the_paths_without_the_word_layers():
    class Net(flux.Layer):
        def __init__(self):
            self.encoder = flux.Chain(flux.Dense(2, 3), flux.relu, flux.Dense(3, 2))
            self.heads = [flux.Dense(2, 1), flux.Chain(out=flux.Dense(2, 1))]
            self.scale = flux.ones(4)

    source = (
        linear(2, 3, "encoder.0.")
        | linear(3, 2, "encoder.2.")
        | linear(2, 1, "heads.0.")
        | linear(2, 1, "heads.1.out.")
    )
    net = flux.load_torch(Net(), source | {"scale": numbers(4)})
    assert np.array_equal(net.encoder[2].weight, numbers(2, 3).T)
    assert np.array_equal(net.heads[1]["out"].bias, [-1])
    assert np.array_equal(net.scale, numbers(4))


def test_names_can_be_listed():
    model = flux.Chain(flux.Dense(2, 3, flux.relu), flux.Dense(3, 1))
    flux.load_torch(model, linear(2, 3, "fc1.") | linear(3, 1, "out.fc."), ["fc1", "out.fc"])
    assert np.array_equal(model[1].weight, numbers(1, 3).T)


def test_a_recurrent_module_of_several_layers_is_listed_once_for_each():
    source = {
        f"rnn.{name}_l{k}": numbers(4, n) + 100 * k
        for k in range(2)
        for name, n in (("weight_ih", 3 if k == 0 else 4), ("weight_hh", 4))
    }
    model = flux.Chain(flux.RNN(3, 4, bias=False), flux.RNN(4, 4, bias=False))
    flux.load_torch(model, source, ["rnn", "rnn"])
    assert np.array_equal(model[1].cell.weight_ih, source["rnn.weight_ih_l1"].T)
    with pytest.raises(ValueError, match=r"nothing for rnn\.cell\.weight_ih"):
        flux.load_torch(flux.Chain(*model, flux.RNN(4, 4, bias=False)), source, ["rnn"] * 3)


def test_a_file_is_read(tmp_path):
    flux.save(tmp_path / "x.safetensors", {"unused": 1})
    with pytest.raises(ValueError, match="nothing for weight"):
        flux.load_torch(flux.Dense(3, 2), tmp_path / "x.safetensors")
    tensors = [(name, flux.tensor(x)) for name, x in linear(3, 2).items()]
    flux._core.write_tensors(tmp_path / "x.safetensors", tensors, {"format": "pt"})
    layer = flux.load_torch(flux.Dense(3, 2), tmp_path / "x.safetensors")
    assert np.array_equal(layer.weight, numbers(2, 3).T)


def test_a_model_of_ours_is_no_state_dict(tmp_path):
    flux.save(tmp_path / "x.safetensors", flux.Dense(3, 2))
    with pytest.raises(ValueError, match="holds a Dense of oxiflux; load reads it"):
        flux.load_torch(flux.Dense(3, 2), tmp_path / "x.safetensors")
    with pytest.raises(TypeError):
        flux.load_torch(flux.Dense(3, 2), 3)


def test_a_dense_behind_a_flatten_takes_channels_last():
    x = np.random.default_rng(0).standard_normal((2, 4, 5, 3)).astype("f")
    weight = np.random.default_rng(1).standard_normal((7, 60)).astype("f")
    layer = flux.Dense(60, 7, bias=False)
    flux.load_torch(flux.Chain(fc=layer), {"fc.weight": weight}, flattened={"fc": (3, 4, 5)})
    theirs = np.moveaxis(x, -1, 1).reshape(2, 60) @ weight.T
    np.testing.assert_allclose(layer(flux.flatten(x)), theirs, rtol=5e-6, atol=5e-6)


def test_a_layer_that_occurs_twice_is_loaded_once():
    dense = flux.Dense(2, 2)
    flux.load_torch(flux.Chain(dense, flux.relu, dense), linear(2, 2, "0."))
    assert np.array_equal(dense.weight, numbers(2, 2).T)


def model():
    return flux.Chain(flux.Dense(2, 3), flux.Dense(3, 1))


both = linear(2, 3, "0.") | linear(3, 1, "1.")


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (linear(2, 3, "0."), {}, "nothing for 1.weight"),
        ({k: x for k, x in both.items() if k != "1.bias"}, {}, "nothing for 1.bias"),
        (both | linear(1, 1, "2."), {}, "no place for 2.bias, 2.weight"),
        (both | {"0.weight": numbers(3, 3)}, {}, r"layers\[0\].weight has shape \(2, 3\) in the model"),
        (both, {"names": ["0"]}, "1 names are too few"),
        (both, {"names": ["0", "1", "2"]}, "3 names for 2 layers"),
        (both, {"flattened": {"2": (3,)}}, "no layer takes 2"),
        (both, {"flattened": {"1": (3, 2)}}, r"1 does not read \(3, 2\) values"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_changed(source, options, message):
    net = model()
    before = repr(flux.state(net))
    with pytest.raises(ValueError, match=message):
        flux.load_torch(net, source, **options)
    assert repr(flux.state(net)) == before


def test_recurrent_layers_take_transposed_weights_and_the_sum_of_the_biases():
    theirs = {
        "weight_ih_l0": np.arange(24.0).reshape(12, 2),
        "weight_hh_l0": np.arange(36.0).reshape(12, 3),
        "bias_ih_l0": np.arange(12.0),
        "bias_hh_l0": np.ones(12),
    }
    cell = flux.load_torch(flux.LSTM(2, 3), theirs).cell
    np.testing.assert_array_equal(cell.weight_ih.numpy(), theirs["weight_ih_l0"].T)
    np.testing.assert_array_equal(cell.weight_hh.numpy(), theirs["weight_hh_l0"].T)
    np.testing.assert_array_equal(cell.bias.numpy(), np.arange(12.0) + 1)


def test_a_gru_takes_both_biases_if_it_has_both():
    theirs = {
        "weight_ih": np.ones((9, 2)),
        "weight_hh": np.ones((9, 3)),
        "bias_ih": np.arange(9.0),
        "bias_hh": np.ones(9),
    }
    cell = flux.load_torch(flux.GRUCell(2, 3, recurrent_bias=True), theirs)
    np.testing.assert_array_equal(cell.bias.numpy(), np.arange(9.0))
    np.testing.assert_array_equal(cell.bias_hh.numpy(), np.ones(9))
    with pytest.raises(ValueError, match="recurrent_bias=True"):
        flux.load_torch(flux.GRUCell(2, 3), theirs)


def images(n, channels, length):
    """Images with their channels last, and as PyTorch has them."""
    x = np.random.default_rng(0).normal(size=(n, length, length, channels)).astype(np.float32)
    return x, x.transpose(0, 3, 1, 2)


def convolution(size_in, size_out, name):
    w = np.random.default_rng(1).normal(size=(size_out, size_in, 1, 1)).astype(np.float32)
    return {f"{name}weight": w, f"{name}bias": np.zeros(size_out, np.float32)}


def full(size_in, size_out, name):
    w = np.random.default_rng(2).normal(size=(size_out, size_in)).astype(np.float32)
    return {f"{name}weight": w, f"{name}bias": np.zeros(size_out, np.float32)}


@pytest.mark.parametrize(
    "between",
    [
        (),
        (flux.relu,),
        (flux.BatchNorm(3),),
        (flux.Dropout(0.5), flux.Chain(flux.MaxPool((1, 1)), flux.tanh)),
    ],
)
@pytest.mark.parametrize("behind", [(), (flux.Dropout(0.5),), (flux.relu,)])
def test_a_dense_behind_flatten_in_a_chain_reads_the_channels_in_their_order(between, behind):
    conv, head = flux.Conv((1, 1), 2, 3), flux.Dense(48, 5)
    model = flux.Chain(
        features=flux.Chain(conv), b=flux.Chain(*between), f=flux.flatten, c=flux.Chain(*behind, head)
    )
    source = convolution(2, 3, "features.0.") | full(48, 5, f"c.{len(behind)}.")
    if between and isinstance(between[0], flux.BatchNorm):
        source |= {f"b.0.{k}": np.float32([v] * 3) for k, v in
                   (("weight", 1), ("bias", 0), ("running_mean", 0), ("running_var", 1))}  # fmt: skip
    flux.load_torch(model, source)
    x, theirs = images(2, 2, 4)
    y = np.einsum("nchw,oc->nohw", theirs, source["features.0.weight"][:, :, 0, 0])
    activation = {flux.relu: lambda y: y * (y > 0), flux.tanh: np.tanh}
    for f in (*between, *(between[1] if len(between) > 1 else ()), *behind):
        y = activation.get(f, lambda y: y)(y)
    y = y.reshape(2, -1) @ source[f"c.{len(behind)}.weight"].T
    np.testing.assert_allclose(flux.testmode(model)(x).numpy(), y, rtol=1e-3, atol=1e-4)


def test_a_second_dense_and_one_behind_a_global_pool_stay_as_they_are():
    model = flux.Chain(
        flux.Conv((1, 1), 2, 3), flux.GlobalMeanPool(), flux.flatten, flux.Dense(3, 6), flux.Dense(6, 3)
    )
    source = convolution(2, 3, "0.") | full(3, 6, "3.") | full(6, 3, "4.")
    flux.load_torch(model, source)
    assert np.array_equal(model[3].weight, source["3.weight"].T)
    assert np.array_equal(model[4].weight, source["4.weight"].T)


class Own(flux.Layer):
    def __init__(self):
        self.conv, self.fc = flux.Conv((1, 1), 2, 3), flux.Dense(48, 5)

    def __call__(self, x):
        return self.fc(flux.flatten(self.conv(x)))


@pytest.mark.parametrize(
    ("model", "names"),
    [
        (Own(), ("conv", "fc")),
        (
            flux.Chain(flux.Conv((1, 1), 2, 3), lambda x: x.reshape((x.shape[0], -1)), flux.Dense(48, 5)),
            ("0", "2"),
        ),
        (
            flux.Chain(
                flux.Conv((1, 1), 2, 9), flux.SkipConnection(flux.Conv((1, 1), 9, 3), lambda a, b: a),
                flux.flatten, flux.Dense(48, 5),
            ),
            ("0", "3"),
        ),
    ],
)  # fmt: skip
def test_where_the_order_cannot_be_seen_it_must_be_said(model, names):
    source = full(48, 5, f"{names[1]}.")
    if isinstance(model, flux.Chain) and len(model) == 4:
        source |= convolution(2, 9, "0.") | {
            k.replace("x.", "1."): v for k, v in convolution(9, 3, "x.").items()
        }
    else:
        source |= convolution(2, 3, f"{names[0]}.")
    before = flux.state(model)
    with pytest.raises(
        ValueError, match=rf"{names[1]} reads 48 features.*flattened={{'{names[1]}': \(channels, height"
    ):
        flux.load_torch(model, source)
    assert str(flux.state(model)) == str(before)
    flux.load_torch(model, source, flattened={names[1]: (3, 4, 4)})
    head = model.fc if isinstance(model, Own) else model[-1]
    expected = source[f"{names[1]}.weight"].T.reshape(3, 16, 5).transpose(1, 0, 2).reshape(48, 5)
    assert np.array_equal(head.weight, expected)
    flux.load_torch(model, source, flattened={}) if isinstance(model, Own) else None
    assert np.array_equal(head.weight, source[f"{names[1]}.weight"].T if isinstance(model, Own) else expected)


@pytest.mark.parametrize(
    ("q", "k", "v", "out"),
    [
        ("q_proj", "k_proj", "v_proj", "out_proj"),
        ("q_proj", "k_proj", "v_proj", "o_proj"),
        ("self.query", "self.key", "self.value", "output.dense"),
        ("query", "key", "value", "dense"),
    ],
)
@pytest.mark.parametrize("bias", [False, True])
def test_attention_takes_projections_that_are_modules(q, k, v, out, bias):
    layer = flux.MultiHeadAttention((6, 4, 3), nheads=2, bias=bias)
    sizes = {q: (6, 4), k: (6, 4), v: (6, 4), out: (4, 3)}
    source = {n: x for name, (a, b) in sizes.items() for n, x in linear(a, b, f"a.{name}.").items()}
    if not bias:
        source = {n: x for n, x in source.items() if n.endswith("weight")}
    flux.load_torch({"a": layer}, source)
    for mine, theirs in (("q_proj", q), ("k_proj", k), ("v_proj", v), ("out_proj", out)):
        assert np.array_equal(getattr(layer, mine).weight, source[f"a.{theirs}.weight"].T)
        if bias:
            assert np.array_equal(getattr(layer, mine).bias, source[f"a.{theirs}.bias"])


def test_a_module_gives_its_state_dict():
    class Module:
        def state_dict(self):
            return linear(3, 2)

    assert np.array_equal(flux.load_torch(flux.Dense(3, 2), Module()).bias, [-1, -2])


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "pytorch_model.bin", "last.ckpt"])
def test_a_file_of_torch_save_is_told_how_to_be_read(name):
    with pytest.raises(ValueError, match=r"give torch.load\(path, weights_only=True\), or .* safetensors"):
        flux.load_torch(flux.Dense(3, 2), name)


def test_what_is_no_source_is_an_error():
    with pytest.raises(TypeError, match="must be a state dict or a path, got a int"):
        flux.load_torch(flux.Dense(3, 2), 3)


def test_a_norm_of_squares_and_slopes_take_the_weight():
    model = flux.Chain(flux.RMSNorm(3), flux.PReLU(3))
    flux.load_torch(model, {"0.weight": numbers(3), "1.weight": -numbers(3)})
    assert np.array_equal(model[0].scale, numbers(3))
    assert np.array_equal(model[1].slope, -numbers(3))


def test_a_transformer_block_is_an_encoder_layer():
    source = {
        "self_attn.in_proj_weight": numbers(12, 4), "self_attn.in_proj_bias": numbers(12),
        **linear(4, 4, "self_attn.out_proj."), **linear(4, 6, "linear1."), **linear(6, 4, "linear2."),
        "norm1.weight": numbers(4), "norm1.bias": -numbers(4), "norm2.weight": 2 * numbers(4), "norm2.bias": numbers(4),
    }  # fmt: skip
    block = flux.TransformerBlock(4, 2, hidden=6, prenorm=False)
    flux.load_torch(block, source)
    assert np.array_equal(block.attention.k_proj.weight, numbers(12, 4)[4:8].T)
    assert np.array_equal(block.attention.out_proj.bias, -numbers(4))
    assert np.array_equal(block.dense2.weight, numbers(4, 6).T)
    assert np.array_equal(block.norm1.bias, -numbers(4))
    nested = flux.Chain(
        blocks=flux.Chain(flux.TransformerBlock(4, 2, hidden=6, norm=flux.RMSNorm, bias=False))
    )
    some = {f"blocks.0.{key}": x for key, x in source.items() if not key.endswith("bias")}
    flux.load_torch(nested, some)
    assert np.array_equal(nested["blocks"][0].norm2.scale, 2 * numbers(4))
    with pytest.raises(ValueError, match=r"nothing for dense1\.bias"):
        flux.load_torch(block, {key: x for key, x in source.items() if key != "linear1.bias"})


@pytest.mark.parametrize(
    ("layer", "source", "message"),
    [
        (
            flux.Dense(3, 2),
            {"weight": numbers(6), "bias": numbers(2)},
            r"weight, of shape \(6,\), does not fit Dense\(3",
        ),
        (
            flux.Conv((3,), 2, 4, bias=False),
            {"weight": np.float32(1)},
            r"weight, of shape \(\), does not fit Conv",
        ),
        (
            flux.MultiHeadAttention(4, nheads=2),
            {"in_proj_weight": numbers(11, 4), "out_proj.weight": numbers(4, 4)},
            r"q_proj\.weight, of shape \(11, 4\), does not fit MultiHeadAttention\(4; nheads=2\): ",
        ),
        (
            flux.RNNCell(2, 3),
            {
                "weight_ih": numbers(3, 2),
                "weight_hh": numbers(3, 3),
                "bias_ih": numbers(3),
                "bias_hh": numbers(2),
            },
            r"bias, of shape \(3,\) and \(2,\), does not fit RNNCell\(2 => 3",
        ),
    ],
)
def test_a_shape_that_cannot_be_turned_is_an_error_that_names_it(layer, source, message):
    with pytest.raises(flux.ShapeError, match=f"load_torch: what the source has for a.{message}"):
        flux.load_torch({"a": layer}, {f"a.{name}": x for name, x in source.items()})
