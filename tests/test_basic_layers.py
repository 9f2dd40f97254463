"""Scale and Bilinear."""

import numpy as np
import pytest

import oxiflux as flux


def x_of(*shape, dtype=np.float32, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


# Scale


@pytest.mark.parametrize("size", [(1,), (5,), (3, 5)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch", [0, 1, 7])
def test_scale_is_its_formula(size, bias, batch):
    layer = flux.Scale(*size, flux.tanh, bias=bias, init=flux.randn32)
    if bias:
        layer.bias = x_of(*size)
    x = x_of(batch, 3, 5)
    y = layer(x)
    assert y.dtype == "float32"
    expected = np.tanh(layer.scale.numpy() * x + (layer.bias.numpy() if bias else 0))
    np.testing.assert_allclose(y.numpy(), expected, rtol=2e-6, atol=1e-6)


def test_scale_takes_the_activation_by_name_too():
    assert flux.Scale(3, activation=flux.relu).activation is flux.relu


def test_scale_stays_float32_whatever_it_is_given():
    layer = flux.Scale(2)
    for x in ([[1, 2]], np.ones((1, 2)), np.ones((1, 4), int)[:, ::2]):
        assert layer(x).dtype == "float32"
    assert flux.f64(flux.Scale(2))(np.ones((1, 2))).dtype == "float64"


@pytest.mark.parametrize("sizes", [(-1,), (2.0,), ("3",), (True,), (2, -3)])
def test_scale_refuses_sizes_that_are_none(sizes):
    with pytest.raises(ValueError, match="Scale: sizes"):
        flux.Scale(*sizes)


def test_scale_needs_a_size_a_function_and_fitting_values():
    with pytest.raises(ValueError, match="needs at least one size"):
        flux.Scale(flux.relu)
    with pytest.raises(TypeError, match="activation"):
        flux.Scale(3, activation="relu")
    with pytest.raises(flux.ShapeError, match=r"Scale\(3\): init made a weight of shape \(4,\)"):
        flux.Scale(3, init=lambda shape: np.ones(4))
    with pytest.raises(flux.ShapeError, match=r"\(3,\), got \(2,\)"):
        flux.Scale(3, bias=[1, 2])


def test_scale_names_itself_and_the_shapes_that_do_not_fit():
    with pytest.raises(
        flux.ShapeError, match=r"^Scale\(3\): .*\(5, 4\).*\(3\)|^Scale\(3\): .*\(5, 4\).*\(3,\)"
    ):
        flux.Scale(3)(np.ones((5, 4)))


# Bilinear


@pytest.mark.parametrize(("in1", "in2", "out"), [(5, 5, 7), (3, 4, 1), (1, 1, 1), (4, 2, 63), (9, 8, 0)])
@pytest.mark.parametrize("batch", [(), (0,), (1,), (6,), (2, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_bilinear_is_its_formula(in1, in2, out, batch, bias):
    layer = flux.Bilinear((in1, in2), out, flux.tanh, bias=bias)
    if bias:
        layer.bias = x_of(out)
    x, y = x_of(*batch, in1), x_of(*batch, in2, seed=1)
    expected = np.einsum("...i,ijk,...j->...k", x, layer.weight.numpy(), y) + (
        layer.bias.numpy() if bias else 0
    )
    z = layer(x, y)
    assert z.dtype == "float32"
    assert z.shape == (*batch, out)
    np.testing.assert_allclose(z.numpy(), np.tanh(expected), rtol=5e-6, atol=2e-6)


def test_bilinear_takes_a_tuple_or_one_input_for_both():
    layer = flux.Bilinear((3, 3), 2)
    x, y = x_of(4, 3), x_of(4, 3, seed=1)
    np.testing.assert_array_equal(layer((x, y)).numpy(), layer(x, y).numpy())
    np.testing.assert_array_equal(layer(x).numpy(), layer(x, x).numpy())


def test_leading_axes_of_bilinear_broadcast():
    layer, x, y = flux.Bilinear((3, 4), 2), x_of(5, 1, 3), x_of(6, 4)
    expected = np.einsum("...i,ijk,...j->...k", x, layer.weight.numpy(), y)
    np.testing.assert_allclose(layer(x, y).numpy(), expected, rtol=2e-6, atol=2e-6, strict=True)


def test_bilinear_takes_lists_and_what_is_not_contiguous():
    layer = flux.Bilinear((2, 3), 1, init=flux.ones32)
    assert layer([1, 2], [1, 1, 1]).tolist() == [9.0]
    assert layer(np.ones((1, 4))[:, ::2], np.ones((3, 1)).T).tolist() == [[6.0]]


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        (
            (np.ones((2, 3)), np.ones((2, 3))),
            "expected 3 and 4 features on the last axis, got shapes (2, 3) and (2, 3)",
        ),
        ((np.ones((2, 3)),), "got shapes (2, 3) and (2, 3)"),
        ((3.0, 4.0), "got shapes () and ()"),
        ((np.ones((2, 3)), np.ones((5, 4))), "(2,"),
    ],
)
def test_bilinear_names_itself_and_the_shapes_that_do_not_fit(inputs, text):
    with pytest.raises(flux.ShapeError) as error:
        flux.Bilinear((3, 4), 2)(*inputs)
    assert str(error.value).startswith("Bilinear((3, 4) => 2): ")
    assert text in str(error.value)


@pytest.mark.parametrize("count", [0, 3])
def test_bilinear_takes_two_inputs_at_most(count):
    with pytest.raises(ValueError, match=f"takes one input or two, got {count}"):
        flux.Bilinear((3, 3), 2)(*[np.ones(3)] * count)


@pytest.mark.parametrize("sizes", [(3,), (3, 4, 5), [], ()])
def test_the_inputs_of_bilinear_are_a_pair(sizes):
    with pytest.raises(ValueError, match="Bilinear: the sizes of the inputs are a pair"):
        flux.Bilinear(sizes, 2)


def test_bilinear_refuses_bad_sizes_functions_and_values():
    with pytest.raises(ValueError, match="Bilinear: sizes"):
        flux.Bilinear((3, -4), 2)
    with pytest.raises(TypeError, match="activation"):
        flux.Bilinear((3, 4), 2, 5)
    with pytest.raises(flux.ShapeError, match="init made a weight"):
        flux.Bilinear((3, 4), 2, init=lambda shape: np.ones(3))
    with pytest.raises(flux.ShapeError, match=r"\(in1, in2, out\)"):
        flux.Bilinear(np.ones((3, 4)))
