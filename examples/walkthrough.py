"""The first steps: fitting a straight line, in the style of Flux's overview and in the style of today's Flux.

python examples/walkthrough.py
"""

import numpy as np

import oxiflux as flux


def actual(x: np.ndarray) -> np.ndarray:
    """The line that the model has to find: it sees only the points."""
    return 4 * x + 2


def show(title: str, predict: flux.Dense, x: np.ndarray) -> None:
    weight, bias = (parameter.item() for parameter in flux.trainables(predict))
    print(f"{title}: weight {weight:.4f}, bias {bias:.4f}")
    print("  predicts", *(f"{y:.3f}" for y in predict(x).numpy().ravel()), "for x =", *x.ravel())


def implicit(x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> None:
    """`params` lists what to train; the loss takes the data and finds the model by itself."""
    predict = flux.Dense(1, 1)
    print(predict)

    def loss(x: np.ndarray, y: np.ndarray) -> flux.Tensor:
        return flux.losses.mse(predict(x), y)

    opt = flux.Descent()
    print(opt)
    data = [(x, y)]
    parameters = flux.params(predict)
    print("trains the weight and the bias:", predict.weight in parameters, predict.bias in parameters)

    print(f"loss before: {loss(x, y).item():.5f}")
    flux.train(loss, parameters, data, opt)
    print(f"loss after 1 step: {loss(x, y).item():.5f}")
    for _ in range(200):
        flux.train(loss, parameters, data, opt)
    print(f"loss after 200 more: {loss(x, y).item():.5f}")
    show("implicit", predict, x_test)


def explicit(x: np.ndarray, y: np.ndarray, x_test: np.ndarray) -> None:
    """The model is an argument of the loss; `setup` makes the optimiser's state, a tree like the model."""
    predict = flux.Dense(1, 1)
    state = flux.setup(flux.Adam(0.1), predict)

    def loss(model: flux.Dense, x: np.ndarray, y: np.ndarray) -> flux.Tensor:
        return flux.mse(model(x), y)

    for _ in range(400):
        flux.train(loss, predict, [(x, y)], state)
    show("explicit", predict, x_test)

    # The same step by hand, for loops that `train` does not fit.
    value, (grad,) = flux.withgradient(lambda model: loss(model, x, y), predict)
    weight, bias = (slope.item() for slope in flux.trainables(grad))
    print(f"loss {value.item():.2e}, its gradient: weight {weight:.1e}, bias {bias:.1e}")
    flux.update(state, predict, grad)


def main() -> None:
    flux.seed(0)
    # Integers, on purpose: what meets a float32 model becomes float32.
    x, x_test = np.arange(6).reshape(-1, 1), np.arange(6, 11).reshape(-1, 1)
    implicit(x, actual(x), x_test)
    print()
    explicit(x, actual(x), x_test)


if __name__ == "__main__":
    main()
