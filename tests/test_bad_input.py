"""Bad input is a clear error that names the function and the numbers, and leaves every state as it was."""

import numpy as np
import pytest

import oxiflux as flux

ABSURD = 2**60


def fails(kind, f, *needles):
    """Holds a call to an error of a kind whose message contains every needle."""
    with pytest.raises(kind) as caught:
        f()
    message = str(caught.value)
    for needle in needles:
        assert str(needle) in message, f"{needle!r} is not in: {message}"
    return message


def test_error_classes_are_those_python_has():
    assert issubclass(flux.ShapeError, ValueError)
    assert issubclass(flux.DTypeError, TypeError)


# Switches

SQUARE = flux.tensor([[1.0, 2.0], [2.0, 5.0]])
SWITCHES = {
    "topk: largest": lambda v: flux.topk(SQUARE, 1, largest=v),
    "cov: rowvar": lambda v: flux.cov(SQUARE, rowvar=v),
    "corrcoef: rowvar": lambda v: flux.corrcoef(SQUARE, rowvar=v),
    "isin: invert": lambda v: flux.isin(SQUARE, SQUARE, invert=v),
    "isclose: equal_nan": lambda v: flux.isclose(SQUARE, SQUARE, equal_nan=v),
    "histogram: density": lambda v: flux.histogram(SQUARE, density=v),
    "cholesky: upper": lambda v: flux.linalg.cholesky(SQUARE, upper=v),
    "multinomial: replacement": lambda v: flux.multinomial(SQUARE, 1, replacement=v),
    "gumbel_softmax: hard": lambda v: flux.gumbel_softmax(SQUARE, hard=v),
    "fftshift: pairs": lambda v: flux.fft.fftshift(SQUARE, pairs=v),
    "flip: vertical": lambda v: flux.augment.flip(flux.ones((1, 2, 2, 1)), vertical=v),
    "triplet_margin_loss: swap": lambda v: flux.triplet_margin_loss(SQUARE, SQUARE, SQUARE, swap=v),
    "kfolds: shuffle": lambda v: flux.kfolds(4, 2, shuffle=v),
    "DataLoader: shuffle": lambda v: flux.DataLoader([1, 2], shuffle=v),
    "DataLoader: partial": lambda v: flux.DataLoader([1, 2], partial=v),
}


@pytest.mark.parametrize("which", SWITCHES)
def test_a_switch_is_true_or_false_and_no_text(which):
    call = SWITCHES[which]
    for switch in (True, False, np.True_, np.False_):
        call(switch)
    fails(TypeError, lambda: call("no"), f"{which} must be True or False, got 'no'")


# Shapes

