"""Parameters from PyTorch's state dicts."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from .. import _core
from .._core import Tensor
from ..hints import told
from ..layers import Layer
from ..tree import loadmodel
from .flattened import behind_flatten
from .store import Path, load

__all__ = ["load_torch"]

Model = TypeVar("Model")
Array = np.ndarray[Any, Any]
# Gives an array of the source by the end of its name, or None if there is none.
Take = Callable[[str], Array | None]


@told
def load_torch(
    model: Model,
    source: Path | Mapping[str, Any] | Any,
    names: Iterable[str] | None = None,
    *,
    flattened: Mapping[str, Sequence[int]] | None = None,
) -> Model:
    """Copies parameters of PyTorch into a model, and returns the model.

    `source` is a safetensors file, a state dict of tensors of PyTorch or arrays, or a module of PyTorch. A layer takes
    what PyTorch has under the name of the same path: `model.encoder.layers[0]`, and `model["encoder"][0]` of a Chain,
    that of `encoder.0`. Where PyTorch has other names, `names` lists those of its modules, in the order of the model's
    layers that have parameters; a recurrent module of several layers is listed once for each of them.

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
    | other layers and tensors | the tensors of these names, as they are |

    Images have their channels last here and first in PyTorch. A `Dense` behind a `flatten` therefore meets its
    features in another order. In a `Chain` that is seen to; elsewhere, `flattened={"fc": (16, 5, 5)}` says that the
    module `fc` of PyTorch reads 16 channels of 5 by 5, and `flattened={}` that there is none. What looks like one
    raises ValueError if nothing is said.

    A part of the model for which there is nothing, and a part of the source that is not used, raise ValueError; shapes
    that do not fit, ShapeError. Nothing is changed then.

    >>> import numpy as np
    >>> import oxiflux as flux
    >>> theirs = {"fc.weight": np.ones((3, 2)), "fc.bias": np.zeros(3)}
    >>> flux.load_torch(flux.Chain(fc=flux.Dense(2, 3)), theirs)([[1.0, 1.0]]).tolist()
    [[2.0, 2.0, 2.0]]
    """
    tensors = _read(source)
    if not isinstance(tensors, dict):
        raise ValueError(f"load_torch: {source} holds a {type(tensors).__name__} of oxiflux; load reads it")
    reader = _Source(tensors, names, flattened or {})
    reader.channels = behind_flatten(model, refuse=flattened is None)
    tree = reader.tree(model, "")
    reader.finish()
    return loadmodel(model, tree)


def _read(source: Any) -> Any:
    """The tensors of a source by their names."""
    if isinstance(source, Mapping):
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


class _Source:
    """A state dict, and which of it has been taken."""

    def __init__(
        self, tensors: dict[str, Any], names: Iterable[str] | None, flattened: Mapping[str, Sequence[int]]
    ) -> None:
        # A count that PyTorch keeps for a momentum of None, which is not offered here.
        self.left = {
            name: x for name, x in tensors.items() if name.rpartition(".")[2] != "num_batches_tracked"
        }
        self.tensors = tensors
        self.names = None if names is None else list(names)
        self.flattened = dict(flattened)
        self.channels: dict[int, int | None] = {}
        self._used: Counter[str] = Counter()
        self._places = 0
        self._done: dict[int, Any] = {}

    def tree(self, node: Any, path: str) -> Any:
        """What `loadmodel` is given for a part of the model: its form, with arrays of the source."""
        if id(node) not in self._done and _core.leaves(node):
            self._done[id(node)] = self._part(node, path)
        return self._done.get(id(node))

    def _part(self, node: Any, path: str) -> Any:
        convert = _LAYERS.get(type(node).__name__) if isinstance(node, Layer) else None
        if convert is not None:
            name = self._name(path)
            # The layers of a recurrent module of several are numbered at the end: weight_ih_l0, weight_ih_l1, …
            number = self._used[name]
            self._used[name] += 1
            found = convert(
                node, lambda end: self._take(_join(None, name, end.replace("_l0", f"_l{number}")))
            )
            if name in self.flattened and "weight" in found:
                found["weight"] = _channels_last(name, found["weight"], self.flattened.pop(name))
            elif id(node) in self.channels and (weight := found.get("weight")) is not None:
                channels = self.channels[id(node)]
                if channels is None:
                    raise ValueError(
                        f"load_torch: {name} reads {len(weight)} features, which seem to be channels of an image laid "
                        f"flat; flattened={{{name!r}: (channels, height, width)}} says so, and flattened={{}} that "
                        "they are none"
                    )
                if weight.ndim == 2 and len(weight) % channels == 0:
                    found["weight"] = _channels_last(name, weight, (channels, len(weight) // channels))
            _check(node, found, name)
            return found
        if isinstance(node, Tensor):
            name = self._name(path)
            if (x := self._take(name)) is None:
                raise ValueError(f"load_torch: the source has no {name}")
            return x
        parts = {key: self.tree(kid, _join(node, path, key)) for key, kid in _core.children(node) or ()}
        return list(parts.values()) if isinstance(node, (list, tuple)) else parts

    def _name(self, path: str) -> str:
        """The name in PyTorch of what is at a path of the model."""
        if self.names is None:
            return path
        self._places += 1
        if self._places > len(self.names):
            raise ValueError(f"load_torch: {len(self.names)} names are too few; the next would be for {path}")
        return self.names[self._places - 1]

    def _take(self, name: str) -> Array | None:
        if name not in self.tensors:
            return None
        self.left.pop(name, None)
        x = self.tensors[name]
        if hasattr(x, "detach"):
            x = x.detach().cpu()
            # NumPy has no bfloat16.
            x = x.float() if x.is_floating_point() and x.element_size() < 4 else x
        elif getattr(x, "dtype", None) == "bfloat16":
            x = x.astype("float32")
        return np.asarray(x)

    def finish(self) -> None:
        """Raises if anything was not used."""
        if self.left:
            raise ValueError(f"load_torch: the model has no place for {', '.join(sorted(self.left))}")
        if self.names is not None and self._places < len(self.names):
            raise ValueError(f"load_torch: {len(self.names)} names for {self._places} layers with parameters")
        if self.flattened:
            raise ValueError(f"load_torch: no layer takes {', '.join(self.flattened)} of `flattened`")


def _check(node: Any, found: dict[str, Any], name: str) -> None:
    """Raises if there is nothing for a tensor of the layer, which `loadmodel` would take for zeros."""
    for key, value in found.items():
        mine = getattr(node, key, None)
        if isinstance(value, dict):
            _check(mine, value, _join(None, name, key))
        elif value is None and mine is not None:
            raise ValueError(f"load_torch: the source has nothing for {_join(None, name, key)}")


def _join(node: Any, path: str, key: object) -> str:
    """The name of a part; what a container holds has no `layers` in its name in PyTorch."""
    if key == "layers" and isinstance(node, Layer):
        return path
    return f"{path}.{key}" if path else str(key)


def _channels_last(name: str, weight: Array | None, shape: Sequence[int]) -> Array:
    if weight is None or weight.ndim != 2 or len(weight) != np.prod(shape):
        raise ValueError(f"load_torch: {name} does not read {tuple(shape)} values")
    return np.moveaxis(weight.reshape(*shape, -1), 0, -2).reshape(weight.shape)


def _renamed(**theirs: str) -> Callable[[Any, Take], dict[str, Any]]:
    """Attributes that PyTorch has under other names."""
    return lambda layer, take: {mine: take(name) for mine, name in theirs.items()}


def _turned(layer: Any, take: Take) -> dict[str, Any]:
    """A weight with its axes the other way round, but for those of its window, which then come first."""
    weight = take("weight")
    if weight is not None:
        weight = np.moveaxis(weight, (0, 1), (-1, -2))
        if getattr(layer, "flipped", False):
            weight = np.flip(weight, tuple(range(weight.ndim - 2)))
    return {"weight": weight, "bias": take("bias")}


def _bilinear(layer: Any, take: Take) -> dict[str, Any]:
    weight = take("weight")
    return {"weight": None if weight is None else np.moveaxis(weight, 0, -1), "bias": take("bias")}


def _attention(layer: Any, take: Take) -> dict[str, Any]:
    joined, bias = take("in_proj_weight"), take("in_proj_bias")
    apart = {mine: _first(take, theirs) for mine, theirs in _PROJECTIONS.items()} if joined is None else {}
    if all(found is not None for found in apart.values()) and apart:
        return {mine: found for mine, found in apart.items() if found is not None}
    parts = [take(f"{name}_proj_weight") for name in "qkv"] if joined is None else np.split(joined, 3)
    biases = [None] * 3 if bias is None else np.split(bias, 3)
    parts, biases = [*parts, take("out_proj.weight")], [*biases, take("out_proj.bias")]
    names = ("q_proj", "k_proj", "v_proj", "out_proj")
    return {
        name: {"weight": None if w is None else w.T, "bias": b}
        for name, w, b in zip(names, parts, biases, strict=True)
    }


# The names of the projections where each is a module.
_PROJECTIONS = {
    "q_proj": ("q_proj", "query", "self.query", "q_lin"),
    "k_proj": ("k_proj", "key", "self.key", "k_lin"),
    "v_proj": ("v_proj", "value", "self.value", "v_lin"),
    "out_proj": ("out_proj", "o_proj", "output.dense", "out_lin", "dense", "out"),
}


def _first(take: Take, names: Iterable[str]) -> dict[str, Array | None] | None:
    """The first of these modules that there is."""
    for name in names:
        if (weight := take(f"{name}.weight")) is not None:
            return {"weight": weight.T, "bias": take(f"{name}.bias")}
    return None


def _recurrent(layer: Any, take: Take) -> dict[str, Any]:
    cell = getattr(layer, "cell", layer)
    weights = {name: take(name if cell is layer else f"{name}_l0") for name in ("weight_ih", "weight_hh")}
    found = {name: None if w is None else w.T for name, w in weights.items()}
    biases = [take(name if cell is layer else f"{name}_l0") for name in ("bias_ih", "bias_hh")]
    if cell.bias_hh is not None:
        found["bias"], found["bias_hh"] = biases
    elif biases[0] is None or biases[1] is None:
        found["bias"] = None
    elif cell.gates == 3 and biases[1][-len(biases[1]) // 3 :].any():
        raise ValueError(f"load_torch: {layer.describe()} has no bias for the state: recurrent_bias=True")
    else:
        found["bias"] = biases[0] + biases[1]
    return found if cell is layer else {"cell": found}


def _block(layer: Any, take: Take) -> dict[str, Any]:
    def part(name: str, theirs: str) -> Any:
        node = getattr(layer, name)
        return _LAYERS[type(node).__name__](node, lambda end: take(f"{theirs}.{end}"))

    names = {
        "attention": "self_attn",
        "dense1": "linear1",
        "dense2": "linear2",
        "norm1": "norm1",
        "norm2": "norm2",
    }
    return {name: part(name, theirs) for name, theirs in names.items()}


_norm = _renamed(gamma="weight", beta="bias", mu="running_mean", var="running_var")
_table = _renamed(weight="weight")

_LAYERS: dict[str, Callable[[Any, Take], dict[str, Any]]] = {
    "BatchNorm": _norm,
    "Bilinear": _bilinear,
    "Conv": _turned,
    "ConvTranspose": _turned,
    "CrossCor": _turned,
    "Dense": _turned,
    "Embedding": _table,
    "EmbeddingBag": _table,
    "GRU": _recurrent,
    "GRUCell": _recurrent,
    "GroupNorm": _renamed(gamma="weight", beta="bias"),
    "InstanceNorm": _norm,
    "LSTM": _recurrent,
    "LSTMCell": _recurrent,
    "LayerNorm": _renamed(scale="weight", bias="bias"),
    "MultiHeadAttention": _attention,
    "PReLU": _renamed(slope="weight"),
    "RMSNorm": _renamed(scale="weight"),
    "RNN": _recurrent,
    "RNNCell": _recurrent,
    "TransformerBlock": _block,
}
