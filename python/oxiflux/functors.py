"""Mapping over trees: any nested Python object that holds tensors, rebuilt with other tensors in their places."""

from __future__ import annotations

import copy
import functools
from collections import deque
from collections.abc import Callable
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, SimpleNamespace
from typing import Any, TypeVar

import numpy as np

from . import _core
from ._core import Leaf, Tensor
from .hints import told

__all__ = [
    "children", "fmap", "fmap_with_path", "fmapstructure", "fmapstructure_with_path", "isleaf",
]  # fmt: skip

Path = tuple[Any, ...]
Trees = tuple[Any, ...]
Walk = TypeVar("Walk", bound=Callable[..., Any])

# Functions and what is called like them, which hold what they use.
CALLABLES = (FunctionType, MethodType, functools.partial)
# Containers that can't be changed.
FIXED = (tuple, MethodType, functools.partial)
# What has no identity: Python makes one object of equal ones, or not, as it sees fit.
VALUES = (int, float, complex, str, bytes, type(None), type, BuiltinFunctionType, np.generic)
_REPEAT: Any = object()


class Named(dict[str, Any]):
    """A dict of what has names, which can be asked for as attributes, too: the layers of a container, and what stands
    for them in the state of an optimiser. A name that is one of dict's methods, such as `items`, is a key only.

    >>> layers = Named(enc=1, dec=2)
    >>> layers.enc, layers["dec"], layers == {"enc": 1, "dec": 2}
    (1, 2, True)
    """

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        raise AttributeError(f"there is no {name!r}; there are {', '.join(self) or 'no names'}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self:
            raise AttributeError(f"there is no {name!r}; there are {', '.join(self) or 'no names'}")
        self[name] = value

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self})

    def __copy__(self) -> Named:
        return Named(self)


def walks(f: Walk) -> Walk:
    """A function that walks its arguments by recursion: of a tree that is too deep for that it says where it is so."""

    @functools.wraps(f)
    def checked(*args: Any, **options: Any) -> Any:
        try:
            return f(*args, **options)
        except RecursionError:
            for tree in args:
                _core.leaves(tree)
            raise

    return checked  # type: ignore[return-value]


@told
def children(x: Any) -> dict[Any, Any]:
    """What `x` is made of, by the keys that paths are made of: items by their places or keys, else attributes.

    A tensor, a number and a function that has captured nothing have no children. Ref: Functors.jl, `children`.

    >>> import oxiflux as flux
    >>> flux.children({"a": 1, "b": [2]}), flux.children((5, 6)), flux.children(flux.zeros(3))
    ({'a': 1, 'b': [2]}, {0: 5, 1: 6}, {})
    >>> list(flux.children(flux.Dense(2, 3)))
    ['weight', 'bias', 'activation']
    """
    return dict(_parts(x))


@told
def isleaf(x: Any) -> bool:
    """Whether `x` has no `children`: a tensor, a number, a plain function, an empty container.

    Ref: Functors.jl, `isleaf`.

    >>> import oxiflux as flux
    >>> flux.isleaf(flux.zeros(3)), flux.isleaf(flux.relu), flux.isleaf(flux.Dense(2, 3)), flux.isleaf(())
    (True, True, False, True)
    """
    return not _parts(x)


def _parts(x: Any) -> list[tuple[Any, Any]]:
    """The children of `x` by their keys; none of a leaf."""
    if isinstance(x, Leaf):
        return [("rule", x.rule), ("state", x.state), ("frozen", x.frozen)]
    return _core.children(x) or []


