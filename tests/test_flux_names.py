"""The list of Flux's names: what it says is here is here, and what it says is not has its reason."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import oxiflux as flux

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
import flux_names  # noqa: E402

ROWS = flux_names.rows(flux_names.LIST.read_text(encoding="utf-8"))
PAGE = (ROOT / "docs" / "flux.md").read_text(encoding="utf-8")
HERE = [row for row in ROWS if row.here]
RENAMED = [row for row in HERE if row.here != row.name.removesuffix("!")]


def test_every_package_is_listed_with_its_names_once():
    packages = {row.package.split()[0] for row in ROWS}
    assert packages == {
        "Flux.jl", "NNlib.jl", "Optimisers.jl", "MLUtils.jl", "OneHotArrays.jl", "ParameterSchedulers.jl",
        "Functors.jl",
    }  # fmt: skip
    for package in packages:
        names = [row.name for row in ROWS if row.package.startswith(package)]
        assert len(names) == len(set(names)) and " " not in "".join(names)
    assert len(ROWS) > 420


@pytest.mark.parametrize("row", HERE, ids=lambda row: f"{row.package.split('.')[0]}-{row.name}")
def test_what_the_list_says_is_here_is_here(row):
    assert hasattr(flux, row.here), row.here
    assert row.here in dir(flux)
    assert getattr(flux, row.here).__doc__


@pytest.mark.parametrize(
    "row", [row for row in ROWS if not row.here], ids=lambda row: f"{row.package.split('.')[0]}-{row.name}"
)
def test_what_the_list_leaves_out_has_a_reason_and_is_not_here(row):
    assert len(row.reason.split()) > 2
    assert row.name == "init" or not hasattr(flux, row.name.removesuffix("!"))  # a module of that name
    for name in re.findall(r"`(\w+)`", row.reason):
        assert hasattr(flux, name), f"{name} stands in for {row.name}"


@pytest.mark.parametrize("row", [row for row in RENAMED if row.name.isidentifier()], ids=lambda row: row.name)
def test_asking_for_a_name_of_flux_tells_the_one_here(row):
    with pytest.raises(
        AttributeError, match=rf"oxiflux has no {row.name}(:|; did you mean) .*\b{row.here}\b"
    ):
        getattr(flux, row.name)


def test_the_script_counts_all_rows():
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "flux_names.py"], capture_output=True, text=True, check=False
    )
    counts = re.findall(r"^\w+\.jl \S+ +(\d+) +(\d+) +(\d+) +(\d+)$", done.stdout, re.MULTILINE)
    assert len(counts) == 7 and sum(int(names) for names, *_ in counts) == len(ROWS)
    assert all(int(names) == int(here) + int(renamed) + int(out) for names, here, renamed, out in counts)
    assert (done.returncode == 0) == all(hasattr(flux, row.here) for row in HERE)


# The page on coming from Flux


def table(heading):
    """The rows of the table below a heading of the page, cell by cell."""
    section = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_page_lists_the_names_that_are_others():
    listed = {tuple(cells) for cells in table("Names")}
    assert listed == {(f"`{row.name}`", f"`{row.here}`", row.package.split(".")[0]) for row in RENAMED}


@pytest.mark.parametrize(
    ("julia", "python", "of"), [tuple(row) for row in table("Keywords")], ids=lambda x: x
)
def test_a_keyword_on_the_page_is_one_of_the_functions_that_it_names(julia, python, of):
    (new,) = re.findall(r"`(\w+)=`", python)
    for name in re.findall(r"`(\w+)`", of):
        f = getattr(flux, name)
        assert new in inspect.signature(f).parameters, f"{name} has no {new}"
        for old in re.findall(r"`(\w+)`", julia):
            assert old not in inspect.signature(f).parameters or old == new
