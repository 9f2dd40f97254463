"""Diabetes: a small network predicts how far the disease has come after a year from ten measurements of 442 patients.

python examples/diabetes.py [--epochs 200] [--seed 0] [--out examples/out/diabetes.png]
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
from sklearn.datasets import load_diabetes

import oxiflux as flux

mpl.use("Agg")
import matplotlib.pyplot as plt

Part = tuple[np.ndarray, np.ndarray]


def load(seed: int) -> tuple[Part, Part, Part]:
    """To train on, to stop by, and to test: measurements and disease, both standardised by the first part."""
    x, y = load_diabetes(return_X_y=True, scaled=False)
    parts = flux.splitobs((x, y.reshape(-1, 1)), at=(0.6, 0.2), shuffle=True, rng=flux.Generator(seed))
    scales = [(a.mean(axis=0), a.std(axis=0)) for a in parts[0]]
    (x_mean, x_std), (y_mean, y_std) = scales
    train, validation, test = (((x - x_mean) / x_std, (y - y_mean) / y_std) for x, y in parts)
    return train, validation, test


def loss(model: flux.Chain, x: np.ndarray, y: np.ndarray) -> flux.Tensor:
    return flux.mse(model(x), y)


def train(model: flux.Chain, train: Part, validation: Part, epochs: int) -> flux.History:
    """Trains until the validation loss has not fallen for 20 epochs, and leaves the model as it was at its best."""
    loader = flux.DataLoader(train, batchsize=32, shuffle=True)
    return flux.fit(
        loss,
        model,
        loader,
        flux.AdamW(lambda_=0.01),
        epochs=epochs,
        validation=validation,
        metrics="r2",
        schedule=flux.Warmup(flux.Cos(1e-4, 5e-3, epochs * len(loader)), 2 * len(loader)),
        callbacks=flux.EarlyStopping("val_loss", patience=20),
    )


def plot(path: Path, history: flux.History, truth: np.ndarray, guess: np.ndarray) -> None:
    """Draws the losses of each epoch, and what was predicted over what was true."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
    history.plot(ax=left).set(title="Loss", ylabel="mean squared error")
    right.scatter(truth, guess, s=12)
    right.axline((0, 0), slope=1, color="gray", lw=1)
    right.set(title="Test patients", xlabel="progression", ylabel="predicted progression")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out" / "diabetes.png")
    args = parser.parse_args()

    flux.seed(args.seed)
    fitted, validation, (x, y) = load(args.seed)
    model = flux.Chain(flux.Dense(10, 32, flux.relu), flux.Dense(32, 16, flux.relu), flux.Dense(16, 1))
    print(model)

    history = train(model, fitted, validation, args.epochs)
    print(history)

    guess = model(x).numpy()
    plot(args.out, history, y, guess)
    print(f"explains {flux.metrics.r2(guess, y):.0%} of the variance of {len(y)} test patients")
    print(f"losses and predictions: {args.out}")


if __name__ == "__main__":
    main()
