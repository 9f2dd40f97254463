"""A fuzzer of the public surface: `values` has what calls are given, `calls` draws calls, `worker` makes them.

`script` runs scripts/fuzz.py and gives its status and what it says.
"""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "scripts" / "fuzz.py"


def script(*options, timeout=360):
    done = subprocess.run(
        [sys.executable, SCRIPT, *options], capture_output=True, text=True, timeout=timeout, check=False
    )
    return done.returncode, done.stdout + done.stderr
