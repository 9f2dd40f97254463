"""Recurrent cells and layers: values against NumPy step by step, gradients, states, bad input."""

import numpy as np
import pytest

import oxiflux as flux
from references import gru, gruv3, lstm, rnn, sequence

rng = np.random.default_rng(5)


class Parameters:
    """The parameters of a cell as float64 arrays; biases that it does not have are zero."""

    def __init__(self, cell):
        self.bias = self.bias_hh = 0.0
        for name, value in vars(cell).items():
            if isinstance(value, flux.Tensor):
                setattr(self, name, value.numpy().astype(np.float64))


STEPS = {flux.RNN: rnn, flux.LSTM: lstm, flux.GRU: gru, flux.GRUv3: gruv3}
LAYERS = list(STEPS)
CELLS = [flux.RNNCell, flux.LSTMCell, flux.GRUCell, flux.GRUv3Cell]


def reference(layer, x, state):
    """The outputs of each step and the last states, one step after the other."""
    return sequence(STEPS[type(layer)], Parameters(layer.cell), x, *state)


def random(*shape, dtype=np.float32):
    return rng.normal(size=shape).astype(dtype)


def made(kind, size_in, size_out, **options):
    """A layer with a random bias."""
    gates = {flux.RNN: 1, flux.LSTM: 4}.get(kind, 3)
    return kind(size_in, size_out, bias=random(gates * size_out), **options)


def states_of(layer, *lead, dtype=np.float32):
    hidden = layer.cell.weight_hh.shape[0]
    return tuple(random(*lead, hidden, dtype=dtype) for _ in range(2 if type(layer) is flux.LSTM else 1))


def as_state(states):
    return states if len(states) == 2 else states[0]


def flat(state):
    return state if isinstance(state, tuple) else (state,)