SHAPES = {
    "dense": (lambda: flux.Dense(2, 3)(flux.zeros((5, 4))), ["Dense(2 => 3)", "expected 2", "(5, 4)"]),
    "dense of a numpy array": (lambda: flux.Dense(2, 3)(np.zeros((5, 4))), ["Dense(2 => 3)", "(5, 4)"]),
    "dense of a scalar": (lambda: flux.Dense(2, 3)(1.0), ["Dense(2 => 3)", "()"]),
    "dense of a vector": (lambda: flux.Dense(2, 3)(flux.zeros((3,))), ["Dense(2 => 3)", "(3,)"]),
    "layer in a chain": (
        lambda: flux.Chain(flux.Dense(2, 3), flux.Dense(4, 1))(flux.zeros((5, 2))),
        ["Dense(4 => 1)", "(5, 3)"],
    ),
    "add": (lambda: flux.zeros((2, 3)) + flux.zeros((2, 4)), ["add", "(2, 3)", "(2, 4)"]),
    "where": (lambda: flux.where(flux.zeros((3,)), flux.zeros((2,)), 1.0), ["where", "(3,)", "(2,)"]),
    "matmul": (lambda: flux.zeros((2, 3)) @ flux.zeros((4, 5)), ["matmul", "(2, 3)", "(4, 5)"]),
    "matmul of a scalar": (lambda: flux.zeros(()) @ flux.zeros((4, 5)), ["matmul", "()"]),
    "matmul of batches": (lambda: flux.zeros((2, 3, 4)) @ flux.zeros((3, 4, 5)), ["matmul", "(2, 3, 4)"]),
    "vecdot": (lambda: flux.vecdot(flux.zeros((2,)), flux.zeros((3,))), ["vecdot", "(2,)", "(3,)"]),
    "tensordot": (
        lambda: flux.tensordot(flux.zeros((2, 3)), flux.zeros((4, 2)), axes=1),
        ["tensordot", "(2, 3)"],
    ),
    "reshape": (lambda: flux.reshape(flux.zeros((2, 3)), (4, 2)), ["reshape", "6", "(4, 2)"]),
    "reshape by two unknowns": (lambda: flux.reshape(flux.zeros((2, 3)), (-1, -1)), ["reshape", "(-1, -1)"]),
    "reshape by a negative length": (lambda: flux.reshape(flux.zeros((2, 3)), (-2, 3)), ["reshape", "-2"]),
    "reshape of nothing by an unknown": (lambda: flux.reshape(flux.zeros((0,)), (0, -1)), ["reshape"]),
    "concat": (lambda: flux.concat([flux.zeros((2, 3)), flux.zeros((2, 4))]), ["concat", "(2, 3)", "(2, 4)"]),
    "concat of ranks": (lambda: flux.concat([flux.zeros((2, 3)), flux.zeros((2,))]), ["concat"]),
    "stack": (lambda: flux.stack([flux.zeros((2,)), flux.zeros((3,))]), ["stack", "(2,)", "(3,)"]),
    "broadcast_to": (lambda: flux.broadcast_to(flux.zeros((3,)), (2, 4)), ["broadcast_to", "(3,)", "(2, 4)"]),
    "matrix_transpose": (lambda: flux.matrix_transpose(flux.zeros((3,))), ["(3,)"]),
    "negative length": (lambda: flux.zeros((2, -1)), ["-1"]),
    "assignment": (lambda: flux.zeros((2, 3)).__setitem__(0, np.zeros(4)), ["(4,)"]),
    "onehot loss of classes": (
        lambda: flux.logitcrossentropy(flux.zeros((5, 3)), flux.onehotbatch([0, 1, 0, 1, 1], range(2))),
        ["logitcrossentropy", "(5, 3)", "(5, 2)"],
    ),
    "labels of another batch": (
        lambda: flux.logitcrossentropy(flux.zeros((5, 3)), np.zeros(4, int)),
        ["logitcrossentropy", "(5, 3)", "(4,)"],
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_wrong_shape(name):
    f, needles = SHAPES[name]
    fails(flux.ShapeError, f, *needles)


ELEMENTWISE_LOSSES = [
    "mae",
    "mse",
    "msle",
    "huber_loss",
    "binarycrossentropy",
    "logitbinarycrossentropy",
    "poisson_loss",
    "hinge_loss",
    "squared_hinge_loss",
    "dice_coeff_loss",
    "tversky_loss",
    "binary_focal_loss",
    "siamese_contrastive_loss",
]
CLASS_LOSSES = ["crossentropy", "logitcrossentropy", "kldivergence", "focal_loss"]


@pytest.mark.parametrize("name", ELEMENTWISE_LOSSES)
@pytest.mark.parametrize(
    ("predicted", "target"),
    [((4, 1), (4,)), ((4,), (4, 1)), ((4, 2), (2,)), ((4, 1), (4, 3)), ((4,), (5,))],
    ids=str,
)
def test_a_loss_never_broadcasts(name, predicted, target):
    f, y = getattr(flux.losses, name), np.full(target, 0.5)
    for targets in (y, flux.tensor(y)):
        fails(flux.ShapeError, lambda: f(flux.full(predicted, 0.5), targets), name, predicted, target)


def test_the_error_of_a_column_against_a_vector_says_how_to_mend_it():
    message = fails(flux.ShapeError, lambda: flux.mse(flux.zeros((4, 1)), np.zeros(4)), "(4, 1)", "(4,)")
    assert "None" in message or "reshape" in message or "squeeze" in message or "expand_dims" in message


@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_a_class_loss_never_broadcasts(name):
    f = getattr(flux.losses, name)
    fails(flux.ShapeError, lambda: f(flux.full((4, 3), 1 / 3), np.full((4, 1), 1.0)), name, (4, 3), (4, 1))
    fails(flux.ShapeError, lambda: f(flux.full((4, 3), 1 / 3), np.full((1, 3), 1 / 3)), name, (4, 3), (1, 3))


# Types

TYPES = {
    "text": lambda: flux.tensor("abc"),
    "list of text": lambda: flux.tensor(["a", "b"]),
    "none": lambda: flux.tensor(None),
    "list of none": lambda: flux.tensor([1.0, None]),
    "object": lambda: flux.tensor(object()),
    "function": lambda: flux.tensor(len),
    "dictionary": lambda: flux.tensor({"a": 1}),
    "set": lambda: flux.tensor({1, 2}),
    "object array": lambda: flux.tensor(np.array([1, "a"], object)),
    "object array of numbers": lambda: flux.tensor(np.array([1, 2], object)),
    "text array": lambda: flux.tensor(np.array(["a"])),
    "dates": lambda: flux.tensor(np.array(["2020-01-01"], "datetime64[D]")),
    "complex array": lambda: flux.tensor(np.array([1j])),
    "complex": lambda: flux.tensor(1j),
    "records": lambda: flux.tensor(np.zeros(2, [("a", "f4")])),
    "text to a function": lambda: flux.exp("abc"),
    "none to a function": lambda: flux.sum(None),
    "object array to a layer": lambda: flux.Dense(2, 3)(np.array([[1, None]], object)),
    "text plus tensor": lambda: flux.zeros((2,)) + "a",
    "none times tensor": lambda: None * flux.zeros((2,)),
    "tensor as a length": lambda: flux.zeros(("a",)),
    "float as a length": lambda: flux.zeros((2.5,)),
    "float as an axis": lambda: flux.sum(flux.zeros((2,)), axis=0.5),
    "text as an axis": lambda: flux.sum(flux.zeros((2,)), axis="x"),
    "unknown keyword": lambda: flux.sum(flux.zeros((2,)), dims=0),
    "too many arguments": lambda: flux.exp(flux.zeros((2,)), flux.zeros((2,))),
    "no arguments": lambda: flux.exp(),
    "bits of floats": lambda: flux.bitwise_and(flux.zeros((2,)), flux.zeros((2,))),
    "activation that is no function": lambda: flux.Dense(2, 3, 7),
    "initialiser that is no function": lambda: flux.Dense(2, 3, init=7),
    "layer that is no function": lambda: flux.Chain(flux.Dense(2, 3), 5),
    "gradient of no function": lambda: flux.gradient(5, flux.zeros(())),
    "model that is no model": lambda: flux.setup(flux.Adam(), "model"),
    "rule that is no rule": lambda: flux.setup("adam", flux.Dense(1, 1)),
}


@pytest.mark.parametrize("name", TYPES)
def test_wrong_type(name):
    message = fails(TypeError, TYPES[name])
    assert message


@pytest.mark.parametrize("size", [2.5, "2", True, (2,)], ids=repr)
def test_layer_of_a_size_that_is_no_integer(size):
    fails((TypeError, ValueError), lambda: flux.Dense(size, 3), "Dense", repr(size))


def test_unknown_dtype():
    fails((TypeError, ValueError), lambda: flux.zeros((2,), dtype="float33"), "float33")


@pytest.mark.parametrize("name", ["bitwise_invert", "subtract", "negative"])
def test_dtype_that_a_function_does_not_take(name):
    x = flux.zeros((2,)) if name == "bitwise_invert" else flux.tensor([True, False])
    f, dtype = getattr(flux, name), x.numpy().dtype
    fails(flux.DTypeError, lambda: f(x, x) if name == "subtract" else f(x), name, dtype)


def test_layer_says_its_name_for_a_wrong_type():
    fails(TypeError, lambda: flux.Dense(2, 3)("abc"), "Dense(2 => 3)")


# Lists

RAGGED = [
    [[1.0, 2.0], [3.0]],
    [[1.0], 2.0],
    [1.0, [2.0]],
    [[[1]], [[1, 2]]],
    [[1, 2], []],
    [np.zeros(2), np.zeros(3)],
]


@pytest.mark.parametrize("value", RAGGED, ids=str)
def test_ragged_list(value):
    fails(ValueError, lambda: flux.tensor(value))
    with pytest.raises((ValueError, TypeError)):
        flux.Dense(2, 3)(value)


def test_ragged_list_names_the_lengths():
    fails(flux.ShapeError, lambda: flux.tensor([[1.0, 2.0, 3.0], [4.0]]), "3", "1")


def test_list_that_holds_itself():
    value = []
    value.append(value)
    with pytest.raises((ValueError, RecursionError)):
        flux.tensor(value)


def test_integer_that_does_not_fit():
    fails((OverflowError, ValueError), lambda: flux.tensor(2**70))
    fails((OverflowError, ValueError), lambda: flux.tensor([1, 2**70]))
    fails((OverflowError, ValueError), lambda: flux.tensor(300, dtype="uint8"), "300")
    fails((OverflowError, ValueError), lambda: flux.tensor(np.array([1], np.uint8)) + 300, "300")


# Axes and indices

AXES = {
    "sum": lambda x: flux.sum(x, axis=2),
    "mean": lambda x: flux.mean(x, axis=-3),
    "max": lambda x: flux.max(x, axis=(0, 5)),
    "argmax": lambda x: flux.argmax(x, axis=2),
    "softmax": lambda x: flux.softmax(x, axis=2),
    "logsumexp": lambda x: flux.logsumexp(x, axis=7),
    "cumulative_sum": lambda x: flux.cumulative_sum(x, axis=2),
    "sort": lambda x: flux.sort(x, axis=2),
    "flip": lambda x: flux.flip(x, axis=2),
    "concat": lambda x: flux.concat([x, x], axis=2),
    "stack": lambda x: flux.stack([x, x], axis=4),
    "expand_dims": lambda x: flux.expand_dims(x, axis=4),
    "permute_dims": lambda x: flux.permute_dims(x, (0, 2)),
    "take": lambda x: flux.take(x, flux.tensor([0]), axis=2),
    "repeat": lambda x: flux.repeat(x, 2, axis=2),
}


@pytest.mark.parametrize("name", AXES)
def test_axis_out_of_range(name):
    message = fails(IndexError, lambda: AXES[name](flux.zeros((2, 3))))
    assert any(digit in message for digit in "234567")


@pytest.mark.parametrize("name", ["sum", "max", "mean"])
def test_axis_named_twice(name):
    fails(ValueError, lambda: getattr(flux, name)(flux.zeros((2, 3)), axis=(0, -2)), name)


def test_permutation_that_is_none():
    fails(ValueError, lambda: flux.permute_dims(flux.zeros((2, 3)), (0, 0)), "permute_dims")
    fails(ValueError, lambda: flux.permute_dims(flux.zeros((2, 3)), (0,)), "permute_dims")


@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin"])
def test_extreme_of_nothing(name):
    fails(ValueError, lambda: getattr(flux, name)(flux.zeros((0,))), name)
    fails(ValueError, lambda: getattr(flux, name)(flux.zeros((2, 0)), axis=1), name)
    assert getattr(flux, name)(flux.zeros((2, 0)), axis=0).shape == (0,)


def test_stack_and_concat_of_nothing():
    fails(ValueError, lambda: flux.stack([]), "stack")
    fails(ValueError, lambda: flux.concat([]), "concat")


# Labels

LOGITS = np.zeros((4, 3), np.float32)


@pytest.mark.parametrize("name", ["crossentropy", "logitcrossentropy"])
@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [0, 1, 2, -1], [0, 1, 2, 10**12]], ids=str)
def test_label_out_of_range(name, labels):
    prediction = flux.softmax(flux.tensor(LOGITS))
    fails(
        (IndexError, ValueError),
        lambda: getattr(flux, name)(prediction, np.array(labels)),
        name,
        labels[-1],
        3,
    )


