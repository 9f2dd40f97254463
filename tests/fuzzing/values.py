"""What the fuzzer's calls are given. A call is Python source that names these functions, so that a finding can be
pasted into a prompt after `from fuzzing.values import *`.
"""

import itertools
import os
import tempfile
from dataclasses import dataclass

import numpy as np

import oxiflux as flux
import zoo

__all__ = [
    "Liar", "Mischief", "Pair", "cyclic", "file", "flux", "fortran", "layer", "liar", "misaligned", "model",
    "nested", "np", "numbers", "overlapping", "path", "readonly", "step", "strided", "swapped", "t", "total",
    "zoo",
]  # fmt: skip

NASTY = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    np.nan,
    np.inf,
    -np.inf,
    1e-45,
    1e-38,
    1e-7,
    65504.0,
    1e20,
    -1e30,
    3.4e38,
    88.0,
    -104.0,
]


def numbers(shape, dtype="float32", seed=0, kind="small"):
    """An array of small eighths, of few labels, or of nasty numbers: zeros, infinities, NaN, the largest, the least."""
    rng, dtype = np.random.default_rng(seed), np.dtype(dtype)
    if kind == "labels":
        return np.asarray(rng.integers(0, 4, shape)).astype(dtype)
    if dtype.kind == "b":
        return np.asarray(rng.random(shape) < 0.5)
    if dtype.kind in "iu":
        ends = np.iinfo(dtype)
        few = [0, 1, 2, 3] if kind == "small" else [0, 1, 7, ends.min, ends.max, ends.max // 2]
        return np.asarray(rng.choice(np.array(few, dtype), shape))
    small = np.asarray(rng.integers(-32, 33, shape) / 8)
    if kind == "nasty":
        small = np.where(rng.random(shape) < 0.5, rng.choice(NASTY, shape), small)
    with np.errstate(all="ignore"):
        return np.asarray(small.astype(dtype))


def t(shape, dtype="float32", seed=0, kind="small"):
    """The tensor of `numbers`."""
    if dtype == "bfloat16":
        return flux.astype(flux.tensor(numbers(shape, "float32", seed, kind)), dtype)
    return flux.tensor(numbers(shape, dtype, seed, kind))


def strided(a):
    """An equal array whose last axis runs backwards through every second element."""
    if a.ndim == 0:
        return a
    memory = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
    view = memory[..., ::-2]
    view[...] = a
    return view


def readonly(a):
    """The array, which may not be written."""
    a.flags.writeable = False
    return a


def overlapping(a):
    """Rows that overlap: each begins one element after the one before."""
    flat = a.ravel()[:64]
    if flat.size < 2:
        return a
    return np.lib.stride_tricks.sliding_window_view(flat, max(1, flat.size // 2))


def fortran(a):
    """The array in the order of columns."""
    return np.asfortranarray(a)


def misaligned(a):
    """An equal array at an odd address."""
    memory = np.zeros(a.nbytes + 1, np.uint8)
    view = memory[1:].view(a.dtype).reshape(a.shape) if a.nbytes else a
    view[...] = a
    return view


def swapped(a):
    """An equal array with the bytes of each element the other way round."""
    return a.astype(a.dtype.newbyteorder())


def nested(depth, core=1.0):
    """Lists within lists."""
    for _ in range(depth):
        core = [core]
    return core


def cyclic():
    """A list that contains itself."""
    a = [1.0]
    a.append(a)
    return a


class Mischief(Exception):
    """What a `Liar` raises: the one error that a call may pass on."""


class Liar:
    """An object one of whose protocols raises."""

    def __len__(self):
        raise Mischief


def liar(name):
    """An object whose method of this name raises `Mischief`, and which has few others."""

    def raises(self, *args, **kwargs):
        raise Mischief(name)

    return type("Liar", (), {name: raises})()


@dataclass
class Pair:
    """A model that is a dataclass."""

    a: object
    b: object

    def __call__(self, x):
        return x * self.a + self.b


def layer(name, dtype="float32"):
    """The layer of a row of the zoo."""
    return zoo.ROWS[name].layer(dtype)


def model(n):
    """One of a few small models for three features."""
    flux.seed(n)
    return [
        lambda: flux.Dense(3, 2),
        lambda: flux.Chain(
            flux.Dense(3, 4, flux.relu), flux.BatchNorm(4), flux.Dropout(0.5), flux.Dense(4, 2)
        ),
        lambda: flux.Chain(a=flux.LayerNorm(3), b=flux.SkipConnection(flux.Dense(3, 3), flux.add)),
        lambda: [flux.Dense(3, 3), flux.tanh],
        lambda: Pair(flux.ones(3), flux.zeros(3)),
        lambda: {"w": flux.ones((3, 2)), "same": flux.ones(())},
        lambda: flux.ones((3,)),
        lambda: (),
    ][n % 8]()


def total(value, around=()):
    """The sum of all floating tensors in a value, for `gradient`; of what holds itself, once."""
    if isinstance(value, flux.Tensor):
        return flux.astype(value, "float32").sum() if value.dtype.kind == "f" else flux.zeros(())
    if id(value) in around:
        return flux.zeros(())
    around = (*around, id(value))
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        parts = [total(v, around) for v in value]
        return sum(parts[1:], parts[0]) if parts else flux.zeros(())
    return flux.zeros(())


def step(rule, x, *grads):
    """The parameter after a step for each gradient."""
    x = flux.tensor(np.array(x.numpy())) if isinstance(x, flux.Tensor) else x
    state = flux.setup(rule, x)
    for g in grads:
        flux.update(state, x, g)
    return x


_COUNT = itertools.count()


def path(name="a.safetensors"):
    """A path in a folder that is thrown away."""
    folder = os.environ.get("OXIFLUX_FUZZ_FOLDER") or tempfile.gettempdir()
    return os.path.join(folder, f"{next(_COUNT)}-{name}")


def file(seed):
    """A saved file some of whose bytes are others, or are missing, or are there twice."""
    rng, name = np.random.default_rng(seed), path()
    tree = [model(seed), {"x": numbers((2, 3), seed=seed)}, t((3,), "bool"), t((2, 0), "bfloat16")][seed % 4]
    flux.save(name, tree)
    with open(name, "rb") as f:
        data = bytearray(f.read())
    for _ in range(int(rng.integers(0, 4))):
        at, n = int(rng.integers(0, len(data))), int(rng.integers(1, 9))
        match int(rng.integers(0, 5)):
            case 0:
                data[at : at + n] = rng.bytes(n)
            case 1:
                del data[at : at + n]
            case 2:
                data[at:at] = data[at : at + n]
            case 3:
                data[at] ^= 1 << int(rng.integers(0, 8))
            case _:
                data[at : at + 1] = rng.choice(list(b'0129{}[]",:-e\\'), 1).astype(np.uint8).tobytes()
        data = data or bytearray(b"{}")
    with open(name, "wb") as f:
        f.write(data)
    return name
