"""What PyTorch calls the tensors of each layer, and the order of their axes there: one table, read both ways."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .. import _core
from .._core import Tensor
from ..layers import Layer

__all__ = ["Entry", "Has", "entries", "is_listed", "join"]

Array = np.ndarray[Any, Any]
# While a state dict is read, whether it has a tensor of this name; while one is written, how it is to have the
# projections of attention: "joined", "apart" or "modules", or "" for what PyTorch's own module has.
Has = Callable[[str], bool] | str
Turn = Callable[[Array], Array]


class Entry(NamedTuple):
    """Tensors of a layer by their paths in it, those of PyTorch that hold the same, and the ways between them.

    One tensor here may be two there, and three here one there. A name of PyTorch may be a tuple of names, of which the
    first that the source has is read, and the very first is written.
    """

    ours: tuple[str, ...]
    theirs: tuple[str | tuple[str, ...], ...]
    read: Callable[..., Iterable[Array]]
    write: Callable[..., Iterable[Array]]

    def within(self, ours: str, theirs: str) -> Entry:
        """The entry of a part, as one of the layer around it."""
        names = tuple(
            join(None, theirs, name) if isinstance(name, str) else tuple(join(None, theirs, n) for n in name)
            for name in self.theirs
        )
        return self._replace(ours=tuple(f"{ours}.{path}" for path in self.ours), theirs=names)


def entries(layer: Any, has: Has) -> list[Entry]:
    """The entries of a layer; of what is not in the table, its tensors as they are.

    >>> import oxiflux as flux
    >>> [(entry.ours, entry.theirs) for entry in entries(flux.GroupNorm(4, 2), "")]
    [(('gamma',), ('weight',)), (('beta',), ('bias',))]
    """
    if is_listed(layer):
        return list(_LAYERS[type(layer).__name__](layer, has))
    found = []
    for key, kid in _core.children(layer) or ():
        name = join(layer, "", key)
        if isinstance(kid, Tensor):
            found.append(_one(str(key), name))
        else:
            found += [entry.within(str(key), name) for entry in entries(kid, _within(has, name))]
    return found


def _within(has: Has, name: str) -> Has:
    """What the source has of a part."""
    return has if isinstance(has, str) else lambda end: has(join(None, name, end))


def is_listed(node: Any) -> bool:
    """Whether the table has a row for it."""
    return isinstance(node, Layer) and type(node).__name__ in _LAYERS


def join(node: Any, path: str, key: object) -> str:
    """The name of a part; what a container holds has no `layers` in its name in PyTorch."""
    if key == "layers" and isinstance(node, Layer):
        return path
    return f"{path}.{key}" if path else str(key)


def _as_is(x: Array) -> tuple[Array]:
    return (x,)


def _one(
    ours: str, theirs: str | tuple[str, ...], read: Turn | None = None, write: Turn | None = None
) -> Entry:
    """One tensor here that is one there."""
    return Entry(
        (ours,),
        (theirs,),
        _as_is if read is None else lambda x: (read(x),),
        _as_is if write is None else lambda x: (write(x),),
    )


def _renamed(**theirs: str) -> Callable[[Any, Has], list[Entry]]:
    """Attributes that PyTorch has under other names."""
    found = [_one(ours, name) for ours, name in theirs.items()]
    return lambda layer, has: found


def _last(x: Array, is_flipped: bool = False) -> Array:
    """A weight with its axes the other way round, but for those of its window, which then come first."""
    x = np.moveaxis(x, (0, 1), (-1, -2))
    return np.flip(x, tuple(range(x.ndim - 2))) if is_flipped else x


def _first(x: Array, is_flipped: bool = False) -> Array:
    """The way back of `_last`."""
    x = np.flip(x, tuple(range(x.ndim - 2))) if is_flipped else x
    return np.moveaxis(x, (-1, -2), (0, 1))


def _turned(layer: Any, has: Has) -> list[Entry]:
    flipped = bool(getattr(layer, "flipped", False))
    return [
        _one("weight", "weight", partial(_last, is_flipped=flipped), partial(_first, is_flipped=flipped)),
        _one("bias", "bias"),
    ]


def _bilinear(layer: Any, has: Has) -> list[Entry]:
    return [
        _one("weight", "weight", lambda x: np.moveaxis(x, 0, -1), lambda x: np.moveaxis(x, -1, 0)),
        _one("bias", "bias"),
    ]


def _weight_norm(layer: Any, has: Has) -> list[Entry]:
    """As `torch.nn.utils.parametrizations.weight_norm` keeps it, or the older `weight_norm`."""
    found = []
    for entry in entries(layer.layer, has):
        if entry.ours == (layer.which,):
            name = entry.theirs[0]
            v, g = (
                (f"parametrizations.{name}.original{k}", f"{name}_{end}") for k, end in ((1, "v"), (0, "g"))
            )
            found.append(entry._replace(ours=("g",), theirs=(g,)))
            entry = entry._replace(theirs=(v,))
        found.append(entry._replace(ours=tuple(f"layer.{path}" for path in entry.ours)))
    return found


# The names of the projections where each is a module; the first is written.
_PROJECTIONS = {
    "q_proj": ("q_proj", "query", "self.query", "q_lin"),
    "k_proj": ("k_proj", "key", "self.key", "k_lin"),
    "v_proj": ("v_proj", "value", "self.value", "v_lin"),
    "out_proj": ("out_proj", "o_proj", "output.dense", "out_lin", "dense", "out"),
}
_INPUTS = ("q_proj", "k_proj", "v_proj")


def _attention(layer: Any, has: Has) -> Iterator[Entry]:
    form = _form_of(has) if callable(has) else has or _form(layer)
    if form == "modules":
        for ours, theirs in _PROJECTIONS.items():
            yield _one(
                f"{ours}.weight", tuple(f"{name}.weight" for name in theirs), np.transpose, np.transpose
            )
            yield _one(f"{ours}.bias", tuple(f"{name}.bias" for name in theirs))
        return
    if form == "joined":
        yield Entry(
            tuple(f"{name}.weight" for name in _INPUTS),
            ("in_proj_weight",),
            lambda x: [part.T for part in np.split(x, 3)],
            lambda *parts: [np.concatenate([part.T for part in parts])],
        )
    else:
        for name in _INPUTS:
            yield _one(f"{name}.weight", f"{name}_weight", np.transpose, np.transpose)
    yield Entry(
        tuple(f"{name}.bias" for name in _INPUTS),
        ("in_proj_bias",),
        lambda x: np.split(x, 3),
        lambda *parts: [np.concatenate(parts)],
    )
    yield _one("out_proj.weight", "out_proj.weight", np.transpose, np.transpose)
    yield _one("out_proj.bias", "out_proj.bias")


def _form_of(has: Callable[[str], bool]) -> str:
    """How the source has the projections of an attention."""
    return "joined" if has("in_proj_weight") else "apart" if has("q_proj_weight") else "modules"


def _form(layer: Any) -> str:
    """How PyTorch's MultiheadAttention would have them, which is of as many features inside as outside and has all
    biases or none; others are written as modules.
    """
    parts = [getattr(layer, name) for name in _PROJECTIONS]
    (q, size), *others = (part.weight.shape for part in parts)
    biases = {part.bias is None for part in parts}
    if q != size or others[2] != (size, size) or {n for _, n in others} != {size} or len(biases) > 1:
        return "modules"
    return "joined" if all(n == size for n, _ in others) else "apart"


def _recurrent(layer: Any, has: Has) -> list[Entry]:
    cell = getattr(layer, "cell", layer)
    before, end = ("", "") if cell is layer else ("cell.", "_l0")
    weights = [
        _one(f"{before}{name}", f"{name}{end}", np.transpose, np.transpose)
        for name in ("weight_ih", "weight_hh")
    ]
    biases = f"bias_ih{end}", f"bias_hh{end}"
    if cell.bias_hh is not None:
        return [*weights, _one(f"{before}bias", biases[0]), _one(f"{before}bias_hh", biases[1])]
    return [*weights, Entry((f"{before}bias",), biases, partial(_sum_of_biases, layer), _bias_and_zeros)]


def _sum_of_biases(layer: Any, a: Array, b: Array) -> list[Array]:
    if getattr(layer, "cell", layer).gates == 3 and b[-len(b) // 3 :].any():
        raise ValueError(f"load_torch: {layer.describe()} has no bias for the state: recurrent_bias=True")
    # Where one is zero, the other is taken to the bit: -0.0 + 0.0 is 0.0.
    return [np.where(b == 0, a, a + b)]


def _bias_and_zeros(x: Array) -> list[Array]:
    return [x, np.zeros_like(x)]


def _block(layer: Any, has: Has) -> Iterator[Entry]:
    names = {
        "attention": "self_attn",
        "norm1": "norm1",
        "norm2": "norm2",
        "dense1": "linear1",
        "dense2": "linear2",
    }
    for ours, theirs in names.items():
        for entry in entries(getattr(layer, ours), _within(has, theirs)):
            yield entry.within(ours, theirs)


_norm = _renamed(gamma="weight", beta="bias", mu="running_mean", var="running_var")
_table = _renamed(weight="weight")

_LAYERS: dict[str, Callable[[Any, Has], Iterable[Entry]]] = {
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
    "WeightNorm": _weight_norm,
}
