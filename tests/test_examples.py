"""The example scripts run, and say how well they did."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


def run(name, *options):
    command = [sys.executable, str(EXAMPLES / name), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_first_steps():
    weights = re.findall(r"(?:im|ex)plicit: weight ([\d.]+)", run("walkthrough.py"))
    assert [float(w) for w in weights] == pytest.approx([4.0, 4.0], abs=0.05)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("digits_mlp.py", r"test accuracy (\d+)"),
        ("diabetes.py", r"explains (\d+)%"),
        ("wine.py", r"test accuracy (\d+)"),
        ("digits_cnn.py", r"test accuracy (\d+)"),
        ("xor.py", r"accuracy (\d+)"),
    ],
)
def test_a_training_script_learns_and_draws(tmp_path, name, words):
    picture = tmp_path / "picture.png"
    out = run(name, "--epochs", 10, "--out", picture)
    assert int(re.search(words, out).group(1)) > 25
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_wine_goes_on_where_it_ended(tmp_path):
    options = ["--out", tmp_path / "wine.png"]
    assert "after 3 epochs" in run("wine.py", "--epochs", 3, *options)
    out = run("wine.py", "--epochs", 5, "--resume", *options)
    assert "after 5 epochs" in out


def test_the_autoencoder_rebuilds_what_it_has_not_seen(tmp_path):
    picture = tmp_path / "picture.png"
    out = run("autoencoder.py", "--epochs", 30, "--out", picture)
    assert int(re.search(r"(\d+)\.\d% of the test images' variance", out).group(1)) > 35
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_a_custom_layer_and_a_closure_learn_the_curve(tmp_path):
    picture = tmp_path / "new" / "picture.png"
    out = run("custom_layer.py", "--epochs", 1000, "--out", picture)
    assert max(map(float, re.search(r"custom layer ([\d.]+), closure ([\d.]+)", out).groups())) < 0.1
    assert picture.read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_says_what_it_shows_and_how_to_run_it(path):
    assert f"\npython examples/{path.name}" in path.read_text().split('"""')[1]
