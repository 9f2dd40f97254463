"""Normalising layers against NumPy: values, gradients, running statistics, and what they refuse."""

import copy

import numpy as np
import pytest

import oxiflux as flux
from oxiflux import _core
from references import grouped, normal

RNG = np.random.default_rng(5)
EPS = {"float32": 5e-7, "float64": 5e-15}


def noise(*shape, dtype="float64", offset=0.0):
    return (RNG.standard_normal(shape) + offset).astype(dtype)


def layouts(x):
    """The same values in other layouts of memory."""
    yield flux.tensor(x)
    yield flux.tensor(np.ascontiguousarray(x.T)).T
    yield flux.tensor(np.repeat(x, 2, axis=0))[::2]


def close(y, expected, dtype="float32", scale=1.0):
    np.testing.assert_allclose(y.numpy(), expected, rtol=4 * EPS[dtype], atol=4 * scale * EPS[dtype])


# normalise


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((5, 3), (0,)),
        ((5, 3), (1,)),
        ((1, 63), (1,)),
        ((2, 3, 4), (1,)),
        ((2, 3, 4), (0, 2)),
        ((2, 3, 4, 5), (1, 2)),
        ((7, 129), (0,)),
        ((300, 200), (0,)),
        ((2000, 1), (0,)),
        ((701, 3), (0,)),
        ((3, 1001, 2), (1,)),
        ((4, 2100), (1,)),
        ((6,), (0,)),
        ((2, 3), (0, 1)),
    ],
)
def test_normalise_matches_numpy(shape, axes, dtype):
    x = noise(*shape, dtype=dtype)
    for t in layouts(x):
        y = flux.normalise(t, axis=axes)
        assert y.dtype == dtype
        close(y, normal(x, axes), dtype)


def test_normalise_takes_the_first_axis_and_any_numbers():
    close(flux.normalise([[1, 2], [3, 6]]), normal(np.array([[1, 2], [3, 6]]), 0))
    x = noise(4, 3)
    np.testing.assert_array_equal(flux.normalise(x).numpy(), flux.normalise(x, axis=0).numpy())
    np.testing.assert_array_equal(
        flux.normalise(x, axis=None).numpy(), flux.normalise(x, axis=(0, 1)).numpy()
    )


@pytest.mark.parametrize(
    ("shape", "axis"), [((0, 3), 0), ((0, 3), 1), ((3, 0), 0), ((3, 0), 1), ((2, 0, 3), 1)]
)
def test_normalise_of_nothing_is_nothing(shape, axis):
    assert flux.normalise(flux.zeros(shape), axis=axis).shape == shape


def test_normalise_of_equal_numbers_is_zero():
    assert flux.abs(flux.normalise(flux.full((5, 3), 7.3))).max().item() < 1e-3
    assert flux.normalise(flux.ones((1, 3))).tolist() == [[0.0, 0.0, 0.0]]


def test_normalise_refuses_bad_input():
    with pytest.raises(ValueError, match="eps must not be negative, got -1"):
        flux.normalise(flux.ones(3), eps=-1.0)
    with pytest.raises(ValueError, match="eps"):
        flux.normalise(flux.ones(3), eps=float("nan"))
    with pytest.raises(IndexError, match="normalise"):
        flux.normalise(flux.ones(3), axis=1)


@pytest.mark.parametrize("axis", [0, 1, -1, (0, 2), None])
def test_normalise_has_gradients_of_both_orders(axis):
    assert flux.gradcheck(lambda x: flux.normalise(x, axis=axis, eps=1e-2), noise(3, 2, 3), order=2)


