"""Runs the tests that the `onnx` package has for backends, by its own runner, and lists what is refused.

`--check` compares the list with `docs/onnx_refused.md`; without it the list is written there. Arguments are names of
tests: with some, these alone are run. The exit status is 1 where a case is wrong, or the list is not the one stored.
"""

from __future__ import annotations

import collections
import contextlib
import io
import os
import re
import sys
import tempfile
import unittest
import warnings
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parent.parent / "docs" / "onnx_refused.md"

# What cannot pass, and why. All else that is not refused must be right.
EXPECTED = {
    r"^test_bernoulli": "the expected numbers are those of NumPy's generator",
    r"^test_training_dropout(?!.*zero_ratio)": "the expected numbers are those of NumPy's generator",
    r"^test_attention_4d_causal_fp16(_expanded)?_": (
        "the expected halves come from a softmax that rounds each of its steps; ours rounds its result, and two of 192"
        " are the neighbouring half"
    ),
    r"^test_dft_inverse(_opset19)?_cpu": (
        "a zero is expected to be 1.9e-7, the rounding of NumPy's transform, to within 1e-7; ours is 3e-15"
    ),
}
HEAD = """# What of ONNX is refused

`scripts/onnx_backend.py` runs the tests that {version} has for backends, by its own runner, and writes this page. Of
{total} cases for the CPU {passed} pass, {refused} are refused with an error that says why, and {excluded} cannot pass:

{reasons}

The refused cases, by the operators or types that are missing:

| missing | cases |
|---|---|
"""


class Counting(unittest.TextTestResult):
    """Keeps the reasons of what is skipped, and counts what passes."""

    passed = 0

    def addSuccess(self, test: unittest.TestCase) -> None:  # noqa: N802
        super().addSuccess(test)
        self.passed += 1


def cases(names: list[str]) -> tuple[unittest.TestSuite, int, collections.Counter[str]]:
    """The tests of the runner for the CPU, how many there are, and how many are left out for each reason."""
    import onnx.backend.test

    from oxiflux.onnx.backend import OxifluxBackend

    # The runner's own module has no __name__ of a test file to show.
    made = onnx.backend.test.BackendTest(OxifluxBackend, __name__)
    made.exclude("_cuda$")
    suite, left_out = unittest.TestSuite(), collections.Counter[str]()
    for case in made.test_cases.values():
        tests: Any = unittest.defaultTestLoader.loadTestsFromTestCase(case)
        for test in tests:
            name = test.id().rpartition(".")[2]
            if name.endswith("_cuda") or (names and name.removesuffix("_cpu") not in names):
                continue
            reason = next((why for pattern, why in EXPECTED.items() if re.search(pattern, name)), None)
            if reason is not None:
                left_out[reason] += 1
            else:
                suite.addTest(test)
    return suite, suite.countTestCases(), left_out


def missing(reason: str) -> list[str]:
    """What a refused case lacks, of the message of its error."""
    if "operators are not supported: " in reason:
        names = re.findall(r"([\w.]+) \(opset \d+\)", reason)
        return sorted({f"`{name}`" for name in names})
    if kind := re.search(r"elements of the type ([\w ]+)", reason):
        return [f"elements of the type {kind[1]}"]
    if kind := re.search(r"is an? (sequence|optional|map|sparse_tensor|opaque)", reason):
        return [f"values that are {kind[1]}s"]
    if kind := re.search(r"attribute '\w+' of the kind (\w+)", reason):
        return [f"attributes of the kind {kind[1]}"]
    return [re.sub(r"^onnx: ", "", re.sub(r"'[^']*'", "…", reason))]


def main() -> int:
    """Runs the tests, and writes or compares the page."""
    check = "--check" in sys.argv
    names = [name for name in sys.argv[1:] if not name.startswith("-")]
    os.environ["ONNX_MODELS"] = tempfile.mkdtemp()  # the networks are unpacked there, else in the home folder
    warnings.simplefilter("ignore")  # the suite makes infinities on purpose
    with contextlib.redirect_stderr(io.StringIO()):
        suite, count, left_out = cases(names)
    counting: Any = Counting
    runner = unittest.TextTestRunner(resultclass=counting, stream=sys.stderr, verbosity=0)
    result: Any = runner.run(suite)
    print(f"{result.passed} passed, {len(result.skipped)} refused, {sum(left_out.values())} left out")
    if not result.wasSuccessful():
        return 1
    if names:
        return 0
    table: collections.Counter[str] = collections.Counter()
    for _, reason in result.skipped:
        table[", ".join(missing(reason))] += 1
    text = HEAD.format(
        version=version(),
        total=count + sum(left_out.values()),
        passed=result.passed,
        refused=len(result.skipped),
        excluded=sum(left_out.values()),
        reasons="\n".join(f"- {n}: {why}." for why, n in left_out.most_common()),
    )
    text += "".join(
        f"| {name} | {n} |\n" for name, n in sorted(table.items(), key=lambda row: (-row[1], row[0]))
    )
    if check:
        if not PAGE.exists() or PAGE.read_text() != text:
            print(f"{PAGE.name} is not what the tests give: run scripts/onnx_backend.py", file=sys.stderr)
            return 1
        return 0
    PAGE.write_text(text)
    return 0


def version() -> str:
    """The package and its version."""
    import onnx

    return f"onnx {onnx.__version__}"


if __name__ == "__main__":
    sys.exit(main())
