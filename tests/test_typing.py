"""What type checkers see: each line of `GOOD` has the type behind it, each of `REFUSED` is an error."""

import re
import subprocess
import sys
from pathlib import Path

HEAD = """
from typing import reveal_type
import numpy as np
import oxiflux as flux
x, layer = flux.ones(3), flux.Dense(3, 2)
def f(x: flux.Tensor) -> flux.Tensor: return x.sum()
"""
ARRAY = "numpy.ndarray[tuple[int], numpy.dtype[numpy.float64]]"
TENSOR, DENSE = "oxiflux._core.Tensor", "oxiflux.layers.dense.Dense"
GOOD = {
    "np.zeros(3) @ x": TENSOR,
    "np.zeros(3) + x": TENSOR,
    "layer([[1, 2, 3]])": TENSOR,
    "flux.gradient(f, x)": f"tuple[{TENSOR}]",
    "flux.gradient(lambda x: x * x, 2.0)": "tuple[float]",
    "flux.gradient(lambda m: m(x).sum(), layer)": f"tuple[{DENSE}]",
    "flux.gradient(lambda m, z: m(z).sum(), layer, x)": f"tuple[{DENSE}, {TENSOR}]",
    "flux.withgradient(f, x)": f"tuple[{TENSOR}, tuple[{TENSOR}]]",
    "flux.pullback(f, x)[1](1.0)": f"tuple[{TENSOR}]",
    "flux.hessian(f, [1.0, 2.0])": TENSOR,
    "next(iter(flux.DataLoader((x, np.zeros(3)), 2, shuffle=True)))": f"tuple[{TENSOR}, {ARRAY}]",
    "next(iter(flux.DataLoader(x)))": TENSOR,
    "next(iter(flux.DataLoader([1, 2, 3], 2)))": "Any",
    "next(iter(flux.DataLoader(x, None)))": "Any",
    "flux.update(flux.setup(flux.Adam(), layer), layer, flux.gradient(f, x)[0])": "None",
    "flux.update(flux.setup(lambda path, x: flux.Adam(), layer), layer, None)": "None",
    "flux.train(f, flux.params(layer), [], flux.Adam())": "None",
    "flux.freeze(flux.setup(flux.Scheduler(flux.Exp(1.0, 0.5), flux.Adam()), layer).weight)": "None",
}
REFUSED = [
    'flux.relu("a")',
    "flux.softmax(1j)",
    'layer("a")',
    "flux.gradient(3.0, x)",
    "flux.gradient(lambda a, b: a, x)",
    "flux.update(1, 2, 3)",
    "flux.update(layer, layer, flux.gradient(f, x)[0])",
    "flux.setup(1, layer)",
    "flux.train(1, layer, [], {})",
    "flux.trainstep(f, layer, (), 3)",
    "flux.freeze(layer)",
    "flux.adjust(3, 0.1)",
]


def test_types_are_what_they_are_and_wrong_calls_are_refused(tmp_path):
    lines = [*HEAD.splitlines(), *(f"reveal_type({code})" for code in GOOD), *REFUSED]
    (tmp_path / "code.py").write_text("\n".join(lines) + "\n")
    config = Path(__file__).parents[1] / "pyproject.toml"
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        config,
        "--cache-dir",
        tmp_path,
        tmp_path / "code.py",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=config.parent)
    found = re.findall(r"code\.py:(\d+): (?:note: Revealed type is \"(.*)\"|(error))", done.stdout)
    types = {lines[int(row) - 1]: type_ for row, type_, _ in found if type_}
    assert types == {f"reveal_type({code})": type_ for code, type_ in GOOD.items()}, done.stdout
    assert {lines[int(row) - 1] for row, _, error in found if error} == set(REFUSED), done.stdout
