"""Handwritten digits: a network of two hidden layers learns 1437 images of 8 x 8 pixels and is tested on 360 others.

python examples/digits_mlp.py [--epochs 40] [--seed 0] [--out examples/out/digits_mlp.png]
"""

import argparse
import time
from pathlib import Path

import matplotlib as mpl
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from tqdm import trange

import oxiflux as flux

mpl.use("Agg")
import matplotlib.pyplot as plt


def load(seed: int) -> list[np.ndarray]:
    """Images as rows of numbers from 0 to 1, to train on and to test; then, likewise, which digit each shows."""
    images, labels = load_digits(return_X_y=True)
    parts: list[np.ndarray] = train_test_split(
        images / 16, labels, test_size=0.2, stratify=labels, random_state=seed
    )
    return parts


def train(model: flux.Chain, x: np.ndarray, y: np.ndarray, epochs: int) -> list[float]:
    """Trains the model and returns the mean loss of each epoch."""
    state = flux.setup(flux.AdamW(0.002, lambda_=0.1), model)
    loader = flux.DataLoader((x, y), batchsize=64, shuffle=True)
    history = []
    with trange(epochs, unit="epoch", disable=None) as progress:  # None: silent unless in a terminal
        for _ in progress:
            losses = []
            for images, labels in loader:
                loss, (grad,) = flux.withgradient(
                    lambda m, images=images, labels=labels: flux.logitcrossentropy(m(images), labels), model
                )
                flux.update(state, model, grad)
                losses.append(float(loss))
            history.append(float(np.mean(losses)))
            progress.set_postfix(loss=f"{history[-1]:.4f}", refresh=False)
    return history


def plot(path: Path, history: list[float], truth: np.ndarray, guess: np.ndarray) -> None:
    """Draws the loss of each epoch, and how often each digit was taken for which."""
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (truth, guess), 1)

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
    left.semilogy(range(1, len(history) + 1), history)
    left.set(title="Training loss", xlabel="epoch", ylabel="cross-entropy")
    left.grid(alpha=0.3, which="both")

    # The square root keeps single mistakes visible beside dozens of hits.
    right.imshow(np.sqrt(confusion), cmap="Blues")
    right.set(title="Test images", xlabel="predicted digit", ylabel="true digit")
    right.set(xticks=range(10), yticks=range(10))
    for row, column in zip(*confusion.nonzero(), strict=True):
        color = "white" if row == column else "black"
        right.text(column, row, confusion[row, column], ha="center", va="center", color=color)

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out" / "digits_mlp.png")
    args = parser.parse_args()

    flux.seed(args.seed)
    x_train, x_test, y_train, y_test = load(args.seed)
    model = flux.Chain(flux.Dense(64, 256, flux.relu), flux.Dense(256, 128, flux.relu), flux.Dense(128, 10))
    print(model)

    start = time.perf_counter()
    history = train(model, x_train, y_train, args.epochs)
    seconds = time.perf_counter() - start

    guess = flux.onecold(model(x_test)).numpy()
    plot(args.out, history, y_test, guess)
    print(f"test accuracy {np.mean(guess == y_test):.2%} after {args.epochs} epochs in {seconds:.2f} s")
    print(f"loss curve and confusion matrix: {args.out}")


if __name__ == "__main__":
    main()
