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
