"""Models as trees: walking, saving and loading the tensors of any nested Python object, in one file because
all of them walk alike.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, overload

import numpy as np

from . import _core
from ._core import Leaf, ShapeError, Tensor
from .functors import CALLABLES, FIXED, put, remade, show_path, walks
from .functors import fmap as fmap  # the core asks for it here

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "Params", "bf16", "f16", "f32", "f64", "loadmodel", "modules", "params", "state", "trainables",
]  # fmt: skip

Path = tuple[str | int, ...]
Model = TypeVar("Model")

FLOATS = (_core.float16, _core.bfloat16, _core.float32, _core.float64)


class Params(tuple[Tensor, ...]):
    """The trainable tensors of some models, in order and each once; `x in params` asks for this very object.

    It is a tuple, so it can be indexed, iterated and passed to `gradient` like one. What `params` gives knows the
    `models` it has been collected from.

    >>> import oxiflux as flux
    >>> layer = flux.Dense(2, 3)
    >>> ps = flux.params(layer)
    >>> len(ps), layer.bias in ps, flux.zeros(3) in ps
    (2, True, False)
    """

    models: tuple[Any, ...]

    def __new__(cls, tensors: Iterable[Tensor] = ()) -> Self:
        """The parameters in the given order, those that occur again left out."""
        new = super().__new__(cls, {id(t): t for t in tensors}.values())
        new.models = ()
        return new

    def __contains__(self, x: object) -> bool:
        return any(t is x for t in self)

    def index(self, x: object, *_: Any) -> int:
        """The position of this very object."""
        for i, t in enumerate(self):
            if t is x:
                return i
        raise ValueError("Params.index: this tensor is not among the parameters")

    def count(self, x: object) -> int:
        """1 if this very object is among the parameters, else 0."""
        return int(x in self)

    def __repr__(self) -> str:
        return f"Params({[t.shape for t in self]})"


@overload
def trainables(model: Any, path: Literal[False] = False) -> list[Tensor]: ...
@overload
def trainables(model: Any, path: Literal[True]) -> list[tuple[Path, Tensor]]: ...
def trainables(model: Any, path: bool = False) -> list[Tensor] | list[tuple[Path, Tensor]]:
    """The trainable tensors of a model, depth first, each once even if two layers share it.

    Trainable are the floating tensors of every attribute, unless the layer names them itself in
    `trainable()`. With `path=True` each comes as `(path, tensor)`, the path being the keys that lead to it.

    >>> import oxiflux as flux
    >>> model = flux.Chain(flux.Dense(2, 3), flux.Dense(3, 1, bias=False))
    >>> [w.shape for w in flux.trainables(model)]
    [(2, 3), (3,), (3, 1)]
    >>> [path for path, _ in flux.trainables(model, path=True)][0]
    ('layers', 0, 'weight')
    """
    found = _core.leaves(model, trainable=True)
    if not isinstance(path, (bool, np.bool_)):
        raise TypeError(f"trainables: path must be True or False, got {path!r}")
    return found if path else [tensor for _, tensor in found]


def params(*models: Any) -> Params:
    """The trainable tensors of the models, collected by identity, for the implicit style of `train`.

    What looks like a parameter and cannot be trained, such as an array of NumPy, raises TypeError, as in `setup`.

    >>> import oxiflux as flux
    >>> a, b = flux.Dense(2, 3), flux.Dense(3, 1)
    >>> len(flux.params(a, b)), len(flux.params(a, a))
    (4, 2)
    """
    for model in models:
        refuse_constants("params", model)
    found = Params(tensor for model in models for tensor in trainables(model))
    found.models = models
    return found


@walks
def state(model: Any) -> Any:
    """The state of a model: nested plain dicts, lists and tuples of tensors, numbers, strings and booleans.

    Objects become dicts of their attributes; what is neither data nor a container of data, such as an
    activation function, becomes None. The tensors are copies: training the model further leaves its state
    alone. A container that occurs twice in the model is one in the state. Ref: Flux.jl, `state`.

    >>> import oxiflux as flux
    >>> s = flux.state(flux.Chain(flux.Dense(2, 3), flux.relu))
    >>> s["layers"][0]["weight"].shape, s["layers"][1]
    ((2, 3), None)
    """
    _core.leaves(model)  # a container that holds itself is an error
    open_nodes: set[int] = set()
    # Each node is kept beside its state, so that its id is not given to another object meanwhile.
    done: dict[int, tuple[Any, Any]] = {}

    def walk(node: Any) -> tuple[Any, bool]:
        """The state of a node, and whether that is the same wherever the node is."""
        if isinstance(node, (Tensor, np.ndarray)):
            return node.copy(), True
        if node is None or isinstance(node, (bool, int, float, str, bytes)):
            return node, True
        if id(node) in done:
            return done[id(node)][1], True
        refuse_open("state", node)
        kids = _core.children(node)
        # What refers back to what it is part of has no state of its own.
        if kids is None or id(node) in open_nodes:
            return None, kids is None
        open_nodes.add(id(node))
        parts = [walk(kid) for _, kid in kids]
        open_nodes.remove(id(node))
        values, is_same = [value for value, _ in parts], all(same for _, same in parts)
        found: Any = dict(zip([key for key, _ in kids], values, strict=True))
        if isinstance(node, (list, tuple, deque)):
            found = values if isinstance(node, list) else tuple(values)
        if is_same:
            done[id(node)] = node, found
        return found, is_same

    return walk(model)[0]


@walks
def loadmodel(dst: Model, src: Any, *, filter: Callable[[Any], bool] | None = None) -> Model:
    """Copies every tensor of `src`, a model or a `state`, into the model `dst`, and returns `dst`.

    Structure and shapes are checked first: a mismatch raises `ShapeError` naming the place and nothing is
    changed. Values take the dtype of `dst`. A missing bias and a bias of zeros stand for each other. Weights
    that are tied in `dst` and differ in `src` raise ValueError. Functions and numbers are not loaded. With `filter`
    only those parts of `dst` are loaded, at any depth, for which it is true; of the others `src` may have anything,
    or nothing. Ref: Flux.jl, `loadmodel!`.

    >>> import oxiflux as flux
    >>> a, b = flux.Dense(2, 3), flux.Dense(2, 3)
    >>> flux.loadmodel(a, flux.state(b)) is a
    True
    >>> bool(flux.all(a.weight == b.weight))
    True
    """
    if filter is not None and not callable(filter):
        raise TypeError(f"loadmodel: filter must be a function, got {filter!r}")
    for tree in (dst, src):
        _core.leaves(tree)  # a tree that is too deep, or holds itself, is an error that says where
    for tensor, value in assignments(dst, src, filter):
        _core.assign(tensor, value)
    return dst


def assignments(
    dst: Any, src: Any, filter: Callable[[Any], bool] | None = None
) -> list[tuple[Tensor, Tensor]]:
    """What `loadmodel` assigns: tensors of `dst` and their values."""
    found: dict[int, tuple[Path, Tensor, Tensor]] = {}
    for path, tensor, given in _pairs(dst, src, (), filter, (), {}):
        value = _fitting(path, tensor, given)
        first, _, known = found.setdefault(id(tensor), (path, tensor, value))
        if not np.array_equal(known.numpy(), value.numpy(), equal_nan=value.dtype in FLOATS):
            raise ValueError(
                f"loadmodel: {show_path(first)} and {show_path(path)} are one tensor in the model "
                "and differ in the source"
            )
    return [(tensor, value) for _, tensor, value in found.values()]


@walks
def modules(model: Any) -> list[Any]:
    """The model and all objects within it that hold something, outermost first, each once.

    Functions and plain tuples, lists and dicts are walked through and not listed.

    >>> import oxiflux as flux
    >>> model = flux.Chain(flux.Dense(2, 3), flux.Chain(flux.Dense(3, 1)))
    >>> [type(m).__name__ for m in flux.modules(model)]
    ['Chain', 'Dense', 'Chain', 'Dense']
    >>> penalty = lambda m: sum((d.weight**2).sum() for d in flux.modules(m) if isinstance(d, flux.Dense))
    """
    found: dict[int, Any] = {}
    seen: set[int] = set()

    def walk(node: Any) -> None:
        kids = None if id(node) in seen else _core.children(node)
        if kids is None:
            return
        seen.add(id(node))
        if not isinstance(node, (list, tuple, dict, deque, *CALLABLES)):
            found[id(node)] = node
        for _, kid in kids:
            walk(kid)

    walk(model)
    return list(found.values())


@walks
def f16(model: Model) -> Model:
    """Turns every floating tensor of a model into float16, in its attributes, and returns the model.

    It takes half the memory; each operation computes in float32 and rounds its result. `BatchNorm`, `InstanceNorm`
    and `GroupNorm` stay in float32, as in Flux, and give the dtype of what they are given.

    >>> import oxiflux as flux
    >>> flux.f16(flux.Dense(2, 3))(flux.ones((1, 2), dtype=flux.float16)).dtype == "float16"
    True
    """
    return _convert("f16", model, _core.float16)


@walks
def bf16(model: Model) -> Model:
    """Turns every floating tensor of a model into bfloat16, as `f16` into float16.

    >>> import oxiflux as flux
    >>> flux.bf16(flux.Dense(2, 3)).weight.dtype == "bfloat16"
    True
    """
    return _convert("bf16", model, _core.bfloat16)


@walks
def f32(model: Model) -> Model:
    """Turns every floating tensor of a model into float32, in its attributes, and returns the model.

    Of the state of an optimiser too, in its leaves.

    >>> import oxiflux as flux
    >>> flux.f32(flux.f64(flux.Dense(2, 3))).weight.dtype == "float32"
    True
    """
    return _convert("f32", model, _core.float32)


@walks
def f64(model: Model) -> Model:
    """Turns every floating tensor of a model into float64, in its attributes, and returns the model.

    Of the state of an optimiser too, in its leaves.

    >>> import oxiflux as flux
    >>> flux.f64(flux.Dense(2, 3)).weight.dtype == "float64"
    True
    """
    return _convert("f64", model, _core.float64)


def is_float_array(x: Any) -> bool:
    """Whether this is an array of floats of another library; NumPy's numbers are none.

    >>> import numpy as np
    >>> is_float_array(np.zeros(3)), is_float_array(np.arange(3)), is_float_array(np.float64(3))
    (True, False, False)
    """
    if isinstance(x, array):
        return x.typecode in "fd"
    if isinstance(x, memoryview):
        return x.format[-1:] in ("e", "f", "d")
    if not hasattr(type(x), "__array__") or isinstance(x, (Tensor, np.generic, type)):
        return False
    dtype = getattr(x, "dtype", None)
    if dtype is None:
        try:
            dtype = np.asarray(x).dtype
        except Exception:  # whatever it is, it is no array
            return False
    # The dtypes of other libraries have names that end as NumPy's do: torch.float32.
    return getattr(dtype, "kind", "") == "f" or "float" in str(dtype)


def refuse_constants(caller: str, model: Any) -> None:
    """Raises TypeError for what looks like a parameter of a model and cannot be trained where it is.

    >>> refuse_constants("setup", {"w": _core.zeros(2), "b": 0.5})
    Traceback (most recent call last):
    TypeError: setup: b is the number 0.5, which cannot be trained in its place: make it flux.tensor(0.5)
    """
    seen: dict[int, Any] = {}
    rest: list[tuple[Any, Path, bool]] = [(model, (), True)]
    while rest:
        node, path, is_plain = rest.pop()
        if id(node) in seen or isinstance(node, Tensor):
            continue
        seen[id(node)] = node
        if what := _constant(node, is_plain):
            raise TypeError(f"{caller}: {show_path(path)} is {what}")
        is_plain = is_plain and isinstance(node, (list, tuple, dict))
        kids = _core.children(node, trainable=True) or []
        rest += [(kid, (*path, key), is_plain) for key, kid in reversed(kids)]


def _constant(x: Any, is_plain: bool) -> str | None:
    """What is wrong with something that looks like a parameter; `is_plain` if only containers lead to it.

    Numbers in an object are options of it; in a list or a dict `gradient` differentiates by them.
    """
    in_place = "cannot be trained in its place"
    if is_plain and isinstance(x, (float, np.floating)):
        return f"the number {x}, which {in_place}: make it flux.tensor({x})"
    if getattr(type(x), "is_unsized", False):
        return f"{x!r}, whose size is open: flux.autosize(model, shape) fills it in"
    if is_float_array(x):
        library = type(x).__module__.partition(".")[0]
        return (
            f"an array of {library}, which {in_place}: make it flux.tensor(…), or leave it out of what "
            "`trainable()` names"
        )
    if isinstance(x, np.ndarray) and x.dtype == object and any(map(_trains, x.flat)):
        return "an array of objects that holds parameters, where they are not found: make it a list"
    if isinstance(x, (set, frozenset, MappingProxyType)) and any(
        map(_trains, x.values() if isinstance(x, MappingProxyType) else x)
    ):
        return (
            f"a {type(x).__name__} that holds parameters, where they are not found: make it a list or a dict"
        )
    if isinstance(x, (list, tuple, dict, deque)) and not isinstance(x, Params):
        for name, value in getattr(x, "__dict__", {}).items():
            if _trains(value):
                return (
                    f"a {type(x).__name__}, of which only the items are trained, and its attribute {name} holds "
                    "parameters: put it beside the items, or into an object with both"
                )
    return None


def refuse_open(caller: str, x: Any) -> None:
    """Raises TypeError for a layer whose size is open, which has no tensors yet."""
    if getattr(type(x), "is_unsized", False):
        raise TypeError(f"{caller}: the size of {x!r} is open: flux.autosize(model, shape) fills it in first")


def _trains(x: Any) -> bool:
    return is_float_array(x) or bool(_core.leaves(x, trainable=True))


def places(x: Any) -> list[tuple[Path, Tensor]]:
    """The tensors that an argument is differentiated by, with every path to each: one that occurs twice has two."""
    found: list[tuple[Path, Tensor]] = []

    def walk(node: Any, path: Path, around: tuple[Any, ...]) -> None:
        if isinstance(node, Tensor):
            if node.dtype in FLOATS:
                found.append((path, node))
        elif not any(node is part for part in around):
            for key, kid in _core.children(node, trainable=True) or []:
                walk(kid, (*path, key), (*around, node))

    walk(x, (), ())
    return found


def at(grad: Any, path: tuple[Any, ...]) -> Any:
    """The part of a gradient at a path; None where there is none."""
    for key in path:
        grad = dict(_core.children(grad) or []).get(key)
    return grad


def _convert(caller: str, model: Model, dtype: _core.DType) -> Model:
    for part in modules(model):
        refuse_open(caller, part)
    done: dict[int, tuple[Any, Any]] = {}
    is_half = dtype in (_core.float16, _core.bfloat16)
    # What can't be changed is made where a part that refers back to it meets it, unless it refers to itself.
    entered: dict[int, list[Any]] = {}

    def walk(node: Any, dtype: _core.DType) -> Any:
        if id(node) in done:
            return done[id(node)][1]
        if not isinstance(node, FIXED):
            done[id(node)] = node, node
        elif entered.setdefault(id(node), [node, 0])[1] == 2:
            return node
        else:
            entered[id(node)][1] += 1
        if isinstance(node, Tensor):
            done[id(node)] = node, node.astype(dtype) if node.dtype in FLOATS else node
        elif isinstance(node, Leaf):
            node.state = walk(node.state, dtype)
        else:
            own = _core.float32 if is_half and getattr(node, "in_float32", False) is True else dtype
            items = [(key, kid, walk(kid, own)) for key, kid in _core.children(node) or []]
            changed = [(key, new) for key, old, new in items if new is not old]
            if not isinstance(node, FIXED):
                put(node, changed)
            elif id(node) not in done:
                new = remade(node, [(key, new) for key, _, new in items]) if changed else node
                done[id(node)] = node, new
        return done[id(node)][1]

    converted: Model = walk(model, dtype)
    return converted


def _pairs(
    dst: Any,
    src: Any,
    path: Path,
    loads: Callable[[Any], bool] | None,
    around: tuple[Any, ...],
    done: dict[tuple[int, int], tuple[Any, Any]],
) -> Iterator[tuple[Path, Tensor, Any]]:
    """Each tensor of `dst` with what stands in its place in `src`; `around` are the parts of `dst` on the way there.

    A part that has met the same part of `src` before is `done`.
    """
    if isinstance(dst, Tensor):
        yield path, dst, src
        return
    if any(part is dst for part in around):
        return  # a part that refers back to what it is part of
    pair = id(dst), id(src)
    if pair in done:
        return
    done[pair] = dst, src  # held, so that no other object gets their addresses
    refuse_open("loadmodel", dst)
    around = (*around, dst)
    if isinstance(src, (Tensor, np.ndarray)):
        if dst is None and not np.any(np.asarray(src)):
            return
        raise ShapeError(
            f"loadmodel: {show_path(path)} is {_kind(dst)} in the model "
            f"and a tensor of shape {tuple(src.shape)} in the source"
        )
    kids = _core.children(dst)
    if kids is None:
        return
    theirs = _core.children(src)
    if theirs is None:
        if _core.leaves(dst):
            raise ShapeError(
                f"loadmodel: {show_path(path)} is {_kind(dst)} in the model and {_kind(src)} in the source"
            )
        return
    given = dict(theirs)
    if loads is not None:
        passed = {key for key, kid in kids if not loads(kid)}
        kids = [(key, kid) for key, kid in kids if key not in passed]
        theirs = [(key, kid) for key, kid in theirs if key not in passed]
    elif isinstance(dst, (list, tuple)) and len(kids) != len(given):
        raise ShapeError(
            f"loadmodel: {show_path(path)} has {len(kids)} items in the model and {len(given)} in the source"
        )
    extra = [key for key, value in theirs if key not in dict(kids) and _core.leaves(value)]
    if extra:
        raise ShapeError(
            f"loadmodel: the model has no {show_path((*path, extra[0]))}, which is a part of the source"
        )
    for key, kid in kids:
        if key in given:
            yield from _pairs(kid, given[key], (*path, key), loads, around, done)
        elif _core.leaves(kid):
            raise ShapeError(
                f"loadmodel: the source has no {show_path((*path, key))}, which is a part of the model"
            )


def _fitting(path: Path, tensor: Tensor, value: Any) -> Tensor:
    """What is to be assigned to a tensor of the model; an error if it does not fit."""
    if value is None or value is False:
        return _core.zeros(tensor.shape, dtype=tensor.dtype)
    if not isinstance(value, (Tensor, np.ndarray)):
        raise ShapeError(
            f"loadmodel: {show_path(path)} is a tensor of shape {tensor.shape} in the model "
            f"and {_kind(value)} in the source"
        )
    if tuple(value.shape) != tensor.shape:
        raise ShapeError(
            f"loadmodel: {show_path(path)} has shape {tensor.shape} in the model "
            f"and {tuple(value.shape)} in the source"
        )
    try:
        return _core.tensor(value, tensor.dtype)
    except OverflowError as error:
        raise OverflowError(f"loadmodel: {show_path(path)}: {error}") from None


def _kind(x: object) -> str:
    return repr(x) if x is None or isinstance(x, (bool, int, float, str)) else f"a {type(x).__name__}"
