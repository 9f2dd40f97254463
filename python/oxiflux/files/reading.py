"""From a description in JSON and tensors back to a tree of objects; nothing in it is believed, and no code is run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import _core
from .._core import Generator, Leaf, Tensor
from ..functors import Named
from ..layers import Layer
from ..layers.container import Container
from ..optimisers import Rule, Schedule
from ..tree import modules
from .fields import check_fields, is_made_of_fields, of_fields, put_fields
from .names import functions_by_name, later_class

__all__ = ["InvalidError", "Reader"]


class InvalidError(ValueError):
    """A description that `save` does not write."""


class Reader:
    """Reads what a Writer wrote.

    >>> import oxiflux as flux
    >>> Reader({"x": flux.ones(2)}, {}).tree({"tuple": [{"tensor": "x"}, 0.5]})
    (Tensor([1.0, 1.0]), 0.5)
    """

    def __init__(self, tensors: dict[str, Tensor], classes: dict[str, type]) -> None:
        self.tensors = tensors
        self.classes = classes
        self._used: set[str] = set()
        self._made: list[Any] = []
        self._kinds: dict[str, Callable[[Any], Any]] = {
            "array": lambda name: np.array(self._tensor(name).numpy()),
            "dict": self._dict,
            "dtype": _core.dtype,
            "float": self._float,
            "function": self._function,
            "generator": self._generator,
            "leaf": self._leaf,
            "named": self._named,
            "namespace": self._namespace,
            "object": self._object,
            "opaque": lambda _: self._new(None),
            "partial": self._partial,
            "same": self._same,
            "tensor": self._tensor,
            "tuple": lambda items: tuple(self._node(item) for item in _of(list, items)),
        }

    def tree(self, root: Any) -> Any:
        """The tree; a description that does not fit the tensors, or is none, raises InvalidError."""
        try:
            made = self._node(root)
            if unused := self.tensors.keys() - self._used:
                raise InvalidError(f"nothing refers to the tensor {min(unused)!r}")
            for part in self._made:
                # Layers of layers are made of these, and may say each of them very often.
                if isinstance(part, Layer) and len(modules(part)) == 1:
                    part.describe()
        except (InvalidError, MemoryError):
            raise
        except RecursionError:
            raise InvalidError("it is too deep") from None
        except Exception as error:
            # Whatever a constructor or a description stumbles over is a value that no such object has.
            raise InvalidError(f"{type(error).__name__}: {error}") from None
        return made

    def _node(self, x: Any) -> Any:
        if isinstance(x, list):
            made: list[Any] = self._new([])
            made.extend(self._node(item) for item in x)
            return made
        if not isinstance(x, dict):
            return x
        if len(x) != 1:
            raise InvalidError(f"an object with {len(x)} entries instead of one")
        ((kind, body),) = x.items()
        if kind not in self._kinds:
            raise InvalidError(f"there is no kind {kind!r}")
        return self._kinds[kind](body)

    def _new(self, made: Any) -> Any:
        """Gives the next number to what can be changed in place."""
        self._made.append(made)
        return made

    def _tensor(self, name: Any) -> Tensor:
        if _of(str, name) not in self.tensors:
            raise InvalidError(f"there is no tensor {name!r}")
        self._used.add(name)
        return self.tensors[name]

    def _dict(self, items: Any) -> dict[Any, Any]:
        made: dict[Any, Any] = self._new({})
        for key, value in _of(list, items):
            made[self._node(key)] = self._node(value)
        return made

    def _named(self, items: Any) -> Named:
        made: Named = self._new(Named())
        for key, value in _of(list, items):
            dict.__setitem__(made, _of(str, key), self._node(value))
        return made

    def _float(self, text: Any) -> float:
        if text not in ("inf", "-inf", "nan"):
            raise InvalidError(f"{text!r} is no number")
        return float(text)

    def _function(self, name: Any) -> Any:
        if _of(str, name) not in functions_by_name():
            raise InvalidError(f"there is no function {name!r}")
        return functions_by_name()[name]

    def _generator(self, state: Any) -> Generator:
        made: Generator = self._new(Generator())
        made.set_state(tuple(_of(list, state)))
        return made

    def _leaf(self, body: Any) -> Leaf:
        leaf: Leaf = self._new(Leaf(None))
        rule, state, frozen = _of(list, body)
        leaf.rule, leaf.state, leaf.frozen = self._node(rule), self._node(state), _of(bool, frozen)
        if not (hasattr(leaf.rule, "init") and hasattr(leaf.rule, "apply")):
            raise InvalidError(f"{leaf.rule!r} is no rule")
        return leaf

    def _namespace(self, fields: Any) -> Any:
        made = self._new(_core.Namespace())
        vars(made).update(self._fields(type(made), fields))
        return made

    def _partial(self, body: Any) -> Any:
        place = len(self._made)
        self._new(None)
        function, args, keywords = (self._node(part) for part in _of(list, body))
        if not callable(function):
            raise InvalidError(f"{function!r} is no function")
        self._made[place] = functools.partial(function, *_of(tuple, args), **_of(dict, keywords))
        return self._made[place]

    def _same(self, number: Any) -> Any:
        if not 0 <= _of(int, number) < len(self._made):
            raise InvalidError(f"there is no object number {number}")
        return self._made[number]

    def _object(self, body: Any) -> Any:
        name, fields = _of(list, body)
        kind = self.classes.get(_of(str, name)) or later_class(name)
        if kind is None:
            raise InvalidError(f"{name} is no class of oxiflux; if it is yours, pass classes=[{name}]")
        if issubclass(kind, (Rule, Schedule)) and "__dataclass_fields__" in vars(kind):
            # Its constructor checks the values, and leaves nothing to be filled in later.
            place = len(self._made)
            self._new(None)
            self._made[place] = kind(**self._fields(kind, fields))
            return self._made[place]
        if not is_made_of_fields(kind):
            raise InvalidError(f"objects of {name} are not made of their attributes")
        if issubclass(kind, tuple):
            place = len(self._made)
            self._new(None)
            self._made[place] = of_fields(kind, self._fields(kind, fields))
            return self._made[place]
        made = self._new(object.__new__(kind))
        values = self._fields(kind, fields)
        if issubclass(kind, Container) and type(values.get("layers")) is dict:
            values["layers"] = Named(values["layers"])
        put_fields(made, values)
        return made

    def _fields(self, kind: type, fields: Any) -> dict[str, Any]:
        values = {name: self._node(value) for name, value in _of(dict, fields).items()}
        check_fields(kind, values)
        return values


def _of(kind: type, x: Any) -> Any:
    if type(x) is not kind:
        raise InvalidError(f"a {type(x).__name__} instead of a {kind.__name__}")
    return x