@pytest.mark.parametrize("shape", [(3, 1), (40, 3), (2, 70), (130, 5)])
@pytest.mark.parametrize("axis", [0, 1])
def test_the_fused_gradient_of_normalise_is_the_composed_one(shape, axis):
    x, g = flux.tensor(noise(*shape)), noise(*shape)

    def composed(x):
        d = x - x.mean(axis=axis, keepdims=True)
        return d / flux.sqrt((d * d).mean(axis=axis, keepdims=True) + 1e-5)

    (fused,) = flux.gradient(lambda x: (flux.normalise(x, axis=axis) * g).sum(), x)
    (expected,) = flux.gradient(lambda x: (composed(x) * g).sum(), x)
    np.testing.assert_allclose(fused.numpy(), expected.numpy(), rtol=1e-9, atol=1e-9)


# Large offsets


@pytest.mark.parametrize(("shape", "axis"), [((64, 512), 1), ((4096, 64), 0), ((3000, 1), 0)])
def test_a_large_offset_does_not_cancel(shape, axis):
    x = noise(*shape, dtype="float32", offset=1e4)
    y = flux.normalise(flux.tensor(x), axis=axis).numpy()
    # The input has 3 digits behind the point, so the result too; a cancelled variance would be off by orders.
    np.testing.assert_allclose(y, normal(x, axis), atol=2e-3)


def test_first_elements_far_from_the_mean_of_their_row_do_not_cancel():
    x = noise(6, 90_000, dtype="float32")
    x[:, :8] += 1e4 * np.arange(1, 7, dtype="float32")[:, None]
    x[:, 8:] += 0.5
    y = flux.normalise(flux.tensor(x), axis=1).numpy()
    np.testing.assert_allclose(y, normal(x, 1), rtol=5e-6, atol=2e-6)


@pytest.mark.parametrize("channels", [1, 5, 64, 100, 130])
def test_first_pixels_far_from_the_mean_of_their_channel_do_not_cancel(channels):
    x = noise(3000, channels, dtype="float32")
    x[::37, 0] += 1e4
    x[:8] += 1e4 * np.arange(1, channels + 1, dtype="float32")
    y = flux.normalise(x, axis=0)
    np.testing.assert_allclose(y.numpy(), normal(x.astype(float), (0,)), rtol=1e-4, atol=1e-4)


def test_running_statistics_survive_a_large_offset():
    x = noise(50_000, 3, dtype="float32", offset=1e4)
    layer = flux.BatchNorm(3, momentum=1.0, active=True)
    layer(flux.tensor(x))
    np.testing.assert_allclose(layer.mu.numpy(), x.astype(np.float64).mean(0), rtol=2e-7)
    np.testing.assert_allclose(layer.var.numpy(), x.astype(np.float64).var(0, ddof=1), rtol=1e-5)


# LayerNorm


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((4, 5), (5,)),
        ((1, 5), (5,)),
        ((5,), (5,)),
        ((2, 3, 4), (3, 4)),
        ((33, 67), (67,)),
        ((3, 1), (1,)),
        ((2, 2200), (2200,)),
    ],
)
def test_layer_norm_matches_numpy(shape, size, dtype):
    layer = flux.LayerNorm(*size)
    scale, bias = noise(*size), noise(*size)
    layer.scale, layer.bias = scale.astype("float32"), bias.astype("float32")
    if dtype == "float64":
        flux.f64(layer)
        layer.scale, layer.bias = scale, bias
    axes = tuple(range(len(shape) - len(size), len(shape)))
    x = noise(*shape, dtype=dtype)
    for t in layouts(x):
        y = layer(t)
        assert y.dtype == dtype
        close(y, normal(x, axes) * scale + bias, dtype)


def test_layer_norm_has_its_activation_and_no_affine_part_if_asked():
    x = noise(3, 4)
    layer = flux.LayerNorm(4, flux.relu, affine=False)
    assert not flux.trainables(layer)
    close(layer(flux.tensor(x)), np.maximum(normal(x, 1), 0), "float64")
    assert repr(flux.LayerNorm((2, 3), flux.tanh)) == "LayerNorm(2, 3, tanh)  # 12 parameters"
    assert repr(layer) == "LayerNorm(4, relu, affine=False)"


