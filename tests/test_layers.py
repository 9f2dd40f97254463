"""Layer, Dense, Chain and flatten."""

import copy
import pickle

import numpy as np
import pytest

import oxiflux as flux
from oracles import ACTIVATIONS


def x_of(*shape, dtype=np.float32):
    return np.random.default_rng(0).normal(size=shape).astype(dtype)


# Dense


@pytest.mark.parametrize("size_in", [0, 1, 63])
@pytest.mark.parametrize("size_out", [0, 1, 65])
@pytest.mark.parametrize("batch", [(), (0,), (1,), (7,), (2, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_dense_is_its_formula(size_in, size_out, batch, bias):
    layer = flux.Dense(size_in, size_out, flux.tanh, bias=bias)
    if bias:
        layer.bias = x_of(size_out)
    x = x_of(*batch, size_in)
    expected = x.astype(np.float64) @ layer.weight.numpy() + (layer.bias.numpy() if bias else 0)
    y = layer(x)
    assert y.shape == (*batch, size_out)
    assert y.dtype == "float32"
    np.testing.assert_allclose(y.numpy(), np.tanh(expected), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", [*ACTIVATIONS, "tanh"])
def test_a_fused_activation_is_the_activation_after_the_layer(name):
    activation = getattr(flux, name)
    fused, plain = flux.Dense(5, 4, activation), flux.Dense(5, 4)
    flux.loadmodel(plain, flux.state(fused))
    x = x_of(9, 5)
    np.testing.assert_allclose(fused(x).numpy(), activation(plain(x)).numpy(), rtol=2e-6, atol=2e-6)
    (g,) = flux.gradient(lambda m: (m(x) ** 2).sum(), fused)
    (h,) = flux.gradient(lambda m: (activation(m(x)) ** 2).sum(), plain)
    np.testing.assert_allclose(g.weight.numpy(), h.weight.numpy(), rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(g.bias.numpy(), h.bias.numpy(), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("bias", [True, False])
def test_the_gradients_of_dense_match_differences(bias):
    def apply(x, w, *b):
        return flux.Dense(w, b[0] if b else False, flux.sigmoid)(x)

    args = [x_of(3, 5), x_of(5, 2)] + [x_of(2)] * bias
    assert flux.gradcheck(apply, *args, order=2, eps=1e-5, rtol=1e-4)


@pytest.mark.parametrize("activation", [np.tanh, lambda x: x.sum(axis=-1, keepdims=True), flux.softmax])
def test_any_function_is_an_activation(activation):
    layer = flux.Dense(3, 4, activation if activation is not np.tanh else (lambda x: flux.tanh(x) * 1))
    plain = flux.Dense(layer.weight)
    x = x_of(5, 3)
    np.testing.assert_allclose(layer(x).numpy(), layer.activation(plain(x)).numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    "x", [np.ones((2, 3)), np.ones((2, 3), int), [[1, 1, 1], [1, 1, 1]], np.ones((2, 6))[:, ::2]]
)
def test_dense_stays_float32_whatever_it_is_given(x):
    layer = flux.Dense(3, 2, init=flux.ones32)
    assert layer(x).dtype == "float32"
    assert layer(x).tolist() == [[3, 3], [3, 3]]


def test_dense_in_float64_computes_in_float64():
    flux.seed(0)  # where the products do not cancel
    layer = flux.f64(flux.Dense(3, 2))
    x = x_of(4, 3, dtype=np.float64)
    np.testing.assert_allclose(layer(x).numpy(), x @ layer.weight.numpy(), rtol=1e-14)


@pytest.mark.parametrize("shape", [(5, 4), (3,), (), (2, 2, 0)])
def test_dense_names_itself_and_the_shape_that_does_not_fit(shape):
    with pytest.raises(flux.ShapeError) as error:
        flux.Dense(2, 3)(np.ones(shape))
    assert str(error.value) == f"Dense(2 => 3): expected 2 features on the last axis, got shape {shape}"


def test_dense_does_not_hide_an_error_of_its_activation():
    def broken(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        flux.Dense(2, 3, broken)(np.ones((1, 2)))


def test_dense_says_that_an_activation_failed_within_it():
    layer = flux.Dense(2, 3, lambda x: x @ flux.ones((7, 7)))
    with pytest.raises(flux.ShapeError, match=r"^Dense\(2 => 3, <lambda>\): "):
        layer(np.ones((1, 2)))


@pytest.mark.parametrize("sizes", [(-1, 2), (2.0, 3), ("a", 2), (2, None)])
def test_dense_refuses_sizes_that_are_none(sizes):
    with pytest.raises(ValueError, match="Dense: sizes"):
        flux.Dense(*sizes)


def test_dense_refuses_an_activation_that_is_no_function():
    with pytest.raises(TypeError, match="activation"):
        flux.Dense(2, 3, "relu")


def test_dense_refuses_what_init_makes_in_another_shape():
    with pytest.raises(flux.ShapeError, match=r"Dense\(2 => 3\): init made a weight of shape \(3, 2\)"):
        flux.Dense(2, 3, init=lambda shape: np.zeros(shape[::-1]))


def test_init_may_be_a_numpy_function():
    layer = flux.Dense(2, 3, init=np.ones)
    assert layer.weight.dtype == "float32"
    assert layer.weight.tolist() == [[1, 1, 1], [1, 1, 1]]


def test_dense_takes_a_bias():
    assert flux.Dense(2, 3, bias=[1, 2, 3]).bias.tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(flux.ShapeError, match=r"\(3,\), got \(2,\)"):
        flux.Dense(2, 3, bias=[1, 2])


def test_dense_of_arrays():
    layer = flux.Dense(np.ones((2, 3)), [1, 2, 3], flux.relu)
    assert layer([[1, -2]]).tolist() == [[0.0, 1.0, 2.0]]
    assert repr(layer) == "Dense(2 => 3, relu)  # 9 parameters"
    assert flux.Dense(np.ones((2, 3)), False).bias is None
    with pytest.raises(flux.ShapeError, match=r"\(2,\)"):
        flux.Dense(np.ones(2))


def test_dense_of_a_tensor_shares_it():
    w = flux.ones((2, 2), dtype=flux.float64)
    layer = flux.Dense(w)
    assert layer.weight is w
    assert layer.bias.dtype == "float64"


# Assignment to parameters


@pytest.mark.parametrize("value", [np.ones((2, 3)), [[1, 1, 1], [1, 1, 1]], np.ones((2, 3), int)])
def test_an_assigned_parameter_keeps_its_dtype(value):
    layer = flux.Dense(2, 3)
    layer.weight = value
    assert type(layer.weight) is flux.Tensor
    assert layer.weight.dtype == "float32"
    assert layer.weight.tolist() == [[1, 1, 1], [1, 1, 1]]


def test_an_assigned_float64_tensor_becomes_float32():
    layer = flux.Dense(2, 3)
    layer.weight = flux.ones((2, 3), dtype=flux.float64)
    assert layer.weight.dtype == "float32"


def test_an_assigned_tensor_is_shared():
    a, b = flux.Dense(2, 2), flux.Dense(2, 2)
    a.weight = b.weight
    assert a.weight is b.weight


def test_an_assigned_array_is_copied():
    layer, w = flux.Dense(2, 2), np.ones((2, 2), np.float32)
    layer.weight = w
    w[:] = 5
    assert layer.weight.tolist() == [[1, 1], [1, 1]]


def test_an_assigned_parameter_of_another_shape_names_the_layer():
    layer = flux.Dense(2, 3)
    with pytest.raises(flux.ShapeError) as error:
        layer.weight = np.ones((3, 2))
    assert str(error.value) == "Dense(2 => 3): weight has shape (2, 3), got (3, 2)"
    assert layer.weight.shape == (2, 3)


def test_a_bias_can_be_taken_away():
    layer = flux.Dense(2, 3)
    layer.bias = None
    assert len(flux.trainables(layer)) == 1
    assert repr(layer) == "Dense(2 => 3; bias=False)  # 6 parameters"


def test_a_parameter_can_be_computed_within_a_gradient():
    layer = flux.Dense(2, 1, bias=False)
    w = layer.weight

    def loss(theta):
        layer.weight = theta * flux.ones((2, 1))
        return layer(np.ones((1, 2))).sum()

    assert flux.gradient(loss, flux.tensor([3.0]))[0].tolist() == [2.0]
    layer.weight = w


# Chain


def test_chain_passes_gradients_to_every_layer():
    m = flux.Chain(flux.Dense(3, 4, flux.tanh), flux.Chain(act=flux.relu, out=flux.Dense(4, 1)))
    (g,) = flux.gradient(lambda m: m(x_of(5, 3)).sum(), m)
    assert g.layers[0].weight.shape == (3, 4)
    assert g.layers[1].layers["out"].bias.tolist() == [5.0]
    assert g.layers[1].layers["act"] is None


def test_chain_is_indexed_like_a_tuple():
    layers = [flux.Dense(2, 2), flux.relu, flux.Dense(2, 1)]
    m = flux.Chain(*layers)
    assert list(m) == layers
    assert m[-1] is layers[-1]
    assert len(m) == 3
    assert [m[i] for i in range(3)] == layers
    assert m[1:].layers == tuple(layers[1:])
    assert m[::-1].layers == tuple(layers[::-1])
    for bad in (3, -4):
        with pytest.raises(IndexError, match="of 3"):
            m[bad]


def test_a_slice_of_a_named_chain_keeps_the_names():
    m = flux.Chain(a=flux.relu, b=flux.tanh, c=flux.softmax)
    assert m[1:].layers == {"b": flux.tanh, "c": flux.softmax}
    with pytest.raises(KeyError, match="its layers are a, b, c"):
        m["d"]


def test_chain_refuses_what_cannot_be_called():
    with pytest.raises(TypeError, match="layer 1 is a list"):
        flux.Chain(flux.relu, [flux.relu])
    with pytest.raises(TypeError, match="layer 'b' is a int"):
        flux.Chain(a=flux.relu, b=3)
    with pytest.raises(TypeError, match="by position or all by name"):
        flux.Chain(flux.relu, b=flux.relu)


def test_an_error_of_shapes_names_the_path_to_the_layer():
    inner = flux.Chain(enc=flux.Dense(2, 3), dec=flux.Dense(2, 3))
    m = flux.Chain(flux.Dense(4, 2), flux.Chain(flux.relu, inner), flux.relu)
    with pytest.raises(flux.ShapeError) as error:
        m(np.ones((5, 4)))
    expected = "Dense(2 => 3): expected 2 features on the last axis, got shape (5, 3)"
    assert str(error.value) == f"Chain[1][1]['dec']: {expected}"


def test_the_path_is_right_for_a_layer_that_occurs_twice():
    d = flux.Dense(2, 3)
    with pytest.raises(flux.ShapeError, match=r"^Chain\[1\]: Dense"):
        flux.Chain(d, d)(np.ones((1, 2)))


def test_another_error_keeps_its_message_and_gets_a_note():
    def broken(x):
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match=r"^mine") as error:
        flux.Chain(flux.relu, flux.Chain(broken))(flux.ones(2))
    assert str(error.value) == "mine"
    assert error.value.__notes__ == ["in Chain[1][0]"]


def test_activations_of_a_chain():
    m = flux.Chain(a=flux.Dense(2, 3), b=flux.relu)
    first, second = flux.activations(m, x_of(4, 2))
    np.testing.assert_array_equal(flux.relu(first).numpy(), second.numpy())
    assert flux.activations(flux.Chain(), 1) == ()


# Models in general


def make_model():
    return flux.Chain(flux.Dense(3, 4, flux.tanh), flux.Dense(4, 2, bias=False), flux.softmax)


@pytest.mark.parametrize("twin_of", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_model_can_be_copied_and_pickled(twin_of):
    m = make_model()
    twin = twin_of(m)
    x = x_of(5, 3)
    np.testing.assert_array_equal(twin(x).numpy(), m(x).numpy())
    before = m(x).numpy().copy()
    twin[0].weight[...] = 0
    np.testing.assert_array_equal(m(x).numpy(), before)


def test_a_plain_class_is_a_model_too():
    class Plain:
        def __init__(self):
            self.parts = [flux.Dense(2, 2), {"w": flux.ones(2)}]

        def __call__(self, x):
            return self.parts[0](x) * self.parts[1]["w"]

    (g,) = flux.gradient(lambda m: m(np.ones((3, 2))).sum(), Plain())
    assert g.parts[0].bias.tolist() == [3, 3]
    assert g.parts[1]["w"].shape == (2,)


def test_a_layer_may_withhold_parameters():
    class Fixed(flux.Layer):
        def __init__(self):
            self.scale, self.shift = flux.ones(2), flux.zeros(2)

        def __call__(self, x):
            return x * self.scale + self.shift

        def trainable(self):
            return ("shift",)

    layer = Fixed()
    (g,) = flux.gradient(lambda m: m(np.ones((3, 2))).sum(), layer)
    assert vars(g).keys() == {"shift"}


# flatten


@pytest.mark.parametrize(
    ("shape", "flat"),
    [((5,), (5, 1)), ((5, 3), (5, 3)), ((2, 3, 4), (2, 12)), ((0, 3, 4), (0, 12)), ((3, 0, 4), (3, 0))],
)
def test_flatten_keeps_the_first_axis(shape, flat):
    x = x_of(*shape)
    np.testing.assert_array_equal(flux.flatten(flux.tensor(x)).numpy(), x.reshape(flat), strict=True)
    np.testing.assert_array_equal(np.asarray(flux.flatten(x)), x.reshape(flat))


def test_flatten_keeps_the_order():
    x = x_of(2, 3, 4)
    np.testing.assert_array_equal(flux.flatten(flux.tensor(x)).numpy(), x.reshape(2, 12))
    t = flux.tensor(x).T
    np.testing.assert_array_equal(flux.flatten(t).numpy(), x.T.reshape(4, 6))


def test_flatten_of_a_number_is_an_error():
    with pytest.raises(flux.ShapeError, match="flatten"):
        flux.flatten(3.0)


def test_flatten_of_a_float64_array_leaves_a_model_in_float32():
    assert flux.Chain(flux.flatten, flux.Dense(6, 1))(np.ones((2, 2, 3))).dtype == "float32"
