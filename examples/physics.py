"""Physics: a network learns how a hot rod cools from the heat equation alone; no solution is shown to it.

python examples/physics.py [--steps 2000] [--seed 0] [--out examples/out/physics.png]

The loss is how far `u(x, t)` is from `du/dt = k d²u/dx²`: it has second derivatives of the network in it, and is itself
differentiated by the parameters. What is right at the ends and at the beginning is built in, and the exact solution,
which is known here, is only used to see how good the result is.
"""

import argparse
import time
from pathlib import Path

import matplotlib as mpl
import numpy as np

import oxiflux as flux

mpl.use("Agg")
import matplotlib.pyplot as plt

CONDUCTIVITY = 0.05


def start(x: flux.Tensor) -> flux.Tensor:
    """The heat along the rod at first: two waves that are zero at the ends."""
    return flux.sin(np.pi * x) + 0.5 * flux.sin(3 * np.pi * x)


def exact(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    slow, fast = (np.exp(-CONDUCTIVITY * (n * np.pi) ** 2 * t) for n in (1, 3))
    return np.sin(np.pi * x) * slow + 0.5 * np.sin(3 * np.pi * x) * fast


class Rod(flux.Layer):
    """`u(x, t)`: the start, and a change that is zero at the ends and at the beginning."""

    def __init__(self, size: int = 32) -> None:
        self.net = flux.Chain(
            flux.Dense(2, size, flux.tanh), flux.Dense(size, size, flux.tanh), flux.Dense(size, 1)
        )

    def __call__(self, x: flux.Tensor, t: flux.Tensor) -> flux.Tensor:
        return start(x) + t * x * (1 - x) * self.net(flux.concat([2 * x - 1, 2 * t - 1], axis=1))


def residual(rod: Rod, x: flux.Tensor, t: flux.Tensor) -> flux.Tensor:
    """How far the heat equation is from holding at each point."""
    # Each point's u depends on that point alone: the gradient of the sum has the derivative at each.
    u_xx = flux.gradient(lambda x: flux.gradient(lambda x: rod(x, t).sum(), x)[0].sum(), x)[0]
    u_t = flux.gradient(lambda t: rod(x, t).sum(), t)[0]
    return u_t - CONDUCTIVITY * u_xx


def plot(path: Path, rod: Rod, losses: list[float]) -> float:
    """Draws the solution, its error and the losses, and gives the greatest error."""
    x, t = np.meshgrid(np.linspace(0, 1, 101, dtype="f"), np.linspace(0, 1, 101, dtype="f"))
    u = rod(flux.tensor(x.reshape(-1, 1)), flux.tensor(t.reshape(-1, 1))).numpy().reshape(x.shape)
    error = abs(u - exact(x, t))
    figure, axes = plt.subplots(1, 3, figsize=(13, 3.6), layout="constrained")
    for axis, image, title in zip(axes, (u, error), ("u, learnt", "its error"), strict=False):
        shown = axis.imshow(image, origin="lower", extent=(0, 1, 0, 1), aspect="auto")
        axis.set(title=title, xlabel="place x", ylabel="time t")
        figure.colorbar(shown, ax=axis)
    axes[2].semilogy(losses, linewidth=0.7)
    axes[2].set(title="Mean square of the residual", xlabel="step")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    return float(error.max())


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out" / "physics.png")
    args = parser.parse_args()

    flux.seed(args.seed)
    rod = Rod()
    print(rod)
    state, schedule = flux.setup(flux.Adam(), rod), flux.OneCycle(args.steps, 0.01)
    losses, begin = [], time.perf_counter()
    for step in range(args.steps):
        x, t = flux.rand(256, 1), flux.rand(256, 1)  # other points at each step
        loss, (grad,) = flux.withgradient(lambda rod, x=x, t=t: (residual(rod, x, t) ** 2).mean(), rod)
        flux.adjust(state, schedule(step))
        flux.update(state, rod, grad)
        losses.append(loss.item())
    seconds = time.perf_counter() - begin
    error = plot(args.out, rod, losses)
    print(
        f"{args.steps} steps in {seconds:.1f} s, {args.steps / seconds:.0f} a second; last residual {losses[-1]:.1e}"
    )
    print(f"greatest error {error:.4f} of a solution between 0 and 1.3; picture: {args.out}")


if __name__ == "__main__":
    main()