@pytest.mark.parametrize("shape", [(3, 5), (0, 5), (1, 5), (2, 3, 5), (70, 5)])
def test_layer_norm_has_gradients(shape):
    scale, bias = noise(5), noise(5)

    def f(x, scale, bias):
        return _core.norm(x, scale, bias, x.ndim - 1, 1, 1, 1e-2)[0]

    order = 2 if np.prod(shape) < 40 else 1
    if 0 in shape:
        grads = flux.gradient(
            lambda *a: f(*a).sum(), flux.tensor(noise(*shape)), flux.tensor(scale), flux.tensor(bias)
        )
        assert grads[0].shape == shape
        assert grads[1].tolist() == [0] * 5
    else:
        assert flux.gradcheck(f, noise(*shape), scale, bias, order=order)


def test_layer_norm_keeps_a_float32_model_in_float32():
    layer = flux.LayerNorm(4)
    assert layer(noise(3, 4)).dtype == "float32"
    assert layer(flux.tensor(noise(3, 4))).dtype == "float32"
    assert layer(np.ones((3, 4), int)).dtype == "float32"


@pytest.mark.parametrize("shape", [(), (4,), (5, 4), (3, 5, 4)])
def test_layer_norm_refuses_other_sizes(shape):
    with pytest.raises(flux.ShapeError, match=r"^LayerNorm\(3\): expected 3 on the last axis, got shape"):
        flux.LayerNorm(3)(flux.zeros(shape))


@pytest.mark.parametrize("size", [(), (0,), (-1,), (2.5,), ("a",), (True,)])
def test_layer_norm_refuses_sizes_that_are_none(size):
    with pytest.raises(ValueError, match="LayerNorm: sizes"):
        flux.LayerNorm(*size)


# BatchNorm, InstanceNorm, GroupNorm


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "shape",
    [
        (4, 3),
        (2, 1),
        (5, 7, 3),
        (2, 5, 5, 4),
        (1, 9, 2),
        (700, 3),
        (129, 1),
        (40, 131),
        (3, 4, 5, 2, 6),
        (90, 64),
    ],
)
def test_batch_norm_matches_numpy(shape, dtype):
    layer = flux.BatchNorm(shape[-1], active=True)
    if dtype == "float64":
        flux.f64(layer)
    layer.gamma, layer.beta = noise(shape[-1]), noise(shape[-1])
    x = noise(*shape, dtype=dtype, offset=0.5)
    axes = tuple(range(x.ndim - 1))
    for t in layouts(x):
        y = layer(t)
        assert y.dtype == dtype
        close(y, normal(x, axes) * layer.gamma.numpy() + layer.beta.numpy(), dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "shape", [(4, 2, 3), (1, 5, 5, 4), (3, 70, 1), (2, 33, 31, 5), (0, 4, 3), (2, 3, 140)]
)
def test_instance_norm_matches_numpy(shape, dtype):
    layer = flux.InstanceNorm(shape[-1], affine=True)
    if dtype == "float64":
        flux.f64(layer)
    layer.gamma, layer.beta = noise(shape[-1]), noise(shape[-1])
    x = noise(*shape, dtype=dtype)
    expected = normal(x, tuple(range(1, x.ndim - 1))) * layer.gamma.numpy() + layer.beta.numpy()
    close(layer(flux.tensor(x)), expected, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("shape", "groups"),
    [
        ((4, 5, 6), 3),
        ((4, 5, 6), 1),
        ((2, 5, 6), 6),
        ((3, 8), 2),
        ((1, 7, 7, 4), 2),
        ((2, 40, 40, 6), 2),
        ((2, 3, 140), 4),
        ((0, 4, 6), 2),
    ],
)
def test_group_norm_matches_numpy(shape, groups, dtype):
    layer = flux.GroupNorm(shape[-1], groups)
    if dtype == "float64":
        flux.f64(layer)
    layer.gamma, layer.beta = noise(shape[-1]), noise(shape[-1])
    x = noise(*shape, dtype=dtype, offset=-0.5)
    expected = grouped(x, groups) * layer.gamma.numpy() + layer.beta.numpy()
    close(layer(flux.tensor(x)), expected, dtype)


