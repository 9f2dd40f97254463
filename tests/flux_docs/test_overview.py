"""The numbers of Flux's overview, "Fitting a Straight Line", in the implicit and in the explicit style."""

import numpy as np
import pytest

import oxiflux as flux


def actual(x):
    return 4 * x + 2


X_TRAIN, X_TEST = np.arange(6).reshape(-1, 1), np.arange(6, 11).reshape(-1, 1)
Y_TRAIN, Y_TEST = actual(X_TRAIN), actual(X_TEST)
DATA = [(X_TRAIN, Y_TRAIN)]


@pytest.fixture
def predict():
    """The overview's model, whose weight was drawn as 0.9066542."""
    model = flux.Dense(1, 1)
    model.weight = flux.tensor([[0.9066542]])
    return model


def implicit_loss(model):
    return lambda x, y: flux.losses.mse(model(x), y)


def explicit_loss(model, x, y):
    return flux.mse(model(x), y)


def handwritten_loss(model, x, y):
    return flux.mean((model(x) - y) ** 2)


def train_implicit(model, epochs):
    parameters, opt = flux.params(model), flux.Descent()
    for _ in range(epochs):
        flux.train(implicit_loss(model), parameters, DATA, opt)


def train_explicit(model, epochs):
    state = flux.setup(flux.Descent(), model)
    for _ in range(epochs):
        flux.train(explicit_loss, model, DATA, state)


def train_by_hand(model, epochs):
    state = flux.setup(flux.Descent(), model)
    for _ in range(epochs):
        _, grads = flux.withgradient(lambda m: handwritten_loss(m, X_TRAIN, Y_TRAIN), model)
        flux.update(state, model, grads[0])


STYLES = pytest.mark.parametrize("train", [train_implicit, train_explicit, train_by_hand])


def test_model_and_optimiser_print_as_in_the_overview():
    assert repr(flux.Dense(1, 1)) == "Dense(1 => 1)       # 2 parameters"
    assert repr(flux.Descent()) == "Descent(0.1)"


def test_new_model_has_a_random_weight_and_no_bias():
    model = flux.Dense(1, 1)
    assert model.weight.shape == (1, 1)
    np.testing.assert_array_equal(model.bias.numpy(), [0])


def test_first_predictions(predict):
    expected = [0.0, 0.906654, 1.81331, 2.71996, 3.62662, 4.53327]
    np.testing.assert_allclose(predict(X_TRAIN).numpy().ravel(), expected, atol=5e-6)


def test_first_loss(predict):
    for value in (explicit_loss(predict, X_TRAIN, Y_TRAIN), handwritten_loss(predict, X_TRAIN, Y_TRAIN)):
        assert value.numpy().dtype == np.float32
        assert value.item() == pytest.approx(122.64734, abs=1.5e-5)


def test_parameters_are_found_by_identity(predict):
    parameters = flux.params(predict)
    assert predict.weight in parameters
    assert predict.bias in parameters
    assert flux.tensor([[0.9066542]]) not in parameters
    assert len(parameters) == 2


@STYLES
def test_one_step(predict, train):
    train(predict, 1)
    assert explicit_loss(predict, X_TRAIN, Y_TRAIN).item() == pytest.approx(116.38745, abs=3e-5)
    assert predict.weight.numpy().item() == pytest.approx(7.5777884, abs=1.5e-6)
    assert predict.bias.numpy().item() == pytest.approx(1.9466728, abs=5e-7)


@STYLES
def test_200_more_steps(predict, train):
    train(predict, 1)
    train(predict, 200)
    # The loss that is left is a difference of nearly equal numbers, so fewer of its digits are comparable.
    assert explicit_loss(predict, X_TRAIN, Y_TRAIN).item() == pytest.approx(0.00339581, rel=1e-3)
    assert predict.weight.numpy().item() == pytest.approx(4.0178537, abs=3e-6)
    assert predict.bias.numpy().item() == pytest.approx(2.0050256, abs=3e-6)
    np.testing.assert_allclose(
        predict(X_TEST).numpy().ravel(), [26.1121, 30.13, 34.1479, 38.1657, 42.1836], atol=6e-5
    )


@STYLES
def test_training_leaves_the_data_alone(predict, train):
    train(predict, 1)
    np.testing.assert_array_equal(X_TRAIN.ravel(), range(6))
    np.testing.assert_array_equal(Y_TRAIN.ravel(), actual(np.arange(6)))


def test_implicit_and_explicit_training_agree_to_the_bit():
    results = []
    for train in (train_implicit, train_explicit):
        model = flux.Dense(1, 1)
        model.weight = flux.tensor([[0.9066542]])
        train(model, 50)
        results.append((model.weight.item(), model.bias.item()))
    assert results[0] == results[1]


def test_parameters_collected_before_training_are_those_trained(predict):
    weight, bias = predict.weight, predict.bias
    train_explicit(predict, 1)
    assert predict.weight is weight and predict.bias is bias
    assert weight.item() == pytest.approx(7.5777884, abs=1.5e-6)


def test_withgradient_gives_the_loss_and_a_tree_like_the_model(predict):
    value, grads = flux.withgradient(lambda m: explicit_loss(m, X_TRAIN, Y_TRAIN), predict)
    assert value.item() == pytest.approx(122.64734, abs=1.5e-5)
    assert grads[0].weight.shape == (1, 1)
    # One step of 0.1 against the gradient leads to the published weight and bias.
    assert 0.9066542 - 0.1 * grads[0].weight.item() == pytest.approx(7.5777884, abs=2e-6)
    assert -0.1 * grads[0].bias.item() == pytest.approx(1.9466728, abs=1e-6)


def test_adam_in_the_explicit_style_lowers_the_loss(predict):
    state = flux.setup(flux.Adam(), predict)
    before = explicit_loss(predict, X_TRAIN, Y_TRAIN).item()
    flux.train(explicit_loss, predict, DATA, state)
    assert predict.weight.item() == pytest.approx(0.9066542 + 0.001, abs=1e-6)
    assert explicit_loss(predict, X_TRAIN, Y_TRAIN).item() < before
