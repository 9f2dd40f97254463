"""What every layer promises, for all of them in turn: the table is `zoo.ROWS`."""

import copy
import pickle

import numpy as np
import pytest

import oxiflux as flux
import zoo

TOLERANCE = {"float32": 2e-6, "float64": 2e-14}

each_layer = pytest.mark.parametrize("row", zoo.ROWS.values(), ids=zoo.ROWS)


def flat(y):
    """The tensors or arrays of a result."""
    return [leaf for part in y for leaf in flat(part)] if isinstance(y, (tuple, list)) else [y]


def run(layer, inputs):
    flux.seed(0)
    return flat(layer(*inputs))


def close(found, expected, dtype="float32"):
    assert len(found) == len(expected)
    for y, z in zip(found, expected, strict=True):
        assert y.dtype == dtype
        assert y.shape == z.shape
        np.testing.assert_allclose(y.numpy(), z, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


def equal(found, expected):
    for y, z in zip(found, expected, strict=True):
        np.testing.assert_array_equal(y.numpy(), z.numpy())


def classes(kind):
    """The public classes of layers; what is private or a user's is not promised anything."""
    for sub in kind.__subclasses__():
        if getattr(flux, sub.__name__, None) is sub:
            yield sub.__name__
        yield from classes(sub)


def test_the_table_has_every_layer():
    assert set(classes(flux.Layer)) == set(zoo.ROWS)


@each_layer
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [0, 1, 3])
def test_a_layer_computes_its_formula(row, batch, dtype):
    layer, inputs = row.layer(dtype), row.inputs(batch, dtype)
    close(run(layer, inputs), flat(row.computes(zoo.arrays(layer), *inputs)), dtype)


@each_layer
@pytest.mark.parametrize("mode", [None, True, False], ids=["unset", "trainmode", "testmode"])
@pytest.mark.parametrize("recorded", [False, True], ids=["plain", "recorded"])
def test_a_layer_is_in_training_mode_within_a_gradient_unless_it_is_told(row, recorded, mode):
    layer, inputs = flux.trainmode(row.layer(), mode), row.inputs(3)
    trains = recorded if mode is None else mode
    expected = ((trains and row.trains) or row.computes)(zoo.arrays(layer), *inputs)

    def loss(layer, *inputs):
        y = run(layer, inputs)
        return sum(part.sum() for part in y), y

    y = flux.withgradient(loss, layer, *inputs)[0][1] if recorded else run(layer, inputs)
    close(y, flat(expected))


@each_layer
def test_the_layout_of_the_input_does_not_matter(row):
    layer, inputs = row.layer(), row.inputs(3)
    expected = [y.numpy() for y in run(layer, inputs)]
    close(run(layer, [flux.tensor(np.repeat(x, 2, axis=-1))[..., ::2] for x in inputs]), expected)
    close(run(layer, [np.ascontiguousarray(x.T).T for x in inputs]), expected)
    close(run(layer, [flux.tensor(x[::-1].copy())[::-1] for x in inputs]), expected)


@each_layer
@pytest.mark.parametrize("mode", [flux.testmode, flux.trainmode])
@pytest.mark.parametrize("batch", [1, 2])
def test_gradients_of_both_orders_match_differences(row, mode, batch):
    def f(layer, *inputs):
        return flux.concat([y.reshape(-1) for y in run(layer, inputs)])

    assert flux.gradcheck(f, mode(row.layer()), *row.inputs(batch, "float64"), order=2, eps=1e-5, rtol=1e-4)


@each_layer
def test_an_empty_batch_has_gradients_of_zero(row):
    layer = flux.testmode(row.layer())
    grads = flux.gradient(lambda m: sum(y.sum() for y in run(m, row.inputs(0))), layer)
    assert [g.shape for g in flux.params(grads)] == [p.shape for p in flux.trainables(layer)]
    assert not any(g.numpy().any() for g in flux.params(grads))


@each_layer
def test_a_layer_prints_as_in_flux(row):
    assert repr(row.make()).split() == row.prints.split()


@each_layer
def test_the_size_of_the_output_is_known_without_computing_it(row):
    layer, inputs = row.layer(), row.inputs(3)

    def shapes(y):
        return tuple(map(shapes, y)) if isinstance(y, tuple) else y.shape

    assert flux.outputsize(layer, *(x.shape for x in inputs)) == shapes(layer(*inputs))


@each_layer
@pytest.mark.parametrize(
    "twin_of", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))], ids=["copied", "pickled"]
)
def test_a_copy_is_a_layer_of_its_own(row, twin_of):
    layer, inputs = row.layer(), row.inputs(3)
    expected = run(layer, inputs)
    twin = twin_of(layer)
    assert repr(twin) == repr(layer)
    equal(run(twin, inputs), expected)


@each_layer
def test_a_state_holds_all_that_a_layer_has_learnt(row):
    layer, other, inputs = row.layer(), row.make(), row.inputs(3)
    flux.loadmodel(other, flux.state(layer))
    equal(run(other, inputs), run(layer, inputs))


@each_layer
def test_a_file_holds_a_layer(row, tmp_path):
    layer, inputs = row.layer(), row.inputs(3)
    flux.save(tmp_path / "layer", layer, classes=[zoo.WithPair])
    other = flux.load(tmp_path / "layer", classes=[zoo.WithPair])
    assert repr(other) == repr(layer)
    equal(run(other, inputs), run(layer, inputs))
