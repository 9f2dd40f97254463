"""What pytest reads first: all of the package is imported before the files are collected, and `--kernels` is an option.

With `--import-mode=importlib` pytest runs a file that no one has imported as a module of its own: a file of the package
named first on the command line would exist twice, with two classes of each name.
"""

import signal
from pathlib import Path

import pytest

import oxiflux as flux
from oxiflux import _core

for name in dir(flux):
    getattr(flux, name)  # what the package imports at its first use

# A shell lets what it starts in the background ignore Ctrl-C, which the programs that tests start would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Files whose outcome is the same on every instruction set, and why. A new file runs on each until it stands here;
# tests/test_selection.py refuses those that compare numbers with an oracle.
ONCE = {
    "test_autosize.py": "which sizes the layers of a model get",
    "test_checkpoints.py": "what a file holds, and when it is written",
    "test_coming_from.py": "what is typed here for what is typed elsewhere",
    "test_contributing.py": "what a document promises",
    "test_data.py": "which items a batch has, and in which order",
    "test_data_views.py": "which items a view of data has",
    "test_distributed.py": "what several processes agree on",
    "test_dlpack.py": "who owns memory, and for how long",
    "test_examples.py": "scripts: what they call is tested by itself",
    "test_files.py": "what is written is read",
    "test_files_hostile.py": "what a reader refuses",
    "test_fit.py": "when a training loop calls, writes and stops",
    "test_flux_names.py": "which names there are",
    "test_folds.py": "which items a fold has",
    "test_forks.py": "locks and threads after a fork",
    "test_fuzzer.py": "the fuzzer itself, with faults that are planted",
    "test_generators.py": "who has which generator of random numbers",
    "test_locks.py": "which locks are held while Python runs",
    "test_onnx_backend.py": "the operators of ONNX, which test_onnx_import.py computes by each kernel",
    "test_onnx_hostile.py": "what a reader of models refuses",
    "test_promotion.py": "which element types results have",
    "test_security.py": "what a document promises",
    "test_selection.py": "how pytest collects files",
    "test_show.py": "how models are printed",
    "test_signals.py": "Ctrl-C in the middle of work",
    "test_sklearn_checks.py": "how an estimator behaves",
    "test_slips.py": "what errors say of other libraries' names",
    "test_surface.py": "names, docstrings and the order of the sources",
    "test_threads.py": "what may cross from thread to thread",
    "test_undone_steps.py": "what a step that failed leaves as it was",
    "test_workers.py": "processes that load data",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds `--kernels`, for the runs on other instruction sets."""
    parser.addoption(
        "--kernels", action="store_true", help="leave out files that depend on no instruction set"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves out the files of `ONCE` where only kernels are wanted."""
    inside_tests = collection_path.parent == config.rootpath / "tests"
    return True if config.getoption("kernels") and inside_tests and collection_path.name in ONCE else None


# Of a test with more rows than these, each instruction set but the best runs every second: the two of them others.
MANY = 40


def half_of_the_rows(names: list[str], odd: bool) -> set[int]:
    """The places in a list of tests of those that are left out: every second row of a test that has many."""
    rows: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        rows.setdefault(name.partition("[")[0], []).append(place)
    return {place for places in rows.values() if len(places) > MANY for place in places[odd::2]}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out half of the rows of long tests where only kernels are wanted."""
    if config.getoption("kernels"):
        out = half_of_the_rows([item.nodeid for item in items], odd=_core.isa == "portable")
        config.hook.pytest_deselected(items=[items[place] for place in sorted(out)])
        items[:] = [item for place, item in enumerate(items) if place not in out]
