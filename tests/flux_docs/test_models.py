"""The examples of Flux's and NNlib's documentation of whole models: shapes, layers of one's own, what is shared."""

import numpy as np
import pytest

import oxiflux as flux
import zoo


def dense(layer, x):
    return zoo.dense(zoo.arrays(layer), np.asarray(x))


def close(y, expected):
    np.testing.assert_allclose(y.numpy(), expected, rtol=2e-6, atol=2e-6)


def side_by_side(*parts):
    return flux.concat(parts, axis=-1)


# SkipConnection


def test_a_skip_connection_beside_a_convolution():
    m = flux.Conv((3, 3), 4, 7, pad=(1, 1))
    x = flux.ones((10, 5, 5, 4))
    assert m(x).shape == (10, 5, 5, 7)
    y = flux.SkipConnection(m, side_by_side)(x).numpy()
    np.testing.assert_array_equal(y, np.concatenate([m(x).numpy(), x.numpy()], -1))
    # In the middle of ones a convolution sums its weights.
    np.testing.assert_allclose(y[0, 2, 2, :7], m.weight.numpy().sum((0, 1, 2)), rtol=2e-6, atol=1e-6)


# outputsize


def test_outputsize_of_layers_and_lists():
    assert flux.outputsize(flux.Dense(10, 4), (1, 10)) == (1, 4)
    m = flux.Chain(flux.Conv((3, 3), 3, 16), flux.Conv((3, 3), 16, 32))
    assert flux.outputsize(m, (64, 10, 10, 3)) == (64, 6, 6, 32)
    assert flux.outputsize(m, (10, 10, 3), padbatch=True) == (1, 6, 6, 32)
    with pytest.raises(
        flux.ShapeError, match=r"expected 3 channels on the last axis, got shape \(64, 10, 10, 7\)"
    ):
        flux.outputsize(m, (64, 10, 10, 7))
    assert flux.outputsize([flux.Dense(10, 4), flux.Dense(4, 2)], (1, 10)) == (1, 2)


def test_outputsize_of_several_inputs():
    x, y = flux.rand(64, 5), flux.rand(64, 7)
    par = flux.Parallel(side_by_side, flux.Dense(5, 9), flux.Dense(7, 11))
    assert flux.outputsize(par, (64, 5), (64, 7)) == (64, 20)
    m = flux.Chain(par, flux.Dense(20, 13), flux.softmax)
    assert flux.outputsize(m, (5,), (7,), padbatch=True) == (1, 13)
    assert par(x, y).tolist() == par((x, y)).tolist() == flux.Chain(par, flux.identity)((x, y)).tolist()


# Layers of one's own, and the guide's Join and Split


class Affine(flux.Layer):
    def __init__(self, size_in, size_out):
        self.weight = flux.randn(size_in, size_out)
        self.bias = flux.randn(size_out)

    def __call__(self, x):
        return x @ self.weight + self.bias


class WithFixedBias(Affine):
    def trainable(self):
        return ("weight",)


def test_a_layer_may_train_some_of_its_arrays():
    a = Affine(4, 2)
    assert repr(a) == "Affine(weight=(4, 2), bias=(2,))  # 10 parameters"
    assert [p.shape for p in flux.trainables(WithFixedBias(4, 2))] == [(4, 2)]
    assert a(flux.rand(4)).shape == (2,)


class Join(flux.Layer):
    def __init__(self, combine, *paths):
        self.combine, self.paths = combine, paths

    def __call__(self, *xs):
        return self.combine(*(path(x) for path, x in zip(self.paths, xs, strict=True)))


class Split(flux.Layer):
    def __init__(self, *paths):
        self.paths = paths

    def __call__(self, x):
        return tuple(path(x) for path in self.paths)


def test_joining_inputs_of_different_sizes():
    model = Join(
        side_by_side,
        flux.Chain(flux.Dense(1, 5, flux.relu), flux.Dense(5, 1)),
        flux.Dense(1, 2),
        flux.Dense(1, 1),
    )
    xs = [flux.rand(1) for _ in range(3)]
    assert model(*xs).shape == (4,)
    (g,) = flux.gradient(lambda m: m(*xs).sum(), model)
    assert g.paths[1].bias.tolist() == [1.0, 1.0]


def test_splitting_into_several_outputs():
    model = flux.Chain(
        flux.Dense(10, 5), Split(flux.Dense(5, 1, flux.tanh), flux.Dense(5, 3, flux.tanh), flux.Dense(5, 2))
    )
    x = flux.rand(10)
    first, split = model
    middle = dense(first, x)
    one, three, two = model(x)
    for y, path, f in zip((one, three, two), split.paths, (np.tanh, np.tanh, np.array), strict=True):
        close(y, f(dense(path, middle)))
    assert (one.shape, three.shape, two.shape) == ((1,), (3,), (2,))


# What is shared


def test_a_layer_used_twice_is_one_layer():
    shared = flux.Dense(2, 2)
    model = flux.Chain(shared, flux.relu, shared)
    assert len(flux.trainables(model)) == 2
    (g,) = flux.gradient(lambda m: m(np.ones((3, 2))).sum(), model)
    before = shared.bias.numpy().copy()
    flux.update(flux.setup(flux.Descent(0.1), model), model, g)
    assert model[0] is model[2]
    np.testing.assert_allclose(shared.bias.numpy(), before - 0.1 * g.layers[0].bias.numpy(), rtol=1e-6)


# NNlib: dropout and products of batches


def test_dropout_keeps_the_mean():
    assert sorted(set(flux.dropout(flux.ones((10, 2)), 0.2).reshape(-1).tolist())) in ([1.25], [0.0, 1.25])
    means = flux.dropout(flux.ones((5, 10_000)), 0.2).mean(axis=1).numpy()
    np.testing.assert_allclose(means, 1, atol=0.05)


def test_dropout_of_whole_rows():
    y = flux.dropout(flux.ones((5, 5)), 0.7, axis=0).numpy()
    assert (y == y[:, :1]).all()
    means = flux.dropout(flux.ones((10_000, 5)), 0.3, axis=0).mean(axis=0).numpy()
    np.testing.assert_allclose(means, means[0])


def test_products_of_batches():
    for a, b, shape in [
        (flux.randn(17, 2, 5), flux.randn(17, 5, 9), (17, 2, 9)),
        (flux.randn(17, 2, 5), flux.randn(1, 5, 9), (17, 2, 9)),
        (flux.randn(1, 16, 7), flux.randn(29, 7, 8), (29, 16, 8)),
    ]:
        y = flux.batched_mul(a, b)
        assert y.shape == shape
        np.testing.assert_allclose(y.numpy(), a.numpy() @ b.numpy(), rtol=2e-6, atol=2e-6)
