"""Embedding and EmbeddingBag."""

import numpy as np
import pytest

import oxiflux as flux

WEIGHT = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
TYPES = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


def labels_of(*shape, dtype="int64"):
    return np.random.default_rng(1).integers(0, 7, shape).astype(dtype)


# Embedding


@pytest.mark.parametrize("shape", [(), (0,), (1,), (5,), (2, 3), (2, 0), (2, 3, 4)])
def test_an_embedding_looks_rows_up(shape):
    labels = labels_of(*shape)
    y = flux.Embedding(WEIGHT)(labels)
    assert y.dtype == "float32"
    np.testing.assert_array_equal(y.numpy(), WEIGHT[labels])


@pytest.mark.parametrize("dtype", TYPES)
def test_labels_of_every_integer_type_will_do(dtype):
    labels = labels_of(4, 2, dtype=dtype)
    np.testing.assert_array_equal(flux.Embedding(WEIGHT)(labels).numpy(), WEIGHT[labels])
    np.testing.assert_array_equal(flux.Embedding(WEIGHT)(flux.tensor(labels)).numpy(), WEIGHT[labels])


def test_labels_may_be_numbers_lists_and_parts_of_arrays():
    layer = flux.Embedding(WEIGHT)
    np.testing.assert_array_equal(layer(6).numpy(), WEIGHT[6])
    np.testing.assert_array_equal(layer([[0, 6]]).numpy(), WEIGHT[[[0, 6]]])
    labels = labels_of(4, 6).T[::2]
    np.testing.assert_array_equal(layer(labels).numpy(), WEIGHT[labels])
    np.testing.assert_array_equal(layer(flux.tensor(labels_of(4, 6)).T).numpy(), WEIGHT[labels_of(4, 6).T])


@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3)])
def test_one_hot_rows_stand_for_their_labels(shape):
    labels = labels_of(*shape)
    hot = np.eye(7, dtype=bool)[labels]
    layer = flux.Embedding(WEIGHT)
    np.testing.assert_array_equal(layer(hot).numpy(), WEIGHT[labels])
    np.testing.assert_array_equal(layer(flux.onehotbatch(labels, range(7))).numpy(), WEIGHT[labels])


def test_the_gradient_adds_up_rows_that_are_looked_up_again():
    layer = flux.Embedding(WEIGHT)
    g = np.random.default_rng(2).normal(size=(2, 4, 3)).astype(np.float32)
    labels = np.array([[3, 1, 3, 3], [0, 3, 6, 6]])
    expected = np.zeros_like(WEIGHT)
    np.add.at(expected, labels, g)
    (grads,) = flux.gradient(lambda m: (m(labels) * g).sum(), layer)
    np.testing.assert_allclose(grads.weight.numpy(), expected, rtol=1e-6)


def test_gradients_match_differences():
    hot = np.eye(7, dtype=bool)[[2, 2, 5]]
    assert flux.gradcheck(lambda m: m([[0, 3], [3, 6]]) ** 2, flux.Embedding(7, 3), order=2)
    assert flux.gradcheck(lambda m: m(hot) ** 2, flux.Embedding(7, 3))


def test_a_table_that_is_the_output_layer_too_gets_both_gradients():
    class Tied(flux.Layer):
        def __init__(self):
            self.table = flux.Embedding(7, 3)
            self.output = flux.Scale(3)

        def __call__(self, x):
            return self.output(self.table(x)) @ self.table.weight.T

    class Untied(Tied):
        def __init__(self, tied):
            self.table, self.output = tied.table, tied.output
            self.other = tied.table.weight.copy()

        def __call__(self, x):
            return self.output(self.table(x)) @ self.other.T

    tied, x, y = Tied(), labels_of(5), labels_of(5)
    untied = Untied(tied)
    (g,) = flux.gradient(lambda m: flux.logitcrossentropy(m(x), y), tied)
    (h,) = flux.gradient(lambda m: flux.logitcrossentropy(m(x), y), untied)
    assert len(flux.trainables(tied)) == 3
    expected = h.table.weight.numpy() + h.other.numpy()
    np.testing.assert_allclose(g.table.weight.numpy(), expected, rtol=2e-6, atol=1e-6)


def test_an_embedding_learns_only_the_rows_it_looks_up():
    layer = flux.Embedding(WEIGHT)
    (grads,) = flux.gradient(lambda m: m([1, 4]).sum(), layer)
    flux.update(flux.setup(flux.Descent(0.5), layer), layer, grads)
    expected = WEIGHT.copy()
    expected[[1, 4]] -= 0.5
    np.testing.assert_allclose(layer.weight.numpy(), expected, rtol=1e-6)


