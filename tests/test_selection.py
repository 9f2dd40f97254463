"""Any selection of files can be tested together, in any order; and which files are tested once."""

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parent.parent
ORACLES = {
    "assert_allclose",
    "allclose",
    "oracles",
    "options",
    "references",
    "rules",
    "scipy",
    "strategies",
    "zoo",
}

_spec = importlib.util.spec_from_file_location("root_conftest", ROOT / "conftest.py")
conftest = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(conftest)
ONCE = conftest.ONCE


def left_out(name, kernels):
    config = SimpleNamespace(rootpath=ROOT, getoption={"kernels": kernels}.__getitem__)
    return conftest.pytest_ignore_collect(ROOT / "tests" / name, config)


def pytest_on(*arguments):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


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
    run = pytest_on(*selection)
    assert run.returncode == 0, run.stdout + run.stderr


# Files that are tested on one instruction set only: the table is `ONCE` in conftest.py.


def test_two_instruction_sets_run_all_rows_of_a_long_test_between_them():
    names = (
        [f"a.py::long[{i}]" for i in range(101)] + ["a.py::short"] + [f"a.py::few[{i}]" for i in range(40)]
    )
    out = [conftest.half_of_the_rows(names, odd=odd) for odd in (False, True)]
    assert not out[0] & out[1]
    assert out[0] | out[1] == set(range(101))
    assert abs(len(out[0]) - len(out[1])) == 1


def test_only_files_of_the_table_are_left_out_of_the_runs_for_kernels():
    files = sorted(path.name for path in (ROOT / "tests").glob("test_*.py"))
    ignored = [name for name in files if left_out(name, kernels=True)]
    assert ignored == sorted(ONCE)
    assert not any(left_out(name, kernels=False) for name in files)


@pytest.mark.parametrize("name", ONCE)
def test_a_file_that_is_tested_once_has_a_reason_and_compares_no_numbers_with_an_oracle(name):
    assert len(ONCE[name].split()) >= 3
    tree = ast.parse((ROOT / "tests" / name).read_text())
    named = {
        node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and "allclose" in node.attr
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            named.add((node.module or "").split(".")[0])
        if isinstance(node, ast.Import):
            named |= {alias.name.split(".")[0] for alias in node.names}
    assert not named & ORACLES
