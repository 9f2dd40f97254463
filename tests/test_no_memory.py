"""Where there is no memory for a call, it is a MemoryError, and the process goes on."""

import os
import subprocess
import sys
import textwrap

import pytest

import oxiflux as flux

# Each call runs in an address space with less and less room, from plenty down to next to nothing: it gives a result or
# raises MemoryError. An abort ends the process with a signal, which the test sees.
WALK = """
    import pickle, resource, sys
    import numpy as np
    import oxiflux as flux

    n = 1 << 20
    x = flux.tensor(np.random.default_rng(0).standard_normal(n, dtype=np.float32))
    long = x[: n // 4]
    wide = x.reshape((1024, 1024))
    tall = x.reshape((n // 8, 8))
    images = x.reshape((4, 64, 64, 64))
    truth, places = x > 0, flux.argsort(x)
    labels = flux.tensor(np.arange(n // 8) % 8)
    weight, column = flux.ones((3, 3, 64, 64)), flux.ones((8,))
    lstm, gru, norm = flux.LSTM(64, 32), flux.GRU(64, 32), flux.LayerNorm(1024)
    path = sys.argv[1]
    flux.save(path, {"truth": truth})
    slope = lambda f, *args: flux.gradient(lambda *args: flux.sum(f(*args)), *args)
    y = flux.tensor(np.arange(n // 16) % 7)
    attend = lambda x: flux.dot_product_attention(x, x, x)[0]

    CALLS = {
        "argsort": lambda: flux.argsort(x),
        "argsort, axis": lambda: flux.argsort(tall, axis=0),
        "sort": lambda: flux.sort(x),
        "sort, gradient": lambda: slope(flux.sort, long),
        "nonzero": lambda: flux.nonzero(x),
        "searchsorted": lambda: flux.searchsorted(flux.zeros(3), x),
        "unique_values": lambda: flux.unique_values(places),
        "randperm": lambda: flux.randperm(n),
        "argmax": lambda: flux.argmax(tall, axis=0),
        "argmax, rows": lambda: flux.argmax(tall, axis=1),
        "sum": lambda: flux.sum(wide, axis=0),
        "var": lambda: flux.var(tall, axis=0),
        "cumulative_sum": lambda: flux.cumulative_sum(x),
        "cumulative_sum, axis": lambda: flux.cumulative_sum(wide, axis=0),
        "prod": lambda: slope(lambda x: flux.prod(x, axis=0), wide),
        "mask": lambda: x[truth],
        "index": lambda: x[places],
        "index, gradient": lambda: slope(lambda x: x[places], x),
        "take_along_axis": lambda: flux.take_along_axis(x, places, axis=0),
        "scatter": lambda: flux.scatter("+", tall, labels),
        "scatter, products": lambda: slope(lambda x: flux.scatter("*", x, labels), tall),
        "ctc_loss": lambda: flux.ctc_loss(tall[: 1 << 11], y[: 1 << 10]),
        "ctc_loss, gradient": lambda: slope(lambda x: flux.ctc_loss(x, y[:512]), tall[:1024]),
        "logitcrossentropy": lambda: slope(lambda x: flux.logitcrossentropy(x, labels), tall),
        "onehotbatch": lambda: flux.onehotbatch(labels, range(8)),
        "matmul": lambda: wide @ wide,
        "matmul, gradient": lambda: slope(flux.matmul, wide, wide),
        "matmul, integers": lambda: places[:4096].reshape((64, 64)) @ places[:4096].reshape((64, 64)),
        "conv": lambda: flux.conv(images, weight),
        "conv, gradient": lambda: slope(flux.conv, images, weight),
        "maxpool": lambda: slope(lambda x: flux.maxpool(x, (2, 2)), images),
        "attention": lambda: slope(attend, wide.reshape((1, 16384, 64))[:, :2048]),
        "LayerNorm": lambda: slope(lambda x: norm(x), wide),
        "BatchNorm": lambda: slope(lambda x: flux.BatchNorm(64)(x), images),
        "GroupNorm": lambda: slope(lambda x: flux.GroupNorm(64, 8)(x), images),
        "LSTM": lambda: slope(lambda x: lstm(x), x.reshape((32, 512, 64))),
        "GRU": lambda: slope(lambda x: gru(x), x.reshape((32, 512, 64))),
        "softmax": lambda: slope(flux.softmax, wide),
        "upsample": lambda: slope(lambda x: flux.upsample_bilinear(x, 2), images[:1]),
        "dropout": lambda: flux.dropout(x, 0.5),
        "tolist": lambda: x.tolist(),
        "iter": lambda: list(tall[: 1 << 14]),
        "repr": lambda: repr(x),
        "pickle": lambda: pickle.loads(pickle.dumps(x)),
        "copy": lambda: x.copy(),
        "astype": lambda: x.astype("float64"),
        "numpy": lambda: np.array(x),
        "save": lambda: flux.save(path + ".again", {"truth": truth, "x": wide.T}),
        "load": lambda: flux.load(path),
        "update": lambda: flux.update(flux.setup(flux.OptimiserChain(flux.ClipNorm(1.0), flux.Adam()), x), x.copy(), x),
        "concat": lambda: flux.concat([x, x]),
        "pad": lambda: flux.pad_reflect(images, 2),
        "einsum": lambda: flux.einsum("ij,jk->ik", wide, wide),
    }

    def used():
        return int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()

    refused = set()
    for name, call in CALLS.items():
        try:
            call()  # what it imports and keeps is there before the room gets small
        except MemoryError:
            refused.add(name)
        for room in [64, 24, 12, 6, 3]:
            flux.empty_cache()
            print(name, room, flush=True)
            limit = resource.getrlimit(resource.RLIMIT_AS)
            resource.setrlimit(resource.RLIMIT_AS, (used() + (room << 20), limit[1]))
            try:
                call()
            except MemoryError as error:
                refused.add(name)
                del error
            finally:
                resource.setrlimit(resource.RLIMIT_AS, limit)
    print("refused:", len(refused), "of", len(CALLS))
    assert len(refused) > len(CALLS) // 2, sorted(set(CALLS) - refused)
    assert flux.sum(flux.ones(10)).item() == 10
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="counts memory as Linux does")
def test_a_call_without_memory_is_a_memory_error_and_never_an_abort(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(WALK), str(tmp_path / "file")],
        capture_output=True,
        text=True,
        timeout=300,
        # What is freed goes back to the system, or the next call would find it.
        env=os.environ
        | {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"},
    )
    assert done.returncode == 0, f"{done.returncode} after {done.stdout[-300:]}\n{done.stderr[-2000:]}"


@pytest.mark.parametrize("call", [flux.zeros, flux.ones, lambda axes: flux.sum(flux.ones(3), axis=axes)])
def test_numbers_without_end_are_refused_before_they_are_counted(call):
    with pytest.raises(ValueError, match="at most 64 axes"):
        call(range(2**40))
