"""The examples of Flux's documentation for recurrent layers, in Python: features last, time before them."""

import numpy as np
import pytest

import oxiflux as flux

D_IN, D_OUT, LENGTH, BATCH = 2, 3, 4, 5


def parameter_count(model):
    return sum(p.size for p in flux.params(model))


# The constructors and what they print


@pytest.mark.parametrize(
    ("layer", "text", "gates"),
    [
        (flux.RNNCell(2, 3), "RNNCell(2 => 3, tanh)", 1),
        (flux.RNN(2, 3), "RNN(2 => 3, tanh)", 1),
        (flux.RNN(2, 3, flux.relu), "RNN(2 => 3, relu)", 1),
        (flux.LSTMCell(2, 3), "LSTMCell(2 => 3)", 4),
        (flux.LSTM(2, 3), "LSTM(2 => 3)", 4),
        (flux.GRUCell(2, 3), "GRUCell(2 => 3)", 3),
        (flux.GRU(2, 3), "GRU(2 => 3)", 3),
        (flux.GRUv3Cell(2, 3), "GRUv3Cell(2 => 3)", 3),
        (flux.GRUv3(2, 3), "GRUv3(2 => 3)", 3),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_layers_print_their_sizes_and_parameters(layer, text, gates):
    count = gates * (2 * 3 + 3 * 3 + 3)
    assert parameter_count(layer) == count
    assert repr(layer) == f"{text:18}  # {count} parameters"


def test_layers_without_bias_say_so():
    assert repr(flux.RNN(2, 3, bias=False)) == "RNN(2 => 3, tanh; bias=False)  # 15 parameters"
    assert repr(flux.LSTM(2, 3, bias=False)) == "LSTM(2 => 3; bias=False)  # 60 parameters"
    assert repr(flux.GRU(2, 3, bias=False)) == "GRU(2 => 3; bias=False)  # 45 parameters"


def test_a_chain_lists_recurrent_layers_on_one_line_each():
    lines = repr(flux.Chain(flux.LSTM(2, 3), flux.GRU(3, 4), flux.Dense(4, 1))).splitlines()
    assert [line.split("#")[0].strip() for line in lines[1:-1]] == [
        "LSTM(2 => 3),",
        "GRU(3 => 4),",
        "Dense(4 => 1),",
    ]
    assert "173 parameters" in lines[-1]


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        (flux.RNNCell(2, 3), ["weight_ih", "weight_hh", "bias"]),
        (flux.LSTMCell(2, 3), ["weight_ih", "weight_hh", "bias"]),
        (flux.GRUCell(2, 3), ["weight_ih", "weight_hh", "bias"]),
        (flux.GRUv3Cell(2, 3), ["weight_candidate", "weight_ih", "weight_hh", "bias"]),
    ],
)
def test_cells_have_the_arrays_of_flux(cell, names):
    arrays = {name: value for name, value in flux.state(cell).items() if isinstance(value, flux.Tensor)}
    assert sorted(arrays) == sorted(names)
    np.testing.assert_array_equal(cell.bias.numpy(), 0)


def test_kernels_are_glorot_uniform():
    cell = flux.LSTMCell(20, 30)
    for weight, fans in ((cell.weight_ih, 20 + 120), (cell.weight_hh, 30 + 120)):
        bound = np.sqrt(6 / fans)
        assert 0.9 * bound < np.abs(weight.numpy()).max() <= bound


# Forward passes


@pytest.mark.parametrize("cell", [flux.RNNCell, flux.GRUCell, flux.GRUv3Cell])
def test_a_cell_gives_output_and_state_which_are_the_same(cell):
    cell = cell(D_IN, D_OUT)
    for x in (flux.rand(D_IN), flux.rand(BATCH, D_IN)):
        y, state = cell(x)
        assert y.shape == state.shape == (*x.shape[:-1], D_OUT)
        np.testing.assert_array_equal(y.numpy(), state.numpy())
        y, state = cell(x, state)
        assert y.shape == (*x.shape[:-1], D_OUT)


