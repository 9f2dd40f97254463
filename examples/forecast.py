"""Forecasting: a recurrent network reads a week of hourly demand for power, and foretells the next day.

python examples/forecast.py [--epochs 8] [--seed 0] [--out examples/out/forecast.png]

The series is made up: days, weeks and a year, weather that wanders, and noise. It is compared with the habit of taking
the same hours of the week before, and with what could be known at best.
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np

import oxiflux as flux

mpl.use("Agg")
import matplotlib.pyplot as plt

DAY, WEEK = 24, 168
WEATHER, NOISE = 0.08, 0.05  # how much of each comes anew in an hour


def demand(hours: int, seed: int) -> np.ndarray:
    """The demand at each hour."""
    rng, t = np.random.default_rng(seed), np.arange(hours)
    day = -np.cos(2 * np.pi * (t - 4) / DAY) - 0.4 * np.cos(4 * np.pi * (t - 1) / DAY)
    weekend = (t // DAY) % 7 >= 5
    weather = np.zeros(hours)
    for i, shock in enumerate(rng.normal(0, WEATHER, hours)):
        weather[i] = 0.99 * weather[i - 1] + shock
    year = 0.5 * np.cos(2 * np.pi * t / (365 * DAY))
    return (
        day * np.where(weekend, 0.5, 1.0) - 0.6 * weekend + weather + year + rng.normal(0, NOISE, hours)
    ).astype("f")


def least_errors() -> np.ndarray:
    """The mean error, by hours ahead, of one who knows all but the weather to come and the noise."""
    variance = WEATHER**2 * np.cumsum(0.99 ** (2 * np.arange(DAY))) + NOISE**2
    return np.sqrt(2 / np.pi * variance)


def features(series: np.ndarray, start: int) -> np.ndarray:
    """For each hour: the demand, and the hour of the day and the day of the week on circles, which are known ahead."""
    t = np.arange(start, start + len(series))
    angles = 2 * np.pi * np.stack([t / DAY, t / WEEK], axis=1)
    return np.concatenate([series[:, None], np.sin(angles), np.cos(angles)], axis=1).astype("f")


class Forecaster(flux.Layer):
    """Reads a week with a GRU, and says for each hour of the next day how far it will be from the last hour."""

    def __init__(self, size: int = 48) -> None:
        self.read = flux.GRU(5, size)
        self.answer = flux.Chain(flux.Dense(size, size, flux.relu), flux.Dense(size, DAY))

    def __call__(self, windows: np.ndarray) -> flux.Tensor:
        return self.answer(self.read(windows)[:, -1]) + windows[:, -1:, 0]


def loss(model: Forecaster, windows: np.ndarray) -> flux.Tensor:
    """The mean error of the day after the week."""
    return flux.mae(model(windows[:, :WEEK]), windows[:, WEEK:, 0])


def plot(path: Path, model: Forecaster, test: np.ndarray, error: np.ndarray, habit: np.ndarray) -> None:
    figure, axes = plt.subplots(3, 1, figsize=(9, 8), layout="constrained")
    for axis, i in zip(axes, (0, len(test) // 2), strict=False):
        window = test[i]
        axis.plot(np.arange(-72, DAY), window[WEEK - 72 :, 0], color="0.6", label="demand")
        axis.plot(np.arange(DAY), window[:DAY, 0], ":", color="tab:orange", label="the week before")
        axis.plot(np.arange(DAY), model(window[None, :WEEK]).numpy()[0], color="tab:blue", label="forecast")
        axis.set(xlabel="hours", title="A day of the test")
    axes[0].legend()
    axes[2].plot(habit, color="tab:orange", label="the week before")
    axes[2].plot(error, color="tab:blue", label="forecast")
    axes[2].plot(least_errors(), "--", color="0.6", label="at best")
    axes[2].set(title="Mean error, by hours ahead", xlabel="hours ahead", ylim=(0, None))
    axes[2].legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out" / "forecast.png")
    args = parser.parse_args()

    flux.seed(args.seed)
    series = demand(2 * 365 * DAY, args.seed)
    cut = len(series) * 4 // 5
    # Windows of a week and a day: one from every third hour to learn, and one for each day of what comes later.
    train = flux.slidingwindow(features(series[:cut], 0), WEEK + DAY, stride=3)
    test = np.stack(list(flux.slidingwindow(features(series[cut:], cut), WEEK + DAY, stride=DAY)))
    loader = flux.DataLoader(train, batchsize=64, shuffle=True)
    model = Forecaster()
    print(model)
    history = flux.fit(
        loss,
        model,
        loader,
        flux.OptimiserChain(flux.ClipNorm(1.0, whole=True), flux.Adam()),
        epochs=args.epochs,
        validation=flux.DataLoader(test, batchsize=256),
        schedule=flux.OneCycle(args.epochs * len(loader), 0.005),
    )
    print(history)
    truth = test[:, WEEK:, 0]
    error = abs(model(test[:, :WEEK]).numpy() - truth).mean(axis=0)
    habit = abs(test[:, :DAY, 0] - truth).mean(axis=0)
    plot(args.out, model, test, error, habit)
    print(f"mean error of the next day {error.mean():.3f}, of the week before {habit.mean():.3f}")
    print(f"at best it would be {least_errors().mean():.3f}")
    print(f"forecasts: {args.out}")


if __name__ == "__main__":
    main()
