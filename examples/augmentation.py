"""Augmentation: from 5 images of each digit a network learns more if they are turned, moved and stretched each time.

python examples/augmentation.py [--steps 600] [--seed 0] [--out examples/out/augmentation.png]

The same network learns twice from the same 50 images of 8 x 8 pixels, as they are and with another small change of
each at every step, and is tested on the 1747 others.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
from sklearn.datasets import load_digits

import oxiflux as flux

mpl.use("Agg")
import matplotlib.pyplot as plt


def load(each: int, seed: int) -> tuple[np.ndarray, ...]:
    """Images `(n, 8, 8, 1)` and labels: so many of each digit to learn from, and all others to test."""
    images, labels = load_digits(return_X_y=True)
    images = (images.reshape(-1, 8, 8, 1) / 16).astype("f")
    order = np.random.default_rng(seed).permutation(len(images))
    few = np.concatenate([order[labels[order] == digit][:each] for digit in range(10)])
    rest = np.setdiff1d(order, few)
    return images[few], labels[few], images[rest], labels[rest]


def changed(images: np.ndarray, rng: flux.Generator) -> flux.Tensor:
    """The images, each turned by up to 15 degrees, stretched by up to 15 % and moved by up to a pixel."""
    return flux.augment.affine(
        images, angle=np.radians(15), scale=(0.85, 1.15), shift=1 / images.shape[1], rng=rng
    )


def network() -> flux.Chain:
    return flux.Chain(
        flux.Conv((3, 3), 1, 32, flux.relu, pad=1),
        flux.Conv((3, 3), 32, 32, flux.relu, pad=1),
        flux.MaxPool((2, 2)),
        flux.Conv((3, 3), 32, 64, flux.relu, pad=1),
        flux.MaxPool((2, 2)),
        flux.flatten,
        flux.Dropout(0.3),
        flux.Dense(256, 10),
    )


def loss(model: flux.Chain, x: np.ndarray | flux.Tensor, y: np.ndarray) -> flux.Tensor:
    return flux.logitcrossentropy(model(x), y)


def train(data: tuple[np.ndarray, ...], steps: int, seed: int, augments: bool) -> list[float]:
    """The accuracy on the test after each tenth of the steps."""
    flux.seed(seed)
    x, y, x_test, y_test = data
    model, rng = network(), flux.Generator(seed)
    state, schedule = flux.setup(flux.Adam(), model), flux.OneCycle(steps, 0.003)
    found = []
    for step in range(steps):
        flux.adjust(state, schedule(step))
        flux.trainstep(loss, model, (changed(x, rng) if augments else x, y), state)
        if (step + 1) % max(1, steps // 10) == 0:
            found.append(float(np.mean(model(x_test).numpy().argmax(axis=1) == y_test)))
    return found


def plot(path: Path, images: np.ndarray, curves: dict[str, list[float]]) -> None:
    """Draws a few images as they are and changed, and the accuracies."""
    rng = flux.Generator(0)
    figure = plt.figure(figsize=(11, 4), layout="constrained")
    ((left, right),) = figure.subfigures(1, 2, squeeze=False)
    some = images[::6][:8]
    rows = [some, *(changed(some, rng).numpy() for _ in range(3))]
    for axis, image in zip(left.subplots(4, 8).flat, np.concatenate(rows), strict=True):
        axis.imshow(image[:, :, 0], cmap="gray_r")
        axis.set(xticks=[], yticks=[])
    left.suptitle("As they are, and changed three times")
    axis = right.subplots()
    for name, curve in curves.items():
        axis.plot(np.arange(1, len(curve) + 1) * 10, curve, ".-", label=f"{name}: {curve[-1]:.1%}")
    axis.set(title="Accuracy on images that were not seen", xlabel="% of the steps")
    axis.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out" / "augmentation.png")
    args = parser.parse_args()

    data = load(5, args.seed)
    print(network())
    curves = {
        name: train(data, args.steps, args.seed, augments)
        for name, augments in (("as they are", False), ("changed", True))
    }
    plot(args.out, data[0], curves)
    plain, augmented = (curve[-1] for curve in curves.values())
    print(f"test accuracy {augmented:.1%} with images that change, {plain:.1%} without; picture: {args.out}")


if __name__ == "__main__":
    main()