@told
@walks
def fmap(
    f: Callable[..., Any],
    tree: Any,
    *others: Any,
    exclude: Callable[[Any], bool] | None = None,
    walk: Callable[..., Any] | None = None,
    prune: Any = _REPEAT,
) -> Any:
    """A copy of a tree in which `f(x)` stands for every tensor `x`; what holds none is shared with the
    original.

    With other trees of the same structure, such as gradients or the state of an optimiser, it is `f(x, *ys)` with
    what they have in the place of `x`; where a gradient has nothing it is None. Trees that differ in structure raise
    ValueError.

    `exclude` says which nodes `f` is called on instead: those for which it is true, and the walk stops there.
    An object that occurs twice is mapped once, so that tied weights stay tied; with `prune`, that value stands in
    all its places but the first. Numbers, texts and plain functions are mapped wherever they are.
    `fmap(flux.Tensor.copy, model)` is a copy of a model with tensors of its own; `copy.deepcopy` shares what
    functions in it have captured, or have as defaults, because Python takes functions for constants. `walk(recurse,
    node, *nodes)` gives what stands for a node that has children, by calling `recurse(child, *children)` where it
    goes on, or NotImplemented to leave the node to the usual walk.
    Ref: Functors.jl, `fmap`.

    >>> import oxiflux as flux
    >>> flux.fmap(lambda x: x * 10, {"a": flux.tensor([1, 2]), "b": (3, "kept")})["a"].tolist()
    [10, 20]
    >>> model = flux.Dense(flux.ones((2, 1)))
    >>> grads = flux.gradient(lambda m: m([[3.0, 4.0]]).sum(), model)[0]
    >>> flux.fmap(lambda x, g: x - 0.5 * g, model, grads).weight.tolist()
    [[-0.5], [-1.0]]
    """
    with_path = walk
    if callable(walk):
        with_path = lambda go, path, *nodes: walk(functools.partial(go, path), *nodes)
    return _Map("fmap", _pathless(f), tree, exclude, with_path, prune).of(tree, others)


@told
@walks
def fmap_with_path(
    f: Callable[..., Any],
    tree: Any,
    *others: Any,
    exclude: Callable[[Any], bool] | None = None,
    walk: Callable[..., Any] | None = None,
    prune: Any = _REPEAT,
) -> Any:
    """`fmap` with a function of the path as well: `f(path, x, *ys)`, the path being the keys that lead to `x`, as
    `trainables(model, path=True)` has them.

    What occurs twice has the first of its paths. A `walk` is called as `walk(recurse, path, node, *nodes)` and calls
    `recurse(path, child, *children)`. Ref: Functors.jl, `fmap_with_path`.

    >>> import oxiflux as flux
    >>> model = flux.Chain(flux.Dense(2, 3), flux.Dense(3, 1))
    >>> halved = flux.fmap_with_path(lambda path, x: x / 2 if path[-1] == "weight" else x, model)
    >>> bool(flux.all(halved[1].weight == model[1].weight / 2)), halved[1].bias is model[1].bias
    (True, True)
    """
    return _Map("fmap_with_path", f, tree, exclude, walk, prune).of(tree, others)


@told
@walks
def fmapstructure(
    f: Callable[..., Any],
    tree: Any,
    *others: Any,
    exclude: Callable[[Any], bool] | None = None,
    prune: Any = _REPEAT,
) -> Any:
    """What `fmap` gives, as a tree of plain containers in the way of a gradient: an object is one with the same
    attributes, of which those stay that hold tensors, and None stands in lists, tuples and dicts for what holds none.

    Ref: Functors.jl, `fmapstructure`.

    >>> import oxiflux as flux
    >>> sizes = flux.fmapstructure(lambda x: x.size, flux.Chain(flux.Dense(2, 3), flux.relu))
    >>> sizes, sizes.layers[0].weight
    (namespace(layers=(namespace(weight=6, bias=3), None)), 6)
    """
    return _Map("fmapstructure", _pathless(f), tree, exclude, None, prune, True).of(tree, others)


@told
@walks
def fmapstructure_with_path(
    f: Callable[..., Any],
    tree: Any,
    *others: Any,
    exclude: Callable[[Any], bool] | None = None,
    prune: Any = _REPEAT,
) -> Any:
    """`fmapstructure` with a function of the path as well, `f(path, x, *ys)`.

    Ref: Functors.jl, `fmapstructure_with_path`.

    >>> import oxiflux as flux
    >>> flux.fmapstructure_with_path(lambda path, x: path, [flux.Dense(2, 3)])
    [namespace(weight=(0, 'weight'), bias=(0, 'bias'))]
    """
    return _Map("fmapstructure_with_path", f, tree, exclude, None, prune, True).of(tree, others)


def _pathless(f: Any) -> Any:
    """A function that takes a path first and leaves it."""
    return (lambda path, *xs: f(*xs)) if callable(f) else f


