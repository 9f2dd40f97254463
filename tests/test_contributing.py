"""CONTRIBUTING.md names files, targets, tests and instruction sets that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()

QUOTED = re.findall(r"`([^`\n]+)`", TEXT)
WORDS = {word for code in QUOTED for word in code.split()}
PATHS = sorted(
    word for word in WORDS if re.fullmatch(r"[\w.]+(/[\w.]+)*(/|\.(py|pyi|rs|md))", word) and "/" in word
)
TARGETS = sorted(set(re.findall(r"`make ([a-z-]+)`", TEXT)))


def test_there_are_paths_and_targets():
    assert len(PATHS) > 15 and len(TARGETS) > 8


@pytest.mark.parametrize("path", PATHS)
def test_a_path_is_there(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_of_make_is_there(target):
    assert re.search(rf"^([a-z-]+ )*{target}( [a-z-]+)*:", MAKEFILE, re.MULTILINE)


@pytest.mark.parametrize("name", re.findall(r"cargo test --test (\w+)", TEXT))
def test_a_file_of_rust_tests_is_there(name):
    assert (ROOT / "tests" / f"{name}.rs").exists()


@pytest.mark.parametrize(
    "name", ["check_sizes", "check_activation", "made", "made_bias", "parameter", "named_any"]
)
def test_what_layers_do_alike_is_in_their_base(name):
    assert f"`{name}`" in TEXT
    assert re.search(rf"^def {name}\(", (ROOT / "python/oxiflux/layers/base.py").read_text(), re.MULTILINE)
