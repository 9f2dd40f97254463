"""Parameters from PyTorch's state dicts, and state dicts from ours."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar, overload

import numpy as np

from .. import _core
from .._core import ShapeError, Tensor
from ..hints import told
from ..tree import loadmodel
from .flattened import behind_flatten
from .layouts import Layout, layout_of
from .mapping import Array, entries, is_listed, join
from .modules import model_of
from .store import Path, load

__all__ = ["load_torch", "to_torch"]

Model = TypeVar("Model")

# A list of a list of … of one list twice has more names than there is memory.
_MOST_REPEATS = 10_000


@overload
def load_torch(model: Any, source: None = ...) -> Any: ...
@overload
def load_torch(
    model: Model,
    source: Path | Mapping[str, Any] | Any,
    names: Iterable[str] | None = ...,
    *,
    layout: str | None = ...,
    flattened: Mapping[str, Sequence[int]] | None = ...,
) -> Model: ...
@told
def load_torch(
    model: Any,
    source: Any = None,
    names: Iterable[str] | None = None,
    *,
    layout: str | None = None,
    flattened: Mapping[str, Sequence[int]] | None = None,
) -> Any:
    """Copies parameters of PyTorch into a model, and returns the model.

    `source` is a safetensors file, a state dict of tensors of PyTorch or arrays, or a module of PyTorch. A layer takes
    what PyTorch has under the name of the same path: `model.encoder.layers[0]`, and `model["encoder"][0]` of a Chain,
    that of `encoder.0`. Where PyTorch has other names, `names` lists those of its modules, in the order of the model's
    layers that have parameters; a recurrent module of several layers is listed once for each of them. `layout` is a way
    in which Hugging Face's transformers name and turn them, `"bert"`, `"gpt2"` or `"vit"`; see `oxiflux.huggingface`.
    A layer that the model has at several places may be in the source at each of them, with the same numbers, or once.

    `load_torch(module)` alone makes the model too: a `Chain` of a `Sequential`, within which may be others, of the
    modules below, pools, activations, `Dropout` and `Flatten`, with their options. Others raise ValueError.

    | layer | from PyTorch |
    |---|---|
    | `Dense` | `Linear`: `weight` transposed to `(in, out)` |
    | `Conv` | `Conv1d` to `Conv3d`: `weight` from `(out, in, *window)` to `(*window, in, out)` |
    | `ConvTranspose` | `ConvTranspose1d` to `3d`: `weight` from `(in, out, *window)` to `(*window, out, in)` |
    | `Bilinear` | `Bilinear`: `weight` from `(out, in1, in2)` to `(in1, in2, out)` |
    | `BatchNorm`, `InstanceNorm` | `gamma`, `beta`, `mu`, `var` are `weight`, `bias`, `running_mean`, `running_var` |
    | `GroupNorm` | `gamma`, `beta` are `weight`, `bias` |
    | `LayerNorm` | `scale`, `bias` are `weight`, `bias` |
    | `RMSNorm` | `scale` is `weight` |
    | `PReLU` | `slope` is `weight` |
    | `Embedding`, `EmbeddingBag` | `weight` |
    | `MultiHeadAttention` | `in_proj` is cut into `q_proj`, `k_proj`, `v_proj`, each transposed; or these as `Linear` \
    by these names, `query`, `key`, `value`, or `self.query`, … |
    | `TransformerBlock` | `TransformerEncoderLayer`: `attention` is `self_attn`, `dense1` and `dense2` are \
    `linear1` and `linear2`, norms as they are |
    | `RNN`, `LSTM`, `GRU` and their cells | weights transposed, the two biases added unless there is a `bias_hh` |
    | `WeightNorm` | `parametrizations.weight.original0` and `original1`, or `weight_g` and `weight_v`, turned as the \
    weight is |
    | other layers and tensors | the tensors of these names, as they are |

    Images have their channels last here and first in PyTorch. A `Dense` behind a `flatten` therefore meets its
    features in another order. In a `Chain` that is seen to; elsewhere, `flattened={"fc": (16, 5, 5)}` says that the
    module `fc` of PyTorch reads 16 channels of 5 by 5, and `flattened={}` that there is none. What looks like one
    raises ValueError if nothing is said.

    A part of the model for which there is nothing, and a part of the source that is not used, raise ValueError; shapes
    that do not fit, ShapeError. Nothing is changed then. `to_torch` is the way back.

    >>> import numpy as np
    >>> import oxiflux as flux
    >>> theirs = {"fc.weight": np.ones((3, 2)), "fc.bias": np.zeros(3)}
    >>> flux.load_torch(flux.Chain(fc=flux.Dense(2, 3)), theirs)([[1.0, 1.0]]).tolist()
    [[2.0, 2.0, 2.0]]
    """
    if source is None:
        model, source = _made(model), model
    tensors = _read(source)
    if not isinstance(tensors, dict):
        raise ValueError(f"load_torch: {source} holds a {type(tensors).__name__} of oxiflux; load reads it")
    reader = _Source("load_torch", model, names, layout_of("load_torch", layout), flattened)
    reader.open(tensors)
    tree = reader.tree(model, "")
    reader.finish()
    return loadmodel(model, tree)


@told
def to_torch(
    model: Any,
    names: Iterable[str] | None = None,
    *,
    layout: str | None = None,
    flattened: Mapping[str, Sequence[int]] | None = None,
    numpy: bool | None = None,
) -> dict[str, Any]:
    """The parameters of a model as a state dict of PyTorch: the way back of `load_torch`, by the same table.

    `names`, `layout` and `flattened` are those of `load_torch`, and what it reads into a model of the same form is
    equal to the bit. The values are copies: tensors of PyTorch if it has been imported, else arrays of NumPy; arrays
    with `numpy=True`, and with `numpy=False` tensors always. NumPy has no bfloat16, which becomes float32 there.

    An attention is written as PyTorch's `MultiheadAttention` has it, or, where that cannot hold it, as `Linear` modules
    `q_proj`, `k_proj`, `v_proj` and `out_proj`. A recurrent layer without a `bias_hh` is given one of zeros. A layer
    that the model has at several places is written at each of them, as PyTorch does, but with `names` once.

    The result is what `load_state_dict` takes. `flux.save(path, flux.to_torch(model, numpy=True))` writes it as a
    safetensors file. Names that do not suffice, or are those of two tensors, raise ValueError.

    >>> import oxiflux as flux
    >>> theirs = flux.to_torch(flux.Chain(flux.Dense(2, 3), flux.relu, flux.LayerNorm(3)), numpy=True)
    >>> {name: x.shape for name, x in theirs.items()}
    {'0.weight': (3, 2), '0.bias': (3,), '2.weight': (3,), '2.bias': (3,)}
    """
    writer = _Target("to_torch", model, names, layout_of("to_torch", layout), flattened)
    writer.tree(model, "")
    writer.finish()
    as_tensors = "torch" in sys.modules if numpy is None else not numpy
    return {name: _given(x, as_tensors) for name, x in writer.tensors.items()}


def _given(x: tuple[Array, bool], as_tensors: bool) -> Any:
    """A copy in the order of its axes, which is what files of tensors need, or a tensor of PyTorch."""
    array = np.array(x[0], order="C")
    if not as_tensors:
        return array
    import torch

    tensor = torch.from_numpy(array)
    return tensor.to(torch.bfloat16) if x[1] else tensor


def _made(module: Any) -> Any:
    """A model for a module of PyTorch."""
    if not callable(getattr(module, "named_children", None)):
        raise TypeError(
            "load_torch: expected a model and a source, or a module of PyTorch alone, got only a "
            f"{type(module).__name__}"
        )
    return model_of(module)


def _read(source: Any) -> Any:
    """The tensors of a source by their names."""
    if isinstance(source, Mapping):
        if wrong := [name for name in source if not isinstance(name, str)]:
            raise TypeError(f"load_torch: a state dict has texts as names, got {wrong[0]!r}")
        return dict(source)
    if callable(getattr(source, "state_dict", None)):
        return dict(source.state_dict())
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(
            f"load_torch: the source must be a state dict or a path, got a {type(source).__name__}; "
            "a module of PyTorch gives model.state_dict()"
        )
    name = os.fspath(source)
    if name.endswith((".pt", ".pth", ".bin", ".ckpt", ".pkl")):
        raise ValueError(
            f"load_torch: {name} looks like a file of torch.save, which may run code when it is read; "
            "give torch.load(path, weights_only=True), or the path of a safetensors file"
        )
    return load(source)


class _Walk:
    """A walk through a model, layer by layer, and what each is called in PyTorch."""

    def __init__(
        self,
        caller: str,
        model: Any,
        names: Iterable[str] | None,
        layout: Layout | None,
        flattened: Mapping[str, Sequence[int]] | None,
    ) -> None:
        is_list = isinstance(names, Iterable) and not isinstance(names, (str, bytes))
        self.names = list(names) if is_list and names is not None else None
        if not (names is None or is_list) or not all(isinstance(name, str) for name in self.names or ()):
            raise TypeError(f"{caller}: names is a list of the names of modules, got {names!r}")
        if not (flattened is None or isinstance(flattened, Mapping)):
            raise TypeError(f"{caller}: flattened is a dict of shapes by names, got {flattened!r}")
        self.caller, self.layout = caller, layout
        self.flattened = dict(flattened or {})
        self.channels = behind_flatten(model, refuse=flattened is None)
        self._places = self._repeats = 0
        self._used: Counter[str] = Counter()
        self._done: dict[int, Any] = {}

    def tree(self, node: Any, path: str) -> Any:
        """What `loadmodel` is given for a part of the model: its form, with arrays of the source."""
        if not _core.leaves(node):
            return None
        if id(node) not in self._done:
            self._done[id(node)] = self._part(node, path)
        elif self.names is None and self.is_again(path):
            self._repeats += 1
            if self._repeats > _MOST_REPEATS:
                raise ValueError(
                    f"{self.caller}: parts of the model are met again at over {_MOST_REPEATS} places"
                )
            return self._part(node, path)
        return self._done[id(node)]

    def _part(self, node: Any, path: str) -> Any:
        if isinstance(node, Tensor):
            return self.tensor(node, self._name(path))
        if not is_listed(node):
            parts = {key: self.tree(kid, join(node, path, key)) for key, kid in _core.children(node) or ()}
            return list(parts.values()) if isinstance(node, (list, tuple)) else parts
        name = self._name(path)
        # The layers of a recurrent module of several are numbered at the end: weight_ih_l0, weight_ih_l1, …
        number = self._used[name]
        self._used[name] += 1
        return self.layer(node, name, lambda end: join(None, name, end.replace("_l0", f"_l{number}")))

    def _name(self, path: str) -> str:
        """The name in PyTorch of what is at a path of the model."""
        if self.names is None:
            return path
        self._places += 1
        if self._places > len(self.names):
            raise ValueError(
                f"{self.caller}: {len(self.names)} names are too few; the next would be for {path}"
            )
        return self.names[self._places - 1]

    def image(self, node: Any, name: str, size: int) -> Sequence[int] | None:
        """The shape of the image, channels first, that a layer of so many features reads laid flat in PyTorch."""
        if name in self.flattened:
            shape = self.flattened.pop(name)
            if size != np.prod(shape):
                raise ValueError(f"{self.caller}: {name} does not read {tuple(shape)} values")
            return shape
        if id(node) not in self.channels:
            return None
        channels = self.channels[id(node)]
        if channels is None:
            raise ValueError(
                f"{self.caller}: {name} reads {size} features, which seem to be channels of an image laid "
                f"flat; flattened={{{name!r}: (channels, height, width)}} says so, and flattened={{}} that "
                "they are none"
            )
        return None if size % channels else (channels, size // channels)

    def finish(self) -> None:
        """Raises if a name was not used."""
        if self.names is not None and self._places < len(self.names):
            raise ValueError(
                f"{self.caller}: {len(self.names)} names for {self._places} layers with parameters"
            )
        if self.flattened:
            raise ValueError(f"{self.caller}: no layer takes {', '.join(self.flattened)} of `flattened`")

    def is_again(self, path: str) -> bool:
        """Whether a part that has been met elsewhere counts here too."""
        raise NotImplementedError

    def tensor(self, node: Tensor, name: str) -> Any:
        """Sees to a tensor that is in no layer of the table."""
        raise NotImplementedError

    def layer(self, node: Any, name: str, named: Any) -> Any:
        """Sees to a layer of the table; `named` gives the whole name of what is in it."""
        raise NotImplementedError


class _Source(_Walk):
    """A state dict that is read, and which of it has been taken."""

    def open(self, tensors: dict[str, Any]) -> None:
        """Starts with these tensors; `left` are those not taken yet, with their names in the source."""
        self.tensors = {name: (name, x) for name, x in tensors.items()} if self.layout is None else {}
        if self.layout is not None:
            for name, x in tensors.items():
                self.tensors[self.layout.ours(name)] = (name, x)
        # A count that PyTorch keeps for a momentum of None, which is not offered here.
        self.left = {
            name: theirs
            for name, (theirs, _) in self.tensors.items()
            if name.rpartition(".")[2] != "num_batches_tracked"
        }

    def is_again(self, path: str) -> bool:
        return any(name == path or name.startswith(f"{path}.") for name in self.left)

    def tensor(self, node: Tensor, name: str) -> Array:
        if (x := self._take(name)) is None:
            raise ValueError(f"load_torch: the source has no {self._theirs(name)}")
        return x

    def layer(self, node: Any, name: str, named: Any) -> dict[str, Any]:
        found: dict[str, Array | None] = {}
        for entry in entries(node, lambda end: self._find(named(end)) is not None):
            given = [self._take_first(named, name) for name in entry.theirs]
            arrays = [x for x in given if x is not None]
            values: Iterable[Array | None] = [None] * len(entry.ours)
            if len(arrays) == len(given):
                try:
                    values = entry.read(*arrays)
                except (ValueError, IndexError) as error:
                    if str(error).startswith("load_torch"):
                        raise
                    # That of NumPy cannot say what it is about.
                    shapes = " and ".join(str(x.shape) for x in arrays)
                    where = join(None, name, entry.ours[0])
                    raise ShapeError(
                        f"load_torch: what the source has for {where}, of shape {shapes}, does not fit "
                        f"{node.describe()}: {error}"
                    ) from None
            found |= zip(entry.ours, values, strict=True)
        dense, path = _behind(node)
        weight = found.get(path)
        if weight is not None and weight.ndim == 2 and (shape := self.image(dense, name, len(weight))):
            found[path] = _channels_last(weight, shape)
        for path, x in found.items():
            if x is None and _at(node, path) is not None:
                raise ValueError(f"load_torch: the source has nothing for {join(None, name, path)}")
        tree: dict[str, Any] = _nested(node, found)
        return tree

    def _take_first(self, named: Any, ends: str | tuple[str, ...]) -> Array | None:
        """The first of these that there is."""
        for end in (ends,) if isinstance(ends, str) else ends:
            if (x := self._take(named(end))) is not None:
                return x
        return None

    def _find(self, name: str) -> str | None:
        """The name by which the source has it: a layout may have a prefix more or less."""
        if name in self.tensors or self.layout is None:
            return name if name in self.tensors else None
        return next((other for other in self.layout.others(name) if other in self.tensors), None)

    def _take(self, name: str) -> Array | None:
        found = self._find(name)
        if found is None:
            return None
        self.left.pop(found, None)
        theirs, x = self.tensors[found]
        if hasattr(x, "detach"):
            x = x.detach().cpu()
            # NumPy has no bfloat16.
            x = x.float() if x.is_floating_point() and x.element_size() < 4 else x
        elif getattr(x, "dtype", None) == "bfloat16":
            x = x.astype("float32")
        array = np.asarray(x)
        return array.T if self.layout is not None and self.layout.is_turned(theirs) else array

    def _theirs(self, name: str) -> str:
        return name if self.layout is None else self.layout.theirs(name)

    def finish(self) -> None:
        left = {
            theirs for theirs in self.left.values() if self.layout is None or not self.layout.is_spare(theirs)
        }
        if left:
            raise ValueError(f"load_torch: the model has no place for {', '.join(sorted(left))}")
        super().finish()


class _Target(_Walk):
    """A state dict that is written; with each array goes whether it was of bfloat16."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.tensors: dict[str, tuple[Array, bool]] = {}

    def is_again(self, path: str) -> bool:
        return True

    def tensor(self, node: Tensor, name: str) -> None:
        if not name:
            raise ValueError('to_torch: a tensor alone has no name in a state dict; names=["…"] gives it one')
        self._put(name, *_array(node))

    def layer(self, node: Any, name: str, named: Any) -> None:
        for entry in entries(node, "" if self.layout is None else self.layout.form):
            given = [x for path in entry.ours if (x := _at(node, path)) is not None]
            if len(given) < len(entry.ours):
                continue
            arrays = [_array(x)[0] for x in given]
            weight, (dense, path) = arrays[0], _behind(node)
            if entry.ours == (path,) and weight.ndim == 2 and (shape := self.image(dense, name, len(weight))):
                arrays = [_channels_first(weight, shape)]
            for end, x in zip(entry.theirs, entry.write(*arrays), strict=True):
                self._put(named(end if isinstance(end, str) else end[0]), x, given[0].dtype == "bfloat16")
        if type(node).__name__ in ("BatchNorm", "InstanceNorm") and node.mu is not None:
            self._put(named("num_batches_tracked"), np.array(0), False)

    def _put(self, name: str, x: Array, is_half: bool) -> None:
        if self.layout is not None:
            name = self.layout.theirs(name)
            x = x.T if self.layout.is_turned(name) else x
        if name in self.tensors:
            raise ValueError(
                f"to_torch: two tensors of the model would be called {name}; `names` gives others"
            )
        self.tensors[name] = (x, is_half)


