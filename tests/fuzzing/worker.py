"""Makes the calls that a seed draws, in a process that may die of them: `python worker.py SEED FIRST COUNT`.

Each call is written to the output before it is made, so that the reader knows which one a crash or a hang belongs to;
what is wrong with a call that returns is written after it.
"""

import copy
import gc
import json
import operator
import os
import pickle
import resource
import signal
import sys
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

import oxiflux as flux
from fuzzing import oracle, values
from fuzzing.calls import Call, Draw

SPACE = 3 << 30  # bytes of addresses
LARGEST_RESULT = 1 << 20  # elements that are compared
LARGEST_FAILURE = 512 << 20  # bytes of memory that a call which fails may have touched
# Errors that the documentation names. What they say is for the tests of each function.
EXPECTED = (
    TypeError, ValueError, IndexError, KeyError, OverflowError, MemoryError, OSError, BufferError,
    NotImplementedError, values.Mischief,
)  # fmt: skip
# Words that only a fault of ours puts into a message.
OURS = ("panicked", "unwrap", "internal error", "assertion", "poison", "Already borrowed", "_core.")
RANDOM = {
    "flux.empty",
    "flux.empty_like",
    "flux.memory_in_use",
    "hash({x}) and 0",
    "Tensor.__hash__",
    "Tensor.__sizeof__",
}
# What these are given changes: that is what they are for.
CHANGES = {
    "Tensor.__setitem__", "flux.bf16", "flux.f16", "flux.f32", "flux.f64", "flux.loadmodel", "flux.train",
    "flux.trainstep", "flux.trainstep_withgradient", "flux.update",
}  # fmt: skip


def snapshot(value, depth=0):
    """Something equal for equal tensors, arrays, numbers and trees of these, and for nothing else."""
    if depth > 8:
        return None
    if isinstance(value, flux.Tensor):
        if not 0 < value.size <= LARGEST_RESULT:
            # NumPy may not hold such a shape, also without an element: it multiplies the lengths that are not 0.
            return "tensor", str(value.dtype), value.shape
        kept = flux.stop_gradient(value)
        if kept.dtype == "bfloat16":
            kept = flux.astype(kept, "float32")
        return "tensor", str(value.dtype), value.shape, _bytes(kept.numpy())
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return "array", str(value.dtype), value.shape, value.strides, _bytes(value)
    if isinstance(value, (bool, int, str, bytes)):
        return value
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, (list, tuple)):
        return type(value).__name__, len(value), [snapshot(v, depth + 1) for v in value[:100]]
    if isinstance(value, dict):
        return "dict", [
            (snapshot(k, depth + 1), snapshot(v, depth + 1)) for k, v in list(value.items())[:100]
        ]
    return None


def _bytes(array):
    if array.size > LARGEST_RESULT:
        return None
    if array.dtype.kind == "f":
        array = np.where(np.isnan(array), np.array(np.nan, array.dtype), array)
    return array.tobytes()


class Evaluation:
    """One call and what came of it."""

    def __init__(self, call: Call) -> None:
        flux.seed(0)
        scope = {"copy": copy, "pickle": pickle, "operator": operator}
        scope |= {name: getattr(values, name) for name in values.__all__}
        self.value = self.error = None
        self.changed = []
        try:
            scope["shared"] = eval(call.shared, scope)
            for i, text in enumerate(call.arguments):
                scope[f"a{i}"] = eval(text, scope)
            code = compile(call.text, "<call>", "eval")
        except BaseException as error:
            # Arguments are built by functions of ours, too.
            self.error = error
            return
        given = {name: scope[name] for name in ["shared", *(f"a{i}" for i in range(len(call.arguments)))]}
        before = {name: snapshot(value) for name, value in given.items()}
        self.arguments = given
        self.touched = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            self.value = eval(code, scope)
        except BaseException as error:
            self.error = error
        self.touched = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - self.touched) * 1024
        if call.name.removeprefix("gradient of ") not in CHANGES:
            self.changed = [name for name, value in given.items() if snapshot(value) != before[name]]


def faults(call: Call):
    """What is wrong with a call, a sentence each."""
    first = Evaluation(call)
    error = first.error
    if error is not None:
        kind, text = type(error), str(error)
        if not isinstance(error, EXPECTED) and not _of_others(call, error):
            yield f"{kind.__module__}.{kind.__name__}: {text}"
        elif any(word in text for word in OURS):
            yield f"the message speaks of internals: {kind.__name__}: {text}"
        elif not text and not isinstance(error, (MemoryError, values.Mischief)):
            yield f"{kind.__name__} says nothing"
        elif len(text) > 50_000:
            yield f"{kind.__name__} says {len(text)} characters"
        if getattr(first, "touched", 0) > LARGEST_FAILURE and "2**20" not in call.source():
            yield f"a call that fails with {kind.__name__} took {first.touched >> 20} MiB"
    for name in first.changed:
        yield f"{name} has changed"
    if flux.is_recording():
        yield "recording is left on"
    if error is None and (wrong := oracle.disagrees(call, first.arguments, first.value)):
        yield wrong
    if call.name.removeprefix("gradient of ") in RANDOM or isinstance(error, MemoryError):
        return
    # A step changes its state: only calls of values are made again.
    second = Evaluation(call)
    if isinstance(second.error, MemoryError):
        return  # how much is left of the address space differs from one moment to the next
    if type(second.error) is not type(error):
        yield f"the second time: {second.error!r} after {error!r}"
    elif snapshot(first.value) != snapshot(second.value):
        yield f"the second result is another: {first.value!r:.200}, {second.value!r:.200}"


def _of_others(call, error):
    """Whether the error is as documented, or what Python or NumPy make of an argument."""
    if isinstance(error, AssertionError):
        return str(error).startswith("gradcheck: ")
    if isinstance(error, RecursionError):
        return "getting the repr" in str(error)  # of 100,000 lists within lists, in a message of ours
    return isinstance(error, RuntimeError) and call.name.startswith("np.")


def say(**line):
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main(seed: int, first: int, count: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (SPACE, SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.unraisablehook = lambda event: None  # a Liar's __del__
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["OXIFLUX_FUZZ_FOLDER"] = folder
        for number in range(first, first + count):
            call = Draw(seed, number).call()
            say(number=number, name=call.name, source=call.source())
            for fault in faults(call):
                say(fault=fault)
            if number % 200 == 0:
                gc.collect()
                for left in os.scandir(folder):
                    with suppress(OSError):
                        os.unlink(left.path)
    say(done=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
