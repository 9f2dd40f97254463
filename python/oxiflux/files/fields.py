"""What the attributes of an object in a file may be; writing asks too, so that what was saved can be loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .. import _core
from .._core import Tensor

__all__ = ["check_fields", "fields_of", "is_made_of_fields", "of_fields", "put_fields"]

# The types that are known here, by how they are written.
_TYPES: dict[str, Callable[[Any], bool]] = {
    "Callable": callable,
    "None": lambda x: x is None,
    "Tensor": lambda x: isinstance(x, Tensor),
    "bool": lambda x: isinstance(x, bool),
    "dict": lambda x: isinstance(x, dict),
    "float": lambda x: isinstance(x, (int, float)),
    "int": lambda x: isinstance(x, int),
    "list": lambda x: isinstance(x, list),
    "str": lambda x: isinstance(x, str),
    "tuple": lambda x: isinstance(x, tuple),
}


def is_made_of_fields(kind: type) -> bool:
    """Whether an object of a class is all in its attributes: those of `dict`, a set or a deque have items besides.

    >>> from collections import namedtuple
    >>> [is_made_of_fields(kind) for kind in (namedtuple("Pair", "a b"), dict, set)]
    [True, False, False]
    """
    if issubclass(kind, tuple):
        return hasattr(kind, "_fields")
    try:
        object.__new__(kind)
    except TypeError:
        return False
    return True


def fields_of(x: Any) -> dict[str, Any]:
    """The attributes of an object by their names, those in slots and the items of a named tuple among them."""
    kind = type(x)
    found = dict(zip(kind._fields, x, strict=True)) if isinstance(x, tuple) else {}
    found |= {name: getattr(x, name) for name in _slots(kind) if hasattr(x, name)}
    return found | getattr(x, "__dict__", {})


def of_fields(kind: type, fields: dict[str, Any]) -> Any:
    """A named tuple of these items, and of the attributes that it has besides.

    >>> from collections import namedtuple
    >>> of_fields(namedtuple("Pair", "a b"), {"b": 1, "a": 2})
    Pair(a=2, b=1)
    """
    names: tuple[str, ...] = getattr(kind, "_fields")  # noqa: B009 mypy knows no such attribute
    lacking = [name for name in names if name not in fields]
    if lacking:
        raise ValueError(f"a {kind.__name__} without {lacking[0]}")
    made: Any = tuple.__new__(kind, [fields[name] for name in names])
    put_fields(made, {name: value for name, value in fields.items() if name not in names})
    return made


def put_fields(x: Any, fields: dict[str, Any]) -> None:
    """Gives an object attributes, though its class may be frozen."""
    slots = _slots(type(x))
    for name in slots & fields.keys():
        object.__setattr__(x, name, fields[name])
    if rest := {name: value for name, value in fields.items() if name not in slots}:
        vars(x).update(rest)


def _slots(kind: type) -> set[str]:
    """The names of the attributes that have slots."""
    found = set()
    for base in kind.__mro__:
        own = vars(base).get("__slots__", ())
        for name in [own] if isinstance(own, str) else own:
            is_private = name.startswith("__") and not name.endswith("__")
            found.add(f"_{base.__name__.lstrip('_')}{name}" if is_private else name)
    return found - {"__dict__", "__weakref__"}


def check_fields(kind: type, fields: Mapping[str, Any]) -> None:
    """Raises ValueError unless an object of the class can have these attributes and no others.

    For classes of this package they are those that the class declares, of the types that it says, and hide no method.

    >>> import oxiflux as flux
    >>> check_fields(flux.Chain, {"layers": 3})
    Traceback (most recent call last):
    ValueError: layers of a Chain is a int, and should be tuple[Function, ...] | dict[str, Function]
    """
    # What the state of a method's object is named.
    of_method = ("__self__", "__func__") if kind is _core.Namespace else ()
    is_ours = kind.__module__.partition(".")[0] == "oxiflux"
    for name in fields:
        if (name.startswith("__") and name not in of_method) or (
            is_ours and callable(getattr(kind, name, None))
        ):
            raise ValueError(f"{kind.__name__} has no field {name}")
    if not is_ours:
        return
    for base in kind.__mro__:
        for name, kind_of_field in getattr(base, "__annotations__", {}).items():
            # A file without `from __future__ import annotations` has types, not their text.
            written = getattr(kind_of_field, "__name__", str(kind_of_field))
            if name not in fields:
                if not hasattr(kind, name):
                    raise ValueError(f"a {kind.__name__} without {name}")
                continue
            tests = [_TYPES.get(text) for text in _alternatives(written)]
            if all(tests) and not any(test(fields[name]) for test in tests if test):
                found = type(fields[name]).__name__
                raise ValueError(f"{name} of a {kind.__name__} is a {found}, and should be {written}")


def _alternatives(written: str) -> list[str]:
    """The outer names in a type: `tuple[int | None, ...] | None` gives tuple and None."""
    outer, depth = "", 0
    for c in written:
        depth += c == "["
        outer += "" if depth else c
        depth -= c == "]"
    return [name.strip() for name in outer.split("|")]