@pytest.mark.parametrize(
    "make", [flux.BatchNorm, flux.InstanceNorm, lambda c, **o: flux.GroupNorm(c, 2, **o)]
)
@pytest.mark.parametrize("shape", [(3, 4, 2), (70, 2, 2)])
def test_norms_of_channels_have_gradients(make, shape):
    layer = flux.f64(make(2, affine=True, active=True, eps=1e-2))

    def f(x, gamma, beta):
        layer.gamma, layer.beta = gamma, beta
        return layer(x)

    parameters = layer.gamma, layer.beta
    assert flux.gradcheck(f, noise(*shape), noise(2), noise(2), order=2 if shape[0] == 3 else 1)
    layer.gamma, layer.beta = parameters


def test_batch_norm_in_test_mode_has_gradients():
    layer = flux.f64(flux.BatchNorm(3, active=False))
    layer.mu, layer.var = noise(3), noise(3) ** 2

    def f(x, gamma, beta):
        layer.gamma, layer.beta = gamma, beta
        return layer(x)

    assert flux.gradcheck(f, noise(4, 2, 3), noise(3), noise(3), order=2)


def test_group_norm_of_2100_columns_has_the_gradient_of_its_formula():
    x, g = flux.tensor(noise(2, 3, 2100)), noise(2, 3, 2100)
    layer = flux.f64(flux.GroupNorm(2100, 3))

    def formula(x):
        z = x.reshape(2, 3, 3, 700)
        d = z - z.mean(axis=(1, 3), keepdims=True)
        return (d / flux.sqrt((d * d).mean(axis=(1, 3), keepdims=True) + 1e-5)).reshape(2, 3, 2100)

    (found,) = flux.gradient(lambda x: (layer(x) * g).sum(), x)
    (expected,) = flux.gradient(lambda x: (formula(x) * g).sum(), x)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_results_do_not_depend_on_the_number_of_threads(threads):
    x, g = noise(3000, 65, dtype="float32"), noise(3000, 65, dtype="float32")
    before = flux.get_num_threads()

    def results():
        out = []
        for layer in (flux.LayerNorm(65), flux.BatchNorm(65)):
            y, back = flux.pullback(lambda m, x: m(x), layer, flux.tensor(x))
            grads, dx = back(flux.tensor(g))
            out += [y, dx, *vars(grads).values()]
        return [t.numpy().copy() for t in out]

    try:
        flux.set_num_threads(1)
        expected = results()
        flux.set_num_threads(threads)
        for a, b in zip(results(), expected, strict=True):
            np.testing.assert_array_equal(a, b)
    finally:
        flux.set_num_threads(before)


# Running statistics


def test_running_statistics_follow_the_batches():
    layer = flux.BatchNorm(3, momentum=0.2)
    mu, var = np.zeros(3), np.ones(3)
    for _ in range(4):
        x = noise(5, 4, 3, dtype="float32", offset=2.0)
        flux.gradient(lambda m, x=x: m(flux.tensor(x)).sum(), layer)
        flat = x.reshape(-1, 3).astype(np.float64)
        mu = 0.8 * mu + 0.2 * flat.mean(0)
        var = 0.8 * var + 0.2 * flat.var(0, ddof=1)
    np.testing.assert_allclose(layer.mu.numpy(), mu, rtol=2e-6)
    np.testing.assert_allclose(layer.var.numpy(), var, rtol=2e-6)
    x = noise(2, 3, dtype="float32")
    close(layer(flux.tensor(x)), (x - mu) / np.sqrt(var + 1e-5))


