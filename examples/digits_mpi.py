"""Handwritten digits on several processes: each takes its part of every batch, and the result is that of one process.

python examples/digits_mpi.py [--epochs 20] [--batchsize 128] [--checkpoint FILE]
mpiexec -n 4 python examples/digits_mpi.py
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import oxiflux as flux


def main() -> None:
    parser = argparse.ArgumentParser(description="Handwritten digits on several processes.")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--batchsize", type=int, default=128, help="of all processes together")
    parser.add_argument("--checkpoint", help="a file to go on from, and to write after each epoch")
    options = parser.parse_args()

    world = flux.distributed.initialize()
    images, labels = load_digits(return_X_y=True)
    x, x_test, y, y_test = train_test_split(
        (images / 16).astype(np.float32), labels, test_size=0.2, stratify=labels, random_state=0
    )
    flux.seed(0)
    model = flux.Chain(flux.Dense(64, 128, flux.relu), flux.Dense(128, 10))
    history = flux.fit(
        lambda m, x, y: flux.logitcrossentropy(m(x), flux.onehotbatch(y, range(10))),
        model,
        flux.DataLoader((x, y), options.batchsize, shuffle=True),
        flux.Adam(0.003),
        epochs=options.epochs,
        validation=flux.DataLoader((x_test, y_test), 256),
        metrics=["accuracy"],
        checkpoint=options.checkpoint,
        resume=options.checkpoint is not None,
        distributed=True,
    )
    if world.rank == 0:
        print(
            f"{world.size} processes, {len(history)} epochs: test accuracy {100 * history[-1]['val_accuracy']:.1f} %"
        )


if __name__ == "__main__":
    main()
