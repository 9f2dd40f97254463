"""Kills a rank of a training by SIGKILL, at random moments, again and again: jobs end, and checkpoints are whole.

python scripts/kills.py [--kills 50] [--ranks 2]
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import oxiflux as flux

TRAINING = """
import os, sys
import numpy as np, oxiflux as flux
w = flux.distributed.initialize(timeout=5)
flux.seed(0)
x = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)
print("pid", os.getpid(), flush=True)
flux.fit(lambda m, x: flux.square(m(x)).mean(), flux.Dense(8, 8), flux.DataLoader(x, 16, shuffle=True), flux.Adam(),
    epochs=10**6, checkpoint=sys.argv[1], resume=True, distributed=True)
"""


def killed(path: Path, ranks: int, pause: float) -> float:
    """The seconds from the kill of a random rank to the end of the job."""
    mpiexec = Path(sys.executable).parent / "mpiexec"
    command = [str(mpiexec), "-n", str(ranks), sys.executable, "-c", TRAINING, str(path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as job:
        assert job.stdout is not None
        pids: list[int] = []
        for line in job.stdout:
            pids += [int(word) for word in line.split() if word.isdigit()]
            if len(pids) == ranks:
                break
        time.sleep(pause)
        os.kill(random.choice(pids), signal.SIGKILL)
        start = time.monotonic()
        try:
            job.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(job.pid, signal.SIGKILL)
            raise SystemExit("a job did not end within 10 s of the kill of a rank") from None
        return time.monotonic() - start


def main() -> None:
    """Prints how long the longest job took to end, and how many checkpoints were read."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--ranks", type=int, default=2)
    options = parser.parse_args()
    seconds, found = [], 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.safetensors"
        for _ in range(options.kills):
            seconds.append(killed(path, options.ranks, random.uniform(0, 0.5)))
            found += path.exists()
            if path.exists():
                flux.load_checkpoint(path, model=flux.Dense(8, 8))
    print(
        f"{options.kills} kills: the longest job ended {max(seconds):.2f} s after its kill, "
        f"{found} checkpoints were whole"
    )


if __name__ == "__main__":
    main()