def test_running_statistics_of_instances_are_means_over_the_batch():
    layer = flux.InstanceNorm(3, track_stats=True, active=True)
    x = noise(2, 6, 3, dtype="float32", offset=1.0)
    layer(flux.tensor(x))
    np.testing.assert_allclose(layer.mu.numpy(), 0.1 * x.mean((0, 1)), rtol=2e-6)
    expected = 0.9 + 0.1 * x.astype(np.float64).var(1, ddof=1).mean(0)
    np.testing.assert_allclose(layer.var.numpy(), expected, rtol=2e-6)
    layer(flux.zeros((0, 6, 3)))
    assert np.isfinite(layer.mu.numpy()).all()


def test_running_statistics_change_in_place_and_only_in_training():
    layer = flux.BatchNorm(2)
    mu, var, x = layer.mu, layer.var, flux.tensor(noise(4, 2, dtype="float32", offset=1.0))
    layer(x)
    assert mu.tolist() == [0, 0]
    flux.gradient(lambda x: layer(x).sum(), x)
    assert layer.mu is mu
    assert layer.var is var
    assert all(mu.numpy() != 0)
    seen = mu.numpy().copy()
    flux.gradient(lambda x: flux.ignore_derivatives(lambda: layer(x)).sum() + x.sum(), x)
    np.testing.assert_array_equal(mu.numpy(), seen)


def test_a_failed_call_leaves_running_statistics_as_they_were():
    def broken(y):
        raise RuntimeError("mine")

    for layer, x in [
        (flux.BatchNorm(3, broken, active=True), noise(5, 3)),
        (flux.BatchNorm(3, active=True), noise(1, 3)),
        (flux.BatchNorm(3, active=True), noise(5, 4)),
    ]:
        with pytest.raises((RuntimeError, ValueError)):
            layer(x)
        assert layer.mu.tolist() == [0, 0, 0] and layer.var.tolist() == [1, 1, 1]


def test_a_gradient_of_second_order_updates_them_once():
    x = noise(4, 2, offset=1.0)
    once, twice = flux.f64(flux.BatchNorm(2)), flux.f64(flux.BatchNorm(2))
    flux.gradient(lambda x: once(x).sum(), flux.tensor(x))

    def inner(x):
        return flux.gradient(lambda x: (twice(x) ** 3).sum(), x)[0].sum()

    flux.gradient(inner, flux.tensor(x))
    np.testing.assert_array_equal(once.mu.numpy(), twice.mu.numpy())
    np.testing.assert_array_equal(once.var.numpy(), twice.var.numpy())


def test_a_checkpoint_trains_and_updates_them_once():
    x = flux.tensor(noise(4, 2, dtype="float32", offset=1.0))
    plain, kept = flux.BatchNorm(2), flux.BatchNorm(2)
    a = flux.withgradient(lambda m: (m(x) ** 3).sum(), plain)
    b = flux.withgradient(lambda m: (flux.checkpoint(m, x) ** 3).sum(), kept)
    assert a[0].item() == b[0].item()
    np.testing.assert_array_equal(a[1][0].gamma.numpy(), b[1][0].gamma.numpy())
    np.testing.assert_array_equal(plain.mu.numpy(), kept.mu.numpy())
    np.testing.assert_array_equal(plain.var.numpy(), kept.var.numpy())


def test_running_statistics_are_state_and_no_parameters():
    layer = flux.BatchNorm(2)
    assert [t.shape for t in flux.trainables(layer)] == [(2,), (2,)]
    (g,) = flux.gradient(lambda m: m(noise(4, 2)).sum(), layer)
    assert vars(g).keys() == {"beta", "gamma"}


def test_without_running_statistics_test_mode_normalises_too():
    layer = flux.BatchNorm(3, track_stats=False)
    x = noise(5, 3)
    close(layer(x), normal(x, 0))
    assert layer.mu is None


def test_a_model_with_batch_norm_trains():
    flux.seed(1)
    model = flux.Chain(flux.Dense(2, 8), flux.BatchNorm(8, flux.relu), flux.Dropout(0.1), flux.Dense(8, 1))
    x = noise(64, 2, dtype="float32")
    y = (x[:, :1] * x[:, 1:]).astype("float32")
    state = flux.setup(flux.Adam(0.02), model)
    before = flux.mse(model(x), y).item()
    flux.train(lambda m, x, y: flux.mse(m(x), y), model, [(x, y)] * 150, state)
    assert flux.mse(model(x), y).item() < 0.3 * before


