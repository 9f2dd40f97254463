"""Runs tests under valgrind and reports what the Rust core does wrong: memory out of bounds, freed, or never written.

    python scripts/valgrind.py tests/test_gather.py -k scatter

The interpreter and NumPy have reports of their own, which are left out: a report counts if the core is among the
innermost frames of one of its stacks, where the fault is or where the memory came from. `make valgrind` builds a core
whose blocks have the size that was asked for, so that reading past one is seen.
"""

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

INNERMOST = 16  # frames of a stack that are looked at
VALGRIND = [
    "valgrind",
    "--xml=yes",
    "--leak-check=no",
    "--track-origins=yes",
    "--num-callers=40",
    "--error-limit=no",
]


def ours(stack: ET.Element) -> bool:
    """Whether the core is among the innermost frames."""
    return any("_core.abi3" in (frame.findtext("obj") or "") for frame in stack.findall("frame")[:INNERMOST])


def harmless(error: ET.Element) -> bool:
    """What is no fault: blocks that live as long as the process, and a comparison whose result is not used.

    `Tensor::node_on` asks of an optional place whether it is there and on this tape; the compiler asks both at once.
    """
    kind = error.findtext("kind") or ""
    names = [frame.findtext("fn") or "" for frame in error.findall("stack/frame")[:2]]
    return kind.startswith("Leak_") or (kind == "UninitCondition" and "oxiflux::tape::write" in names)


def reports(path: Path) -> Iterator[str]:
    """The errors of a run that are ours, as text."""
    for error in ET.parse(path).getroot().findall("error"):
        stacks = error.findall("stack")
        if any(map(ours, stacks)) and not harmless(error):
            what = error.findtext("what") or error.findtext("xwhat/text") or error.findtext("kind") or "?"
            lines = [what]
            for stack in stacks:
                for frame in stack.findall("frame")[:INNERMOST]:
                    place = f"{frame.findtext('file') or '?'}:{frame.findtext('line') or '?'}"
                    lines.append(f"    {frame.findtext('fn') or frame.findtext('ip')} ({place})")
                lines.append("    --")
            yield "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Runs pytest with these arguments; 1 if a test fails or a report is ours."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "valgrind.xml"
        # valgrind knows no AVX-512; Python's own allocator would hide its blocks.
        environment = {
            "OXIFLUX_ISA": "avx2",
            "OXIFLUX_NUM_THREADS": "2",
            "OPENBLAS_NUM_THREADS": "1",
            "OXIFLUX_EXAMPLES": "3",
            **os.environ,
            "PYTHONMALLOC": "malloc",
        }
        command = [
            *VALGRIND,
            f"--xml-file={log}",
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            *arguments,
        ]
        failed = subprocess.run(command, env=environment, check=False).returncode
        found = list(reports(log))
    print("\n".join(found))
    print(f"{len(found)} reports of the core")
    return int(bool(failed or found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
