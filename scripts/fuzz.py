"""Calls everything public with random and nasty arguments, in processes that may die of it, and says what went wrong.

    python scripts/fuzz.py --seconds 60             # calls of the seeds 0, 1, … for a minute
    python scripts/fuzz.py --calls 20_000           # ten seeds' calls, or as many of them as 60 s allow
    python scripts/fuzz.py --replay 17:3245         # one call again, as a finding names it

A crash, a panic, a call without an end, an error of an undocumented type, an argument that has changed, a second result
that is another one and a disagreement with NumPy are findings. The exit status is 1 if there are any.
"""

import argparse
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WORKER = Path(__file__).resolve().parents[1] / "tests" / "fuzzing" / "worker.py"
CALLS = 2000  # of one process


@dataclass
class Findings:
    """What was found, each kind once: by the name of what was called and what happened."""

    longest: float  # seconds that one call may take
    seen: dict[tuple[str, str], str] = field(default_factory=dict)
    calls: int = 0

    def add(self, seed: int, call: dict[str, Any], what: str) -> None:
        """Prints a finding of a kind that is new."""
        # Numbers differ from one finding to the next of the same kind.
        key = call["name"], "".join(c for c in what[:60] if not c.isdigit())
        if key not in self.seen:
            self.seen[key] = what
            print(
                f"{seed}:{call['number']} {call['name']}: {what[:600]}\n    {call['source'][:2000]}",
                flush=True,
            )


def lines(process: subprocess.Popen[bytes], until: float, longest: float) -> Iterator[dict[str, Any] | None]:
    """What a worker says, None when it says nothing for the time of the longest call; ends when the worker does."""
    assert process.stdout is not None
    out, rest = process.stdout.fileno(), b""
    while time.monotonic() < until:
        if not select.select([out], [], [], longest)[0]:
            yield None
            return
        data = os.read(out, 1 << 16)
        if not data:
            return
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            yield json.loads(line)


def batch(seed: int, first: int, count: int, until: float, findings: Findings, worker: list[str]) -> int:
    """Makes calls in one process; the number after the last one that was begun."""
    with subprocess.Popen(
        [*worker, str(seed), str(first), str(count)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        call: dict[str, Any] = {"number": first, "name": "start", "source": ""}
        done = False
        try:
            for line in lines(process, until, findings.longest):
                if line is None:
                    findings.add(seed, call, f"no end within {findings.longest:.0f} s")
                    return int(call["number"]) + 1
                done = done or "done" in line
                if "number" in line:
                    call = line
                    findings.calls += 1
                elif "fault" in line:
                    findings.add(seed, call, line["fault"])
        finally:
            over = time.monotonic() >= until
            if process.poll() is None and not done:
                if not over:
                    time.sleep(0.2)  # it is ending
                process.kill()
        errors = process.stderr.read().decode(errors="replace") if process.stderr else ""
        code = process.wait()
        if not done and not (over and code == -signal.SIGKILL):
            name = signal.Signals(-code).name if code < 0 else f"exit {code}"
            findings.add(seed, call, f"the process died: {name} {errors[-500:]}")
        return int(call["number"]) + 1


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--calls", type=int, help="make no more calls than this, the same ones in every run")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--replay", help="SEED:NUMBER of one call")
    parser.add_argument(
        "--longest", type=float, default=30, help="seconds that one call may take on a busy machine"
    )
    parser.add_argument("--worker", default=str(WORKER), help="another worker, for a test of this script")
    given = parser.parse_args()
    findings, worker = Findings(given.longest), [sys.executable, given.worker]
    until = time.monotonic() + given.seconds
    if given.replay:
        seed, number = map(int, given.replay.split(":"))
        batch(seed, number, 1, time.monotonic() + 2 * given.longest, findings, worker)
        print("no finding" if not findings.seen else "")
        return bool(findings.seen)
    seed, left = given.seed, given.calls
    while time.monotonic() < until and left != 0:
        number, last = 0, CALLS if left is None else min(CALLS, left)
        # After a call that a process died of, another one goes on with the next.
        while number < last and time.monotonic() < until:
            number = batch(seed, number, last - number, until, findings, worker)
        seed += 1
        left = None if left is None else left - last
    print(f"{findings.calls} calls of the seeds {given.seed} to {seed - 1}: {len(findings.seen)} findings")
    return bool(findings.seen)


if __name__ == "__main__":
    sys.exit(main())