# Values


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(("size_in", "size_out"), [(1, 1), (3, 5), (17, 16), (2, 63), (0, 3), (3, 0)])
@pytest.mark.parametrize("lead", [(), (0,), (1,), (7,), (33,)])
@pytest.mark.parametrize("time", [1, 6])
def test_a_layer_does_the_steps_of_its_formula(kind, size_in, size_out, lead, time):
    layer = made(kind, size_in, size_out, return_state=True)
    x, states = random(*lead, time, size_in), states_of(layer, *lead)
    y, last = layer(x, as_state(states))
    expected, expected_last = reference(layer, x, states)
    assert y.shape == (*lead, time, size_out)
    assert y.dtype == "float32"
    np.testing.assert_allclose(y.numpy(), expected, rtol=2e-5, atol=2e-6)
    for ours, theirs in zip(flat(last), expected_last, strict=True):
        assert ours.shape == (*lead, size_out)
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_in_float64_computes_in_float64(kind):
    layer = flux.f64(made(kind, 3, 20))
    x, states = random(9, 11, 3, dtype=np.float64), states_of(layer, 9, dtype=np.float64)
    y = layer(x, as_state(states))
    assert y.dtype == "float64"
    np.testing.assert_allclose(y.numpy(), reference(layer, x, states)[0], rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("hidden", [8, 600])
def test_many_sequences_and_large_states_are_cut_without_a_trace(kind, hidden):
    layer = made(kind, 4, hidden)
    x, states = random(20, 3, 4), states_of(layer, 20)
    y = layer(x, as_state(states)).numpy()
    np.testing.assert_allclose(y, reference(layer, x, states)[0], rtol=1e-4, atol=1e-5)


def test_relu_is_an_activation_of_an_rnn():
    layer = flux.RNN(3, 4, flux.relu)
    x, h, expected = random(5, 6, 3), np.zeros(4), []
    for t in range(6):
        h = np.maximum(x[:, t] @ layer.cell.weight_ih.numpy() + h @ layer.cell.weight_hh.numpy(), 0)
        expected.append(h)
    np.testing.assert_allclose(layer(x).numpy(), np.stack(expected, 1), rtol=2e-6, atol=1e-6)


def test_any_function_is_an_activation_of_an_rnn():
    fused, plain = flux.RNN(3, 4), flux.RNN(3, 4, lambda x: flux.tanh(x), return_state=True)
    flux.loadmodel(plain, flux.state(fused))
    x, h = random(5, 6, 3), random(5, 4)
    y, state = plain(x, h)
    np.testing.assert_allclose(y.numpy(), fused(x, h).numpy(), rtol=2e-6, atol=1e-6)
    np.testing.assert_array_equal(state.numpy(), y.numpy()[:, -1])


def test_a_gru_with_a_recurrent_bias_adds_it_to_the_products_of_the_state():
    layer = flux.GRU(3, 5, recurrent_bias=random(15))
    x, states = random(4, 6, 3), states_of(layer, 4)
    np.testing.assert_allclose(
        layer(x, states[0]).numpy(), reference(layer, x, states)[0], rtol=5e-6, atol=1e-6
    )
    assert repr(layer) == "GRU(3 => 5; recurrent_bias=True)  # 150 parameters"
    zero = flux.GRU(3, 5, recurrent_bias=True)
    np.testing.assert_array_equal(zero.cell.bias_hh.numpy(), np.zeros(15))


@pytest.mark.parametrize("kind", LAYERS)
def test_no_bias_is_a_bias_of_zero(kind):
    layer = kind(3, 5, bias=False)
    x, states = random(4, 6, 3), states_of(layer, 4)
    assert layer.cell.bias is None
    np.testing.assert_allclose(
        layer(x, as_state(states)).numpy(), reference(layer, x, states)[0], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(
    "view",
    [lambda a: a[:, ::2], lambda a: a[::-1], lambda a: a[..., ::2], lambda a: a.swapaxes(0, 1)],
    ids=["steps", "reversed", "features", "swapped"],
)
def test_the_layout_of_the_input_does_not_matter(kind, view):
    x = view(random(6, 6, 6))
    layer = made(kind, x.shape[-1], 5)
    np.testing.assert_array_equal(layer(x).numpy(), layer(np.ascontiguousarray(x)).numpy())


@pytest.mark.parametrize("kind", LAYERS)
def test_the_layout_of_states_and_weights_does_not_matter(kind):
    layer = made(kind, 3, 6)
    x, states = random(4, 5, 3), states_of(layer, 4)
    y = layer(x, as_state(states)).numpy()
    strided = tuple(np.repeat(s, 2, axis=-1)[:, ::2] for s in states)
    np.testing.assert_array_equal(layer(x, as_state(strided)).numpy(), y)
    layer.cell.weight_hh = flux.tensor(layer.cell.weight_hh.numpy().T.copy()).T
    np.testing.assert_array_equal(layer(x, as_state(states)).numpy(), y)


# States


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("lead", [(), (4,)])
def test_a_layer_starts_from_zeros(kind, lead):
    layer = made(kind, 3, 5)
    x = random(*lead, 6, 3)
    zeros = flux.initialstates(layer)
    assert all(s.shape == (5,) and not s.numpy().any() for s in flat(zeros))
    np.testing.assert_array_equal(layer(x).numpy(), layer(x, zeros).numpy())
    assert [s.shape for s in flat(flux.initialstates(layer.cell))] == [s.shape for s in flat(zeros)]


@pytest.mark.parametrize("kind", LAYERS)
def test_a_state_of_one_serves_the_whole_batch(kind):
    layer = made(kind, 3, 5)
    x, states = random(4, 6, 3), states_of(layer)
    each = tuple(np.broadcast_to(s, (4, 5)) for s in states)
    np.testing.assert_array_equal(layer(x, as_state(states)).numpy(), layer(x, as_state(each)).numpy())


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("lead", [(), (4,)])
def test_the_last_state_continues_the_sequence(kind, lead):
    layer = made(kind, 3, 5, return_state=True)
    x = random(*lead, 9, 3)
    whole, end = layer(x)
    first, state = layer(x[..., :4, :])
    second, state = layer(x[..., 4:, :], state)
    np.testing.assert_array_equal(np.concatenate([first, second], axis=-2), whole.numpy())
    for a, b in zip(flat(state), flat(end), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


@pytest.mark.parametrize("kind", LAYERS)
def test_a_layer_holds_no_state(kind):
    layer = made(kind, 3, 5, return_state=True)
    x = random(4, 6, 3)
    np.testing.assert_array_equal(layer(x)[0].numpy(), layer(x)[0].numpy())


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("lead", [(), (0,), (1,), (4,), (19,)])
def test_a_layer_is_its_cell_step_by_step(kind, lead):
    layer = made(kind, 3, 5, return_state=True)
    x, states = random(*lead, 6, 3), as_state(states_of(layer, *lead))
    y, last = layer(x, states)
    for t in range(6):
        out, states = layer.cell(x[..., t, :], states)
        assert out.shape == (*lead, 5)
        np.testing.assert_allclose(out.numpy(), y.numpy()[..., t, :], rtol=2e-6, atol=1e-6)
    for a, b in zip(flat(states), flat(last), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-6, atol=1e-6)


# Recurrence


@pytest.mark.parametrize("kind", LAYERS)
def test_recurrence_of_a_cell_is_its_layer(kind):
    layer = made(kind, 3, 5, return_state=True)
    wrapped = flux.Recurrence(layer.cell, return_state=True)
    x, state = random(4, 6, 3), as_state(states_of(layer, 4))
    (a, last_a), (b, last_b) = layer(x, state), wrapped(x, state)
    np.testing.assert_array_equal(a.numpy(), b.numpy())
    for s, t in zip(flat(last_a), flat(last_b), strict=True):
        np.testing.assert_array_equal(s.numpy(), t.numpy())


class Counter:
    """A cell whose state is a dict, which adds up what it sees."""

    def initialstates(self):
        return {"total": 0.0}

    def __call__(self, x, state):
        total = state["total"] + x
        return 2 * total, {"total": total}


@pytest.mark.parametrize("lead", [(), (4,), (2, 4)])
def test_recurrence_takes_any_cell_with_any_state(lead):
    x = random(*lead, 6, 3)
    y, state = flux.Recurrence(Counter(), return_state=True)(x)
    np.testing.assert_allclose(y.numpy(), 2 * x.cumsum(axis=-2), rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(state["total"].numpy(), x.sum(axis=-2), rtol=2e-6, atol=2e-6)
    assert flux.Recurrence(Counter())(x).shape == x.shape


def test_recurrence_takes_a_function_with_a_given_state():
    y = flux.Recurrence(lambda x, h: (x + h, x + h))([[1.0], [2.0], [3.0]], flux.zeros(1))
    assert y.tolist() == [[1], [3], [6]]


class Gated(flux.Layer):
    def __init__(self, size):
        self.gate = flux.Dense(2 * size, size, flux.sigmoid)

    def initialstates(self):
        return flux.zeros(self.gate.weight.shape[1])

    def __call__(self, x, h):
        h = flux.broadcast_to(h, x.shape)
        z = self.gate(flux.concat([x, h], axis=-1))
        h = z * h + (1 - z) * x
        return h, h


def test_a_cell_of_ones_own_trains_and_says_where_it_failed():
    layer = flux.Recurrence(Gated(3))
    grads = flux.gradient(lambda m: (m(random(4, 6, 3)) ** 2).sum(), layer)[0]
    assert np.abs(grads.cell.gate.weight.numpy()).max() > 0
    with pytest.raises(flux.ShapeError, match=r"^Recurrence\.cell: .*Dense\(6 => 3, sigmoid\)"):
        layer(random(4, 6, 2), flux.zeros(2))


def test_recurrence_prints_its_cell():
    text = repr(flux.Recurrence(flux.LSTMCell(2, 3)))
    assert text.splitlines()[0] == "Recurrence("
    assert "LSTMCell(2 => 3)," in text
    assert "72 parameters" in text


# Gradients


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("lead", [(), (1,), (3,), (17,)])
def test_gradients_of_parameters_input_and_states_match_differences(kind, lead):
    layer = flux.f64(made(kind, 2, 3, return_state=True))
    x, states = random(*lead, 4, 2, dtype=np.float64), states_of(layer, *lead, dtype=np.float64)

    def f(layer, x, *states):
        y, last = layer(x, as_state(states))
        return flux.concat([flux.reshape(t, -1) for t in (y, *flat(last))], axis=0)

    assert flux.gradcheck(f, layer, x, *states)


@pytest.mark.parametrize("kind", LAYERS)
def test_second_derivatives_match_differences(kind):
    layer = flux.f64(made(kind, 2, 2))
    x, states = random(2, 3, 2, dtype=np.float64), states_of(layer, 2, dtype=np.float64)
    assert flux.gradcheck(lambda m, x, *s: m(x, as_state(s)), layer, x, *states, order=2, rtol=1e-4)


def test_gradients_of_a_recurrent_bias_match_differences():
    layer = flux.f64(flux.GRU(2, 3, recurrent_bias=random(9)))
    assert flux.gradcheck(lambda m, x: m(x), layer, random(3, 4, 2, dtype=np.float64), order=2, rtol=1e-4)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_shared_start_gets_the_gradients_of_all_sequences(kind):
    layer = flux.f64(made(kind, 2, 3))
    states = states_of(layer, dtype=np.float64)
    x = random(5, 4, 2, dtype=np.float64)
    assert flux.gradcheck(lambda *s: layer(x, as_state(s)), *states)


@pytest.mark.parametrize("kind", LAYERS)
def test_the_gradients_of_a_layer_are_those_of_its_cell_step_by_step(kind):
    layer = made(kind, 3, 20)
    x = random(19, 6, 3)

    def stepwise(cell):
        state, ys = None, []
        for t in range(6):
            y, state = cell(x[:, t], state)
            ys.append(y)
        return (flux.stack(ys, axis=1) ** 2).sum()

    whole = flux.gradient(lambda m: (m(x) ** 2).sum(), layer)[0].cell
    steps = flux.gradient(stepwise, layer.cell)[0]
    for name in ("weight_ih", "weight_hh", "bias"):
        a, b = getattr(whole, name).numpy(), getattr(steps, name).numpy()
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=1e-4 * np.abs(b).max())


def test_an_empty_batch_has_gradients_of_zero():
    layer = flux.LSTM(2, 3)
    grads = flux.gradient(lambda m: m(np.zeros((0, 4, 2))).sum(), layer)[0]
    assert grads.cell.weight_ih.shape == (2, 12)
    assert not grads.cell.weight_hh.numpy().any()


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(("batch", "hidden"), [(40, 24), (3, 300)])
def test_the_bits_do_not_depend_on_the_number_of_threads(kind, batch, hidden):
    layer, x, found = made(kind, 30, hidden), random(batch, 20, 30), []
    before = flux.get_num_threads()
    try:
        for threads in (1, 2, 5):
            flux.set_num_threads(threads)
            y, grads = flux.withgradient(lambda m, x: (m(x) ** 2).sum(), layer, x)
            found.append([y, grads[1], *flux.params(grads[0])])
    finally:
        flux.set_num_threads(before)
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_a_gru_learns_to_remember_the_first_input():
    flux.seed(0)
    x = flux.randn(64, 5, 1)
    model = flux.Chain(flux.GRU(1, 8), lambda y: y[:, -1], flux.Dense(8, 1))
    state = flux.setup(flux.Adam(0.02), model)
    losses = [flux.trainstep(lambda m, x: flux.mse(m(x), x[:, 0]), model, x, state) for _ in range(150)]
    assert float(losses[-1]) < 0.1 * float(losses[0])


# Models


def test_initialisers_make_the_kernels():
    layer = flux.LSTM(2, 3, init_kernel=flux.ones32, init_recurrent_kernel=flux.zeros32)
    np.testing.assert_array_equal(layer.cell.weight_ih.numpy(), np.ones((2, 12)))
    np.testing.assert_array_equal(layer.cell.weight_hh.numpy(), np.zeros((3, 12)))
    with pytest.raises(flux.ShapeError, match=r"LSTMCell\(2 => 3\): init made a weight of shape \(3, 3\)"):
        flux.LSTM(2, 3, init_kernel=lambda shape: np.ones((3, 3)))


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("convert", [flux.f16, flux.bf16])
def test_parameters_of_16_bits_are_computed_with_in_float32(kind, convert):
    layer = convert(made(kind, 3, 5))
    x = flux.tensor(random(4, 6, 3)).astype(layer.cell.weight_ih.dtype)
    y = layer(x)
    assert y.dtype == x.dtype
    expected = flux.f32(layer)(x.astype("float32")).numpy()
    step = {"float16": 2.0**-11, "bfloat16": 2.0**-8}[x.dtype.name]
    np.testing.assert_allclose(y.astype("float32").numpy(), expected, rtol=2 * step, atol=2 * step)


# Bad input


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(
    ("shape", "problem"),
    [
        ((4, 6, 2), "expected 3 features on the last axis, got shape (4, 6, 2)"),
        ((4, 0, 3), "the sequence is empty, got shape (4, 0, 3)"),
        ((0, 3), "the sequence is empty, got shape (0, 3)"),
        ((3,), "expected an input of shape (batch, time, features) or (time, features), got shape (3,)"),
        ((), "expected an input of shape (batch, time, features) or (time, features), got shape ()"),
        (
            (2, 4, 6, 3),
            "expected an input of shape (batch, time, features) or (time, features), got shape (2, 4, 6, 3)",
        ),
    ],
)
def test_a_layer_names_itself_and_the_shape_that_does_not_fit(kind, shape, problem):
    layer = kind(3, 5)
    with pytest.raises(flux.ShapeError) as error:
        layer(np.zeros(shape))
    assert str(error.value) == f"{layer.describe()}: {problem}"


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("shape", [(), (4, 2), (2, 4, 3)])
def test_a_cell_names_itself_and_the_shape_that_does_not_fit(cell, shape):
    with pytest.raises(flux.ShapeError, match=rf"^{cell.__name__}\(3 => 5(, tanh)?\): expected .*got shape"):
        cell(3, 5)(np.zeros(shape))


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(
    ("lead", "shape"), [((4,), (4,)), ((4,), (3, 5)), ((4,), (1, 5)), ((), (1, 5)), ((4,), ())]
)
def test_a_state_of_another_shape_is_refused(kind, lead, shape):
    layer = kind(3, 5)
    state = (np.zeros(5), np.zeros(shape)) if kind is flux.LSTM else np.zeros(shape)
    name = "memory" if kind is flux.LSTM else "state"
    with pytest.raises(flux.ShapeError) as error:
        layer(np.zeros((*lead, 6, 3)), state)
    fitting = "(5,) or (4, 5)" if lead else "(5,)"
    assert str(error.value) == f"{layer.describe()}: expected a {name} of shape {fitting}, got shape {shape}"


@pytest.mark.parametrize("state", [flux.zeros(5), (flux.zeros(5),), (flux.zeros(5),) * 3])
def test_an_lstm_refuses_a_state_that_is_no_pair(state):
    with pytest.raises(TypeError, match=r"LSTM\(3 => 5\): the state is a pair \(h, c\)"):
        flux.LSTM(3, 5)(np.zeros((6, 3)), state)


@pytest.mark.parametrize("kind", [flux.RNN, flux.GRU, flux.GRUv3])
def test_other_layers_refuse_a_state_that_is_a_pair(kind):
    with pytest.raises(TypeError, match="the state is one tensor, got a tuple"):
        kind(3, 5)(np.zeros((2, 6, 3)), (flux.zeros(5), flux.zeros(5)))


@pytest.mark.parametrize("kind", [*LAYERS, *CELLS])
@pytest.mark.parametrize("sizes", [(-1, 3), (3, 2.5), ("3", 3), (True, 3)])
def test_sizes_that_are_none_are_refused(kind, sizes):
    with pytest.raises(ValueError, match="sizes are non-negative integers"):
        kind(*sizes)


def test_what_is_no_activation_is_refused():
    with pytest.raises(TypeError, match="activation must be a function"):
        flux.RNN(2, 3, "tanh")


def test_a_bias_of_another_size_is_refused():
    with pytest.raises(flux.ShapeError, match=r"expected a bias of shape \(12,\)"):
        flux.LSTM(2, 3, bias=np.zeros(3))


def test_a_parameter_keeps_its_shape():
    layer = flux.GRU(2, 3)
    with pytest.raises(flux.ShapeError, match=r"GRUCell\(2 => 3\): weight_hh has shape \(3, 9\)"):
        layer.cell.weight_hh = np.zeros((3, 3))


def test_recurrence_refuses_what_is_no_cell():
    with pytest.raises(TypeError, match="the cell must be callable"):
        flux.Recurrence(3)
    with pytest.raises(TypeError, match=r"Dense\(3 => 3\) has no method initialstates\(\)"):
        flux.Recurrence(flux.Dense(3, 3))(np.zeros((4, 3)))
    with pytest.raises(TypeError, match=r"a cell returns \(output, state\)"):
        flux.Recurrence(lambda x, h: x + h)(np.zeros((4, 3)), 0.0)
    with pytest.raises(flux.ShapeError, match="the sequence is empty"):
        flux.Recurrence(Counter())(np.zeros((4, 0, 3)))
    with pytest.raises(flux.ShapeError, match="expected a sequence"):
        flux.Recurrence(Counter())(np.zeros(3))


@pytest.mark.parametrize(
    ("kind", "states", "ih", "hh"),
    [
        ("lstm", 2, (3, 20), (5, 15)),
        ("lstm", 2, (3, 15), (5, 20)),
        ("gru", 1, (3,), (5, 15)),
        ("gru", 1, (3, 15), (15,)),
    ],
)
def test_the_core_refuses_weights_that_do_not_fit(kind, states, ih, hh):
    with pytest.raises(flux.ShapeError, match="does not fit"):
        flux._core.recurrent(kind, np.zeros((2, 3)), [np.zeros(5)] * states, flux.zeros(ih), flux.zeros(hh))


def test_the_core_computes_in_the_type_of_the_first_weights():
    x, states = random(4, 6, 3), [random(5), random(5)]
    ih, hh, bias = random(3, 20), random(5, 20), random(20)
    y, _ = flux._core.recurrent("lstm", x, states, *map(flux.tensor, (ih, hh, bias)))
    wide = [flux.tensor(ih), flux.tensor(hh.astype(np.float64)), flux.tensor(bias.astype(np.float64))]
    mixed, c = flux._core.recurrent("lstm", x, states, *wide)
    assert c is None
    assert mixed.dtype == "float32"
    np.testing.assert_array_equal(mixed.numpy(), y.numpy())


def test_the_core_refuses_other_kinds_and_numbers_of_states():
    ih, hh = flux.zeros((3, 5)), flux.zeros((5, 5))
    with pytest.raises(ValueError, match="no kind"):
        flux._core.recurrent("gelu", np.zeros((2, 3)), [np.zeros(5)], ih, hh)
    with pytest.raises(ValueError, match="no state"):
        flux._core.recurrent("tanh", np.zeros((2, 3)), [], ih, hh)
    with pytest.raises(ValueError, match="states"):
        flux._core.recurrent("tanh", np.zeros((2, 3)), [np.zeros(5)] * 2, ih, hh)


@pytest.mark.parametrize("kind", [flux.RNN, flux.LSTM, flux.GRU, flux.GRUv3])
def test_a_state_of_another_dtype_takes_that_of_the_layer(kind):
    layer, x = kind(2, 3), flux.rand(1, 4, 2)
    h = np.full((1, 3), 0.25)
    for dtype in ("float16", "float64"):
        state = flux.tensor(h, dtype=dtype)
        own = flux.tensor(h, dtype="float32")
        got, want = (layer(x, (s, s) if kind is flux.LSTM else s) for s in (state, own))
        assert got.dtype == "float32"
        np.testing.assert_array_equal(got.numpy(), want.numpy())
