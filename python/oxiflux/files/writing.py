"""From a tree of objects to a description in JSON and its tensors by name.

Numbers, texts, None and lists stand for themselves; all else is an object with one entry, whose key says what it is:
`{"tensor": name}`, `{"tuple": […]}`, `{"dict": [[key, value], …]}`, `{"object": [class, {field: value}]}`, and so on.
What can be changed in place is numbered in the order of its first occurrence, and `{"same": number}` stands for it
later, so that what is shared stays shared.
"""

from __future__ import annotations

import functools
import math
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np

from .. import _core
from .._core import DType, Generator, Leaf, Tensor
from ..functors import Named
from .fields import check_fields, fields_of, is_made_of_fields
from .names import function_names

__all__ = ["Writer"]

_HINT = "save flux.state(model) instead, and load it with flux.loadmodel(model, flux.load(path))"


class Writer:
    """Writes trees; `tensors` collects what they hold.

    Objects of other classes and functions raise TypeError, or with `is_strict=False` become their attributes, and
    None, from which a model that is there already can be loaded.

    >>> import oxiflux as flux
    >>> writer = Writer("save", {})
    >>> writer.node((1, [flux.zeros(2)]), "x"), list(writer.tensors)
    ({'tuple': [1, [{'tensor': 'x.1.0'}]]}, ['x.1.0'])
    """

    is_strict: bool

    def __init__(self, caller: str, classes: dict[str, type], is_strict: bool = True) -> None:
        self.caller = caller
        self.classes = classes
        self.is_strict = is_strict
        self.tensors: dict[str, Tensor] = {}
        self._names: dict[int, str] = {}
        # Each object is kept beside its number, so that its id is not given to another one meanwhile.
        self._numbers: dict[int, tuple[int, Any]] = {}

    def node(self, x: Any, path: str) -> Any:
        """The description of `x`, which is at `path` of the tree: the keys that lead to it, joined by dots."""
        kind = type(x)
        if x is None or kind in (bool, int, str):
            return x
        if isinstance(x, float):
            return float(x) if math.isfinite(x) else {"float": repr(float(x))}
        if kind is Tensor:
            return {"tensor": self._tensor(x, path)}
        if kind is np.ndarray:
            return {"array": self._tensor(_core.tensor(x), path)}
        if isinstance(x, np.generic) and not isinstance(x.item(), np.generic):
            return self.node(x.item(), path)
        if kind is DType:
            return {"dtype": x.name}
        if self._is(x, tuple):
            return {"tuple": [self.node(item, _join(path, i)) for i, item in enumerate(x)]}
        if id(x) in function_names():
            return {"function": function_names()[id(x)]}
        if id(x) in self._numbers:
            return {"same": self._numbers[id(x)][0]}
        self._numbers[id(x)] = len(self._numbers), x
        return self._shared(x, path)

    def _shared(self, x: Any, path: str) -> Any:
        """The description of what can be changed in place."""
        kind = type(x)
        if self._is(x, list):
            return [self.node(item, _join(path, i)) for i, item in enumerate(x)]
        if kind is Named and all(type(key) is str for key in x):
            return {"named": [[key, self.node(x[key], _join(path, key))] for key in x]}
        if self._is(x, dict):
            return {"dict": [[self._key(key, path), self.node(x[key], _join(path, key))] for key in x]}
        if kind is Generator:
            return {"generator": list(x.get_state())}
        if kind is Leaf:
            return {"leaf": self._leaf(x, path)}
        if kind is _core.Namespace:
            return {"namespace": self._fields(vars(x), path)}
        if kind is functools.partial and id(x.func) in function_names():
            return {"partial": [self.node(part, path) for part in (x.func, x.args, x.keywords)]}
        if self.classes.get(kind.__name__) is kind and is_made_of_fields(kind):
            fields = fields_of(x)
            try:
                check_fields(kind, fields)
            except ValueError as error:
                raise TypeError(f"{self.caller}: {_place(path)}: {error}") from None
            return {"object": [kind.__name__, self._fields(fields, path)]}
        if self.is_strict:
            raise self._unknown(x, path)
        kids = _core.children(x)
        return {"opaque": None} if kids is None else {"namespace": self._fields(dict(kids), path)}

    def _is(self, x: Any, kind: type) -> bool:
        return type(x) is kind or (not self.is_strict and isinstance(x, kind))

    def _fields(self, fields: dict[str, Any], path: str) -> dict[str, Any]:
        return {name: self.node(value, _join(path, name)) for name, value in fields.items()}

    def _leaf(self, leaf: Leaf, path: str) -> list[Any]:
        # Without its rule the state of an optimiser means nothing.
        self.is_strict, before = True, self.is_strict
        rule = self.node(leaf.rule, _join(path, "rule"))
        self.is_strict = before
        return [rule, self.node(leaf.state, path), leaf.frozen]

    def _key(self, key: Any, path: str) -> Any:
        if key is None or type(key) in (bool, int, float, str):
            return self.node(key, path)
        raise TypeError(
            f"{self.caller}: the dict {_place(path)} has the key {key!r}; keys must be texts or numbers"
        )

    def _tensor(self, tensor: Tensor, path: str) -> str:
        """The name of a tensor: its path, unless a dict has a dot in a key and another tensor has that name."""
        if id(tensor) not in self._names:
            name, n = path or "tensor", 2
            while name in self.tensors or name == "__metadata__":
                name, n = f"{path}.{n}", n + 1
            self.tensors[name] = tensor
            self._names[id(tensor)] = name
        return self._names[id(tensor)]

    def _unknown(self, x: Any, path: str) -> TypeError:
        place = _place(path)
        if isinstance(x, (FunctionType, BuiltinFunctionType, functools.partial)):
            name = getattr(x, "__name__", repr(x))
            return TypeError(
                f"{self.caller}: {place} is the function {name}, and a file holds only functions of oxiflux; {_HINT}"
            )
        if getattr(type(x), "is_unsized", False):
            return TypeError(
                f"{self.caller}: {place} is {x!r}, whose size is open: flux.autosize(model, shape) fills it in"
            )
        kind = type(x).__name__
        if not is_made_of_fields(type(x)):
            return TypeError(
                f"{self.caller}: {place} is a {kind}, and a file holds lists, tuples, dicts and objects with "
                f"attributes; make it one of these, or {_HINT}"
            )
        return TypeError(
            f"{self.caller}: {place} is a {kind}, which is no class of oxiflux; pass classes=[{kind}] here "
            f"and when loading, or {_HINT}"
        )


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _place(path: str) -> str:
    return path or "the model"
