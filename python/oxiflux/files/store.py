"""Any tree of tensors, layers and plain data in one file."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike, fsdecode
from typing import Any, TypeAlias

import numpy as np

from .. import _core
from .._core import Tensor
from ..hints import told
from .names import classes as known_classes
from .programs import is_program, read_program, save_program
from .reading import InvalidError, Reader
from .writing import Writer

__all__ = ["Path", "load", "read", "save", "write"]

Path: TypeAlias = str | PathLike[str]

_KEY = "oxiflux"
_VERSION = 1


@told
def save(path: Path, model: Any, *, classes: Iterable[type] = ()) -> None:
    """Writes a model made of layers, a `state`, or any other tree of tensors and plain data to a file, or the programs
    of a compiled function (see `Program`).

    The file is in the safetensors format: the tensors under the paths that lead to them, and in its metadata a
    description of everything else in JSON, from which `load` builds the model again. It can hold layers, rules,
    schedules and functions of this package, numbers, texts, tuples, lists and dicts; what is shared stays shared. Other
    functions and classes raise TypeError with their place, before anything is written; classes of your own may be
    listed in `classes`, of which the attributes are saved, or use `save(path, state(model))` and `loadmodel`.

    The file is written beside, brought to the disk and then renamed: a process that is killed meanwhile leaves the old
    file or the new one, whole, and perhaps a `.NAME.….tmp`.

    >>> import os, tempfile
    >>> import oxiflux as flux
    >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
    >>> flux.save(path, flux.Chain(flux.Dense(2, 3, flux.relu), flux.Dense(3, 1)))
    >>> flux.load(path)
    Chain(
      Dense(2 => 3, relu),                  # 9 parameters
      Dense(3 => 1),                        # 4 parameters
    )                   # Total: 4 arrays, 13 parameters, 52 bytes.
    """
    if is_program(model):
        save_program(path, model)
    else:
        write("save", path, model, classes)


@told
def load(path: Path, *, classes: Iterable[type] = ()) -> Any:
    """Reads what `save` wrote: the model, the state or the tree, with new tensors; of a compiled function a `Program`.

    Of any other safetensors file the result is a dict of its tensors by name.
    No code of a file is run: it names classes and functions, which must be among those of this package or in
    `classes`. A file that is cut off, changed or made to do harm raises ValueError, or DTypeError for types of elements
    that tensors do not have, before memory is taken that is larger than the file.

    >>> import os, tempfile
    >>> import oxiflux as flux
    >>> path = os.path.join(tempfile.mkdtemp(), "state.safetensors")
    >>> flux.save(path, {"weight": flux.ones(2), "steps": 3})
    >>> flux.load(path)
    {'weight': Tensor([1.0, 1.0]), 'steps': 3}
    """
    return read("load", path, classes)


def write(caller: str, path: Path, tree: Any, classes: Iterable[type], is_strict: bool = True) -> None:
    """Writes a tree; `is_strict` is that of the Writer."""
    writer = Writer(caller, known_classes(caller, classes), is_strict)
    try:
        root = writer.node(tree, "")
    except RecursionError:
        raise ValueError(f"{caller}: the model is nested too deep for a file") from None
    for name in writer.tensors:
        if not name.isascii() and name.encode("utf-8", "replace").decode() != name:
            raise ValueError(
                f"{caller}: the name {name!a} is no text that a file can hold: it has half of a character"
            )
    if _core.is_recording():
        for name, x in writer.tensors.items():
            _refuse_recorded(caller, name, x)
    # As they are now: another thread may make a step before all is written.
    tensors = {name: _core.stop_gradient(x) for name, x in writer.tensors.items()}
    crc = _checksum(root, tensors)
    description = _dumps({"version": _VERSION, "crc32": crc, "tree": root})
    _core.write_tensors(fsdecode(path), list(tensors.items()), {_KEY: description})


def _refuse_recorded(caller: str, name: str, x: Tensor) -> None:
    """Raises for a tensor that a gradient is taken through: what is loaded from the file would count as constant."""
    try:
        _core.reshape(x, (-1,))[:0].tolist()
    except ValueError:
        raise ValueError(
            f"{caller}: a gradient is being taken through {name}, and what is loaded again would count as a constant; "
            f"write flux.ignore_derivatives(lambda: flux.{caller}(…)) where that is meant"
        ) from None


def read(caller: str, path: Path, classes: Iterable[type]) -> Any:
    """Reads a tree."""
    import json

    known = known_classes(caller, classes)
    tensors, notes = _core.read_tensors(fsdecode(path))
    try:
        if (program := read_program(tensors, notes)) is not None:
            return program
    except (ValueError, TypeError) as error:
        raise ValueError(f"{caller}: the program in {path} is not valid: {error}") from None
    if _KEY not in notes:
        if any('"crc32":' in note[:32] for note in notes.values()):
            raise ValueError(f"{caller}: {path} is damaged: the name of its description is another")
        return tensors
    try:
        description = json.loads(notes[_KEY])
        if not isinstance(description, dict) or description.get("version") != _VERSION:
            raise InvalidError(f"it is not of version {_VERSION}")
        if description.get("crc32") != _checksum(description.get("tree"), tensors):
            raise InvalidError("the file has been changed or damaged: its checksum is another")
        return Reader(tensors, known).tree(description["tree"])
    except (ValueError, RecursionError) as error:
        reason = "it is too deep" if isinstance(error, RecursionError) else error
        raise ValueError(f"{caller}: the description in {path} is not valid: {reason}") from None


def _dumps(tree: Any) -> str:
    import json  # not with the package, which most often saves nothing

    return json.dumps(tree, separators=(",", ":"), allow_nan=False)


def _checksum(tree: Any, tensors: dict[str, Tensor]) -> int:
    """A number that changes with every bit of the contents."""
    import zlib

    crc = zlib.crc32(_dumps(tree).encode())
    for name, tensor in sorted(tensors.items()):
        crc = zlib.crc32(f"{name}: {tensor.dtype} {tensor.shape}".encode("utf-8", "surrogatepass"), crc)
        # NumPy has no bfloat16; as float32 it has the same bits, and zeros.
        array = (tensor.astype("float32") if tensor.dtype == "bfloat16" else tensor).numpy()
        crc = zlib.crc32(np.ascontiguousarray(array).data, crc)
    return crc
