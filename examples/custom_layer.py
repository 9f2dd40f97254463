"""A layer of one's own in under ten lines, and a plain closure as a model: both learn the curve 2x - x^3.

python examples/custom_layer.py [--epochs 2000] [--seed 0] [--out examples/out/custom_layer.png]
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
from tqdm import trange

import oxiflux as flux

mpl.use("Agg")
import matplotlib.pyplot as plt

Model = Callable[[flux.Tensor], flux.Tensor]


class Affine(flux.Layer):
    """A whole layer: every tensor among its attributes is a parameter."""

    def __init__(self, size_in: int, size_out: int) -> None:
        self.weight = flux.glorot_uniform(size_in, size_out)
        self.bias = flux.zeros(size_out)

    def __call__(self, x: flux.Tensor) -> flux.Tensor:
        return x @ self.weight + self.bias


def network(width: int) -> Model:
    """The same network as a function: what it has captured are its parameters."""
    weight, bias = flux.glorot_uniform(1, width), flux.zeros(width)
    out = flux.glorot_uniform(width, 1)
    return lambda x: flux.tanh(x @ weight + bias) @ out


def curve(x: np.ndarray) -> np.ndarray:
    return np.asarray(2 * x - x**3)


def train(model: Model, x: np.ndarray, y: np.ndarray, epochs: int) -> float:
    """Trains any model, with all points at once, and returns its mean squared error."""

    def loss(model: Model, x: flux.Tensor, y: np.ndarray) -> flux.Tensor:
        return flux.mse(model(x), y)

    points = flux.tensor(x)
    state = flux.setup(flux.Adam(0.02), model)
    for _ in trange(epochs, unit="epoch", disable=None):  # None: silent unless in a terminal
        flux.train(loss, model, [(points, y)], state)
    return float(loss(model, points, y))


def plot(path: Path, x: np.ndarray, models: dict[str, Model]) -> None:
    figure, axis = plt.subplots(figsize=(7, 4.5), layout="constrained")
    axis.plot(x, curve(x), color="black", label="2x - x^3")
    for (name, model), marker in zip(models.items(), "o+", strict=True):
        axis.plot(x, model(flux.tensor(x)).numpy(), marker, markersize=5, label=name)
    axis.set(xlabel="x", ylabel="y", title="What each model has learned")
    axis.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--epochs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out" / "custom_layer.png")
    args = parser.parse_args()

    flux.seed(args.seed)
    x = np.arange(-2, 2.01, 0.1, dtype=np.float32).reshape(-1, 1)
    models: dict[str, Model] = {
        "custom layer": flux.Chain(Affine(1, 23), flux.tanh, Affine(23, 1)),
        "closure": network(23),
    }
    print(models["custom layer"])
    print("the closure trains", [tensor.shape for tensor in flux.trainables(models["closure"])])

    start = time.perf_counter()
    errors = {name: train(model, x, curve(x), args.epochs) for name, model in models.items()}
    seconds = time.perf_counter() - start

    plot(args.out, x, models)
    found = ", ".join(f"{name} {error:.5f}" for name, error in errors.items())
    print(f"mean squared error: {found} after {args.epochs} epochs in {seconds:.2f} s; plot: {args.out}")


if __name__ == "__main__":
    main()