def test_the_padding_row_starts_as_zeros_and_gets_no_gradient():
    layer = flux.Embedding(7, 3, padding_idx=2)
    assert layer.weight[2].tolist() == [0, 0, 0]
    assert (layer.weight.numpy()[[0, 1, 3]] != 0).all()
    labels = [[2, 1], [2, 2]]
    assert layer(labels)[1].tolist() == [[0, 0, 0]] * 2
    (grads,) = flux.gradient(lambda m: m(labels).sum(), layer)
    assert grads.weight.tolist() == [[0] * 3, [1] * 3] + [[0] * 3] * 5
    layer.weight[2] = 5
    assert layer(2).tolist() == [0, 0, 0]


def test_padding_does_not_write_into_the_weight_it_was_given():
    weight = flux.tensor(WEIGHT)
    flux.Embedding(7, 3, padding_idx=0, init=lambda shape: weight)
    np.testing.assert_array_equal(weight.numpy(), WEIGHT)


def test_an_embedding_in_float64_stays_so():
    layer = flux.f64(flux.Embedding(WEIGHT, padding_idx=1))
    assert layer([1, 2]).dtype == "float64"
    np.testing.assert_array_equal(layer([2]).numpy(), WEIGHT[[2]].astype(np.float64))


BOTH = pytest.mark.parametrize("kind", [flux.Embedding, flux.EmbeddingBag])


@BOTH
@pytest.mark.parametrize(
    ("labels", "wrong"), [([0, 7], 7), ([-1, 0], -1), ([[3], [100]], 100), ([-5, 90], -5)]
)
def test_a_label_that_is_not_in_the_table_is_named(kind, labels, wrong):
    with pytest.raises(IndexError) as error:
        kind(7, 3)(labels)
    assert str(error.value) == f"{kind.__name__}(7 => 3): label {wrong} is not between 0 and 6"


@BOTH
@pytest.mark.parametrize("labels", [[0.0, 1.0], np.ones(2, np.float32), flux.ones((2, 2)), [0, np.nan]])
def test_floating_labels_are_refused(kind, labels):
    with pytest.raises(flux.DTypeError, match=rf"^{kind.__name__}\(7 => 3\): labels are integers or one-hot"):
        kind(7, 3)(labels)


@BOTH
@pytest.mark.parametrize("shape", [(7,), (2, 7)])
@pytest.mark.parametrize("value", [False, True])
def test_rows_that_are_not_one_hot_are_refused(kind, shape, value):
    with pytest.raises(ValueError, match="a one-hot row is true at one place"):
        kind(7, 3)(np.full(shape, value))


@BOTH
@pytest.mark.parametrize("shape", [(6,), (7, 2), (), (2, 0)])
def test_one_hot_rows_of_another_length_are_refused(kind, shape):
    with pytest.raises(flux.ShapeError, match=rf"^{kind.__name__}\(7 => 3\): expected one-hot rows of 7"):
        kind(7, 3)(np.zeros(shape, bool))


@BOTH
def test_what_makes_no_table_is_refused(kind):
    for sizes in [(-1, 3), (3, 2.0), ("a", 3), (3, None), (True, 3)]:
        with pytest.raises(ValueError, match=f"{kind.__name__}: sizes are non-negative integers"):
            kind(*sizes)
    with pytest.raises(
        flux.ShapeError, match=rf"{kind.__name__}\(7 => 3\): init made a weight of shape \(3, 7\)"
    ):
        kind(7, 3, init=lambda shape: np.ones(shape[::-1]))
    with pytest.raises(flux.ShapeError, match=r"\(labels, size\), got shape \(3,\)"):
        kind(np.ones(3))


def test_padding_is_a_label_of_the_table():
    with pytest.raises(IndexError, match="padding_idx 7 is not between 0 and 6"):
        flux.Embedding(7, 3, padding_idx=7)
    with pytest.raises(ValueError, match="sizes"):
        flux.Embedding(7, 3, padding_idx=-1)


@BOTH
def test_tables_without_rows_or_columns(kind):
    assert kind(5, 0)([[1, 2]]).shape[-1] == 0
    assert flux.Embedding(0, 3)(np.zeros((2, 0), int)).shape == (2, 0, 3)
    with pytest.raises(IndexError):
        kind(0, 3)([0])


# EmbeddingBag

REDUCTIONS = {"mean": (flux.mean, np.mean), "sum": (flux.sum, np.sum), "max": (flux.max, np.max)}
reductions = pytest.mark.parametrize("name", REDUCTIONS)


def bag(name):
    reduction, reference = REDUCTIONS[name]
    return flux.EmbeddingBag(WEIGHT, reduction), lambda labels: reference(WEIGHT[labels], axis=-2)


