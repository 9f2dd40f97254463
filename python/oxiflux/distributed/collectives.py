"""Arrays, tensors and whole models that go from rank to rank."""

from __future__ import annotations

import os
import tempfile
from typing import Any, Literal

import numpy as np

from .. import _core
from .._core import Tensor
from ..files import load_checkpoint, save_checkpoint
from ..optimisers.state import leaves_within, rule_classes
from .gradients import agreed_layout
from .optimiser import forget
from .summing import summed
from .world import World, world

__all__ = ["allreduce", "bcast", "reduce", "sent_file", "sent_tensors", "synchronize"]

Op = Literal["sum", "mean", "max", "min"]
_OPS = ("sum", "mean", "max", "min")


def allreduce(x: Any, op: Op = "sum") -> Any:
    """The sum of a tensor, an array or a number over all ranks, on each of them; with `op` the mean, "max" or "min".

    The result has the form and the dtype of `x`; numbers of 16 bits are summed in float32, and the mean of integers is
    floating. The order of the sum is that of the ranks. Shapes that differ raise DisagreementError. Ref: Flux.jl,
    `DistributedUtils.allreduce!`.

    >>> import oxiflux as flux
    >>> _ = flux.distributed.initialize()
    >>> flux.distributed.allreduce(flux.tensor([1.0, 2.0])).tolist()
    [1.0, 2.0]
    """
    return _reduced("allreduce", x, op)


def reduce(x: Any, op: Op = "sum", root: int = 0) -> Any:
    """What `allreduce` gives, on the rank `root`, and None on the others. Ref: Flux.jl, `DistributedUtils.reduce!`.

    >>> import oxiflux as flux
    >>> _ = flux.distributed.initialize()
    >>> flux.distributed.reduce(3)
    3
    """
    w = world("reduce")
    _check_root(w, "reduce", root)
    found = _reduced("reduce", x, op)
    return found if w.rank == root else None


def bcast(x: Any, root: int = 0) -> Any:
    """The tensor, array or number of the rank `root`, on all ranks, which give one of the same shape and dtype. Ref:
    Flux.jl, `DistributedUtils.bcast!`.

    >>> import oxiflux as flux
    >>> _ = flux.distributed.initialize()
    >>> flux.distributed.bcast(2.5)
    2.5
    """
    w = world("bcast")
    _check_root(w, "bcast", root)
    array = _array("bcast", x)
    if w.comm is None:
        return _like(x, array.copy())
    call = f"bcast of {array.dtype} {array.shape} from rank {root}"
    data = w.bytes(call, array.tobytes(), root)
    return _like(x, np.frombuffer(data, array.dtype).reshape(array.shape).copy())


def synchronize(tree: Any, root: int = 0) -> None:
    """Gives every rank what the rank `root` has in a model, or in the state of an optimiser, a DataLoader or another
    part of a checkpoint.

    Of a model all tensors are sent, running statistics included; names, shapes and dtypes that differ raise
    DisagreementError. Layers without parameters yet must have been called before. Ref: Flux.jl,
    `DistributedUtils.synchronize!!`.

    >>> import oxiflux as flux
    >>> _ = flux.distributed.initialize()
    >>> flux.distributed.synchronize(flux.Dense(2, 1))
    """
    w = world("synchronize")
    _check_root(w, "synchronize", root)
    if w.comm is None:
        return
    if hasattr(tree, "load_state") or leaves_within(tree):
        generator = _core.default_generator()
        place = generator.get_state()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "part")
            if w.rank == root:
                save_checkpoint(path, classes=rule_classes(tree), part=tree)
            sent_file(w, path, root)
            load_checkpoint(path, classes=rule_classes(tree), part=tree)
        forget(tree)
        generator.set_state(place)
        return
    sent_tensors(w, "synchronize", _core.leaves(tree), root)


def sent_tensors(w: World, call: str, found: list[Any], root: int = 0) -> None:
    """Sends tensors, given with their paths, from the root to all."""
    agreed_layout(
        w, [["".join(f"[{key!r}]" for key in path), list(t.shape), str(t.dtype)] for path, t in found]
    )
    w.meet(call)
    comm: Any = w.comm
    for _, t in found:
        array = np.array(t.numpy())
        if t.size:
            w._wait(call, comm.Ibcast, array.reshape(-1).view(np.uint8), root)
            if w.rank != root:
                _core.assign(t, _core.from_numpy(array))


def sent_file(w: World, path: str, root: int = 0) -> None:
    """Writes a file of the root to the same path on all ranks."""
    data = b""
    if w.rank == root:
        with open(path, "rb") as file:
            data = file.read()
    data = w.bytes("a file", data, root)
    if w.rank != root:
        with open(path, "wb") as file:
            file.write(data)


def _reduced(caller: str, x: Any, op: str) -> Any:
    w = world(caller)
    if op not in _OPS:
        raise ValueError(f"{caller}: op must be one of {', '.join(_OPS)}, got {op!r}")
    array = _array(caller, x)
    given, wide = array.dtype, array
    if given.itemsize == 2 and given.kind not in "iub":
        wide = array.astype(np.float32)
    elif given == np.bool_ or (op == "mean" and given.kind in "iu"):
        wide = array.astype(np.float64 if op == "mean" else np.int64)
    call = f"{caller}({op!r}) of {given} {array.shape}"
    if op in ("sum", "mean"):
        found = summed(w, call, wide)
        found = found / w.size if op == "mean" else found
    elif w.comm is None:
        found = wide.copy()
    else:
        w.meet(call)
        parts = np.empty((w.size, *wide.shape), wide.dtype)
        w._wait(call, w.comm.Iallgather, np.ascontiguousarray(wide), parts)
        found = (np.maximum if op == "max" else np.minimum).reduce(parts, axis=0)
    found = np.asarray(found)
    return _like(x, found.astype(given) if given.kind not in "biu" else found)


def _array(caller: str, x: Any) -> np.ndarray[Any, Any]:
    array = np.asarray(x.numpy() if isinstance(x, Tensor) else x)
    if array.dtype.hasobject or array.dtype.kind in "USmMc":
        raise TypeError(f"{caller}: takes a tensor, an array or a number, got a {type(x).__name__}")
    return array


def _like(x: Any, array: np.ndarray[Any, Any]) -> Any:
    if isinstance(x, Tensor):
        return _core.from_numpy(array)
    return array if isinstance(x, np.ndarray) else array.item() if array.ndim == 0 else array


def _check_root(w: World, caller: str, root: Any) -> None:
    if not isinstance(root, int) or not 0 <= root < w.size:
        raise ValueError(f"{caller}: root must be a rank from 0 to {w.size - 1}, got {root!r}")