class _Map:
    """One call of `fmap` and its relatives: what has been mapped, and what holds something that will be."""

    def __init__(
        self,
        caller: str,
        f: Callable[..., Any],
        tree: Any,
        exclude: Callable[[Any], bool] | None,
        walk: Callable[..., Any] | None,
        prune: Any,
        structural: bool = False,
    ) -> None:
        for name, given in (("f", f), ("exclude", exclude), ("walk", walk)):
            if given is not None and not callable(given):
                raise TypeError(f"{caller}: {name} must be a function, got {given!r}")
        self.caller, self.f, self.walk, self.prune, self.structural = caller, f, walk, prune, structural
        self.pick = exclude or _is_tensor
        self.holds = _holders(tree, self.pick if walk is None else lambda x: self.pick(x) or isleaf(x))
        # Each node is kept beside its result so that its id is not given to another object during the walk.
        self.done: dict[int, tuple[Any, Path, Trees, Any]] = {}
        # Functions that share a variable share it in the copies, too.
        self.cells: dict[int, CellType] = {}

    def of(self, tree: Any, others: Trees) -> Any:
        """The whole tree, mapped."""
        return self._go((), tree, *others)

    def _go(self, path: Path, node: Any, *others: Any) -> Any:
        if id(node) not in self.holds or (self.walk is not None and isleaf(node) and not self.pick(node)):
            return None if self.structural else node
        if id(node) in self.done:
            _, first, met, result = self.done[id(node)]
            if others and not all(map(_same, met, others)):
                raise ValueError(
                    f"{self.caller}: {show_path(first)} and {show_path(path)} are one object in the first tree "
                    "and differ in another"
                )
            return result if self.prune is _REPEAT else self.prune
        if self.pick(node):
            return self._note(path, node, others, self.f(path, node, *others))
        result = NotImplemented if self.walk is None else self.walk(self._go, path, node, *others)
        if result is NotImplemented:
            return self._rebuilt(path, node, others)
        return self._note(path, node, others, result)

    def _note(self, path: Path, node: Any, others: Trees, result: Any) -> Any:
        if not _is_value(node):
            self.done[id(node)] = node, path, others, result
        return result

    def _rebuilt(self, path: Path, node: Any, others: Trees) -> Any:
        """A node that is made of mapped children."""
        kids = _parts(node)
        changing = {key for key, kid in kids if id(kid) in self.holds}
        mapped = self._beside(path, node, kids, others) if others else self._go
        if self.structural:
            self._note(path, node, others, None)  # a part that refers back to it
            items = [(key, mapped((*path, key), kid)) for key, kid in kids]
            return self._note(path, node, others, _plain(node, items, changing))
        if isinstance(node, FIXED):
            items = [(key, mapped((*path, key), kid)) for key, kid in kids]
            known = self.done.get(id(node))  # A part that refers back to it may have met it, and made it.
            return known[3] if known else self._note(path, node, others, remade(node, items))
        # Before its children, some of which may refer back to it.
        new = self._note(path, node, others, _copied(node, changing, self.cells))
        put(new, [(key, mapped((*path, key), kid)) for key, kid in kids if key in changing])
        return new

    def _beside(
        self, path: Path, node: Any, kids: list[tuple[Any, Any]], others: Trees
    ) -> Callable[..., Any]:
        """What maps a child of a node with those that other trees have in its place."""
        keys = {key for key, _ in kids}
        held = [self._held(path, node, keys, other, place) for place, other in enumerate(others, 2)]

        def mapped(path: Path, kid: Any) -> Any:
            parts = [self._part(path, kid, other, place) for place, other in enumerate(held, 2)]
            return self._go(path, kid, *parts)

        return mapped

    def _held(self, path: Path, node: Any, keys: set[Any], other: Any, place: int) -> Any:
        """The children of another tree here, which must be those of the first; a gradient may lack some."""
        if other is None:
            return None
        held = children(other)
        extra = [key for key in held if key not in keys]
        if extra or (keys and not held):
            what = (
                f"has {show_path((*path, extra[0]))}"
                if extra
                else f"has a {type(other).__name__} in the place of"
            )
            end = ", which the first has not" if extra else f" {show_path(path)}, a {type(node).__name__}"
            raise ValueError(f"{self.caller}: tree {place} {what}{end}")
        return held if not isinstance(other, SimpleNamespace) else dict.fromkeys(keys) | held

    def _part(self, path: Path, kid: Any, held: Any, place: int) -> Any:
        if held is None or path[-1] in held:
            return None if held is None else held[path[-1]]
        if id(kid) in self.holds:
            raise ValueError(f"{self.caller}: tree {place} has no {show_path(path)}")
        return None


