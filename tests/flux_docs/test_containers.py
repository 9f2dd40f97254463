"""The examples of Flux's documentation for the containers, Scale and Bilinear, in Python: one row an observation."""

import numpy as np

import oxiflux as flux
import zoo


def dense(layer, x):
    return zoo.dense(zoo.arrays(layer), np.asarray(x))


def close(y, expected):
    np.testing.assert_allclose(y.numpy(), expected, rtol=2e-6, atol=2e-6)


def side_by_side(*parts):
    return flux.concat(parts, axis=-1)


def test_parallel_of_plain_functions():
    p = flux.Parallel(flux.add, flux.square, flux.sqrt)
    three, four = flux.tensor(3.0), flux.tensor(4.0)
    assert p(three, four).item() == 11
    assert p((three, four)).item() == 11
    assert p(four).item() == 18
    inverses = flux.Parallel(lambda *ys: flux.stack(ys), flux.reciprocal)
    assert inverses(flux.tensor(1.0), flux.tensor(2.0), flux.tensor(4.0)).tolist() == [1.0, 0.5, 0.25]


def test_parallel_within_a_chain():
    model = flux.Chain(
        flux.Dense(3, 5),
        flux.Parallel(side_by_side, flux.Dense(5, 4), flux.Chain(flux.Dense(5, 7), flux.Dense(7, 4))),
        flux.Dense(8, 17),
    )
    x = flux.rand(3)
    first, (left, (right, further)), last = model
    joined = [dense(left, dense(first, x)), dense(further, dense(right, dense(first, x)))]
    close(model(x), dense(last, np.concatenate(joined)))


def test_parallel_with_names():
    model = flux.Parallel(flux.add, alpha=flux.Dense(10, 2, flux.tanh), beta=flux.Dense(5, 2))
    assert repr(model).splitlines() == [
        "Parallel(",
        "  add,",
        "  alpha = Dense(10 => 2, tanh),         # 22 parameters",
        "  beta = Dense(5 => 2),                 # 12 parameters",
        ")                   # Total: 4 arrays, 34 parameters, 136 bytes.",
    ]
    assert model(flux.rand(10), flux.rand(5)).shape == (2,)
    assert model["alpha"](flux.rand(10)).shape == (2,)
    assert model["beta"] is model[1]


def test_maxout_of_functions_and_of_layers():
    m = flux.Maxout(lambda x: x**2, lambda x: x * 3)
    assert m(flux.tensor([[-2], [-1], [0], [1], [2]])).tolist() == [[4], [1], [0], [3], [6]]
    m3 = flux.Maxout(lambda: flux.Dense(5, 7, flux.tanh), 3)
    assert repr(m3).splitlines() == [
        "Maxout(",
        "  Dense(5 => 7, tanh),                  # 42 parameters",
        "  Dense(5 => 7, tanh),                  # 42 parameters",
        "  Dense(5 => 7, tanh),                  # 42 parameters",
        ")                   # Total: 6 arrays, 126 parameters, 504 bytes.",
    ]
    assert m3(flux.rand(11, 5)).shape == (11, 7)


def test_fusion_sizes():
    layer = flux.PairwiseFusion(flux.add, flux.Dense(1, 30), flux.Dense(30, 10))
    x, second = flux.rand(10, 1), flux.rand(10, 30)
    y = layer((x, second))
    assert [part.shape for part in y] == [(10, 30), (10, 10)]
    close(y[0], dense(layer[0], x))
    close(y[1], dense(layer[1], y[0].numpy() + second.numpy()))
    layer = flux.PairwiseFusion(flux.add, flux.Dense(1, 10), flux.Dense(10, 1))
    y = layer(x)
    assert [part.shape for part in y] == [(10, 10), (10, 1)]
    # A single input goes to every layer.
    close(y[1], dense(layer[1], y[0].numpy() + x.numpy()))


def test_bilinear_of_one_and_two_inputs():
    x, y = flux.randn(32, 5), flux.randn(32, 5)
    b = flux.Bilinear((5, 5), 7)
    assert repr(b) == "Bilinear(5 => 7)    # 182 parameters"
    assert b(x).shape == (32, 7)
    assert bool(flux.all(b(x, y) == b((x, y))))
    sc = flux.SkipConnection(
        flux.Chain(flux.Dense(5, 20, flux.tanh), flux.Dense(20, 9, flux.tanh)),
        flux.Bilinear((9, 5), 3, bias=False),
    )
    assert sc(x).shape == (32, 3)
    given = flux.Bilinear(np.random.default_rng(0).random((8, 16, 4)), False, flux.tanh)
    assert repr(given) == "Bilinear((8, 16) => 4, tanh; bias=False)  # 512 parameters"


def test_scale_of_sizes_and_of_values():
    a = flux.Scale(2)
    assert repr(a) == "Scale(2)            # 4 parameters"
    assert a.scale.tolist() == [1.0, 1.0]
    assert a.bias.tolist() == [0.0, 0.0]
    assert a([[1, 2], [3, 4]]).tolist() == [[1.0, 2.0], [3.0, 4.0]]
    b = flux.Scale([[1, 2, 3, 4]], False, flux.square)
    assert repr(b) == "Scale(1, 4, square; bias=False)  # 4 parameters"
    assert b([[1], [10]]).tolist() == [[1.0, 4.0, 9.0, 16.0], [100.0, 400.0, 900.0, 1600.0]]


def test_activations_of_a_chain():
    c = flux.Chain(flux.Dense(10, 5, flux.relu), flux.Dense(5, 2), flux.softmax)
    assert [y.shape for y in flux.activations(c, flux.rand(3, 10))] == [(3, 5), (3, 2), (3, 2)]
    assert flux.activations(flux.Chain(lambda x: x + 1, lambda x: x * 2, lambda x: x**3), 1) == (2, 4, 64)