@reductions
@pytest.mark.parametrize("shape", [(1,), (4,), (0, 4), (5, 3), (2, 5, 3)])
def test_bags_of_one_length(name, shape):
    layer, reference = bag(name)
    labels = labels_of(*shape)
    np.testing.assert_allclose(layer(labels).numpy(), reference(labels), rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(
        layer(labels.tolist() or labels).numpy(), reference(labels), rtol=2e-6, atol=1e-6
    )
    hot = np.eye(7, dtype=bool)[labels]
    np.testing.assert_allclose(layer(hot).numpy(), reference(labels), rtol=2e-6, atol=1e-6)


@reductions
@pytest.mark.parametrize("sizes", [[1], [3, 1, 2], [2, 2], [1, 1, 1], [5, 2, 7, 1]])
def test_bags_of_different_lengths(name, sizes):
    layer, reference = bag(name)
    labels = labels_of(sum(sizes))
    starts = np.cumsum([0, *sizes[:-1]])
    bags = np.split(labels, starts[1:])
    expected = np.stack([reference(b) for b in bags])
    hot = [np.eye(7, dtype=bool)[b] for b in bags]
    for y in (layer(labels, starts), layer(labels.tolist(), at=starts.tolist()), layer(bags), layer(hot),
              layer(flux.tensor(labels), flux.tensor(starts)), layer(tuple(b.tolist() for b in bags))):  # fmt: skip
        np.testing.assert_allclose(y.numpy(), expected, rtol=2e-6, atol=1e-6)


@reductions
def test_gradients_of_bags_match_differences(name):
    layer = bag(name)[0]
    assert flux.gradcheck(lambda m: m([[0, 3, 3], [3, 6, 1]]) ** 2, layer)
    assert flux.gradcheck(lambda m: m([0, 3, 3, 6, 1], at=[0, 1]) ** 2, layer)


def test_any_function_of_rows_reduces_a_bag():
    layer = flux.EmbeddingBag(WEIGHT, flux.logsumexp)
    expected = np.log(np.exp(WEIGHT[[1, 2]]).sum(axis=0))
    np.testing.assert_allclose(layer([1, 2]).numpy(), expected, rtol=2e-6)
    np.testing.assert_allclose(layer([[1, 2], [3]])[0].numpy(), expected, rtol=2e-6)
    assert repr(layer) == "EmbeddingBag(7 => 3, logsumexp)  # 21 parameters"


def test_no_bags_give_no_rows():
    layer = flux.EmbeddingBag(7, 3)
    assert layer(np.zeros((0, 4), int)).shape == (0, 3)
    assert layer(np.zeros(0, int), at=np.zeros(0, int)).shape == (0, 3)


@pytest.mark.parametrize("labels", [np.zeros(0, int), np.zeros((2, 0), int), 3, np.zeros((0, 7), bool)])
def test_a_bag_needs_a_label(labels):
    with pytest.raises(ValueError, match=r"EmbeddingBag\(7 => 3\): a bag needs a label"):
        flux.EmbeddingBag(7, 3)(labels)


def test_an_empty_bag_among_others_is_named():
    with pytest.raises(ValueError, match="bag 1 is empty"):
        flux.EmbeddingBag(7, 3)([np.array([1, 2]), np.zeros(0, int)])


@pytest.mark.parametrize("bags", [[3, [1, 2]], [np.zeros((2, 3), int), np.zeros((4, 3), int)]])
def test_bags_of_different_lengths_have_one_axis(bags):
    with pytest.raises(flux.ShapeError, match="bags have one axis of labels"):
        flux.EmbeddingBag(7, 3)(bags)


@pytest.mark.parametrize("at", [[1, 2], [0, 2, 2], [0, 3, 2], [0, 4], [0, 9], [-1, 2], []])
def test_places_that_split_nothing_are_refused(at):
    with pytest.raises(ValueError, match="`at` starts at 0 and rises to less than the 4 labels"):
        flux.EmbeddingBag(7, 3)([1, 2, 3, 4], at=np.array(at, int))


@pytest.mark.parametrize(
    ("labels", "at"), [([[1, 2]], [0]), ([1, 2], 0), ([1, 2], [[0]]), ([1, 2], [0.0]), (3, [0])]
)
def test_places_go_with_one_axis_of_labels(labels, at):
    with pytest.raises(flux.ShapeError, match="`at` goes with one axis of labels"):
        flux.EmbeddingBag(7, 3)(labels, at=at)


def test_a_reduction_is_a_function():
    with pytest.raises(TypeError, match="the reduction must be a function, got 'mean'"):
        flux.EmbeddingBag(7, 3, "mean")


def test_padding_gives_zeros_whatever_its_row_holds():
    layer = flux.Embedding(3, 2, padding_idx=1)
    flux.loadmodel(layer, {"weight": np.arange(6, dtype=np.float32).reshape(3, 2) + 1, "padding_idx": 1})
    assert layer.weight[1].tolist() == [3, 4]
    assert layer([[0, 1], [1, 2]]).tolist() == [[[1, 2], [0, 0]], [[0, 0], [5, 6]]]
    assert layer(1).tolist() == [0, 0]
    grad = flux.gradient(lambda m: m([0, 1, 1]).sum(), layer)[0].weight
    assert grad.tolist() == [[1, 1], [0, 0], [0, 0]]
