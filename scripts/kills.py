"""Kills a rank of a training by SIGKILL, at random moments, again and again: jobs end, and checkpoints are whole.

python scripts/kills.py [--kills 50] [--ranks 2] [--jobs 2]

So many jobs run side by side, each with a checkpoint of its own, from which its next one goes on.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import oxiflux as flux

TRAINING = """
import os, sys
import numpy as np, oxiflux as flux
w = flux.distributed.initialize(timeout=5)
flux.seed(0)
x = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)
# By a file: now and then mpiexec keeps a line that a rank has written for good.
beside = f"{sys.argv[1]}.pid{w.rank}"
with open(f"{beside}.part", "w") as file:
    file.write(str(os.getpid()))
os.replace(f"{beside}.part", beside)
flux.fit(lambda m, x: flux.square(m(x)).mean(), flux.Dense(8, 8), flux.DataLoader(x, 16, shuffle=True), flux.Adam(),
    epochs=10**6, checkpoint=sys.argv[1], resume=True, distributed=True)
"""


def killed(path: Path, ranks: int, pause: float) -> float:
    """The seconds from the kill of a random rank to the end of the job."""
    mpiexec = Path(sys.executable).parent / "mpiexec"
    command = [str(mpiexec), "-n", str(ranks), sys.executable, "-c", TRAINING, str(path)]
    files = [Path(f"{path}.pid{rank}") for rank in range(ranks)]
    for file in files:
        file.unlink(missing_ok=True)
    none = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=none, stderr=none, start_new_session=True) as job:
        begin = time.monotonic()
        while not all(file.exists() for file in files):
            if job.poll() is not None or time.monotonic() - begin > 60:
                if job.returncode is None:
                    os.killpg(job.pid, signal.SIGKILL)
                raise SystemExit(f"the ranks of a job did not begin: its status is {job.returncode}")
            time.sleep(0.01)
        pids = [int(file.read_text()) for file in files]
        time.sleep(pause)
        memory = {name for pid in pids for name in mapped(pid)}
        os.kill(random.choice(pids), signal.SIGKILL)
        start = time.monotonic()
        try:
            status = job.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(job.pid, signal.SIGKILL)
            raise SystemExit("a job did not end within 10 s of the kill of a rank") from None
        seconds = time.monotonic() - start
        while any(Path(f"/proc/{pid}").exists() for pid in pids):
            if time.monotonic() - start > 10:
                raise SystemExit(f"a rank of {pids} was there 10 s after the kill of one")
            time.sleep(0.01)
        if status == 0:
            raise SystemExit("a job of which a rank was killed said that all went well")
        for name in memory:
            Path(name).unlink(missing_ok=True)  # MPI leaves it
        return seconds


def mapped(pid: int) -> list[str]:
    """The files in memory that a process shares with others."""
    words = Path(f"/proc/{pid}/maps").read_text().split()
    return [word for word in words if word.startswith("/dev/shm/")]


def several(folder: Path, kills: int, ranks: int) -> tuple[list[float], int]:
    """The seconds of some kills, one after the other, and after how many of them there was a checkpoint."""
    path = folder / "run.safetensors"
    seconds, found = [], 0
    for _ in range(kills):
        seconds.append(killed(path, ranks, random.uniform(0, 0.2)))
        if path.exists():
            found += 1
            flux.load_checkpoint(path, model=flux.Dense(8, 8))
    return seconds, found


def main() -> None:
    """Prints how long the longest job took to end, and how many checkpoints were read."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.jobs) as threads:
        folders = [Path(tempfile.mkdtemp(dir=folder)) for _ in range(options.jobs)]
        kills = [
            options.kills // options.jobs + (i < options.kills % options.jobs) for i in range(options.jobs)
        ]
        found = list(threads.map(several, folders, kills, [options.ranks] * options.jobs))
    seconds = [each for those, _ in found for each in those]
    print(
        f"{len(seconds)} kills in {time.monotonic() - start:.0f} s: the longest job ended {max(seconds):.2f} s after "
        f"its kill, {sum(count for _, count in found)} checkpoints were whole"
    )


if __name__ == "__main__":
    main()