def _array(x: Tensor) -> tuple[Array, bool]:
    """The numbers, and whether they are of bfloat16, which NumPy does not have."""
    is_half = x.dtype == "bfloat16"
    return (x.astype("float32") if is_half else x).numpy(), is_half


def _at(node: Any, path: str) -> Any:
    """What is at a path of a layer, or None."""
    for key in path.split("."):
        if isinstance(node, (list, tuple)):
            node = node[int(key)]
        else:
            node = node.get(key) if isinstance(node, dict) else getattr(node, key, None)
    return node


def _nested(node: Any, found: Mapping[str, Any]) -> Any:
    """What `loadmodel` is given for a part, from its tensors by their paths."""
    kids: dict[str, dict[str, Any]] = {}
    for path, x in found.items():
        key, _, rest = path.partition(".")
        kids.setdefault(key, {})[rest] = x
    if isinstance(node, (list, tuple)):
        return [_nested(part, kids[str(i)]) if str(i) in kids else None for i, part in enumerate(node)]
    return {key: x[""] if "" in x else _nested(_at(node, key), x) for key, x in kids.items()}


def _behind(layer: Any) -> tuple[Any, str]:
    """The layer that may read images laid flat, and the path of its weight: a norm of the weight is around it."""
    if type(layer).__name__ == "WeightNorm":
        return layer.layer, "layer.weight"
    return layer, "weight"


def _channels_last(weight: Array, shape: Sequence[int]) -> Array:
    return np.moveaxis(weight.reshape(*shape, -1), 0, -2).reshape(weight.shape)


def _channels_first(weight: Array, shape: Sequence[int]) -> Array:
    channels, *rest = shape
    return np.moveaxis(weight.reshape(*rest, channels, -1), -2, 0).reshape(weight.shape)
