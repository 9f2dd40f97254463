"""Saves a program for examples/serve_digits.rs: a small network learns digits of 8 x 8 pixels, and is run from Rust.

python examples/save_digits.py [--epochs 60] [--seed 0] [--folder examples/out]
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import oxiflux as flux


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("examples/out"))
    args = parser.parse_args()

    flux.seed(args.seed)
    images, labels = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(
        images, labels, test_size=0.2, stratify=labels, random_state=args.seed
    )
    model = flux.Chain(flux.Dense(64, 32, flux.relu), flux.Dense(32, 10))
    state = flux.setup(flux.AdamW(0.002, lambda_=0.1), model)
    loader = flux.DataLoader(((x / 16).astype("float32"), y), batchsize=64, shuffle=True)
    for _ in range(args.epochs):
        flux.train(lambda m, x, y: flux.logitcrossentropy(m(x), y), model, loader, state)
    guess = np.argmax(model(flux.tensor(x_test / 16)).numpy(), axis=1)
    print(f"{100 * np.mean(guess == y_test):.1f} % of {len(y_test)} digits are known")

    # What is captured takes one image, as it is in the table, and gives the probability of each digit.
    @flux.compile
    def predict(x: flux.Tensor) -> flux.Tensor:
        return flux.softmax(model(x / 16))

    for image in x_test[:3]:
        predict(flux.tensor(image[None].astype("float32")))
    args.folder.mkdir(parents=True, exist_ok=True)
    flux.save(args.folder / "digits.program", predict)
    table = np.concatenate([x_test[:20], y_test[:20, None]], axis=1).astype(int)
    np.savetxt(args.folder / "digits.csv", table, fmt="%d", delimiter=",")
    print(f"saved {args.folder / 'digits.program'}")


if __name__ == "__main__":
    main()
