"""A table: the price of used cars, from a frame with categories and missing values.

python examples/cars.py [--epochs 40] [--seed 0] [--out examples/out/cars.png]

The cars are made up, so that it is known how much of a price is chance. A scikit-learn Pipeline fills in what is
missing, says that it was, and turns categories into numbers; the makes are embedded by the network itself.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

import oxiflux as flux

mpl.use("Agg")
import matplotlib.pyplot as plt

MAKES = [f"make {letter}" for letter in "ABCDEFGHIJKLMNOPQRST"]
CHANCE = 0.1  # of the logarithm of a price
Data = tuple[np.ndarray, np.ndarray, np.ndarray]


def cars(count: int, seed: int) -> pd.DataFrame:
    """Cars with a price in thousands; of the columns they are described by, one value in ten is missing."""
    rng = np.random.default_rng(seed)
    make, age = rng.integers(0, len(MAKES), count), rng.gamma(2, 3, count)
    fuel = rng.choice(["petrol", "diesel", "electric"], count, p=[0.5, 0.3, 0.2])
    power = rng.lognormal(4.4, 0.35, count)
    way = rng.gamma(3, 5, count) * age * np.where(fuel == "diesel", 1.5, 1.0)
    prestige, loses = rng.normal(0, 0.35, len(MAKES)), rng.uniform(0.05, 0.15, len(MAKES))
    log_price = 3 + prestige[make] - loses[make] * age - 0.002 * way + 0.6 * np.log(power / 80)
    log_price += np.where(fuel == "electric", 0.3 - 0.04 * age, 0) + rng.normal(0, CHANCE, count)
    frame = pd.DataFrame(
        {"make": np.array(MAKES)[make], "fuel": fuel, "age": age, "power": power, "distance": way}
    )
    for name in ("fuel", "power", "distance"):
        frame.loc[rng.random(count) < 0.1, name] = None
    return frame.assign(price=np.exp(log_price))


def preparation() -> Pipeline:
    """Columns of numbers: the number of the make first, then the others."""
    numbers = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
    kinds = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="?"), OneHotEncoder(sparse_output=False)
    )
    columns = ColumnTransformer(
        [
            ("make", OrdinalEncoder(), ["make"]),
            ("fuel", kinds, ["fuel"]),
            ("numbers", numbers, ["age", "power", "distance"]),
        ]
    )
    return Pipeline([("columns", columns)])


class Valuer(flux.Layer):
    """The logarithm of a price, from a make, of which it learns an embedding, and the other columns."""

    def __init__(self, makes: int, columns: int) -> None:
        self.make = flux.Embedding(makes, 4)
        self.net = flux.Chain(
            flux.Dense(4 + columns, 64, flux.gelu), flux.Dense(64, 32, flux.gelu), flux.Dense(32, 1)
        )

    def __call__(self, x: np.ndarray) -> flux.Tensor:
        make = self.make(x[:, 0].astype(int))
        return self.net(flux.concat([make, x[:, 1:].astype("f")], axis=1))[:, 0]


def loss(model: Valuer, x: np.ndarray, y: np.ndarray) -> flux.Tensor:
    return flux.huber_loss(model(x), y, delta=0.3)


def plot(path: Path, history: flux.History, truth: np.ndarray, found: np.ndarray) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    history.plot(ax=left).set(title="Loss", yscale="log")
    right.loglog(truth, found, ".", markersize=2)
    right.loglog([1, 100], [1, 100], color="0.6")
    right.set(title="Cars that were not seen", xlabel="price, thousands", ylabel="price, as the network says")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out" / "cars.png")
    args = parser.parse_args()

    flux.seed(args.seed)
    frame = cars(6000, args.seed)
    print(frame.head())
    parts = (frame[:4000], frame[4000:5000], frame[5000:])
    prepared = preparation().fit(parts[0])
    (x, y), validation, (x_test, y_test) = (
        (prepared.transform(part), np.log(part["price"].to_numpy()).astype("f")) for part in parts
    )
    model = Valuer(len(MAKES), x.shape[1] - 1)
    print(model)
    loader = flux.DataLoader((x, y), batchsize=64, shuffle=True)
    history = flux.fit(
        loss,
        model,
        loader,
        flux.AdamW(lambda_=0.01),
        epochs=args.epochs,
        validation=validation,
        schedule=flux.OneCycle(args.epochs * len(loader), 0.005),
    )
    found = model(x_test).numpy()
    plot(args.out, history, np.exp(y_test), np.exp(found))
    error, explained = abs(found - y_test).mean(), 1 - np.var(found - y_test) / np.var(y_test)
    print(f"the network explains {explained:.1%} of the prices; the mean error is {error:.1%}")
    print(f"chance alone makes {CHANCE * np.sqrt(2 / np.pi):.1%} of it; picture: {args.out}")


if __name__ == "__main__":
    main()