# Modes


def test_modes_are_those_of_the_call_unless_they_are_set():
    layer = flux.BatchNorm(2)
    x = flux.tensor(noise(4, 2, dtype="float32", offset=3.0))
    test = layer(x).numpy()
    close(layer(x), x.numpy() / np.sqrt(1 + 1e-5))
    trained = flux.trainmode(layer)(x).numpy()
    assert abs(trained.mean()) < 1e-5
    layer = flux.testmode(flux.BatchNorm(2))
    value, _ = flux.withgradient(lambda m: m(x).sum(), layer)
    np.testing.assert_allclose(value.item(), test.sum(), rtol=1e-6)


def test_modes_reach_every_layer_and_return_the_model():
    model = flux.Chain(flux.BatchNorm(2), {"a": flux.Dropout(0.5)}.get, flux.Chain(b=flux.InstanceNorm(2)))
    assert flux.testmode(model) is model
    assert model[0].active is False
    assert model[2]["b"].active is False
    assert flux.trainmode(model)[0].active is True
    assert flux.testmode(model, False)[0].active is True
    assert flux.trainmode(model, False)[0].active is False
    assert flux.testmode(model, None)[0].active is None
    flux.testmode(model)
    assert flux.trainmode(model, None)[2]["b"].active is None
    with pytest.raises(TypeError, match="'automatic'"):
        flux.trainmode(model, "automatic")


def test_modes_print():
    assert repr(flux.BatchNorm(3)) == "BatchNorm(3)        # 6 parameters, plus 6 non-trainable"
    assert (
        repr(flux.BatchNorm(3, flux.relu, affine=False, active=True))
        == "BatchNorm(3, relu, affine=False, active=True)"
    )
    assert (
        repr(flux.InstanceNorm(3, affine=True, active=False))
        == "InstanceNorm(3, active=False)  # 6 parameters"
    )
    assert repr(flux.GroupNorm(4, 2, flux.tanh)) == "GroupNorm(4, 2, tanh)  # 8 parameters"


# Bad input


@pytest.mark.parametrize("shape", [(1, 3), (0, 3), (1, 1, 1, 3), (5, 0, 3)])
def test_batch_norm_does_not_train_on_one_value_a_channel(shape):
    layer = flux.BatchNorm(3, active=True)
    with pytest.raises(
        ValueError, match=r"^BatchNorm\(3, active=True\): training needs more than one value"
    ) as error:
        layer(flux.ones(shape))
    assert str(shape) in str(error.value)
    assert layer.mu.tolist() == [0, 0, 0]
    assert flux.testmode(layer)(flux.ones(shape)).shape == shape


LAYERS = [flux.BatchNorm(3), flux.GroupNorm(3, 3), flux.InstanceNorm(3)]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
@pytest.mark.parametrize("shape", [(), (3,), (5, 4), (5, 2, 4)])
def test_other_channels_name_the_layer(layer, shape):
    with pytest.raises(flux.ShapeError, match="expected 3 channels on the last") as error:
        layer(flux.zeros(shape))
    assert str(error.value).startswith(layer.describe())


def test_instance_norm_needs_an_axis_to_normalise():
    with pytest.raises(flux.ShapeError, match="at least 3 axes"):
        flux.InstanceNorm(3)(flux.zeros((5, 3)))


@pytest.mark.parametrize("groups", [0, 2, 4, -1, 1.5])
def test_groups_divide_the_channels(groups):
    with pytest.raises(ValueError, match="GroupNorm: .* groups do not divide 3 channels"):
        flux.GroupNorm(3, groups)


