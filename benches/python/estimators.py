"""FluxClassifier and FluxRegressor beside scikit-learn's MLPClassifier and MLPRegressor: time to fit, and scores.

Both have the same architecture, Adam with the same numbers, the same epochs and batches, and one thread. They fit in
turns, one seed after the other, so that a noisy machine disturbs both alike; the ratio is that of the seeds' medians.
scikit-learn's networks compute in the dtype of the data, float64 as a rule, ours in float32. Their weights decay by
alpha = 0.0001 / batch, which is turned off.

    python benches/python/estimators.py [--seeds 10] [--data digits …]
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from typing import Any, NamedTuple

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

import oxiflux as flux
from oxiflux.sklearn import FluxClassifier, FluxRegressor


class Task(NamedTuple):
    """What is fitted, with which hidden sizes, batches and epochs."""

    load: Any
    is_classifier: bool
    hidden: tuple[int, ...]
    batchsize: int
    epochs: int


def synthetic() -> tuple[np.ndarray, np.ndarray]:
    """50,000 rows of 50 numbers, and one that is a smooth function of them with some noise."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((50_000, 50))
    signal = np.tanh(x[:, :10] @ rng.standard_normal((10, 5))).sum(axis=1) + 0.5 * x[:, 10] * x[:, 11]
    return x, signal + 0.1 * rng.standard_normal(len(x))


digits = lambda: load_digits(return_X_y=True)
cancer = lambda: load_breast_cancer(return_X_y=True)
TASKS = {
    "digits": Task(digits, True, (100,), 200, 60),
    "digits, batches of 32": Task(digits, True, (64, 64), 32, 20),
    "breast cancer": Task(cancer, True, (100,), 200, 100),
    "breast cancer, batches of 32": Task(cancer, True, (64, 64), 32, 40),
    "50,000 x 50": Task(synthetic, False, (100,), 200, 5),
    "50,000 x 50, batches of 32": Task(synthetic, False, (64, 64), 32, 2),
}


def estimators(task: Task, seed: int) -> list[Any]:
    """Ours and scikit-learn's."""
    ours = FluxClassifier if task.is_classifier else FluxRegressor
    theirs = MLPClassifier if task.is_classifier else MLPRegressor
    return [
        ours(task.hidden, rule=flux.Adam(1e-3), epochs=task.epochs, batchsize=task.batchsize, random_state=seed),
        theirs(
            hidden_layer_sizes=task.hidden, alpha=0.0, learning_rate_init=1e-3, max_iter=task.epochs, batch_size=task.batchsize,
            n_iter_no_change=task.epochs, random_state=seed,
        ),
    ]  # fmt: skip


def compare(name: str, task: Task, seeds: int, dtype: str) -> None:
    """Prints a row: seconds of both, their ratio, and mean and deviation of both scores."""
    x, y = task.load()
    seconds: list[list[float]] = [[], []]
    scores: list[list[float]] = [[], []]
    for seed in range(seeds):
        x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=seed)
        scaler = StandardScaler().fit(x_train)
        x_train, x_test = (scaler.transform(part).astype(dtype) for part in (x_train, x_test))
        for i, estimator in enumerate(estimators(task, seed)):
            start = time.perf_counter()
            estimator.fit(x_train, y_train)
            seconds[i].append(time.perf_counter() - start)
            scores[i].append(estimator.score(x_test, y_test))
    ours, theirs = map(statistics.median, seconds)
    shown = "  ".join(f"{np.mean(s):.4f} ± {np.std(s):.4f}" for s in scores)
    print(f"{name:30} {ours:7.3f} s {theirs:7.3f} s  {theirs / ours:5.2f} times  {shown}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64", help="that of the data")
    parser.add_argument("--data", nargs="*", choices=TASKS, default=list(TASKS))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    print(f"{'':30} {'oxiflux':>9} {'sklearn':>9}  {'faster':>11}  {'score':15}  {'score of sklearn'}")
    with threadpool_limits(1):
        assert flux.get_num_threads() == 1
        for name in arguments.data:
            compare(name, TASKS[name], arguments.seeds, arguments.dtype)


if __name__ == "__main__":
    main()
