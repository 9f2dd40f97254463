"""destructure: a model's parameters as one vector."""

import numpy as np
import pytest

import oxiflux as flux


def model():
    return flux.Chain(flux.Dense(2, 3, flux.tanh), flux.Scale(3), flux.Dense(3, 1, bias=False))


class Frozen(flux.Layer):
    def __init__(self):
        self.weight, self.mean = flux.ones(2), flux.zeros(3)

    def trainable(self):
        return ("weight",)


def test_the_vector_is_all_parameters_in_order():
    m = model()
    flat, rebuild = flux.destructure(m)
    np.testing.assert_array_equal(
        flat.numpy(), np.concatenate([t.numpy().ravel() for t in flux.trainables(m)])
    )
    assert len(rebuild) == flat.size == 18
    assert repr(rebuild) == "Rebuild(Chain, 18)"


def test_rebuilding_from_the_vector_gives_the_same_model():
    m = model()
    flat, rebuild = flux.destructure(m)
    new = rebuild(flat)
    assert new is not m
    assert repr(new) == repr(m)
    x = np.random.default_rng(0).normal(size=(5, 2))
    np.testing.assert_array_equal(new(x).numpy(), m(x).numpy())


def test_rebuilding_leaves_the_model_alone():
    m = model()
    before = m[0].weight.numpy().copy()
    flat, rebuild = flux.destructure(m)
    assert rebuild(flat * 0)[0].weight.tolist() == [[0] * 3] * 2
    flat[...] = 7
    np.testing.assert_array_equal(m[0].weight.numpy(), before)


def test_tied_weights_are_in_it_once_and_stay_tied():
    shared = flux.Dense(2, 2)
    flat, rebuild = flux.destructure(flux.Chain(shared, flux.relu, shared))
    assert flat.shape == (6,)
    new = rebuild(flat + 1)
    assert new[0] is new[2]


def test_what_is_not_trained_is_kept():
    m = [Frozen(), "text", flux.tensor([1, 2])]
    flat, rebuild = flux.destructure(m)
    assert flat.tolist() == [1, 1]
    new = rebuild([5, 6])
    assert new[0].weight.tolist() == [5, 6]
    assert new[0].mean.tolist() == [0, 0, 0]
    assert new[1:] == ["text", m[2]]


def test_dtypes_meet_in_the_vector_and_part_again():
    m = [flux.ones(2), flux.f64(flux.Dense(1, 1))]
    flat, rebuild = flux.destructure(m)
    assert flat.dtype == "float64"
    new = rebuild(flat)
    assert new[0].dtype == "float32"
    assert new[1].weight.dtype == "float64"


@pytest.mark.parametrize("tree", [3, None, flux.relu, [], flux.Chain(flux.relu)])
def test_a_model_without_parameters_is_an_empty_vector(tree):
    flat, rebuild = flux.destructure(tree)
    assert flat.shape == (0,)
    assert rebuild(flat) is tree


@pytest.mark.parametrize("bad", [np.ones(17), np.ones(19), np.ones((1, 18)), 3.0])
def test_a_vector_of_another_shape_is_refused(bad):
    _, rebuild = flux.destructure(model())
    with pytest.raises(flux.ShapeError, match=r"destructure: the model takes a vector of 18, got shape"):
        rebuild(bad)


def test_gradients_by_the_vector_are_those_by_the_model():
    m, x = model(), np.random.default_rng(0).normal(size=(5, 2))
    flat, rebuild = flux.destructure(m)
    (by_vector,) = flux.gradient(lambda v: (rebuild(v)(x) ** 2).sum(), flat)
    (by_model,) = flux.gradient(lambda m: (m(x) ** 2).sum(), m)
    np.testing.assert_allclose(by_vector.numpy(), flux.destructure(by_model)[0].numpy(), rtol=1e-6)


def test_gradients_pass_through_the_vector_to_the_model():
    (grads,) = flux.gradient(lambda m: (flux.destructure(m)[0] ** 2).sum() / 2, m := model())
    for g, t in zip(flux.trainables(grads), flux.trainables(m), strict=True):
        np.testing.assert_allclose(g.numpy(), t.numpy(), rtol=1e-6)


def test_second_derivatives_pass_too():
    flat, rebuild = flux.destructure(flux.f64(flux.Chain(flux.Dense(2, 3, flux.tanh), flux.Dense(3, 1))))
    assert flux.gradcheck(lambda v: rebuild(v)([[0.5, -1.0]]), flat, order=2)
    assert flux.hessian(lambda v: rebuild(v)([[0.5, -1.0]]).sum(), flat).shape == (13, 13)


def test_a_model_of_many_arrays():
    m = flux.Chain(*(flux.Dense(1, 1) for _ in range(100)))
    flat, rebuild = flux.destructure(m)
    (g,) = flux.gradient(lambda v: sum((t * t).sum() for t in flux.trainables(rebuild(v))), flat)
    np.testing.assert_allclose(g.numpy(), 2 * flat.numpy(), rtol=1e-6)
