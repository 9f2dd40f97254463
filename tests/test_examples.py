"""Every example runs, says what it found and draws what it says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

for needed in ("matplotlib", "sklearn", "tqdm"):
    pytest.importorskip(needed)

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
# What each prints in the end, after few epochs.
RESULTS = {
    "autoencoder": "of the test images' variance rebuilt",
    "custom_layer": "mean squared error: custom layer",
    "digits_mlp": "test accuracy",
}


def run(name, *arguments):
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error::DeprecationWarning:__main__",
            EXAMPLES / f"{name}.py",
            *map(str, arguments),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "MPLBACKEND": "Agg"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", RESULTS)
def test_an_example_runs_and_draws(name, tmp_path):
    picture = tmp_path / "new" / "picture.png"
    lines = run(name, "--epochs", 2, "--seed", 1, "--out", picture).splitlines()
    assert any(RESULTS[name] in line and "after 2 epochs" in line for line in lines)
    assert str(picture) in lines[-1] or str(picture) in lines[-2]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_walkthrough_finds_the_line():
    assert "predicts" in run("walkthrough")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_says_what_it_shows_and_how_to_run_it(path):
    assert f"\npython examples/{path.name}" in path.read_text().split('"""')[1]
