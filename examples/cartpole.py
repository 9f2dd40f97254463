"""Reinforcement learning: a pole on a cart is kept upright by pushes to the left and right, learnt by trying.

python examples/cartpole.py [--updates 60] [--seed 0] [--out examples/out/cartpole.png]

32 carts, written in NumPy, are driven at once. An actor says how likely each push is, a critic how long the pole will
stay up; both learn by proximal policy optimisation (Schulman et al., 2017). A try ends after 500 steps, which is best.
"""

import argparse
import time
from pathlib import Path

import matplotlib as mpl
import numpy as np

import oxiflux as flux

mpl.use("Agg")
import matplotlib.pyplot as plt

LONGEST, GAMMA, LAMBDA, CLIP = 500, 0.99, 0.95, 0.2


class Carts:
    """The physics of Barto, Sutton and Anderson, 1983: place, speed, angle and its speed of many carts."""

    def __init__(self, count: int, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.states = self.rng.uniform(-0.05, 0.05, (count, 4))
        self.ages = np.zeros(count, int)

    def step(self, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pushes each cart; says which poles have fallen, and which tries are over. Those begin anew."""
        _, speed, angle, turn = self.states.T
        push, cos, sin = np.where(right, 10.0, -10.0), np.cos(angle), np.sin(angle)
        pull = (push + 0.05 * turn**2 * sin) / 1.1
        turning = (9.8 * sin - cos * pull) / (0.5 * (4 / 3 - 0.1 * cos**2 / 1.1))
        moving = pull - 0.05 * turning * cos / 1.1
        self.states = self.states + 0.02 * np.stack([speed, moving, turn, turning], axis=1)
        self.ages += 1
        fallen = (abs(self.states[:, 0]) > 2.4) | (abs(self.states[:, 2]) > np.radians(12))
        over = fallen | (self.ages >= LONGEST)
        self.states[over] = self.rng.uniform(-0.05, 0.05, (over.sum(), 4))
        self.ages[over] = 0
        return fallen, over


class Driver(flux.Layer):
    """Two networks that see the state of a cart: an actor and a critic."""

    def __init__(self, size: int = 64) -> None:
        self.actor, self.critic = (
            flux.Chain(
                flux.Dense(4, size, flux.tanh), flux.Dense(size, size, flux.tanh), flux.Dense(size, out)
            )
            for out in (2, 1)
        )


def drive(driver: Driver, carts: Carts, steps: int, lengths: list[int]) -> tuple[np.ndarray, ...]:
    """States, pushes, how likely they were, and what came of them: how much better than foreseen, and the return."""
    rows = []
    for _ in range(steps):
        states = carts.states.astype("f")
        logs = flux.logsoftmax(driver.actor(states)).numpy()
        pushes = (carts.rng.random(len(states)) < np.exp(logs[:, 1])).astype(int)
        ages = carts.ages + 1
        fallen, over = carts.step(pushes)
        lengths += ages[over].tolist()
        rows.append((states, pushes, np.take_along_axis(logs, pushes[:, None], 1)[:, 0], fallen, over))
    states, pushes, logs, fallen, over = (np.stack(part) for part in zip(*rows, strict=True))
    foreseen = driver.critic(np.concatenate([states, carts.states.astype("f")[None]])).numpy()[..., 0]
    gains, gain = np.zeros_like(logs), 0.0
    for t in reversed(range(steps)):
        # A step is worth 0.01, so that one try without an end is worth 1. Behind one that was cut off, what would have
        # come is taken to be what was foreseen before.
        ahead = np.where(fallen[t], 0, np.where(over[t], foreseen[t], foreseen[t + 1]))
        gain = (1 - GAMMA) + GAMMA * ahead - foreseen[t] + GAMMA * LAMBDA * ~over[t] * gain
        gains[t] = gain
    return tuple(x.reshape(-1, *x.shape[2:]) for x in (states, pushes, logs, gains, gains + foreseen[:-1]))


def loss(
    driver: Driver,
    states: np.ndarray,
    pushes: np.ndarray,
    logs: np.ndarray,
    gains: np.ndarray,
    returns: np.ndarray,
) -> flux.Tensor:
    now = flux.logsoftmax(driver.actor(states))
    ratio = flux.exp((now * flux.onehotbatch(pushes, range(2))).sum(axis=1) - logs)
    gains = (gains - gains.mean()) / (gains.std() + 1e-8)
    better = flux.minimum(ratio * gains, flux.clip(ratio, 1 - CLIP, 1 + CLIP) * gains).mean()
    surprise = -(flux.exp(now) * now).sum(axis=1).mean()
    return 10 * flux.mse(driver.critic(states)[:, 0], returns) - better - 0.01 * surprise


def plot(path: Path, lengths: list[int], seconds: float, carts: Carts, driver: Driver) -> None:
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    left.plot(lengths, ".", markersize=2, color="0.7")
    if len(lengths) > 50:
        left.plot(np.arange(49, len(lengths)), np.convolve(lengths, np.ones(50) / 50, "valid"))
    left.set(title=f"How long each try lasted ({seconds:.0f} s)", xlabel="try", ylabel="steps")
    angles, turns = np.meshgrid(np.linspace(-0.2, 0.2, 60), np.linspace(-2, 2, 60))
    states = np.stack([0 * angles, 0 * angles, angles, turns], axis=-1).astype("f")
    shown = right.contourf(
        angles, turns, flux.softmax(driver.actor(states)).numpy()[..., 1], 20, cmap="coolwarm"
    )
    figure.colorbar(shown, ax=right)
    right.set(title="How likely a push to the right is", xlabel="angle of the pole", ylabel="its speed")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--updates", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "out" / "cartpole.png")
    args = parser.parse_args()

    flux.seed(args.seed)
    carts, driver = Carts(32, args.seed), Driver()
    lengths: list[int] = []
    print(driver)
    state = flux.setup(flux.OptimiserChain(flux.ClipNorm(0.5, whole=True), flux.Adam()), driver)
    begin, driving = time.perf_counter(), 0.0
    for update in range(args.updates):
        flux.adjust(state, 0.003 * (1 - update / args.updates))
        start = time.perf_counter()
        tries = drive(driver, carts, 64, lengths)
        driving += time.perf_counter() - start
        for batch in (b for _ in range(6) for b in flux.DataLoader(tries, batchsize=512, shuffle=True)):
            flux.trainstep(loss, driver, batch, state)
    seconds, steps = time.perf_counter() - begin, args.updates * 64 * 32
    plot(args.out, lengths, seconds, carts, driver)
    last = np.mean(lengths[-50:])
    print(
        f"{steps} steps in {seconds:.1f} s: {steps / seconds:.0f} a second, {steps / driving:.0f} while driving"
    )
    print(f"the last 50 tries lasted {last:.0f} steps of {LONGEST}; picture: {args.out}")


if __name__ == "__main__":
    main()