@pytest.mark.parametrize("name", ["crossentropy", "logitcrossentropy"])
def test_labels_that_are_not_whole(name):
    prediction = flux.softmax(flux.tensor(LOGITS))
    with pytest.raises((TypeError, ValueError), match=name):
        getattr(flux, name)(prediction, np.array([0.5, 1.0, 2.0, 0.0]))


@pytest.mark.parametrize("name", ["crossentropy", "logitcrossentropy"])
def test_nan_labels(name):
    prediction = flux.softmax(flux.tensor(LOGITS))
    with pytest.raises((TypeError, ValueError), match=name):
        getattr(flux, name)(prediction, np.array([0.0, np.nan, 1.0, 2.0]))


def test_nan_in_a_regression_target_shows_in_the_loss():
    assert np.isnan(flux.mse(flux.zeros((2,)), np.array([0.0, np.nan])).item())


@pytest.mark.parametrize("label", [3, -1, "z", 0.5, None, float("nan")], ids=repr)
def test_onehot_label_that_is_none_of_the_classes(label):
    fails(ValueError, lambda: flux.onehotbatch([0, 1, label], range(3)), label)


def test_onehot_of_no_classes():
    with pytest.raises(ValueError):
        flux.onehotbatch([0, 1], [])


# Sizes

SIZES = {
    "zeros": lambda: flux.zeros((ABSURD,)),
    "ones": lambda: flux.ones((2**30, 2**30)),
    "full": lambda: flux.full((ABSURD,), 1.0),
    "empty": lambda: flux.empty((ABSURD,)),
    "rand": lambda: flux.rand(ABSURD),
    "randn": lambda: flux.randn(2**31, 2**31),
    "eye": lambda: flux.eye(2**30),
    "arange": lambda: flux.arange(ABSURD),
    "tile": lambda: flux.tile(flux.zeros((4,)), (2**58,)),
    "repeat": lambda: flux.repeat(flux.zeros((4,)), 2**58),
    "outer product": lambda: flux.broadcast_to(flux.zeros((1,)), (ABSURD,)) * 2,
    "overflowing": lambda: flux.zeros((2**33, 2**33)),
    "overflowing with a zero last": lambda: flux.zeros((2**40, 2**40, 2**40)),
    "dense": lambda: flux.Dense(2**30, 2**30),
}