def test_an_lstm_cell_gives_output_and_two_states():
    cell = flux.LSTMCell(D_IN, D_OUT)
    h0, c0 = flux.zeros(D_OUT), flux.zeros(D_OUT)
    y, (h, c) = cell(flux.rand(BATCH, D_IN), (h0, c0))
    assert y.shape == h.shape == c.shape == (BATCH, D_OUT)
    np.testing.assert_array_equal(y.numpy(), h.numpy())


@pytest.mark.parametrize("kind", [flux.RNN, flux.LSTM, flux.GRU, flux.GRUv3])
def test_layers_take_sequences_alone_or_in_batches(kind):
    layer = kind(D_IN, D_OUT)
    assert layer(flux.rand(LENGTH, D_IN)).shape == (LENGTH, D_OUT)
    assert layer(flux.rand(BATCH, LENGTH, D_IN)).shape == (BATCH, LENGTH, D_OUT)
    y, state = kind(D_IN, D_OUT, return_state=True)(flux.rand(BATCH, LENGTH, D_IN))
    last = state[0] if kind is flux.LSTM else state
    np.testing.assert_array_equal(last.numpy(), y.numpy()[:, -1])


def test_a_model_with_a_trainable_initial_state():
    class Model(flux.Layer):
        def __init__(self):
            self.h0 = flux.zeros(D_OUT)
            self.rnn = flux.RNN(D_IN, D_OUT)
            self.out = flux.Dense(D_OUT, 1)

        def __call__(self, x):
            return self.out(self.rnn(x, self.h0))

    model = Model()
    x, y = flux.rand(BATCH, LENGTH, D_IN), flux.rand(BATCH, LENGTH, 1)
    grads = flux.gradient(lambda m: flux.mse(m(x), y), model)[0]
    assert grads.h0.shape == (D_OUT,)
    assert np.abs(grads.h0.numpy()).max() > 0


def test_a_loop_over_time_with_a_cell_is_a_model():
    cell = flux.RNNCell(D_IN, D_OUT)
    xs = [flux.rand(BATCH, D_IN) for _ in range(LENGTH)]

    def loss(cell):
        state, total = flux.zeros(D_OUT), 0.0
        for x in xs:
            y, state = cell(x, state)
            total = total + (y**2).mean()
        return total

    assert flux.gradcheck(loss, cell)
    # It is the layer, run over the same steps.
    layer = flux.RNN(D_IN, D_OUT)
    flux.loadmodel(layer.cell, cell)
    whole = lambda layer: (layer(flux.stack(xs, axis=1)) ** 2).mean() * LENGTH
    (expected,), (grads,) = flux.gradient(whole, layer), flux.gradient(loss, cell)
    for name in ("weight_ih", "weight_hh", "bias"):
        mine, other = getattr(grads, name).numpy(), getattr(expected.cell, name).numpy()
        np.testing.assert_allclose(mine, other, rtol=2e-6, atol=1e-6)


# Recurrence


@pytest.mark.parametrize("cell", [flux.RNNCell, flux.LSTMCell, flux.GRUCell, flux.GRUv3Cell])
def test_recurrence_of_a_cell(cell):
    layer = flux.Recurrence(cell(D_IN, D_OUT), return_state=True)
    for x in (flux.rand(BATCH, LENGTH, D_IN), flux.rand(LENGTH, D_IN)):
        y, last = layer(x)
        state = None
        for t in range(LENGTH):
            step, state = layer.cell(x[..., t, :], state)
            np.testing.assert_allclose(y[..., t, :].numpy(), step.numpy(), rtol=2e-6, atol=1e-6, strict=True)
        for mine, other in zip(*((s if isinstance(s, tuple) else (s,)) for s in (last, state)), strict=True):
            np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=2e-6, atol=1e-6)


def test_initialstates_are_zeros():
    assert flux.initialstates(flux.RNN(2, 3)).tolist() == [0, 0, 0]
    h, c = flux.initialstates(flux.LSTM(2, 3))
    assert h.tolist() == c.tolist() == [0, 0, 0]