def show_path(path: Path) -> str:
    """A path as it is written in Python: `layers[0].weight`."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".") or "the model"


def _is_value(x: Any) -> bool:
    """Whether all that are equal to `x` are as good as it, so that where the same one occurs again says nothing."""
    return (
        isinstance(x, VALUES) or (isinstance(x, FunctionType) and isleaf(x)) or (type(x) is tuple and not x)
    )


def _same(a: Any, b: Any) -> bool:
    return a is b or (isinstance(a, (int, float, str)) and type(a) is type(b) and a == b)


def _holders(tree: Any, pick: Callable[[Any], bool]) -> dict[int, Any]:
    """The nodes from which one that is picked can be reached, by id: also through a part that refers back."""
    seen: dict[int, Any] = {id(tree): tree}
    owners: dict[int, list[int]] = {}
    picked: list[int] = []
    rest = [tree]
    while rest:
        node = rest.pop()
        if pick(node):
            picked.append(id(node))
            continue
        for _, kid in _parts(node):
            owners.setdefault(id(kid), []).append(id(node))
            if id(kid) not in seen:
                seen[id(kid)] = kid
                rest.append(kid)
    holders: dict[int, Any] = {}
    while picked:
        one = picked.pop()
        if one not in holders:
            holders[one] = seen[one]
            picked += owners.get(one, [])
    return holders


def _plain(node: Any, items: list[tuple[Any, Any]], held: set[Any]) -> Any:
    """A container of these children as a gradient has it."""
    values = [value for _, value in items]
    if isinstance(node, list):
        return values
    if isinstance(node, tuple) and hasattr(node, "_make"):
        return type(node)._make(values)
    if isinstance(node, (tuple, deque)):
        return tuple(values)
    if isinstance(node, dict):
        return Named(items) if type(node) is Named else dict(items)
    return SimpleNamespace(**{key: value for key, value in items if key in held})


def _is_tensor(x: object) -> bool:
    return isinstance(x, Tensor)


def remade(node: Any, items: list[tuple[Any, Any]]) -> Any:
    """Something like a `node` that can't be changed, with other children."""
    if isinstance(node, tuple):
        # Its class may make one in a way of its own.
        remade = tuple.__new__(type(node), [value for _, value in items])
        for name, value in getattr(node, "__dict__", {}).items():
            object.__setattr__(remade, name, value)
        return remade
    given = dict(items)
    if isinstance(node, MethodType):
        return MethodType(given["__func__"], given["__self__"])
    new = type(node)(given.pop("func"), *given.pop("args"), **given.pop("keywords"))
    vars(new).update(given)
    return new


def _copied(node: Any, changing: set[Any], cells: dict[int, CellType]) -> Any:
    """A copy of a container, of whose children some are going to be replaced; `cells` are the new ones by the old."""
    if not isinstance(node, FunctionType):
        return copy.copy(node)
    closure = tuple(
        cells.setdefault(id(cell), CellType()) if name in changing else cell
        for name, cell in zip(node.__code__.co_freevars, node.__closure__ or (), strict=True)
    )
    new = FunctionType(node.__code__, node.__globals__, node.__name__, node.__defaults__, closure)
    new.__kwdefaults__ = node.__kwdefaults__ and dict(node.__kwdefaults__)
    for name in functools.WRAPPER_ASSIGNMENTS:
        setattr(new, name, copy.copy(getattr(node, name)))
    vars(new).update(vars(node))
    return new


def put(node: Any, items: list[tuple[Any, Any]]) -> None:
    """Replaces children of a mutable container."""
    for key, value in items:
        if isinstance(node, (list, dict, deque)):
            node[key] = value
        elif isinstance(node, FunctionType):
            _put_into_function(node, key, value)
        else:
            # A layer would convert the new value to the dtype of the old, and a dataclass may be frozen.
            object.__setattr__(node, key, value)


def _put_into_function(f: FunctionType, name: str, value: Any) -> None:
    """Replaces what a function has captured, the default of an argument, or an attribute."""
    code = f.__code__
    names = code.co_varnames[: code.co_argcount]
    defaults = f.__defaults__ or ()
    if name in code.co_freevars:
        (f.__closure__ or ())[code.co_freevars.index(name)].cell_contents = value
    elif name in names[len(names) - len(defaults) :]:
        at = names.index(name) - len(names) + len(defaults)
        f.__defaults__ = (*defaults[:at], value, *defaults[at + 1 :])
    elif f.__kwdefaults__ and name in f.__kwdefaults__:
        f.__kwdefaults__[name] = value
    else:
        setattr(f, name, value)
