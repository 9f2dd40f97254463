"""The fuzzer itself: it finds what it is for, and takes nothing else for a fault."""

from pathlib import Path

import pytest

import fuzzing
import oxiflux as flux

# A worker one of whose functions is at fault.
PLANT = """
import sys
sys.path[:0] = {paths!r}
from fuzzing import calls, values, worker
import oxiflux as flux

def broken(x):
    {fault}

flux.broken = broken
calls.Draw.call = lambda self: calls.Call("flux.broken", "flux.broken(a0)", ("numbers((3,))",), "1")
worker.main(*map(int, sys.argv[1:]))
"""


def planted(folder, fault):
    worker = folder / "worker.py"
    worker.write_text(PLANT.format(paths=[str(Path(__file__).parent)], fault=fault))
    longest = "5" if "sleep" in fault else "20"
    return fuzzing.script("--replay", "0:0", "--longest", longest, "--worker", str(worker))


def test_a_number_of_calls_is_kept_to():
    code, said = fuzzing.script("--calls", "7", "--seed", "3")
    assert code == 0 and said.startswith("7 calls of the seeds 3 to 3"), said


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("import os; os.abort()", "SIGABRT"),
        ("import time; time.sleep(99)", "no end within"),
        ("raise BaseException('panicked')", "BaseException"),
        ("raise AttributeError('no such thing')", "AttributeError"),
        ("raise ValueError('called `Option::unwrap()`')", "internals"),
        ("raise ValueError", "says nothing"),
        ("x[0] += 1", "a0 has changed"),
        ("broken.n = getattr(broken, 'n', 0) + 1; return broken.n", "the second result is another"),
        ("values.kept = b'1' * (700 << 20); raise ValueError('too much')", "MiB"),
    ],
)
def test_a_planted_fault_is_found(tmp_path, fault, found):
    code, said = planted(tmp_path, fault)
    assert code == 1 and "flux.broken" in said and found in said, said


def test_memory_that_is_short_only_the_second_time_is_no_fault(tmp_path):
    code, said = planted(tmp_path, "if hasattr(broken, 'n'): raise MemoryError\n    broken.n = 1")
    assert code == 0, said


@pytest.mark.parametrize("shape", [(0, 2**40, 2**40), (2**62, 0, 2)])
def test_a_result_without_elements_that_numpy_cannot_hold_is_described(shape):
    from fuzzing.worker import snapshot

    assert snapshot(flux.zeros(shape)) == ("tensor", "float32", shape)


def test_a_call_is_the_same_whenever_its_seed_is():
    from fuzzing.calls import Draw

    calls = [Draw(3, number).call() for number in range(200)]
    assert calls == [Draw(3, number).call() for number in range(200)]
    assert len({call.name for call in calls}) > 80
