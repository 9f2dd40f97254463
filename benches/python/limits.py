"""The limit beside each case of `peers.py`: a plugin with the backend `limit`, which does nothing but what a case must.

That is the case's additions and multiplications at the rate of the FMA units (`gflop` of the case), or its bytes, read and
written as fast as memory of that size gives and takes them (`mbytes`: what would be touched if everything were done in
one pass each way). It takes turns with the others, so that a noisy machine disturbs both sides of a share alike. It needs
a C compiler with OpenMP; without one there are no shares.
"""

# ruff: noqa: F821
import ctypes
import itertools
import mmap
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np

TEAM = [1]


def library():
    """The functions of `limits.c`, for the instructions that the others may use."""
    target = "haswell" if os.environ.get("OXIFLUX_ISA") == "avx2" else "native"
    path = Path(tempfile.mkdtemp()) / "limits.so"
    source = Path(__file__).with_suffix(".c")
    flags = ["-O3", f"-march={target}", "-ffp-contract=fast", "-fopenmp", "-shared", "-fPIC"]
    subprocess.run([os.environ.get("CC", "cc"), *flags, source, "-o", path], check=True)
    found = ctypes.CDLL(str(path))
    found.products.argtypes = [ctypes.c_double, ctypes.c_float, ctypes.c_float, ctypes.c_int]
    found.products.restype = ctypes.c_float
    found.stream.argtypes = [ctypes.c_void_p, ctypes.c_long, ctypes.c_int]
    found.stream.restype = None
    return found


@setup("limit")
def _(threads):
    TEAM[0] = threads or len(os.sched_getaffinity(0))


def limit(gflop, mbytes):
    """A step that multiplies so often, or moves so many bytes."""

    def build(spec):
        code, team = library(), TEAM[0]
        count = int(mbytes * 1e6 / 8)
        # Two halves take turns, so that as many bytes lie in the caches as a case has, and no fewer.
        memory = mmap.mmap(-1, 8 * count + mmap.PAGESIZE)
        if hasattr(mmap, "MADV_HUGEPAGE"):
            memory.madvise(mmap.MADV_HUGEPAGE)
        halves = np.frombuffer(memory, np.float32)[: 2 * count].reshape(2, count)
        places = itertools.cycle(halves)

        def step():
            if gflop:
                code.products(gflop * 1e9, 0.5, 0.5, team)
            if count:
                code.stream(next(places).ctypes.data, count, team)

        return step

    return build


for name, (_, meta) in CASES.items():
    if meta.get("gflop") or meta.get("mbytes"):
        impl(name, "limit")(limit(meta.get("gflop", 0), meta.get("mbytes", 0)))
