"""Installs the newest wheel of a folder into a clean environment with only NumPy, and trains the walk-through there."""

import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

WALKTHROUGH = """
import numpy as np, oxiflux as flux
x = np.arange(6).reshape(-1, 1); y = 4 * x + 2
model = flux.Dense(1, 1)
state = flux.setup(flux.Descent(), model)
for epoch in range(200):
    flux.train(lambda m, x, y: flux.mse(m(x), y), model, [(x, y)], state)
print("walk-through: weight", model.weight.item(), "bias", model.bias.item())
assert abs(model.weight.item() - 4) < 0.1 and abs(model.bias.item() - 2) < 0.1
"""


def seconds(python: Path, statement: str, runs: int = 9) -> float:
    """The median time of a fresh interpreter that runs the statement."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run([python, "-c", statement], check=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Tries the wheel and prints its size and its import time beside NumPy's."""
    wheel = max(Path(sys.argv[1]).glob("oxiflux-*.whl"), key=lambda p: p.stat().st_mtime)
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel], check=True)
        subprocess.run([python, "-c", WALKTHROUGH], check=True, cwd=folder)
        bare, numpy = seconds(python, "pass"), seconds(python, "import numpy")
        ours = seconds(python, "import numpy, oxiflux")
    print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.2f} MB")
    print(f"import: numpy {1e3 * (numpy - bare):.0f} ms, oxiflux adds {1e3 * (ours - numpy):.0f} ms")


if __name__ == "__main__":
    main()
