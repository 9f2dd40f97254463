"""What is stored of PyTorch is small and says from which version it is."""

import re

import pytest

from parity.stored import RESULTS, version

FILES = sorted(RESULTS.glob("*.npz"))


def test_all_results_together_are_small():
    assert FILES
    assert sum(path.stat().st_size for path in FILES) < 1_000_000


@pytest.mark.parametrize("theme", [path.stem for path in FILES])
def test_a_file_names_its_version_of_pytorch(theme):
    assert re.match(r"\d+\.\d+", version(theme))
