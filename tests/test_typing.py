"""What type checkers see: each line of `TYPES` has the type beside it, `ACCEPTED` is right, each of `REFUSED` an error.
mypy is always asked, basedpyright where it is installed, which `make types` does.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHECKERS = ["mypy", *(["basedpyright"] if importlib.util.find_spec("basedpyright") else [])]
with_basedpyright = pytest.mark.parametrize("checker", CHECKERS[1:])

HEAD = """
from dataclasses import dataclass
from typing import Any, assert_type
import numpy as np
import pandas
import oxiflux as flux
x, layer, a = flux.ones(3), flux.Dense(3, 2), np.zeros(3)
def f(x: flux.Tensor) -> flux.Tensor: return x.sum()
def later(m: flux.Conv, k: int = 3) -> flux.Tensor: return m(k)
class Own(flux.Layer):
    def __call__(self, x: flux.Tensor) -> flux.Tensor: return x
@dataclass
class Net:
    dense: flux.Dense
    scale: flux.Tensor
net, parts = Net(layer, x), [layer, layer]
def of_any(m: flux.Layer) -> flux.Tensor: return m(x)
def batches() -> flux.DataLoader: return flux.DataLoader([1, 2, 3], 2)
def network() -> flux.LSTM: return flux.LSTM(2, 3)
"""
TENSOR, DENSE = "flux.Tensor", "flux.Dense"
ARRAY = "np.ndarray[tuple[int], np.dtype[np.float64]]"
LAYERS = {
    "flux.AdaptiveMeanPool((2,))": TENSOR,
    "flux.BatchNorm(3)": TENSOR,
    "flux.Bilinear((2, 3), 4)": TENSOR,
    "flux.Chain(layer, flux.relu)": TENSOR,
    "flux.Chain([layer, flux.relu])": TENSOR,
    "flux.Chain(first=layer)": TENSOR,
    "flux.Conv((3, 3), 1, 2)": TENSOR,
    "flux.Dropout(0.5)": TENSOR,
    "flux.Embedding(3, 2)": TENSOR,
    "flux.GRU(2, 3)": TENSOR,
    "flux.LSTM(2, 3)": TENSOR,
    "flux.LSTM(2, 3, return_state=True)": "Any",
    "flux.LSTM(flux.LSTMCell(2, 3))": TENSOR,
    "flux.LayerNorm(3)": TENSOR,
    "flux.Maxout(layer, layer)": TENSOR,
    "flux.MultiHeadAttention(8)": TENSOR,
    "flux.Parallel(flux.add, layer, layer)": TENSOR,
    "flux.RNN(2, 3, flux.relu)": TENSOR,
    "flux.Recurrence(flux.GRUCell(2, 3))": TENSOR,
    "flux.Scale(3)": TENSOR,
    "flux.SkipConnection(layer, flux.add)": TENSOR,
    "flux.WeightNorm(layer)": TENSOR,
    "network()": TENSOR,
    "Own()": TENSOR,
    "layer": TENSOR,
}
TYPES = {
    "a @ x": TENSOR,
    "a + x": TENSOR,
    "x @ a": TENSOR,
    "layer([[1, 2, 3]])": TENSOR,
    "layer(pandas.Series([1.0, 2.0, 3.0]))": TENSOR,
    "flux.gradient(f, x)": f"tuple[{TENSOR}]",
    "flux.gradient(lambda x: x * x, 2.0)": "tuple[float]",
    "flux.gradient(lambda m: m(x).sum(), layer)": f"tuple[{DENSE}]",
    "flux.gradient(lambda m, z: m(z).sum(), layer, x)": f"tuple[{DENSE}, {TENSOR}]",
    "flux.gradient(lambda n: (n.dense(x) @ n.scale).sum(), net)": "tuple[Net]",
    "flux.gradient(lambda ms: ms[0](x).sum(), parts)": f"tuple[list[{DENSE}]]",
    "flux.gradient(lambda d: d['w'].sum(), {'w': x})": f"tuple[dict[str, {TENSOR}]]",
    "flux.withgradient(f, x)": f"tuple[{TENSOR}, tuple[{TENSOR}]]",
    "flux.pullback(f, x)[1](1.0)": f"tuple[{TENSOR}]",
    "flux.hessian(f, [1.0, 2.0])": TENSOR,
    "flux.hessian(lambda z, k=3: (z**k).sum(), x)": TENSOR,
    "next(iter(flux.DataLoader((x, np.zeros(3)), 2, shuffle=True)))": f"tuple[{TENSOR}, {ARRAY}]",
    "next(iter(flux.DataLoader(x)))": TENSOR,
    "next(iter(flux.DataLoader({'x': x})))": f"dict[str, {TENSOR}]",
    "next(iter(flux.DataLoader([1, 2, 3], 2)))": "Any",
    "next(iter(flux.DataLoader(x, None)))": "Any",
    "next(iter(batches()))": "Any",
    "flux.glorot_uniform(3, 2)": TENSOR,
    "flux.glorot_uniform((3, 2), gain=2)": TENSOR,
    "flux.truncated_normal(std=0.02)(3, 2)": TENSOR,
    "flux.distributed.initialize().size": "int",
    **{f"{made}(x)": type_ for made, type_ in LAYERS.items()},
}
ACCEPTED = [
    "flux.update(flux.setup(flux.Adam(), layer), layer, flux.gradient(f, x)[0])",
    "flux.update(flux.setup(lambda path, x: flux.Adam(), layer), layer, None)",
    "flux.train(f, flux.params(layer), [], flux.Adam())",
    "flux.freeze(flux.setup(flux.Scheduler(flux.Exp(1.0, 0.5), flux.Adam()), layer).weight)",
    "flux.gradient(lambda m, x=x: m(x).sum(), layer)",
    "flux.gradient(lambda z, k=3: (z * k).sum(), a)",
    "flux.gradient(lambda m, z, k=3: (m(z) * k).sum(), layer, x)",
    "loss, (grad,) = flux.withgradient(lambda m, x=x, y=a: flux.mse(m(x), y), layer)",
    "flux.update(flux.setup(flux.Adam(), layer), layer, grad)",
    "flux.withgradient(lambda m, x=x, y=a: (flux.mse(m(x), y), m(x)), net.dense)",
    "flux.pullback(lambda m, x=x: m(x), layer)",
    "flux.jacobian(lambda z, k=3: z * k, a)",
    "flux.withjacobian(lambda z, k=3: z * k, x)",
    "flux.Dense(3, 2, init=flux.glorot_normal(gain=2))",
    "flux.Dense(3, 2, flux.relu, init=flux.orthogonal)",
    "mean, spread = flux.Parallel(lambda *ys: ys, layer, layer)(x)",
    "rest, (h, c) = flux.LSTM(2, 3, return_state=True)(x)",
    "flux.softmax([[1, 2], [3, 4]])",
    "flux.fit(f, layer, [], flux.Adam(), metrics=['accuracy'])",
]
REFUSED = [
    "flux.no_such_name",
    'flux.relu("a")',
    'flux.relu(b"a")',
    "flux.softmax(1j)",
    'flux.add(x, "a")',
    'x + "a"',
    'layer("a")',
    'layer(b"a")',
    "layer(1j)",
    "layer.weigth",
    "flux.Dense(3, 2, activate=flux.relu)",
    "flux.Conv((3, 3), 1, 2, padding=1)",
    "flux.LSTM(2, 3, hidden=3)",
    "flux.Dropout(p=0.5, dim=1)",
    "flux.Adam(lr=0.1)",
    "flux.glorot_uniform(3, 2, gian=2)",
    "flux.gradient(3.0, x)",
    "flux.gradient(lambda a, b: a, x)",
    "flux.gradient(lambda m: m.weigth.sum(), layer)",
    "flux.gradient(later, layer)",
    "flux.withgradient(lambda a, b: a, layer)",
    "flux.update(1, 2, 3)",
    "flux.update(layer, layer, flux.gradient(f, x)[0])",
    "flux.setup(1, layer)",
    "flux.train(1, layer, [], {})",
    "flux.trainstep(f, layer, (), 3)",
    "flux.freeze(layer)",
    "flux.adjust(3, 0.1)",
]


def run(checker, *arguments):
    """What a checker says of this package's sources, beside the libraries of this Python."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {
        "PATH": path,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "python"), *sys.path]),
    }
    command = [sys.executable, "-m", checker, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    return done.stdout or done.stderr


def wrong_lines(checker, path):
    """The lines of a file that a checker refuses, and what it says."""
    if checker == "mypy":
        said = run(checker, "--config-file", ROOT / "pyproject.toml", "--cache-dir", path.parent, path)
        return set(map(int, re.findall(r"code\.py:(\d+): error", said))), said
    said = run(checker, "--outputjson", "--pythonpath", sys.executable, path)
    errors = [d for d in json.loads(said)["generalDiagnostics"] if d["severity"] == "error"]
    return {d["range"]["start"]["line"] + 1 for d in errors}, said


@pytest.mark.parametrize("checker", CHECKERS)
def test_types_are_what_they_are_and_wrong_calls_are_refused(checker, tmp_path):
    asserted = [f"assert_type({code}, {type_})" for code, type_ in TYPES.items()]
    lines = [*HEAD.splitlines(), *asserted, *ACCEPTED, *REFUSED]
    (tmp_path / "code.py").write_text("\n".join(lines) + "\n")
    wrong, said = wrong_lines(checker, tmp_path / "code.py")
    assert {lines[row - 1] for row in wrong} == set(REFUSED), said


@with_basedpyright
def test_the_strict_mode_of_editors_finds_nothing_in_the_examples(checker):
    said = json.loads(run(checker, "--outputjson", "--pythonpath", sys.executable))
    assert said["summary"]["filesAnalyzed"] >= len(list((ROOT / "examples").glob("*.py")))
    assert [d for d in said["generalDiagnostics"] if d["severity"] == "error"] == []


@with_basedpyright
def test_what_is_public_has_a_type(checker):
    said = json.loads(run(checker, "--outputjson", "--verifytypes", "oxiflux", "--ignoreexternal"))
    assert said["typeCompleteness"]["completenessScore"] >= 0.99
