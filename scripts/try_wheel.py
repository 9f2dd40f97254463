"""Installs the newest wheel of a folder into a clean environment with only NumPy, and trains the walk-through there."""

import os
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
MOST = 6e6  # bytes: what a wheel may have
PACKAGES = """
from importlib.metadata import distributions
print(*sorted(d.name for d in distributions() if d.name not in ("pip", "setuptools")))
"""


def run(python: Path, code: str) -> str:
    """What a fresh interpreter prints that runs the code and sees no sources of ours."""
    return subprocess.run(
        [python, "-I", "-c", code], check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()


def milliseconds(python: Path, *statements: str, runs: int = 11) -> list[float]:
    """The median time of a fresh interpreter for each statement, taken in turns so that drift hits all alike."""
    times: list[list[float]] = [[] for _ in statements]
    for _ in range(runs):
        for statement, taken in zip(statements, times, strict=True):
            start = time.perf_counter()
            run(python, statement)
            taken.append(1e3 * (time.perf_counter() - start))
    return [statistics.median(taken) for taken in times]


def main() -> None:
    """Tries the wheel, and prints its size, which has a limit, and its import time beside NumPy's."""
    wheel = max(Path(sys.argv[1]).glob("oxiflux-*.whl"), key=lambda path: path.stat().st_mtime)
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / ("Scripts" if os.name == "nt" else "bin") / "python"
        pip: list[str | Path] = [python, "-m", "pip", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--quiet", wheel], check=True)
        packages = run(python, PACKAGES)
        if packages != "numpy oxiflux":
            sys.exit(f"the wheel should bring NumPy and nothing else, but installed {packages}")
        print(run(python, WALKTHROUGH))
        bare, numpy, both = milliseconds(python, "pass", "import numpy", "import numpy, oxiflux")
    print(f"import: numpy takes {numpy - bare:.0f} ms, oxiflux adds {both - numpy:.0f} ms")
    size = wheel.stat().st_size
    print(f"{wheel.name}: {size / 1e6:.2f} MB")
    if size > MOST:
        sys.exit(f"the wheel has {size} bytes; it is to have {MOST:.0f} at most")


if __name__ == "__main__":
    main()
