"""A variational autoencoder of handwritten digits: 64 pixels as 8 numbers and back, and new digits from noise.

python examples/autoencoder.py [--epochs 100] [--latent 8] [--seed 0] [--out examples/out/autoencoder.png]
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


class Autoencoder(flux.Layer):
    """Encodes an image as a normal distribution over the latent space and decodes a sample of it.

    Ref: Kingma and Welling, "Auto-encoding variational Bayes", 2014.
    """

    def __init__(self, size: int, hidden: int, latent: int) -> None:
        self.encoder = flux.Chain(flux.Dense(size, hidden, flux.relu), flux.Dense(hidden, hidden, flux.relu))
        self.heads = flux.Parallel(
            lambda *ys: ys, mean=flux.Dense(hidden, latent), log_std=flux.Dense(hidden, latent)
        )
        self.decoder = flux.Chain(
            flux.Dense(latent, hidden, flux.relu),
            flux.Dense(hidden, hidden, flux.relu),
            flux.Dense(hidden, size),
        )

    def __call__(self, x: np.ndarray) -> flux.Tensor:
        """The reconstruction through the mean, without noise."""
        mean, _ = self.heads(self.encoder(x))
        return flux.sigmoid(self.decoder(mean))

    def loss(self, x: np.ndarray) -> flux.Tensor:
        """How far the reconstruction is from the image, and the code from a standard normal distribution."""
        mean, log_std = self.heads(self.encoder(x))
        code = mean + flux.exp(log_std) * flux.randn(*mean.shape)
        rebuilt = flux.logitbinarycrossentropy(self.decoder(code), x, agg=flux.sum)
        divergence = (flux.exp(2 * log_std) + mean**2 - 1 - 2 * log_std).sum() / 2
        return (rebuilt + divergence) / len(x)


def train(model: Autoencoder, x: np.ndarray, epochs: int) -> None:
    """Trains the model in place, in batches of 64."""
    state = flux.setup(flux.Adam(0.002), model)
    loader = flux.DataLoader(x, batchsize=64, shuffle=True)
    with trange(epochs, unit="epoch", disable=None) as progress:  # None: silent unless in a terminal
        for _ in progress:
            losses = []
            for images in loader:
                loss, (grad,) = flux.withgradient(lambda m, images=images: m.loss(images), model)
                flux.update(state, model, grad)
                losses.append(loss.item())
            progress.set_postfix(loss=f"{np.mean(losses):.2f}", refresh=False)


def plot(path: Path, rows: dict[str, np.ndarray]) -> None:
    """Draws a row of images for each entry."""
    count = min(map(len, rows.values()))
    figure, axes = plt.subplots(len(rows), count, figsize=(count * 0.7, len(rows)), layout="constrained")
    for line, (title, images) in zip(axes, rows.items(), strict=True):
        for axis, image in zip(line, images, strict=False):
            axis.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
        line[0].set_title(title, loc="left", fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--latent", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out" / "autoencoder.png")
    args = parser.parse_args()

    flux.seed(args.seed)
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32)
    x_train, x_test = train_test_split(images, test_size=0.2, stratify=labels, random_state=args.seed)
    model = Autoencoder(64, 128, args.latent)
    print(model)

    start = time.perf_counter()
    train(model, x_train, args.epochs)
    seconds = time.perf_counter() - start

    rebuilt = model(x_test).numpy()
    explained = 1 - np.mean((rebuilt - x_test) ** 2) / np.mean((x_test - x_train.mean(axis=0)) ** 2)
    drawn = flux.sigmoid(model.decoder(flux.randn(16, args.latent))).numpy()
    plot(args.out, {"test images": x_test[:16], "rebuilt": rebuilt[:16], "drawn from noise": drawn})
    print(
        f"{explained:.1%} of the test images' variance rebuilt from {args.latent} numbers, "
        f"after {args.epochs} epochs in {seconds:.2f} s; images: {args.out}"
    )


if __name__ == "__main__":
    main()
