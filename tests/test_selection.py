"""Any selection of files can be tested together, in any order."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    "selection",
    [
        ["python/oxiflux/losses.py", "tests/test_losses.py::test_losses_are_at_top_level_too"],
        [
            "python/oxiflux/layers/dense.py",
            "python/oxiflux/files/checkpoints.py",
            "tests/test_layers.py::test_a_model_can_be_copied_and_pickled",
        ],
        [
            "python/oxiflux/tree.py",
            "python/oxiflux/optimisers/rules.py",
            "tests/test_surface.py::test_what_a_module_exports_the_package_exports",
        ],
        ["python/oxiflux/onehot.py", "python/oxiflux/layers/base.py"],
    ],
    ids=lambda selection: selection[0].rpartition("/")[2],
)
def test_files_of_the_package_and_of_the_tests_go_together(selection):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *selection]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
