"""Runs the own test suite of the Python array API standard on this package: `make array-api`, or by hand

    python scripts/array_api.py FOLDER [arguments of pytest]

where FOLDER is a clone of https://github.com/data-apis/array-api-tests with its submodule. No file of it is changed. It
skips complex types when it is told to, but asks for their largest while it is loaded and tests values of complex
functions in any case: there it gets float64, and those tests are skipped, as are those of `array_api_skips.txt`, which
need complex numbers. What fails is in `array_api_xfails.txt`, with the reasons.
"""

import builtins
import os
import sys
from pathlib import Path
from typing import Any

import pytest

SKIPS = Path(__file__).with_name("array_api_skips.txt")
XFAILS = Path(__file__).with_name("array_api_xfails.txt")


class RealNumbers:
    """What a suite needs that is run without complex numbers."""

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            case = getattr(getattr(item, "callspec", None), "params", {}).get("case")
            if getattr(case, "is_complex", False):
                item.add_marker(pytest.mark.skip(reason="a complex number"))


def load_types() -> None:
    """Loads the suite's tables of types, where it takes the largest of no complex types."""
    largest = builtins.max

    def largest_or_float64(*args: Any, **options: Any) -> Any:
        if args == ([],) and "default" not in options:
            import oxiflux

            return oxiflux.float64, 64
        return largest(*args, **options)

    builtins.max = largest_or_float64
    try:
        import array_api_tests.dtype_helpers
    finally:
        builtins.max = largest
    assert not array_api_tests.dtype_helpers.complex_dtypes


def main() -> None:
    """Runs pytest as the suite's own page says."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    suite = Path(sys.argv[1]).resolve()
    os.environ["ARRAY_API_TESTS_MODULE"] = "oxiflux"
    os.environ["ARRAY_API_TESTS_SKIP_DTYPES"] = "complex64,complex128"
    os.chdir(suite)
    sys.path.insert(0, str(suite))
    load_types()
    options = ["-q", "-p", "no:cacheprovider", "-W", "ignore", "-rxXf", "--disable-deadline"]
    options += [f"--skips-file={SKIPS}", f"--xfails-file={XFAILS}"]
    arguments = sys.argv[2:]
    if not any(argument.startswith("array_api_tests") for argument in arguments):
        arguments.append("array_api_tests")
    sys.exit(pytest.main([*options, *arguments], plugins=[RealNumbers()]))


if __name__ == "__main__":
    main()