@pytest.mark.parametrize(
    "make", [flux.BatchNorm, flux.InstanceNorm, flux.LayerNorm, lambda n, **o: flux.GroupNorm(n, 1, **o)]
)
def test_a_negative_eps_names_the_layer(make):
    with pytest.raises(ValueError, match=r"Norm\(3.*eps must not be negative, got -1"):
        make(3, eps=-1)
    assert make(3, eps=0).eps == 0


@pytest.mark.parametrize("channels", [0, -2, 1.5, "a", True])
def test_channels_are_a_positive_integer(channels):
    with pytest.raises(ValueError, match="BatchNorm: channels"):
        flux.BatchNorm(channels)


def test_other_options_are_checked():
    with pytest.raises(TypeError, match="activation"):
        flux.BatchNorm(3, "relu")
    with pytest.raises(ValueError, match="momentum"):
        flux.BatchNorm(3, momentum=1.5)
    with pytest.raises(flux.ShapeError, match=r"shape \(4,\)"):
        flux.BatchNorm(3, init_gamma=lambda n: np.ones(n + 1))


def test_the_core_refuses_what_does_not_fit():
    x = flux.zeros((2, 3))
    for arguments in [(0, 3, 1), (2, 1, 1), (0, 1, 0), (0, 1, 2)]:
        with pytest.raises(flux.ShapeError, match="norm"):
            _core.norm(x, None, None, *arguments, 1e-5)
    with pytest.raises(flux.ShapeError, match="norm"):
        _core.norm(x, flux.ones(2), None, 0, 1, 3, 1e-5)
    with pytest.raises(flux.ShapeError, match="norm"):
        _core.norm_with(x, flux.ones(2), flux.ones(2), None, None, 1e-5)


# WeightNorm


