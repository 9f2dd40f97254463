"""Wine: which of three growers made it, from 13 measurements. The run can be ended at any time, and resumed.

python examples/wine.py [--epochs 60] [--seed 0] [--resume] [--out examples/out/wine.png]
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
from sklearn.datasets import load_wine

import oxiflux as flux

mpl.use("Agg")
import matplotlib.pyplot as plt

Part = tuple[np.ndarray, np.ndarray]


def load(seed: int) -> list[Part]:
    """To train on, to stop by, and to test: standardised measurements, and the numbers of the growers."""
    x, y = load_wine(return_X_y=True)
    parts = flux.splitobs((x, y), at=(0.6, 0.2), shuffle=True, stratified=y, rng=flux.Generator(seed))
    mean, std = parts[0][0].mean(axis=0), parts[0][0].std(axis=0)
    return [((x - mean) / std, y) for x, y in parts]


def loss(model: flux.Chain, x: np.ndarray, y: np.ndarray) -> flux.Tensor:
    return flux.logitcrossentropy(model(x), y)


def plot(path: Path, history: flux.History) -> None:
    """Draws the losses, the accuracy and the learning rate of each epoch."""
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.5), layout="constrained")
    history.plot(ax=axes[0]).set(title="Loss", ylabel="cross-entropy")
    history.plot("val_accuracy", ax=axes[1]).set(title="Accuracy", ylim=(0, 1.05))
    history.plot("eta", ax=axes[2]).set(title="Learning rate")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action="store_true", help="go on where the last run ended")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out" / "wine.png")
    args = parser.parse_args()

    flux.seed(args.seed)
    train, validation, (x, y) = load(args.seed)
    model = flux.Chain(flux.Dense(13, 16, flux.relu), flux.Dense(16, 3))
    print(model)

    args.out.parent.mkdir(parents=True, exist_ok=True)
    loader = flux.DataLoader(train, batchsize=16, shuffle=True)
    history = flux.fit(
        loss,
        model,
        loader,
        flux.Adam(),
        epochs=args.epochs,
        validation=validation,
        metrics=["accuracy", "f1"],
        schedule=flux.OneCycle(args.epochs * len(loader), 0.02),
        callbacks=flux.early_stopping(lambda row: row["val_loss"], 15),
        checkpoint=args.out.with_suffix(".safetensors"),
        resume=args.resume,
    )
    print(history)
    plot(args.out, history)
    accuracy = flux.evaluate(model, (x, y), "accuracy")["accuracy"]
    print(f"test accuracy {accuracy:.1%} after {len(history)} epochs")
    print(f"curves: {args.out}; the run: {args.out.with_suffix('.safetensors')}")


if __name__ == "__main__":
    main()
