"""The fuzzer of the public surface for a while.

The calls are the same in every run, so that no change fails here by a call that its author could not make before.
OXIFLUX_FUZZ_SECONDS says for how long; `make fuzz` draws other calls, for longer.
"""

import os

import fuzzing

SECONDS = os.environ.get("OXIFLUX_FUZZ_SECONDS", "60")
CALLS = "20_000"


def test_random_calls_of_everything_public_find_no_fault():
    code, said = fuzzing.script("--seconds", SECONDS, "--calls", CALLS)
    assert code == 0, said
