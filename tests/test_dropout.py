"""Dropout: rates, what is kept, gradients, reproducibility, modes, and what is refused."""

import numpy as np
import pytest

import oxiflux as flux

SHAPES = [(), (1,), (63,), (64,), (65,), (7, 0), (0,), (3, 5, 7), (20_000,), (130, 257)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_an_element_is_zero_or_scaled(shape, dtype):
    x = np.random.default_rng(0).uniform(1, 2, shape).astype(dtype)
    y = flux.dropout(flux.tensor(x), 0.3)
    assert y.dtype == dtype
    assert y.shape == shape
    kept = y.numpy() != 0
    np.testing.assert_allclose(y.numpy(), np.where(kept, x / 0.7, 0), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("p", [0.01, 0.25, 0.5, 0.9])
def test_the_rate_is_p_and_the_mean_stays(p, dtype):
    n = 1_000_000
    y = flux.dropout(flux.ones(n, dtype=dtype), p).numpy()
    deviation = np.sqrt(p * (1 - p) / n)
    assert abs((y == 0).mean() - p) < 5 * deviation
    assert abs(y.mean() - 1) < 5 * deviation / (1 - p)


def test_neighbours_are_dropped_independently():
    dropped = flux.dropout(flux.ones(1 << 20), 0.5).numpy() == 0
    for lag in (1, 2, 4, 16, 64):
        both = (dropped[:-lag] & dropped[lag:]).mean()
        assert abs(both - 0.25) < 0.004


def test_nothing_and_everything():
    x = flux.tensor([1.0, -2.0, 3.0])
    assert flux.dropout(x, 0).tolist() == [1, -2, 3]
    assert flux.dropout(x, 0.0).tolist() == [1, -2, 3]
    assert flux.dropout(x, 1).tolist() == [0, 0, 0]
    assert flux.gradient(lambda x: flux.dropout(x, 1.0).sum(), x)[0].tolist() == [0, 0, 0]


def test_the_layout_in_memory_does_not_matter():
    x = np.arange(1, 13, dtype="float32").reshape(3, 4)
    results = []
    for t in (flux.tensor(x), flux.tensor(np.ascontiguousarray(x.T)).T):
        flux.seed(3)
        results.append(flux.dropout(t, 0.5).numpy())
    np.testing.assert_array_equal(*results)


def test_a_list_and_integers_become_floats():
    for x in ([1, 2], np.arange(3)):
        y = flux.dropout(x, 0.5)
        assert y.dtype == "float32"
        assert all(b in (0, 2 * a) for a, b in zip(x, y.tolist(), strict=True))


# Reproducibility


def test_a_seed_repeats_it_and_calls_differ():
    x = flux.ones(1000)
    flux.seed(11)
    a, b = flux.dropout(x, 0.5).numpy(), flux.dropout(x, 0.5).numpy()
    flux.seed(11)
    np.testing.assert_array_equal(flux.dropout(x, 0.5).numpy(), a)
    assert (a != b).any()


def test_a_generator_of_its_own():
    x = flux.ones(1000)
    flux.seed(1)
    before = flux.default_generator().get_state()
    layers = [flux.Dropout(0.5, active=True, rng=flux.Generator(5)) for _ in range(2)]
    np.testing.assert_array_equal(layers[0](x).numpy(), layers[1](x).numpy())
    assert flux.default_generator().get_state() == before


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_it_is_the_same_for_any_number_of_threads(threads):
    x, before = flux.ones(300_001), flux.get_num_threads()
    try:
        flux.set_num_threads(1)
        flux.seed(2)
        expected = flux.dropout(x, 0.4).numpy()
        flux.set_num_threads(threads)
        flux.seed(2)
        np.testing.assert_array_equal(flux.dropout(x, 0.4).numpy(), expected)
    finally:
        flux.set_num_threads(before)


def test_the_next_numbers_do_not_overlap_with_those_used():
    generator = flux.Generator(4)
    words = generator.get_state()[1]
    flux.dropout(flux.ones(65), 0.5, rng=generator)
    # Two groups of sixteen blocks of four words.
    assert generator.get_state()[1] == words + 32


# Gradients


def test_the_gradient_drops_the_same_elements():
    x = flux.tensor(np.linspace(1, 2, 1000))
    y, back = flux.pullback(lambda x: flux.dropout(x, 0.3), x)
    (dx,) = back(flux.ones(1000, dtype=flux.float64))
    np.testing.assert_allclose(dx.numpy(), y.numpy() / x.numpy(), rtol=1e-12)


def test_the_gradient_of_a_broadcast_sum():
    x = flux.ones((3, 50))
    y, (dx,) = flux.withgradient(lambda x: flux.dropout(x, 0.5).sum(), x)
    np.testing.assert_allclose(dx.sum().item(), y.item(), rtol=1e-6)


@pytest.mark.parametrize("axis", [None, 0, (0, 1)])
def test_gradients_of_both_orders(axis):
    def f(x):
        return flux.dropout(x**3, 0.4, axis=axis, rng=flux.Generator(1))

    assert flux.gradcheck(f, np.linspace(-1, 1, 12).reshape(3, 4), order=2)


def test_alpha_dropout_has_gradients():
    layer = flux.AlphaDropout(0.4, active=True)

    def f(x):
        layer.rng = flux.Generator(1)
        return layer(x**2)

    assert flux.gradcheck(f, np.linspace(-1, 1, 12), order=2)


def test_a_checkpoint_draws_the_same_again():
    x = flux.tensor(np.linspace(1, 2, 200))
    layer = flux.Dropout(0.5)
    value, (g,) = flux.withgradient(lambda x: flux.checkpoint(lambda x: layer(x) ** 2, x).sum(), x)
    assert 0 < (g.numpy() == 0).sum() < 200
    np.testing.assert_allclose((g * x).sum().item(), 2 * value.item(), rtol=1e-9)


# Axes


def test_whole_channels_are_dropped():
    y = flux.dropout(flux.ones((8, 5, 5, 16)), 0.5, axis=(0, -1)).numpy()
    assert (y == y[:, :1, :1]).all()
    assert 0 < (y[:, 0, 0] == 0).sum() < 8 * 16


def test_an_axis_out_of_range():
    with pytest.raises(IndexError, match="dropout: axis 2 is out of range for 2 axes"):
        flux.dropout(flux.ones((2, 3)), 0.5, axis=2)


# Modes


def test_dropout_acts_within_a_gradient_only():
    layer, x = flux.Dropout(0.5), flux.ones(1000)
    np.testing.assert_array_equal(layer(x).numpy(), 1)
    seen = []

    def f(x):
        y = layer(x)
        seen.append(flux.stop_gradient(y).numpy().copy())
        return y.sum()

    flux.gradient(f, x)
    assert 300 < (seen[0] == 0).sum() < 700
    np.testing.assert_array_equal(layer(x).numpy(), 1)


def test_dropout_rests_where_derivatives_are_ignored():
    layer, x = flux.Dropout(1.0), flux.ones(3)
    assert (
        flux.withgradient(lambda x: flux.ignore_derivatives(lambda: layer(x)).sum() + 0 * x.sum(), x)[
            0
        ].item()
        == 3
    )


@pytest.mark.parametrize("make", [flux.Dropout, flux.AlphaDropout])
def test_modes_can_be_set(make):
    x = flux.ones(1000)
    assert (make(0.5, active=True)(x).numpy() != 1).all()
    assert flux.gradient(lambda x: make(0.5, active=False)(x).sum(), x)[0].tolist() == [1] * 1000
    layer = flux.trainmode(make(0.5))
    assert (layer(x).numpy() != 1).any()
    np.testing.assert_array_equal(flux.testmode(layer)(x).numpy(), 1)


def test_training_mode_ends_with_an_error_and_stays_in_an_inner_gradient():
    def broken(x):
        raise KeyError("mine")

    with pytest.raises(KeyError):
        flux.gradient(broken, flux.ones(2))
    assert not flux.is_training()
    modes = []

    def outer(x):
        flux.gradient(lambda x: modes.append(flux.is_training()) or x.sum(), x)
        modes.append(flux.is_training())
        with flux.paused():
            modes.append(flux.is_training())
        with flux.paused([]):
            modes.append((flux.is_training(), flux.is_recording()))
        return x.sum()

    flux.gradient(outer, flux.ones(2))
    assert modes == [True, True, False, (True, False)]
    assert not flux.is_training()
    with flux.paused([]):
        assert not flux.is_training()


def test_they_print_as_in_flux():
    assert repr(flux.Dropout(0.4)) == "Dropout(0.4)"
    assert repr(flux.Dropout(0.4, axis=1)) == "Dropout(0.4, axis=1)"
    assert repr(flux.Dropout(0.4, active=True)) == "Dropout(0.4, active=True)"
    assert repr(flux.AlphaDropout(0.4)) == "AlphaDropout(0.4)"


# AlphaDropout


@pytest.mark.parametrize("p", [0.05, 0.3, 0.8])
def test_alpha_dropout_keeps_mean_and_variance(p):
    x = flux.tensor(np.random.default_rng(2).standard_normal(1_000_000))
    y = flux.AlphaDropout(p, active=True)(x).numpy()
    assert abs(y.mean()) < 0.01
    assert abs(y.var() - 1) < 0.02


def test_alpha_dropout_of_nothing_and_everything():
    x = flux.tensor([1.0, -2.0])
    assert flux.AlphaDropout(0, active=True)(x).tolist() == [1, -2]
    assert flux.AlphaDropout(1, active=True)(x).tolist() == [0, 0]


def test_alpha_dropout_has_two_values_for_equal_elements():
    y = np.unique(flux.AlphaDropout(0.5, active=True)(flux.zeros(1000, dtype=flux.float64)).numpy())
    a = 1 / np.sqrt(0.5 * (1 + 0.5 * 1.7580993408473766**2))
    b = a * 1.7580993408473766 * 0.5
    np.testing.assert_allclose(y, [b - a * 1.7580993408473766, b], rtol=1e-12)


# Bad input


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan"), 2])
def test_a_probability_out_of_range_names_the_layer(p):
    for f, name in [
        (lambda: flux.Dropout(p), "Dropout"),
        (lambda: flux.AlphaDropout(p), "AlphaDropout"),
        (lambda: flux.dropout(flux.ones(2), p), "dropout"),
    ]:
        with pytest.raises(ValueError, match=f"^{name}: .* from 0 to 1, got {p}"):
            f()
