"""The tests that the onnx package has for backends, by its own runner."""

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "onnx_backend.py"


def test_all_cases_are_right_or_refused_as_the_page_says():
    done = subprocess.run(
        [sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    passed, refused, left_out = map(int, re.findall(r"\d+", done.stdout.splitlines()[-1]))
    assert passed >= 1723 and refused <= 296 and left_out <= 14
