"""Handwritten digits: a small convolutional network learns 1437 images of 8 x 8 pixels and is tested on 360 others.

python examples/digits_cnn.py [--epochs 40] [--seed 0] [--out examples/out/digits_cnn.png]
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
    """Images `(n, 8, 8, 1)` of numbers from 0 to 1, to train on and to test; then, likewise, which digit each shows."""
    images, labels = load_digits(return_X_y=True)
    images = (images.reshape(-1, 8, 8, 1) / 16).astype(np.float32)
    parts: list[np.ndarray] = train_test_split(
        images, labels, test_size=0.2, stratify=labels, random_state=seed
    )
    return parts


def network() -> flux.Chain:
    return flux.Chain(
        flux.Conv((3, 3), 1, 32, flux.relu, pad=1),
        flux.Conv((3, 3), 32, 32, flux.relu, pad=1),
        flux.MaxPool((2, 2)),
        flux.Conv((3, 3), 32, 64, flux.relu, pad=1),
        flux.MaxPool((2, 2)),
        flux.flatten,
        flux.Dense(256, 10),
    )


def shifted(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The images moved by up to one pixel each, so that hardly a digit looks the same twice."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    corners = rng.integers(0, 3, (len(images), 2))
    return np.stack([image[i : i + 8, j : j + 8] for image, (i, j) in zip(padded, corners, strict=True)])


def train(model: flux.Chain, x: np.ndarray, y: np.ndarray, epochs: int, seed: int) -> None:
    """Trains the model in place, with a rate of learning that falls to zero."""
    rng = np.random.default_rng(seed)
    state = flux.setup(flux.Adam(0.002), model)
    targets = flux.label_smoothing(flux.onehotbatch(y, range(10)), 0.1)  # not too sure of any digit
    loader = flux.DataLoader((x, targets), batchsize=32, shuffle=True)
    with trange(epochs, unit="epoch", disable=None) as progress:  # None: silent unless in a terminal
        for epoch in progress:
            flux.adjust(state, 0.001 * (1 + np.cos(np.pi * epoch / epochs)))
            losses = []
            for images, wanted in loader:
                moved = shifted(images, rng)
                loss, (grad,) = flux.withgradient(
                    lambda m, x=moved, y=wanted: flux.logitcrossentropy(m(x), y), model
                )
                flux.update(state, model, grad)
                losses.append(loss.item())
            progress.set_postfix(loss=f"{np.mean(losses):.4f}", refresh=False)


def plot(path: Path, images: np.ndarray, truth: np.ndarray, chances: np.ndarray) -> None:
    """Draws the images that were taken for another digit or, where there are fewer, that nearly were."""
    hardest = np.argsort(chances[np.arange(len(truth)), truth])[:10]
    figure, axes = plt.subplots(2, 5, figsize=(8, 4), layout="constrained")
    for axis, i in zip(axes.flat, hardest, strict=True):
        guess = chances[i].argmax()
        axis.imshow(images[i, :, :, 0], cmap="gray_r")
        axis.set(xticks=[], yticks=[])
        color = "black" if guess == truth[i] else "tab:red"
        axis.set_title(f"{truth[i]} seen as {guess} ({chances[i, guess]:.0%})", fontsize=9, color=color)
    figure.suptitle("The hardest test images; mistakes in red")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out" / "digits_cnn.png")
    args = parser.parse_args()

    flux.seed(args.seed)
    x_train, x_test, y_train, y_test = load(args.seed)
    model = network()
    print(model)

    start = time.perf_counter()
    train(model, x_train, y_train, args.epochs, args.seed)
    seconds = time.perf_counter() - start

    chances = flux.softmax(model(x_test)).numpy()
    accuracy = np.mean(chances.argmax(axis=1) == y_test)
    plot(args.out, x_test, y_test, chances)
    print(
        f"test accuracy {accuracy:.2%} after {args.epochs} epochs in {seconds:.2f} s; hardest images: {args.out}"
    )


if __name__ == "__main__":
    main()