@pytest.mark.parametrize("name", SIZES)
def test_absurd_size(name):
    with pytest.raises((MemoryError, ValueError, OverflowError)) as caught:
        SIZES[name]()
    assert str(caught.value)


def test_memory_error_names_the_shape():
    fails(MemoryError, lambda: flux.zeros((ABSURD,)), "zeros", ABSURD)


def test_size_beyond_python_integers_of_64_bits():
    with pytest.raises((MemoryError, ValueError, OverflowError)):
        flux.zeros((2**70,))


def test_memory_is_usable_after_a_failed_allocation():
    with pytest.raises(MemoryError):
        flux.zeros((ABSURD,))
    assert flux.sum(flux.ones((1000,))).item() == 1000


# Empty batches


def test_empty_batch_through_a_model():
    model = flux.Chain(flux.Dense(3, 4, flux.relu), flux.Dense(4, 2), flux.softmax)
    assert model(np.zeros((0, 3))).shape == (0, 2)


@pytest.mark.parametrize("name", ["mse", "logitcrossentropy"])
def test_loss_of_an_empty_batch_is_an_error_or_nan_and_never_changes_a_model(name):
    model = flux.Dense(3, 2)
    before = model.weight.numpy().copy()
    try:
        value, grads = flux.withgradient(
            lambda m: getattr(flux, name)(m(np.zeros((0, 3))), np.zeros((0, 2))), model
        )
    except ValueError as error:
        assert name in str(error) or "empty" in str(error)
    else:
        assert np.isnan(value.item()) or value.item() == 0
        assert grads[0] is None or np.isfinite(grads[0].weight.numpy()).all()
    np.testing.assert_array_equal(model.weight.numpy(), before)