def test_weight_norm_is_the_plain_layer_at_first_and_trains():
    plain = flux.Dense(4, 3, flux.tanh)
    layer = flux.WeightNorm(copy.deepcopy(plain))
    x, y = noise(16, 4, dtype="float32"), noise(16, 3, dtype="float32")
    np.testing.assert_allclose(layer(x).numpy(), plain(x).numpy(), rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(
        layer.g.numpy(), np.linalg.norm(plain.weight.numpy(), axis=0, keepdims=True), rtol=2e-6
    )
    state = flux.setup(flux.Adam(0.05), layer)
    before = flux.mse(layer(x), y).item()
    flux.train(lambda m, x, y: flux.mse(m(x), y), layer, [(x, y)] * 50, state)
    assert flux.mse(layer(x), y).item() < 0.9 * before


def test_weight_norm_has_gradients_of_length_and_direction():
    layer = flux.f64(flux.WeightNorm(flux.Dense(3, 2)))
    v, g, x = layer.layer.weight, layer.g, noise(5, 3)

    def f(v, g):
        layer.layer.weight, layer.g = v, g
        return layer(x)

    assert flux.gradcheck(f, v, g)
    layer.layer.weight, layer.g = v, g
    (grads,) = flux.gradient(lambda m: m(x).sum(), layer)
    # The direction's gradient is at right angles to it.
    assert abs((grads.layer.weight * v).sum(axis=0).numpy()).max() < 1e-6
    assert grads.layer.bias.tolist() == [5, 5]


def test_weight_norm_over_other_axes():
    dense = flux.Dense(4, 3)
    for axis in (1, (0, 1), -1):
        expected = np.linalg.norm(dense.weight.numpy(), axis=axis, keepdims=True)
        np.testing.assert_allclose(
            flux.WeightNorm(dense, axis=axis).g.numpy(), expected, rtol=1e-6, strict=True
        )


def test_weight_norms_are_removed():
    model = flux.Chain(flux.WeightNorm(flux.Dense(3, 4)), flux.relu, flux.WeightNorm(flux.Dense(4, 2)))
    model[0].g = model[0].g * 2
    plain = flux.remove_weight_norms(model)
    assert [type(m).__name__ for m in flux.modules(plain)] == ["Chain", "Dense", "Dense"]
    x = noise(5, 3)
    np.testing.assert_allclose(plain(x).numpy(), model(x).numpy(), rtol=1e-6)
    np.testing.assert_allclose(plain[0].weight.numpy(), 2 * model[0].layer.weight.numpy(), rtol=2e-6)


def test_weight_norm_refuses_what_has_no_direction():
    with pytest.raises(ValueError, match=r"Dense\(2 => 3\) has no parameter 'kernel'"):
        flux.WeightNorm(flux.Dense(2, 3), "kernel")
    with pytest.raises(ValueError, match="bias of Dense.* is all zero"):
        flux.WeightNorm(flux.Dense(2, 3), "bias")
    with pytest.raises(ValueError, match="no parameter"):
        flux.WeightNorm(flux.Dense(2, 3, bias=False), "bias")


def test_weight_norm_of_a_zero_column_is_zero_and_its_gradient_finite():
    layer = flux.Dense(2, 2, bias=False)
    layer.weight = flux.tensor([[0.0, 3.0], [0.0, 4.0]])
    model = flux.WeightNorm(layer, "weight")
    np.testing.assert_allclose(model([[1.0, 1.0]]).numpy(), [[0.0, 7.0]], rtol=1e-6)
    (g,) = flux.gradient(lambda m: m([[1.0, 1.0]]).sum(), model)
    assert np.isfinite(g.g.numpy()).all() and np.isfinite(g.layer.weight.numpy()).all()
    np.testing.assert_allclose(g.g.numpy().ravel(), [0.0, 1.4], rtol=1e-5)


@pytest.mark.parametrize("convert", [flux.f16, flux.bf16], ids=["f16", "bf16"])
@pytest.mark.parametrize("size", [1e-4, 1.0, 3e3])
def test_weight_norm_of_16_bits_is_the_plain_layer_whatever_the_size_of_its_numbers(convert, size):
    plain = convert(flux.Dense(np.full((4, 2), size)))
    layer = flux.WeightNorm(plain)
    assert layer.g.dtype == plain.weight.dtype
    x = flux.ones((3, 4), dtype=str(plain.weight.dtype.name))
    np.testing.assert_allclose(
        layer(x).astype("float32").numpy(), plain(x).astype("float32").numpy(), rtol=2e-2
    )


@pytest.mark.parametrize(("convert", "size"), [(flux.f32, 1e30), (flux.f64, 1e200), (flux.bf16, 1e30)])
def test_weight_norm_of_numbers_whose_squares_are_beyond_their_type(convert, size):
    plain = convert(flux.Dense(flux.full((4, 2), size, dtype=flux.float64), bias=False))
    plain.weight[:, 1] = 2.0
    layer = flux.WeightNorm(plain)
    rtol = 2e-2 if convert is flux.bf16 else 1e-6
    np.testing.assert_allclose(layer.g.astype("float64").numpy(), [[2 * size, 4.0]], rtol=rtol)
    x = flux.ones((1, 4), dtype=plain.weight.dtype)
    np.testing.assert_allclose(
        layer(x).astype("float64").numpy(), plain(x).astype("float64").numpy(), rtol=rtol
    )
    (g,) = flux.gradient(lambda m: m(x).sum(), layer)
    np.testing.assert_allclose(g.g.astype("float64").numpy(), [[2.0, 2.0]], rtol=rtol)


def test_the_axes_of_weight_norm_are_integers_of_any_kind():
    dense = flux.Dense(3, 2)
    assert (
        flux.WeightNorm(dense, axis=np.int64(0)).axis
        == flux.WeightNorm(dense, axis=np.array([0])).axis
        == (0,)
    )
    for axis, error in [(1.5, TypeError), ((0, 0), ValueError), (5, IndexError), ("a", TypeError)]:
        with pytest.raises(error, match=r"WeightNorm\(Dense\(3 => 2\), 'weight'\): "):
            flux.WeightNorm(dense, axis=axis)