def test_training_on_no_data_changes_nothing():
    model = flux.Dense(1, 1)
    before = model.weight.numpy().copy()
    flux.train(lambda m, x, y: flux.mse(m(x), y), model, [], flux.setup(flux.Descent(), model))
    np.testing.assert_array_equal(model.weight.numpy(), before)


# Losses and models that cannot be trained


def test_loss_that_is_not_a_scalar():
    fails(flux.ShapeError, lambda: flux.gradient(lambda x: x * 2, flux.zeros((3,))), "loss", "(3,)")


def test_loss_of_one_element_that_is_not_a_scalar():
    fails(flux.ShapeError, lambda: flux.gradient(lambda x: x * 2, flux.zeros((1,))), "loss", "(1,)")


@pytest.mark.parametrize(
    "loss", [None, "text", {"loss": 1}, object()], ids=["None", "text", "dict", "object"]
)
def test_loss_that_is_no_number(loss):
    fails(TypeError, lambda: flux.gradient(lambda x: loss, flux.zeros((3,))))


def test_integer_loss():
    loss = lambda x: flux.sum(flux.astype(x, "int64"))
    fails((TypeError, ValueError), lambda: flux.gradient(loss, flux.zeros((3,))), "loss", "int64")


def test_training_a_model_without_parameters():
    model = flux.Chain(flux.relu, flux.flatten)
    with pytest.raises(ValueError, match="parameter"):
        state = flux.setup(flux.Adam(), model)
        flux.train(lambda m, x: flux.sum(m(x)), model, [(np.zeros((2, 3)),)], state)


# Options out of range

OPTIONS = {
    "negative learning rate": (lambda: flux.Descent(-0.1), "-0.1"),
    "nan learning rate": (lambda: flux.Adam(float("nan")), "nan"),
    "momentum above one": (lambda: flux.Momentum(0.1, 1.5), "1.5"),
    "beta of one": (lambda: flux.Adam(0.1, (1.0, 0.999)), "1.0"),
    "no features": (lambda: flux.Dense(-1, 3), "-1"),
    "accumulation over nothing": (lambda: flux.AccumGrad(0), "0"),
    "batch of nothing": (lambda: flux.DataLoader(np.zeros((4, 2)), batchsize=0), "0"),
    "negative delta": (lambda: flux.huber_loss(flux.zeros((2,)), np.zeros(2), delta=-1), "-1"),
    "negative shuffle": (lambda: flux.randperm(-3), "-3"),
    "step of zero": (lambda: flux.arange(0, 5, 0), "step"),
    "integers to negative powers": (lambda: flux.tensor([2]) ** -1, "negative"),
    "threads": (lambda: flux.set_num_threads(0), "0"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_option_out_of_range(name):
    f, needle = OPTIONS[name]
    fails(ValueError, f, needle)


# State survives


def model_and_state(rule):
    flux.seed(0)
    model = flux.Chain(flux.Dense(2, 3, flux.tanh), flux.Dense(3, 1))
    return model, flux.setup(getattr(flux, rule)(), model)


X, Y = np.random.default_rng(0).normal(size=(8, 2)), np.random.default_rng(1).normal(size=(8, 1))


def good_step(model, state):
    (g,) = flux.gradient(lambda m: flux.mse(m(X), Y), model)
    flux.update(state, model, g)


def weights(model):
    return [p.numpy().copy() for p in flux.trainables(model)]


def train_with(loss, data):
    return lambda model, state: flux.train(loss, model, data, state)


SQUARES = lambda m, x, y: flux.mse(m(x), y)

FAILING_STEPS = {
    "features": train_with(SQUARES, [(np.zeros((4, 3)), np.zeros((4, 1)))]),
    "batch": train_with(SQUARES, [(np.zeros((4, 2)), np.zeros((5, 1)))]),
    "broadcast": train_with(SQUARES, [(np.zeros((4, 2)), np.zeros(4))]),
    "ragged": train_with(SQUARES, [([[1.0, 2.0], [3.0]], np.zeros((2, 1)))]),
    "objects": train_with(SQUARES, [(np.array([[1, None]], object), np.zeros((1, 1)))]),
    "loss of many": train_with(lambda m, x, y: m(x) - y, [(X, Y)]),
    "loss of none": train_with(lambda m, x, y: None, [(X, Y)]),
    "nan loss": train_with(lambda m, x, y: flux.mse(m(x), y), [(X, np.full((8, 1), np.nan))]),
    "infinite loss": train_with(lambda m, x, y: flux.mse(m(x), y), [(X, np.full((8, 1), np.inf))]),
    "exception": train_with(lambda m, x, y: 1 / 0, [(X, Y)]),
    "data that is not pairs": train_with(SQUARES, [(X,)]),
    "data that is no data": train_with(SQUARES, 5),
    "gradient of another model": lambda model, state: flux.update(
        state, model, flux.gradient(lambda m: flux.sum(m(X)), flux.Dense(2, 1))[0]
    ),
    "gradient of text": lambda model, state: flux.update(state, model, "gradient"),
    "state of another model": lambda model, state: flux.update(
        flux.setup(flux.Adam(), flux.Dense(7, 7)), model, flux.gradient(lambda m: flux.mse(m(X), Y), model)[0]
    ),
}


@pytest.mark.parametrize("name", FAILING_STEPS)
@pytest.mark.parametrize("rule", ["Descent", "Adam", "Momentum"])
def test_a_failing_step_leaves_model_and_state_as_they_were(name, rule):
    model, state = model_and_state(rule)
    twin, twin_state = model_and_state(rule)
    good_step(model, state)
    good_step(twin, twin_state)
    before = weights(model)
    with pytest.raises((ValueError, TypeError, ZeroDivisionError, ArithmeticError)):
        FAILING_STEPS[name](model, state)
    for a, b in zip(weights(model), before, strict=True):
        np.testing.assert_array_equal(a, b)
    # The optimiser's state is that of the twin which saw no failure, if the next step is.
    good_step(model, state)
    good_step(twin, twin_state)
    for a, b in zip(weights(model), weights(twin), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_gradient_of_another_shape_changes_no_parameter_of_the_model():
    model = {"a": flux.ones((2,)), "b": flux.ones((3,))}
    state = flux.setup(flux.Momentum(), model)
    with pytest.raises(flux.ShapeError, match="4"):
        flux.update(state, model, {"a": flux.ones((2,)), "b": flux.ones((4,))})
    assert model["a"].tolist() == [1.0, 1.0] and model["b"].tolist() == [1.0] * 3


def test_the_step_that_fails_says_which():
    model, state = model_and_state("Descent")
    data = [(X, Y), (np.zeros((4, 5)), np.zeros((4, 1)))]
    message = fails(ValueError, lambda: flux.train(SQUARES, model, data, state))
    assert "Dense(2 => 3, tanh)" in message and "(4, 5)" in message


# Loading what does not fit


def test_loading_the_state_of_another_model_changes_nothing():
    model, other = flux.Dense(2, 3), flux.Dense(2, 4)
    before = weights(model)
    with pytest.raises((ValueError, KeyError, TypeError)):
        flux.loadmodel(model, flux.state(other))
    for a, b in zip(weights(model), before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda x: flux.nanmean(x, axis=9), IndexError, "nanmean: axis 9 is out of range for 2 dimensions"),
        (lambda x: flux.cosine_similarity(x, x, axis=9), IndexError, "cosine_similarity: axis 9 "),
        (lambda x: flux.linalg.norm(x, axis=9), IndexError, "norm: axis 9 "),
        (lambda x: flux.linalg.trace(x[0]), IndexError, "trace: "),
        (lambda x: flux.linalg.matrix_power(0 * x, -1), ValueError, "matrix_power: the matrix is singular"),
        (
            lambda x: flux.linalg.vector_norm(x, ord=None),
            ValueError,
            "vector_norm: ord is a number, not None",
        ),
        (lambda x: flux.vstack([x, flux.ones(3)]), flux.ShapeError, r"vstack: shapes \(2, 2\) and \(1, 3\)"),
        (lambda x: flux.topk(x, 2.0), TypeError, "topk: 'float' object"),
        (lambda x: flux.kron("a", x), TypeError, "kron: expected a tensor"),
        (lambda x: flux.bernoulli(x * 0, 3), flux.ShapeError, r"bernoulli: shape \(2, 2\)"),
        (lambda x: flux.huber_loss(x, x, delta="a"), TypeError, "huber_loss: '>' not supported"),
        (lambda x: flux.triplet_margin_loss(x, x, x, p="2"), TypeError, "triplet_margin_loss: "),
    ],
)
def test_an_error_begins_with_the_function_that_was_called(call, error, text):
    with pytest.raises(error, match=f"^{text}"):
        call(flux.tensor([[2.0, 1.0], [1.0, 2.0]]))


def test_an_error_of_a_users_function_keeps_its_text():
    def agg(_):
        raise ValueError("mine")

    with pytest.raises(ValueError, match="^mine$"):
        flux.huber_loss([1.0], [2.0], agg=agg)
    with pytest.raises(ValueError, match="^mine$"):
        flux.fmap(agg, flux.Dense(2, 1))
